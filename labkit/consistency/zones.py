"""When every written value is different, linearizability takes O(n log n): one zone of time per value.

Gibbons & Korach, "Testing Shared Memories" (SIAM J. Computing 1997), section 4. A value's zone runs from the
earliest return to the latest call among its write and its reads. If that is forward in time the register must hold
the value throughout. So two forward zones must not overlap; and a value that all its calls could see at one instant
(a backward zone) must find such an instant outside every forward zone.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from labkit.consistency.task import SearchResult, Task

WRITES, LOOKS = ("write", "put"), ("read", "get")


@dataclass
class Zone:
    """What happened to one value; positions in the timeline."""

    write: int                  # index of its write, -1 for the initial value
    called: float               # when its write began
    first_return: float
    last_call: float
    reads: list[int]

    @property
    def forward(self) -> bool:
        return self.first_return < self.last_call


def zones(task: Task) -> SearchResult | None:
    """The answer, with the blocking call found by bisection; None if the test does not apply to this history."""
    calls = task.operations
    values = [call.args[-1] for call in calls if call.kind in WRITES]
    if any(call.kind not in WRITES + LOOKS for call in calls) or len(set(values)) < len(values) \
            or task.initial in set(values):
        return None
    called, returned = [math.inf] * len(calls), [math.inf] * len(calls)
    for position, (i, back) in enumerate(task.timeline):
        (returned if back else called)[i] = position
    whole = _zones(task, called, returned, math.inf)
    if whole is not None and _consistent(whole):
        return SearchResult(True, _order(task, whole, called))
    ends = sorted(position for position in returned if position < math.inf)
    low, high = -1, len(ends) - 1               # fine after ends[low], not after ends[high]
    good: dict[Any, Zone] = {}
    while high - low > 1:
        middle = (low + high) // 2
        cut = _zones(task, called, returned, ends[middle])
        if cut is not None and _consistent(cut):
            low, good = middle, cut
        else:
            high = middle
    return SearchResult(False, _order(task, good, called), calls[task.timeline[int(ends[high])][0]])


def _zones(task: Task, called: list[float], returned: list[float], cut: float) -> dict[Any, Zone] | None:
    """The zones of what had happened by `cut`; None if a read saw a value before it was written, or a stray one."""
    found: dict[Any, Zone] = {task.initial: Zone(-1, -1, -1, -1, [])}
    for i, call in enumerate(task.operations):
        if call.kind in WRITES and called[i] <= cut:
            end = returned[i] if returned[i] <= cut else math.inf
            found[call.args[-1]] = Zone(i, called[i], end, called[i], [])
    for i, call in enumerate(task.operations):
        if call.kind in LOOKS and returned[i] <= cut:
            zone = found.get(call.result)
            if zone is None or returned[i] < zone.called:
                return None
            zone.reads.append(i)
            zone.first_return = min(zone.first_return, returned[i])
            zone.last_call = max(zone.last_call, called[i])
    return {value: zone for value, zone in found.items()
            if zone.reads or (zone.write >= 0 and zone.first_return < math.inf)}


def _consistent(found: dict[Any, Zone]) -> bool:
    ahead = sorted((zone.first_return, zone.last_call) for zone in found.values() if zone.forward)
    if any(later[0] < earlier[1] for earlier, later in zip(ahead, ahead[1:], strict=False)):
        return False
    starts = [start for start, _ in ahead]
    for zone in found.values():
        if not zone.forward:
            k = bisect_left(starts, zone.last_call) - 1
            if k >= 0 and zone.first_return < ahead[k][1]:
                return False
    return True


def _order(task: Task, found: dict[Any, Zone], called: list[float]) -> list[Any]:
    """One legal order: forward zones by time, each backward zone at an instant outside them."""
    ahead = sorted((zone.first_return, zone.last_call) for zone in found.values() if zone.forward)
    starts = [start for start, _ in ahead]

    def place(zone: Zone) -> tuple[float, int]:
        if zone.forward:
            return zone.first_return, 0
        k = bisect_left(starts, zone.last_call) - 1
        return max(zone.last_call, ahead[k][1] if k >= 0 else -1), 1

    order = []
    for zone in sorted(found.values(), key=place):
        order += ([zone.write] if zone.write >= 0 else []) + sorted(zone.reads, key=called.__getitem__)
    return [task.operations[i] for i in order]
