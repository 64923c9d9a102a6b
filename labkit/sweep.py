"""Call a function for every cell of a grid: with one seed a cell, a progress bar, and all cores where that pays."""

from __future__ import annotations

import inspect
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit import ranges
from labkit.progress import bar

if TYPE_CHECKING:
    import pandas as pd

Cell = dict[str, Any]

PAYS_AFTER = 2.0        # s of work left from which starting processes (about half a second) is worth it
TRIED_FOR = 0.3         # s of cells run here first, to know how long the rest will take
MOST_TASKS = 200        # cells travel in batches: sending one costs about as much as computing a small one


def sweep(f: Callable[..., Any], grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
          executor: Executor | None = None, seed: int = 0, title: str = "sweep") -> pd.DataFrame:
    """A table with one row a cell of `grid`, in its order: the cell's values, and what `f(**cell, seed=...)` answered.

    f: any function, also one defined in a notebook. Its answer becomes the column "value"; if it answers with a
    mapping, each entry becomes a column.
    grid: values by parameter name, for all their combinations (the last name changes fastest); or a sequence of
    cells, each a mapping.
    executor: any `concurrent.futures.Executor`, such as a Dask client's `get_executor()`; it stays open. None: this
    process, and if more than two seconds of work are left one process a core, gone at the end.
    seed: whole number >= 0. Each cell gets a whole number of its own as `seed`, by numpy's `SeedSequence.spawn`, so
    that cells are independent and results do not depend on who computes them. An f without a parameter `seed` gets
    none; cells that name a seed keep it.
    title: what the progress bar says.
    Raises ValueError for a grid or seed out of range. What f raises is raised with a note naming the cell.

    >>> sweep(lambda load, retries: load * (1 + retries), {"load": [10, 20], "retries": [0, 3]}).value.tolist()
    [10, 40, 20, 80]
    """
    cells = _cells(grid)
    calls = _seeded(f, cells, seed)
    with bar(title, len(calls), "cells") as step:
        answers = _anywhere(f, calls, step) if executor is None else _batches(f, calls, executor, step)
    return _table(cells, answers)


def _cells(grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]) -> list[Cell]:
    if not isinstance(grid, Mapping):
        cells = list(grid)
        for cell in cells:
            ranges.instance("grid", cell, Mapping)
        return [dict(cell) for cell in cells]
    for name, values in grid.items():
        if isinstance(values, str) or not hasattr(values, "__len__"):
            raise ValueError(f"grid[{name!r}] = {values!r}: must be a sequence of values, such as a list or a range")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _seeded(f: Callable[..., Any], cells: list[Cell], seed: int) -> list[Cell]:
    """The keyword arguments of each call."""
    ranges.whole("seed", seed, 0)
    if not _takes_seed(f):
        return cells
    children = np.random.SeedSequence(seed).spawn(len(cells))
    return [{"seed": int(child.generate_state(1)[0]), **cell} for cell, child in zip(cells, children, strict=True)]


def _takes_seed(f: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(f).parameters.values()
    except ValueError:          # some functions written in C do not say
        return False
    return any(p.name == "seed" or p.kind is p.VAR_KEYWORD for p in parameters)


# ------------------------------------------------------------------------------------------------ who computes
def _anywhere(f: Callable[..., Any], calls: list[Cell], step: Callable[[int], None]) -> list[Any]:
    """Here, as long as that is quick; the rest on all cores."""
    answers: list[Any] = []
    begun, cores = time.perf_counter(), 0
    for call in calls:
        spent = time.perf_counter() - begun
        if not cores and answers and spent > TRIED_FOR:
            left = spent / len(answers) * (len(calls) - len(answers))
            cores = _cores() if left > PAYS_AFTER else 1
            if cores > 1:
                with _processes(cores) as executor:
                    return answers + _batches(f, calls[len(answers):], executor, step)
        answers += _call_all(f, [call])
        step(1)
    return answers


def _batches(f: Callable[..., Any], calls: list[Cell], executor: Executor, step: Callable[[int], None]) -> list[Any]:
    """All answers, in order; whichever batch is done first moves the bar."""
    size = -(-len(calls) // MOST_TASKS) or 1
    batches = [calls[i:i + size] for i in range(0, len(calls), size)]
    futures: list[Future[list[Any]]] = [executor.submit(_call_all, f, batch) for batch in batches]
    try:
        for future in as_completed(futures):
            step(len(future.result()))
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return [answer for future in futures for answer in future.result()]


def _call_all(f: Callable[..., Any], batch: list[Cell]) -> list[Any]:
    answers = []
    for call in batch:
        try:
            answers.append(f(**call))
        except Exception as error:
            error.add_note(f"in the cell {call}")
            raise
    return answers


def _cores() -> int:
    from loky import cpu_count  # knows of containers' and batch systems' limits, too

    return int(cpu_count())


@contextmanager
def _processes(cores: int) -> Iterator[Executor]:
    """Worker processes that can run what a notebook defined; none is left behind.

    loky, because the standard pool sends a function by name only, and a notebook's functions have no module.
    """
    from loky import ProcessPoolExecutor

    executor = ProcessPoolExecutor(max_workers=cores, initializer=_end_with, initargs=(os.getpid(),))
    try:
        yield executor
    except BaseException:
        executor.shutdown(kill_workers=True)
        raise
    executor.shutdown()


def _end_with(parent: int) -> None:
    """A worker notices by itself that `parent` was killed: it would work on for nobody."""
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# ------------------------------------------------------------------------------------------------ the table
def _table(cells: list[Cell], answers: list[Any]) -> pd.DataFrame:
    import pandas as pd

    columns = [dict(answer) if isinstance(answer, Mapping) else {"value": answer} for answer in answers]
    for cell, found in zip(cells, columns, strict=True):
        if twice := sorted(set(cell) & set(found)):
            raise ValueError(f"grid: {twice[0]!r} is also the name of an answer; call it something else")
    return pd.DataFrame([{**cell, **found} for cell, found in zip(cells, columns, strict=True)])
