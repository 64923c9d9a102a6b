"""What every checking engine starts from: calls in order of their events, and what a call does to one register."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from labkit.consistency.history import INITIAL, READS, Operation, events

IMPOSSIBLE = object()
OTHER = object()            # stands for every value that no read and no cas looks for
MEMORY = 400_000_000        # bytes an engine may remember before it says "unknown"

State = Any
Apply = Callable[[State, Operation], State]


def register(state: State, call: Operation) -> State:
    """The state after `call`, or IMPOSSIBLE if its result cannot be observed in `state`."""
    if call.kind == "read":
        return state if call.result == state else IMPOSSIBLE
    if call.kind == "write":
        return call.args[0]
    matches = state == call.args[0]
    if call.result is not None and call.result != matches:
        return IMPOSSIBLE
    return call.args[1] if matches else state


def text(state: State, call: Operation) -> State:
    """The same for one key of a key-value store that can append."""
    if call.kind == "get":
        return state if call.result == state else IMPOSSIBLE
    return call.args[1] if call.kind == "put" else state + call.args[1]


def only_looks(call: Operation) -> bool:
    """Can the call not change the state, whenever it takes effect?"""
    return call.kind in READS or (call.kind == "cas" and call.result is False)


class Spent(Exception):
    """An engine has used up its steps, its time or its memory without an answer."""


@dataclass(frozen=True, eq=False)
class Task:
    """The calls of one register as the engines see them, beside the operations they stand for.

    Crashed reads are gone, and the result of other crashed calls is unknown. Values that nobody ever looks for are
    all one: engines need not tell apart what no client could.
    """

    calls: Sequence[Operation]
    operations: Sequence[Operation]
    initial: State
    apply: Apply

    @classmethod
    def of(cls, history: Sequence[Operation], model: str) -> Task:
        operations = [replace(call, result=None) if call.crashed else call
                      for call in history if not (call.crashed and call.kind in READS)]
        if model == "kv":
            return cls(operations, operations, INITIAL[model], text)
        looked_for = {call.result for call in operations if call.kind == "read"}
        looked_for |= {call.args[0] for call in operations if call.kind == "cas"}
        calls = [call if call.kind == "read" or call.args[-1] in looked_for
                 else replace(call, args=(*call.args[:-1], OTHER)) for call in operations]
        return cls(calls, operations, INITIAL[model], register)

    @cached_property
    def timeline(self) -> list[tuple[int, bool]]:
        """(index into calls, is it the return) in the order of `history.events`."""
        return events(self.calls)

    @cached_property
    def next_get(self) -> list[int]:
        """For append-only keys: the get that returns next at or after each event, -1 if none; else empty.

        An append-only state only grows, so it must stay a prefix of what that get returns: an exact look-ahead
        that cuts nearly all of the orders of many concurrent appends.
        """
        if self.apply is not text or any(call.kind == "put" for call in self.calls):
            return []
        ahead, following = [-1] * len(self.timeline), -1
        for position in range(len(self.timeline) - 1, -1, -1):
            i, back = self.timeline[position]
            if back and self.calls[i].kind == "get":
                following = i
            ahead[position] = following
        return ahead

    def until(self, position: int) -> Task:
        """The task as it stood just after event `position`: a change that had not returned by then is open."""
        called: set[int] = set()
        returned: set[int] = set()
        for i, back in self.timeline[:position + 1]:
            (returned if back else called).add(i)
        kept = [i for i in sorted(called) if i in returned or not only_looks(self.calls[i])]
        calls = [self.calls[i] if i in returned else replace(self.calls[i], returned=math.inf) for i in kept]
        return replace(self, calls=calls, operations=[self.operations[i] for i in kept])


class Meter:
    """Counts an engine's steps, time and memory, and ends it by raising `Spent`."""

    def __init__(self, steps: float, deadline: float):
        self.steps, self.deadline, self.bytes = steps, deadline, 0
        self.out_of_memory = False

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0 or (not int(self.steps) & 1023 and time.monotonic() > self.deadline):
            raise Spent

    def remember(self, mask: int, state: State) -> None:
        """Account for one remembered configuration."""
        self.bytes += 200 + mask.bit_length() // 7 + (sys.getsizeof(state) if isinstance(state, str) else 0)
        if self.bytes > MEMORY:
            self.out_of_memory = True
            raise Spent


@dataclass(frozen=True)
class SearchResult:
    """An engine's answer. order: calls in one legal order, all of them if linearizable; else those of the longest
    linearizable prefix. blocking: the call whose return no order can explain; None if linearizable, or not found.
    """

    ok: bool
    order: list[Operation]
    blocking: Operation | None = None
