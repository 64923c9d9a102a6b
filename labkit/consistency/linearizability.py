"""Is a history linearizable? Two independent engines race; where every write is unique, a third needs no search."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from labkit import ranges
from labkit.consistency.frontier import frontier
from labkit.consistency.history import Operation, validate
from labkit.consistency.search import search
from labkit.consistency.task import Meter, SearchResult, Spent, Task
from labkit.consistency.zones import zones

ENGINES: dict[str, Callable[[Task, Meter], SearchResult]] = {"frontier": frontier, "search": search}
FIRST_STEPS = 2_000


@dataclass(frozen=True)
class Verdict:
    """What came out.

    ok: True, False, or None: the budget of time or memory was spent before either was known.
    blocking: on False, the first operation to return that no order of the operations before it can explain (None
    only if finding it would have cost more than the budget). prefix: one legal order of all that had returned
    before (with what it needs of what was still open). On True, a legal order of the whole history.
    key: for model "kv" on False, the key that is wrong; prefix is then about this key, and () on True.
    engine, seconds: who found out, and how long it took. operations: how many there were.
    """

    ok: bool | None
    operations: int
    engine: str
    seconds: float
    blocking: Operation | None = None
    prefix: tuple[Operation, ...] = ()
    key: Any = None

    def __repr__(self) -> str:
        if self.ok:
            return f"linearizable: {self.operations} operations"
        if self.ok is None:
            return f"unknown: {self.operations} operations, budget spent by {self.engine}"
        where = "" if self.key is None else f", key {self.key!r}"
        return f"NOT linearizable{where}: after {len(self.prefix)} operations no order explains {self.blocking}"


def linearizable(history: Iterable[Operation], model: str = "register", budget_s: float = 30.0) -> Verdict:
    """Does one order of all operations explain every result, each taking effect between its call and its return?

    Herlihy & Wing, "Linearizability" (TOPLAS 1990), sections 2-3. `history` in any order, not changed. model
    "register": read, write, cas on one value, initially None; "kv": get, put, append by key, initially "" (keys are
    checked one by one: linearizability is local, section 3.2). Operations that touch (one returns at the instant
    another is called) count as concurrent, unless they are of the same process.

    `budget_s` bounds the time (s); memory is bounded to about half a gigabyte. When either is spent the answer is
    "unknown" (`Verdict.ok` is None), never a guess. Raises ValueError for a malformed history or budget; the
    message names the operation.
    """
    ranges.number("budget_s", budget_s, 0, above=True)
    begin = time.monotonic()
    operations = validate(history, model)
    tasks = {key: Task.of(part, model) for key, part in _by_key(operations, model).items()}
    name, key, answer = _race(tasks, begin + budget_s)
    return Verdict(None if answer is None else answer.ok, len(operations), name, time.monotonic() - begin,
                   answer.blocking if answer else None, tuple(answer.order) if answer else (), key)


def _by_key(operations: list[Operation], model: str) -> dict[Any, list[Operation]]:
    if model == "register":
        return {None: operations}
    parts: dict[Any, list[Operation]] = {}
    for operation in operations:
        parts.setdefault(operation.args[0], []).append(operation)
    return parts


def _race(tasks: dict[Any, Task], deadline: float) -> tuple[str, Any, SearchResult | None]:
    """Keys take turns, and engines within a key, with growing budgets: one hard key hides no easy counterexample."""
    winner, last = "zones", SearchResult(True, [])
    hard: dict[Any, set[str]] = {}                      # key -> engines still in the race
    for key, task in tasks.items():
        quick = zones(task)
        if quick is None:
            hard[key] = set(ENGINES)
        elif not quick.ok:
            return "zones", key, quick
        elif key is None:
            last = quick
    steps = FIRST_STEPS
    while hard:
        for key in list(hard):
            for name in [name for name in ENGINES if name in hard[key]]:
                meter = Meter(steps, deadline)
                try:
                    answer = ENGINES[name](tasks[key], meter)
                except Spent:
                    if meter.out_of_memory:
                        hard[key].discard(name)
                    if time.monotonic() > deadline:
                        return "time", None, None
                    continue
                if not answer.ok:               # looking ahead, an engine gives up before the call that is to blame
                    exact = answer.blocking and not tasks[key].next_get
                    return name, key, answer if exact else _locate(tasks[key], steps, deadline)
                winner, last = name, answer if key is None else last
                del hard[key]
                break
            if key in hard and not hard[key]:
                return "memory", None, None
        steps *= 4
    return winner, None, last


def _locate(task: Task, steps: int, deadline: float) -> SearchResult:
    """The blocking call of a history known not to be linearizable, by bisection over its returns."""
    ends = [position for position, (_, back) in enumerate(task.timeline) if back]
    low, high, order = -1, len(ends) - 1, []
    try:
        while high - low > 1:
            middle = (low + high) // 2
            answer = search(task.until(ends[middle]), Meter(16 * steps, deadline))
            if answer.ok:
                low, order = middle, answer.order
            else:
                high = middle
    except Spent:
        return SearchResult(False, order)
    return SearchResult(False, order, task.operations[task.timeline[ends[high]][0]])
