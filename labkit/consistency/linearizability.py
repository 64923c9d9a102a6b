"""Is a history linearizable? Two independent engines race; where every write is unique, a third needs no search."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from labkit import ranges
from labkit.consistency import meter as bounds
from labkit.consistency.contest import Contest, blame, contest, decide
from labkit.consistency.meter import Memory, Meter, Spent
from labkit.consistency.models import Specification, canonical, specification, starting
from labkit.consistency.operation import Operation, validate
from labkit.consistency.stray import stray
from labkit.consistency.task import SearchResult, Task
from labkit.consistency.zones import zones

SMALL = 12                  # operations up to which an engine is done before the zones are laid out
FROM_NOWHERE = "and nothing called before could have led to that answer"
SHARE, MOST = 0.1, 0.5      # of the budget, and s at most, to find who is to blame before an answer from nowhere


@dataclass(frozen=True)
class Verdict:
    """What came out.

    ok: True, False, or None: the budget of time or memory was spent before either was known.
    blocking: on False, the first operation to return that no order of the operations before it can explain; an
    operation that has not returned by then may have any answer. None only if finding it would have cost more than
    the budget. prefix: one legal order of all that had returned before (with what it needs of what was still open).
    On True, a legal order of the whole history.
    key: for model "kv" on False, the key that is wrong; prefix is then about this key, and () on True.
    engine, seconds: who found out, and how long it took. operations: how many there were. why: on False, the fault
    in words where it takes no search to see: an answer from nowhere. Then `blocking` is that operation, and prefix is
    (), if half a second (or a tenth of the budget) did not suffice to find out about those before it.
    """

    ok: bool | None
    operations: int
    engine: str
    seconds: float
    blocking: Operation | None = None
    prefix: tuple[Operation, ...] = ()
    key: Any = None
    why: str = ""

    def __repr__(self) -> str:
        if self.ok:
            return f"linearizable: {self.operations} operations"
        if self.ok is None:
            return f"unknown: {self.operations} operations, budget spent by {self.engine}"
        where = "" if self.key is None else f", key {self.key!r}"
        if self.blocking is None:
            return f"NOT linearizable{where}: where it goes wrong was not found within the budget"
        if self.why and not self.prefix:
            return f"NOT linearizable{where}: no order explains {self.blocking}, {self.why}"
        return f"NOT linearizable{where}: after {len(self.prefix)} operations no order explains {self.blocking}"


def linearizable(history: Iterable[Operation], model: str = "register", budget_s: float = 30.0, *,
                 initial: Any = ...) -> Verdict:
    """Does one order of all operations explain every result, each taking effect between its call and its return?

    Herlihy & Wing, "Linearizability" (TOPLAS 1990), sections 2-3. `history` in any order, not changed. model
    "register": read, write, cas on one value, initially None; "kv": get, put, append, delete, cas by key, initially
    "" (keys are checked one by one: linearizability is local, section 3.2); "queue": enqueue, dequeue, first in first
    out, initially empty; "set": add, remove, read, initially empty; "mutex": acquire, release, initially free.
    initial: another initial value, of each key for "kv" (a deleted key is back to it); for "queue" and "set" the
    values it holds; for "mutex" True if it is held. Operations that touch (one returns at the instant another is
    called) count as concurrent, unless they are of the same process.

    `budget_s` bounds the time (s); what the engines remember is bounded to 400 MB, beside some 200 bytes an operation
    to lay out the history. When either is spent the answer is "unknown" (`Verdict.ok` is None), never a guess. Raises
    ValueError for a malformed history, model or budget; the message names the operation.
    """
    ranges.number("budget_s", budget_s, 0, above=True)
    known = specification(model)
    start = starting(known, initial)
    begin = time.monotonic()
    operations = list(history)
    count, meter = len(operations), Meter(begin + budget_s)
    try:
        found = _judge(validate(operations, model, meter), known, start, meter, min(SHARE * budget_s, MOST))
    except Spent as spent:
        found = Ruling(spent.bound)
    seconds = time.monotonic() - begin
    if found.answer is None:
        return Verdict(None, count, found.engine, seconds)
    answer = found.answer
    return Verdict(answer.ok, count, found.engine, seconds, answer.blocking, tuple(answer.order), found.key, found.why)


@dataclass(frozen=True)
class Ruling:
    """engine: who found out, or what was spent; key: whose calls are wrong; why: as in `Verdict`."""

    engine: str
    answer: SearchResult | None = None
    key: Any = None
    why: str = ""


def _judge(operations: list[Operation], model: Specification, start: Any, meter: Meter, share: float) -> Ruling:
    memory, engine, last = Memory(bounds.MEMORY), "zones", SearchResult(True, [])
    contests: dict[Any, tuple[Task, Contest]] = {}
    for key, part in _by_key(operations, model):
        task = Task.of(part, model, start, meter)
        quick = zones(task, meter) if len(part) > SMALL else None
        if quick is None:
            place = stray(task, meter)
            if place is not None:
                return Ruling("values", _before(task, place, share, memory), key, FROM_NOWHERE)
            contests[key] = task, contest(task, meter.deadline, memory)
        elif not quick.ok:
            return Ruling("zones", quick, key)
        elif not model.keyed:
            last = quick
    enough = True
    while contests:                                     # by turns: one hard key hides no easy counterexample
        for key, (task, steps) in list(contests.items()):
            try:
                next(steps)
                continue
            except StopIteration as stop:
                engine, answer = stop.value
            del contests[key]
            if answer is None:
                enough = False
            elif not answer.ok:
                contests.clear()
                return Ruling(engine, blame(task, answer, meter.deadline, Memory(bounds.MEMORY)), key)
            elif not model.keyed:
                last = answer
    return Ruling(engine, last) if enough else Ruling("memory")


def _by_key(operations: list[Operation], model: Specification) -> Iterator[tuple[Any, list[Operation]]]:
    """Each key as its caller wrote it, and its calls."""
    if not model.keyed:
        yield None, operations
        return
    parts: dict[Any, list[Operation]] = {}
    for operation in operations:
        parts.setdefault(canonical(operation.args[0]), []).append(operation)
    for part in parts.values():
        yield part[0].args[0], part


def _before(task: Task, place: int, share: float, memory: Memory) -> SearchResult:
    """Whom to blame when the return at event `place` has an answer from nowhere: it, or one before it."""
    wrong = task.shown[task.timeline[place] >> 1]
    deadline = min(task.meter.deadline, time.monotonic() + share)
    try:
        earlier = replace(task, meter=Meter(deadline)).until(place - 1)
        answer = decide(earlier, deadline, memory)
    except Spent:
        answer = None
    if answer is not None and not answer.ok:
        answer = blame(earlier, answer, deadline, memory)
        if answer.blocking is not None:
            return answer
    return SearchResult(False, answer.order if answer else [], wrong, place)
