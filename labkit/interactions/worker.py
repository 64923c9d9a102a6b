"""Runs cells in a process of its own, so that a library that crashes takes only this process with it.

The parent sends a pickled list of jobs to our input; we answer with pickled messages on our output: ("begin", cell key)
before anything that may crash, ("cell", Cell) after it, ("finished", case) after each job, ("done",) at the end.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from labkit.interactions.cases import Case
from labkit.interactions.engines import CannotHold
from labkit.interactions.judge import Cell, judge
from labkit.interactions.systems import ALL, MEDIA, System

HEAD = 256          # bytes of each file that are kept for showing


class CellJob(NamedTuple):
    """One case through one writer and all of these readers (names of systems of the same medium)."""

    medium: str
    writer: str
    readers: tuple[str, ...]
    case: Case


def system(name: str, medium: str) -> System:
    return next(one for one in ALL if (one.name, one.medium) == (name, medium))


def error(e: BaseException) -> str:
    lines = str(e).strip().splitlines() or [""]
    return f"{type(e).__name__}: {lines[0][:120]}"


def run(job: CellJob, folder: Path, begin: Callable[[str], object] = lambda key: None) -> Iterable[Cell]:
    """The cells of a job, one by one; whatever a library raises, panics of Rust included, becomes a verdict."""
    writer = system(job.writer, job.medium)
    path = folder / f"{job.writer}_{abs(hash(job.case.name))}{MEDIA[job.medium]}"
    went = job.case.names, job.case.expected
    begin(f"{job.medium}: {job.writer} -> *: {job.case.name}")
    try:
        writer.write(job.case, path)
    except CannotHold:
        return
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as e:
        for reader in job.readers:
            yield Cell(job.medium, job.writer, reader, job.case.name, "refused", error(e), writer.wrote,
                       system(reader, job.medium).reads, went)
        return
    data = path.read_bytes()
    for reader in job.readers:
        begin(f"{job.medium}: {job.writer} -> {reader}: {job.case.name}")
        yield _read(job, writer, system(reader, job.medium), path, went, data)
    path.unlink(missing_ok=True)


def _read(job: CellJob, writer: System, reader: System, path: Path,
          went: tuple[list[str], list[list[tuple[object, ...]]]], data: bytes) -> Cell:
    came = None
    try:
        came = reader.read(path)
        verdict, why = judge(job.case, came)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as e:
        verdict, why = "read_error", error(e)
    return Cell(job.medium, job.writer, reader.name, job.case.name, verdict, why, writer.wrote, reader.reads, went,
                came, data[:HEAD], len(data))


def main() -> None:
    jobs: list[CellJob] = pickle.load(sys.stdin.buffer)
    out = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)                 # libraries that print, and panics that print, must not reach the parent
    os.dup2(silence, 2)
    warnings.filterwarnings("ignore")

    def tell(*message: object) -> None:
        pickle.dump(message, out)
        out.flush()

    with tempfile.TemporaryDirectory(prefix="labkit-matrix-") as folder:
        for job in jobs:
            for cell in run(job, Path(folder), lambda key: tell("begin", key)):
                tell("cell", cell)
            tell("finished", job.case.name)
    tell("done")

