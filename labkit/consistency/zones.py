"""When every written value is different, linearizability takes O(n log n): one zone of time per value.

Gibbons & Korach, "Testing Shared Memories" (SIAM J. Computing 1997), section 4. A value's zone runs from the
earliest return to the latest call among its write and its reads. If that is forward in time the register must hold
the value throughout. So two forward zones must not overlap; and a value that all its calls could see at one instant
(a backward zone) must find such an instant outside every forward zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.consistency.meter import Meter
from labkit.consistency.models import OTHER
from labkit.consistency.task import SearchResult, Task

Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]
Found = tuple[Whole, Whole, Whole, Flags]           # see `_zones`
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Register:
    """A history of writes of different values, and of reads, as columns.

    value: the number of the value each call wrote or read, 0 for the initial one, -1 for one that nobody wrote.
    called, returned: positions in the timeline. written: the call of the write of each value, -1 for the initial one.
    write: the index of it.
    """

    reads: Flags
    value: Whole
    called: Whole
    returned: Whole
    written: Whole
    write: Whole


def zones(task: Task, meter: Meter) -> SearchResult | None:
    """The answer, with the blocking call found by bisection; None if the test does not apply to this history."""
    register = _columns(task, meter)
    if register is None:
        return None
    whole = _zones(register, NEVER)
    if whole is not None and _consistent(*whole[:3]):
        return SearchResult(True, _order(task, register, whole))
    ends = np.sort(register.returned[register.returned < NEVER])
    low, high = -1, len(ends) - 1               # fine after ends[low], not after ends[high]
    good = _zones(register, -1)
    while high - low > 1:
        meter.spend(len(task.acts) // 10)
        middle = (low + high) // 2
        cut = _zones(register, ends[middle])
        if cut is not None and _consistent(*cut[:3]):
            low, good = middle, cut
        else:
            high = middle
    assert good is not None
    position = int(ends[high])
    return SearchResult(False, _order(task, register, good), task.shown[task.timeline[position] >> 1], position)


def _columns(task: Task, meter: Meter) -> Register | None:
    acts = task.acts
    if not acts or task.after or any(act[0] not in ("read", "write") for act in acts):
        return None
    number: dict[Any, int] = {task.initial: 0}
    value, write = np.empty(len(acts), np.int64), [-1]
    for i, act in enumerate(acts):
        if act[0] == "write":
            if act[1] is not OTHER:
                if act[1] in number:
                    return None
                number[act[1]] = len(write)
            value[i] = len(write)
            write.append(i)
    meter.spend(len(acts))
    reads = np.fromiter((act[0] == "read" for act in acts), bool, len(acts))
    for i in np.flatnonzero(reads).tolist():
        value[i] = number.get(acts[i][1], -1)
    meter.spend(len(acts))
    codes = np.frombuffer(task.timeline, np.int64)
    position = np.arange(len(codes))
    called, returned = np.full(len(acts), NEVER), np.full(len(acts), NEVER)
    back = codes % 2 == 1
    called[codes[~back] // 2] = position[~back]
    returned[codes[back] // 2] = position[back]
    order = np.array(write)
    return Register(reads, value, called, returned, np.where(order < 0, -1, called[order]), order)


def _zones(register: Register, cut: int) -> Found | None:
    """What had happened by `cut`: the values seen, the first return and the last call of each, and which reads count.

    None if a read saw a value before it was written, or a stray one.
    """
    seen = register.reads & (register.returned <= cut) & (register.returned < NEVER)
    value, returned, called = register.value[seen], register.returned[seen], register.called[seen]
    if np.any(value < 0) or np.any(returned < register.written[value]):
        return None
    first = np.where(register.write < 0, -1, register.returned[register.write])
    first[first > cut] = NEVER
    last = register.written.copy()
    np.minimum.at(first, value, returned)
    np.maximum.at(last, value, called)
    counted = np.zeros(len(first), bool)
    counted[value] = True
    counted |= (register.write >= 0) & (first < NEVER)
    which = np.flatnonzero(counted)
    return which, first[which], last[which], seen


def _consistent(which: Whole, first: Whole, last: Whole) -> bool:
    ahead = first < last
    order = np.argsort(first[ahead])
    starts, ends = first[ahead][order], last[ahead][order]
    if np.any(starts[1:] < ends[:-1]):
        return False
    if not len(starts):
        return True
    k = np.searchsorted(starts, last[~ahead]) - 1
    return not np.any((k >= 0) & (first[~ahead] < ends[k]))


def _order(task: Task, register: Register, found: Found) -> list[Any]:
    """One legal order: forward zones by time, each backward zone at an instant outside them."""
    which, first, last, seen = found
    ahead = first < last
    order = np.argsort(first[ahead])
    starts, ends = first[ahead][order], last[ahead][order]
    place = first.copy()
    if len(starts):
        k = np.searchsorted(starts, last[~ahead]) - 1
        place[~ahead] = np.maximum(last[~ahead], np.where(k >= 0, ends[k], -1))
    else:
        place[~ahead] = last[~ahead]
    turn = np.full(len(register.write), NEVER)          # value -> its place
    turn[which[np.lexsort((~ahead, place))]] = np.arange(len(which))
    calls = np.flatnonzero(seen | (~register.reads & (turn[register.value] < NEVER)))
    calls = calls[np.lexsort((register.called[calls], register.reads[calls], turn[register.value[calls]]))]
    return [task.shown[i] for i in calls.tolist()]
