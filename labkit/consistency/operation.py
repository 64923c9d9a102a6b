"""One call as its client saw it; what cannot be a history; and the order of the events."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from numbers import Real
from operator import attrgetter
from typing import Any

from labkit.consistency.meter import Meter
from labkit.consistency.models import READS, specification

ANSWERS = (*READS, "cas", "dequeue")        # kinds whose result says something
BEGIN = attrgetter("invoked", "returned")
CLOCKS = (float, int)
RUN = 100_000                               # operations sorted between two looks at the clock


class Malformed(ValueError):
    """A history that cannot be; `operation` is the one that the text names."""

    def __init__(self, operation: Operation, what: str):
        super().__init__(f"{operation}: {what}")
        self.operation = operation


@dataclass(frozen=True, slots=True)
class Operation:
    """One call as its client saw it. Times are numbers on one clock, in any unit.

    process: who called. Calls of one process that returned do not overlap; one that never came back ends its
    process's turn, and the process may go on. kind, args: what was asked of the object, see `models`: "read" (),
    "write" (value,), "cas" (expected, new); "get" (key,), "put" (key, value), "append" (key, text), "delete" (key,),
    "cas" (key, expected, new); "enqueue" (value,), "dequeue" (); "add" (value,), "remove" (value,); "acquire" (),
    "release" (). result: the value read; for a cas True, False (the register did not hold `expected`: an observation
    like a read), or None if it was done but its outcome is unknown; for a dequeue the value, None if the queue was
    empty; for other kinds ignored.
    returned: `math.inf` if the call never came back: then it took effect some time after `invoked`, or never, and
    its result counts as unknown.
    """

    process: Any
    kind: str
    args: tuple[Any, ...]
    result: Any
    invoked: float
    returned: float

    @property
    def crashed(self) -> bool:
        """Did the call never come back?"""
        return self.returned == math.inf

    def __str__(self) -> str:
        inside = ", ".join(map(short, self.args)) if isinstance(self.args, tuple) else repr(self.args)
        answer = f" = {short(self.result)}" if self.kind in ANSWERS and self.returned != math.inf else ""
        end = "never" if self.returned == math.inf else clock(self.returned)
        return f"process {self.process}: {self.kind}({inside}){answer} [{clock(self.invoked)}, {end}]"


def short(value: object) -> str:
    """The value as Python writes it, the middle left out of a long one."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:80]} ... {text[-30:]}"


def clock(time: object) -> str:
    """A time with at most three decimals and all the digits before them.

    >>> clock(1735689600123456789), clock(0.1234567), clock(7.0)
    ('1735689600123456789', '0.123', '7')
    """
    if isinstance(time, float) and math.isfinite(time):
        return f"{time:.3f}".rstrip("0").rstrip(".")
    return str(time) if isinstance(time, Real) else repr(time)


def validate(history: Iterable[Operation], model: str = "register", meter: Meter | None = None) -> list[Operation]:
    """The history as a list in order of invocation; ValueError names the operation that cannot be.

    Refused: a kind the model does not have, a wrong number of arguments, `returned` before `invoked`, times that are
    not numbers, values that cannot be hashed or that the kind cannot have, and two calls of one process that overlap
    though both returned. Raises `Spent` when the meter runs out.
    """
    known, meter = specification(model), meter or Meter()
    operations = list(history)
    kinds, complaint = known.kinds, known.complaint
    ordered, last_begin, last_end = True, -math.inf, -math.inf
    for operation in operations:
        meter.spend()
        kind, args, begin, end = operation.kind, operation.args, operation.invoked, operation.returned
        if not isinstance(args, tuple) or not isinstance(kind, str) or kinds.get(kind) != len(args):
            raise Malformed(operation, _kind_or_arguments(operation, known.name, kinds))
        if type(begin) not in CLOCKS or type(end) not in CLOCKS or not -math.inf < begin <= end:
            _times(operation)
        try:
            hash((operation.process, args, operation.result))
        except TypeError:
            raise Malformed(operation, "process and values must be hashable (numbers, strings, tuples)") from None
        problem = complaint(operation)
        if problem:
            raise Malformed(operation, problem)
        if begin < last_begin or (begin == last_begin and end < last_end):
            ordered = False
        last_begin, last_end = begin, end
    if not ordered:
        for start in range(0, len(operations), RUN):
            meter.look()
            operations[start:start + RUN] = sorted(operations[start:start + RUN], key=BEGIN)
        operations.sort(key=BEGIN)
    _one_call_at_a_time(operations, meter)
    return operations


def _kind_or_arguments(operation: Operation, model: str, kinds: dict[str, int]) -> str:
    if not isinstance(operation.kind, str) or operation.kind not in kinds:
        return f"kind must be one of {', '.join(map(repr, kinds))} for model {model!r}"
    return f"{operation.kind} takes a tuple of {kinds[operation.kind]} arguments"


def _times(operation: Operation) -> None:
    for time in (operation.invoked, operation.returned):
        if isinstance(time, bool) or not isinstance(time, Real) or time != time:
            raise Malformed(operation, "times must be numbers")
    if abs(operation.invoked) == math.inf or operation.returned < operation.invoked:
        raise Malformed(operation, "must be invoked at a finite time and return at or after it")


def _one_call_at_a_time(operations: Sequence[Operation], meter: Meter) -> None:
    busy: dict[Any, Operation] = {}             # process -> its last call that returned
    for operation in operations:
        meter.spend()
        if operation.returned == math.inf:
            continue
        before = busy.get(operation.process)
        if before is not None and before.returned > operation.invoked:
            raise Malformed(operation, f"overlaps {before}; a process makes one call at a time")
        busy[operation.process] = operation


def by_process(operations: Iterable[Operation]) -> dict[Any, list[Operation]]:
    """Each process's calls, in the order given."""
    sessions: dict[Any, list[Operation]] = {}
    for operation in operations:
        sessions.setdefault(operation.process, []).append(operation)
    return sessions


def timeline(operations: Sequence[Operation], meter: Meter | None = None) -> tuple[array[int], dict[int, int]]:
    """Calls and returns in their order, 2 i for the call of operation i and 2 i + 1 for its return; and who waits.

    `operations` in order of invocation; crashed calls have no return. At one instant calls come before returns, so
    operations that touch are concurrent. Those of one process are not: for a call made at the instant its process's
    last one returned, the second part has that last one.
    """
    meter = meter or Meter()
    codes, after = array("q"), dict[int, int]()
    waiting: list[tuple[float, int, int]] = []      # (time, is it a return, code) of events not yet placed
    last: dict[Any, tuple[int, ...]] = {}           # process -> its last two calls that returned, latest first
    for i, operation in enumerate(operations):
        meter.spend()
        begin, end = operation.invoked, operation.returned
        while waiting and waiting[0][0] < begin:
            codes.append(heappop(waiting)[2])
        if not waiting and end < (operations[i + 1].invoked if i + 1 < len(operations) else math.inf):
            codes.append(2 * i)                     # alone: the usual case of a sequential history
            codes.append(2 * i + 1)
            continue
        for previous in last.get(operation.process, ()):
            if operations[previous].returned == begin:
                after[i] = previous
                break
        heappush(waiting, (begin, 0, 2 * i))
        if end != math.inf:
            heappush(waiting, (end, 1, 2 * i + 1))
            last[operation.process] = i, *last.get(operation.process, ())[:1]
    while waiting:
        codes.append(heappop(waiting)[2])
    return codes, after
