"""Every writer against every reader, case by case: what is the same, what changes type, what is lost without a word."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import random
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from labkit import ranges
from labkit.interactions import systems as all_systems
from labkit.interactions import worker
from labkit.interactions.cases import CASES, Case, case
from labkit.interactions.frames import from_frame
from labkit.interactions.judge import VERDICTS, Cell
from labkit.interactions.systems import System
from labkit.interactions.worker import CellJob
from labkit.progress import progress

Message = list[Cell] | Exception | None     # from a worker: the cells of a job, what went wrong, or that it is done
WORKERS = 2
WORKER = "labkit.interactions.worker"


@dataclass(frozen=True)
class Matrix:
    """The cells of a run, and the versions they were made with."""

    cells: tuple[Cell, ...]
    versions: dict[str, str]

    def __len__(self) -> int:
        return len(self.cells)

    def counts(self) -> dict[str, int]:
        """How many cells have each verdict."""
        counted = Counter(cell.verdict for cell in self.cells)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    def select(self, **wanted: str) -> Matrix:
        """The cells whose medium, writer, reader, case or verdict is as wanted; ValueError for another field."""
        for field in wanted:
            ranges.one_of("Matrix.select: field", field, ("medium", "writer", "reader", "case", "verdict"))
        return Matrix(tuple(cell for cell in self.cells
                            if all(getattr(cell, field) == value for field, value in wanted.items())), self.versions)

    def cell(self, medium: str, writer: str, reader: str, case: str) -> Cell:
        """One cell. Raises ValueError if it is not in the matrix (the writer may have no type for the case)."""
        found = self.select(medium=medium, writer=writer, reader=reader, case=case).cells
        if not found:
            raise ValueError(f"Matrix.cell: no cell {medium}: {writer} -> {reader}: {case}")
        return found[0]

    def tried(self, keys: Sequence[tuple[str, str, str, str]]) -> list[Cell]:
        """The cells of these (medium, writer, reader, case), without those of programs that are not installed."""
        by_key = {(cell.medium, cell.writer, cell.reader, cell.case): cell for cell in self.cells}
        return [by_key[key] for key in keys if key in by_key]

    def table(self, medium: str, verdict: str = "silent_loss") -> pd.DataFrame:
        """Writers down, readers across: how many cases ended with the verdict."""
        ranges.one_of("Matrix.table: verdict", verdict, VERDICTS)
        cells = self.select(medium=medium).cells
        frame = pd.DataFrame([(c.writer, c.reader, c.verdict == verdict) for c in cells],
                             columns=["writer", "reader", "hit"])
        order = dict.fromkeys(c.writer for c in cells), dict.fromkeys(c.reader for c in cells)
        return frame.pivot_table("hit", "writer", "reader", "sum").astype(int).loc[list(order[0]), list(order[1])]

    def pairs(self) -> list[tuple[str, str, str]]:
        """The ordered pairs (medium, writer, reader)."""
        return list(dict.fromkeys((c.medium, c.writer, c.reader) for c in self.cells))

    def disagreements(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Differential oracle: files (medium, writer, case) of which two readers make different tables.

        Nobody has to know what is right: one file, two answers, somebody is wrong.
        """
        files: dict[tuple[str, str, str], dict[str, Any]] = {}
        for cell in self.cells:
            if cell.verdict != "refused":
                files.setdefault((cell.medium, cell.writer, cell.case), {})[cell.reader] = cell.came
        return {file: answers for file, answers in files.items() if len(set(map(repr, answers.values()))) > 1}

    def summary(self) -> str:
        """One line with the numbers."""
        counts = self.counts()
        read = len(self) - counts["refused"]
        return (f"{len(self):,} cells, {len(self.pairs())} ordered pairs: "
                + ", ".join(f"{count:,} {verdict.replace('_', ' ')}" for verdict, count in counts.items())
                + f"; {counts['silent_loss'] / max(read, 1):.1%} of what was read is silently not what was written")

    __repr__ = summary


def run(systems: Sequence[System] | None = None, cases: Sequence[Case] | None = None, *,
        table: pd.DataFrame | None = None, media: Sequence[str] | None = None) -> Matrix:
    """Write and read every case with every ordered pair of systems that share a medium.

    systems: from `systems.ALL` (default: all that are installed)    cases: default `cases.CASES`
    table: your own DataFrame instead of the cases, each column a case    media: default all of `systems.MEDIA`

    Cells run in processes of their own; one that dies is a `read_error` (or `refused`), and the run goes on. Ctrl-C
    ends them. Raises ValueError for a table without columns, an unknown medium, or a system not in `systems.ALL`.
    """
    chosen = all_systems.available() if systems is None else tuple(systems)
    for one in chosen:
        if one not in all_systems.ALL:
            raise ValueError(f"matrix.run: systems: {one.name!r} on {one.medium!r} is not one of systems.ALL")
    for medium in media or ():
        ranges.one_of("matrix.run: media", medium, all_systems.MEDIA)
    asked = from_frame(table) if table is not None else tuple(CASES if cases is None else cases)
    readers = {medium: tuple(one.name for one in chosen if one.reader and one.medium == medium)
               for medium in media or all_systems.MEDIA}
    jobs = [CellJob(writer.medium, writer.name, readers[writer.medium], one)
            for writer in chosen if writer.writer and writer.medium in readers for one in asked]
    batches = progress(_collect(jobs), "write here, read there", len(jobs))
    cells = [cell for batch in batches for cell in batch]
    order = {(job.medium, job.writer, job.case.name): i for i, job in enumerate(jobs)}
    return Matrix(tuple(sorted(cells, key=lambda c: order[c.medium, c.writer, c.case])), all_systems.versions())


def _collect(jobs: list[CellJob]) -> Iterator[list[Cell]]:
    """The cells of each job, from two workers, as they come."""
    cells: queue.Queue[Message] = queue.Queue()
    stop = threading.Event()
    half = [jobs[i::WORKERS] for i in range(WORKERS)]
    threads = [threading.Thread(target=_drive, args=(part, cells, stop), daemon=True) for part in half if part]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            batch = cells.get()
            if isinstance(batch, list):
                yield batch
            elif batch is None:
                running -= 1
            else:
                raise batch
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _drive(jobs: list[CellJob], cells: queue.Queue[Message], stop: threading.Event) -> None:
    """Give the jobs to a worker; if it dies, say so in a cell and give the rest to a new one."""
    try:
        while jobs and not stop.is_set():
            jobs = _one_worker(jobs, cells, stop)
        cells.put(None)
    except Exception as error:                  # a thread's error must reach who waits for its cells
        cells.put(error)


def _one_worker(jobs: list[CellJob], cells: queue.Queue[Message], stop: threading.Event) -> list[CellJob]:
    one_thread = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", f"from {WORKER} import main; main()"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=os.environ | one_thread)
    assert process.stdin and process.stdout
    begun, done, batch = "", 0, list[Cell]()
    try:
        with contextlib.suppress(BrokenPipeError):      # it did not even start: said below
            pickle.dump(jobs, process.stdin)
            process.stdin.close()
        while not stop.is_set():
            try:
                kind, *body = pickle.load(process.stdout)
            except (EOFError, pickle.UnpicklingError):
                if not begun:
                    raise RuntimeError(f"matrix.run: the worker did not start (exit code {process.wait()}); "
                                       f"try: {sys.executable} -c 'import {WORKER}'") from None
                if done == len(jobs):
                    return []
                cells.put([*batch, _died(jobs[done], begun, process.wait())])
                return _after(jobs[done:], begun)
            if kind == "cell":
                batch.append(body[0])
            elif kind == "begin":
                begun = body[0]
            elif kind == "finished":
                cells.put(batch)
                done, batch = done + 1, []
            else:
                return []
        return []
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _reader(begun: str) -> str:
    return begun.split(" -> ")[1].split(":")[0]


def _died(job: CellJob, begun: str, code: int) -> Cell:
    reader = _reader(begun)
    verdict = "refused" if reader == "*" else "read_error"
    return Cell(job.medium, job.writer, job.readers[0] if reader == "*" else reader, job.case.name, verdict,
                f"the process died (exit code {code})", worker.system(job.writer, job.medium).wrote, "",
                (job.case.names, job.case.expected))


def _after(jobs: list[CellJob], begun: str) -> list[CellJob]:
    """What is left to do when the worker died at `begun`: the readers after it, and the jobs after this one."""
    first, reader = jobs[0], _reader(begun)
    rest = () if reader == "*" else first.readers[first.readers.index(reader) + 1:]
    return ([first._replace(readers=rest)] if rest else []) + jobs[1:]


# ------------------------------------------------------------------------------------------------ smallest failure
def _kinds() -> dict[str, tuple[Any, st.SearchStrategy[Any]]]:
    import pyarrow as pa
    return {"int64": (pa.int64(), st.integers(-2**63, 2**63 - 1)), "float64": (pa.float64(), st.floats()),
            "text": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
            "bool": (pa.bool_(), st.booleans()), "date": (pa.date32(), st.dates()),
            "bytes": (pa.binary(), st.binary(max_size=6)),
            "decimal": (pa.decimal128(20, 4), st.decimals(-10**12, 10**12, places=4))}


def shrink(pair: tuple[str, str, str], kind: str = "text", *, nulls: bool = True, examples: int = 300, seed: int = 0,
           fails: Callable[[Cell], bool] = lambda cell: cell.verdict == "silent_loss") -> Cell | None:
    """The smallest table of one column that the pair loses something of, found and shrunk by Hypothesis; None if none.

    pair: (medium, writer, reader)    kind: int64, float64, text, bool, date, bytes or decimal    nulls: NULL may occur
    fails: which cells count as a failure (default: a silent loss)    The same seed tries the same tables.
    """
    kinds = _kinds()
    ranges.one_of("matrix.shrink: kind", kind, kinds)
    medium, writer, reader = pair
    for name in (writer, reader):
        if not any((one.name, one.medium) == (name, medium) for one in all_systems.available()):
            raise ValueError(f"matrix.shrink: pair = {pair!r}: no system {name!r} on {medium!r}")
    arrow, values = kinds[kind]
    column = st.lists(values | st.none() if nulls else values, min_size=1, max_size=4)

    def cells(items: list[Any]) -> list[Cell]:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            job = CellJob(medium, writer, (reader,), case("smallest", arrow, items, ""))
            return list(worker.run(job, Path(folder)))

    limits = settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck),
                      phases=[Phase.generate, Phase.shrink])
    try:
        items = find(column, lambda items: any(map(fails, cells(items))), settings=limits, random=random.Random(seed))
    except NoSuchExample:
        return None
    return cells(items)[0]
