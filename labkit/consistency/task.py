"""What every checking engine starts from: one object's calls as actions, in the order of their events."""

from __future__ import annotations

import math
from array import array
from collections.abc import Generator, MutableSequence, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from labkit.consistency.foresight import QueueAhead, SetAhead
from labkit.consistency.ghosts import Ghosts
from labkit.consistency.lookahead import Lookahead
from labkit.consistency.meter import Meter
from labkit.consistency.models import READS, Act, Apply, Specification, always_possible, learns, only_looks
from labkit.consistency.operation import Operation, timeline

State = Any


@dataclass(frozen=True)
class SearchResult:
    """An engine's answer. order: calls in one legal order, all of them if linearizable; else those of the longest
    linearizable prefix. blocking: the call whose return no order can explain; None if linearizable, or not found.
    position: of the event no order gets beyond, where that is known.
    """

    ok: bool
    order: list[Operation]
    blocking: Operation | None = None
    position: int = -1


Steps = Generator[None, None, SearchResult]         # an engine at work: it pauses now and then


def finish(steps: Steps) -> SearchResult:
    """Let an engine work to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            answer: SearchResult = end.value
            return answer


@dataclass(frozen=True, eq=False)
class Task:
    """The calls of one object as the engines see them, beside the operations they stand for in an answer (`shown`).

    Crashed reads are gone, and the result of other crashed calls is unknown. Values that nobody ever looks for are
    all one: engines need not tell apart what no client could.
    """

    operations: Sequence[Operation]
    acts: Sequence[Act]
    initial: State
    apply: Apply
    lazy: bool
    model: Specification
    start: Any                      # the initial state as the caller put it
    shown: Sequence[Operation]
    meter: Meter

    @classmethod
    def of(cls, history: Sequence[Operation], model: Specification, start: Any, meter: Meter | None = None) -> Task:
        """From validated calls of one object, in order of invocation."""
        meter = meter or Meter()
        operations = [call for call in history if not (call.returned == math.inf and call.kind in READS)]
        meter.spend(len(operations))
        found = model.actions(operations, start)
        meter.spend(len(operations))
        return cls(operations, found.acts, found.initial, found.apply, found.lazy, model, start, operations, meter)

    @cached_property
    def _events(self) -> tuple[array[int], dict[int, int]]:
        return timeline(self.operations, self.meter)

    @property
    def timeline(self) -> array[int]:
        """2 i for the call of operation i, 2 i + 1 for its return, in the order of `operation.timeline`."""
        return self._events[0]

    @property
    def after(self) -> dict[int, int]:
        """For calls made at the instant that another of their process returned: that other, which comes first."""
        return self._events[1]

    @cached_property
    def crashed(self) -> bytearray:
        """For each call, whether it never came back."""
        return bytearray(1 if call.returned == math.inf else 0 for call in self.operations)

    @cached_property
    def looks(self) -> bytearray:
        """For each call, whether it cannot change the state."""
        return bytearray(only_looks(act) for act in self.acts)

    @cached_property
    def slots(self) -> array[int]:
        """For each call that returned a number that no other open at the same time has, the smallest free."""
        slots, free, used = array("q", bytes(8 * len(self.acts))), list[int](), 0
        for code in self.timeline:
            i = code >> 1
            if code & 1:
                free.append(slots[i])
            elif not self.crashed[i]:
                if not free:
                    free.append(used)
                    used += 1
                slots[i] = free.pop()
        return slots

    @cached_property
    def returned(self) -> array[int]:
        """For each call the event of its return, -1 if it never came back."""
        returned = array("q", [-1]) * len(self.acts)
        for position, code in enumerate(self.timeline):
            if code & 1:
                returned[code >> 1] = position
        return returned

    @cached_property
    def stop(self) -> int:
        """The event after the last return that says anything: what comes later fits any order."""
        for position in range(len(self.timeline) - 1, -1, -1):
            code = self.timeline[position]
            if code & 1 and not always_possible(self.acts[code >> 1]):
                return position + 1
        return 0

    def complete(self, order: MutableSequence[int]) -> list[Operation]:
        """Operations of an order of the calls up to `stop`, and after them those that returned later."""
        done = bytearray(len(self.operations))
        for i in order:
            done[i] = True
        for code in self.timeline:
            if not code & 1 and not done[code >> 1] and not self.crashed[code >> 1]:
                order.append(code >> 1)
        return [self.shown[i] for i in order]

    def until(self, position: int) -> Task:
        """The task as it stood just after event `position`: a change that had not returned by then is open."""
        stage = bytearray(len(self.operations))
        for code in self.timeline[:position + 1]:
            stage[code >> 1] += 1
        for i in sorted(self.after, reverse=True):      # called only when the one before it had returned
            if stage[i]:
                stage[self.after[i]] = 2
        kept, shown = [], []
        for i, call in enumerate(self.operations):
            self.meter.spend()
            if stage[i] and (stage[i] == 2 or call.kind not in READS):
                kept.append(call if stage[i] == 2 else replace(call, returned=math.inf))
                shown.append(self.shown[i])
        return replace(Task.of(kept, self.model, self.start, self.meter), shown=shown)

    def exact(self, position: int) -> bool:
        """Does no call that is open at event `position` have an answer that says something before it returns?"""
        open_calls = set()
        for code in self.timeline[:position]:
            if code & 1:
                open_calls.discard(code >> 1)
            elif learns(self.acts[code >> 1]):
                open_calls.add(code >> 1)
        open_calls.discard(self.timeline[position] >> 1)
        return not open_calls

    @cached_property
    def ahead(self) -> Lookahead | QueueAhead | SetAhead | None:
        """What later answers say of the state: for texts, for registers if few calls write each value, queues, sets."""
        if self.model.name == "queue":
            return QueueAhead(self.acts, self.timeline, self.ghosts.calls, self.initial)
        if self.model.name == "set":
            return SetAhead(self.acts, self.timeline, self.slots)
        text = any(act[0] == "append" for act in self.acts)
        if not text and not self.lazy:
            return None
        found = Lookahead(self.acts, self.timeline, self.ghosts.calls, self.slots, text)
        return found if found.pays else None

    @cached_property
    def ghosts(self) -> Ghosts:
        """The calls that never came back."""
        calls = [code >> 1 for code in self.timeline if not code & 1 and self.crashed[code >> 1]]
        return Ghosts(calls, [self.acts[i] for i in calls], self.lazy, self.after)
