"""What the calls still to be explained will need: nearly all orders of many calls end there.

A read that has not taken effect needs its value: it is there now, or one of the calls that make it has yet to take
effect. A text that is appended to only grows: it must stay a prefix of what the read saw until a put sets it anew. The
test is exact: it drops no state from which there is an order.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

from labkit.consistency.models import OTHER, Act

ANEW = ("write", "cas")             # what sets the value, or a text, to something else
TRIED = 40                          # makers of one value that are looked at
SHARED = 4                          # makers a value has on average, up to which looking ahead pays
END = 2 ** 62


class Lookahead:
    """acts, timeline, ghosts (crashed calls in order of call) and slots as in `Task`; text: can it be appended to?"""

    def __init__(self, acts: Sequence[Act], timeline: Sequence[int], ghosts: Sequence[int], slots: Sequence[int],
                 text: bool):
        self.acts, self.slots, self.text = acts, slots, text
        self.called, self.returned = (array("q", [END]) * len(acts) for _ in range(2))
        for position, code in enumerate(timeline):
            (self.returned if code & 1 else self.called)[code >> 1] = position
        self.next = array("q", [-1]) * (len(timeline) + 1)      # the next return of a call that needs a value
        for position in range(len(timeline) - 1, -1, -1):
            code = timeline[position]
            needs = code & 1 and needed(acts[code >> 1])
            self.next[position] = code >> 1 if needs else self.next[position + 1]
        self.ghosts: dict[Any, list[tuple[int, int]]] = {}      # value -> (event of the call, number) of who makes it
        for k, i in enumerate(ghosts):
            self.ghosts.setdefault(made(acts[i]), []).append((self.called[i], k))
        crashed = set(ghosts)
        self.makers: dict[Any, list[tuple[int, int]]] = {}      # value -> (event of the return, call)
        for i, act in enumerate(acts):
            if act[0] in ANEW and i not in crashed and (act[0] == "write" or act[3] is not False):
                self.makers.setdefault(made(act), []).append((self.returned[i], i))
        for makers in self.makers.values():
            makers.sort()
        self.lengths = {len(value) for value in (*self.makers, *self.ghosts) if isinstance(value, str)}

    @property
    def pays(self) -> bool:
        """Do few calls make each value?"""
        return self.text or sum(map(len, self.makers.values())) <= SHARED * len(self.makers)

    def may_be(self, state: Any, position: int, mask: int, used: int, waiting: Iterable[int]) -> bool:
        """May `state` be at event `position`?

        mask: the open calls that have taken effect, by slot; used: the crashed ones that have. waiting: the open
        calls, those of the mask included.
        """
        for i in waiting:
            if not mask >> self.slots[i] & 1 and needed(self.acts[i]) and not self.can(i, state, position, mask, used):
                return False
        i = self.next[position]
        while i >= 0 and self.called[i] < position and mask >> self.slots[i] & 1:
            i = self.next[self.returned[i] + 1]
        return i < 0 or self.called[i] < position or self.can(i, state, position, mask, used)

    def can(self, i: int, state: Any, position: int, mask: int, used: int) -> bool:
        """Can call i come to see the value that it needs?"""
        value = self.acts[i][1]
        if state == value:
            return True
        if not self.text:
            return self.makable(value, i, position, mask, used)
        if not isinstance(value, str):
            return self.makable(value, i, position, mask, used)
        if state is None or (isinstance(state, str) and value.startswith(state)):
            return True
        return any(self.makable(value[:length], i, position, mask, used) for length in self.lengths
                   if length <= len(value)) or self.makable(None, i, position, mask, used)

    def makable(self, value: Any, i: int, position: int, mask: int, used: int) -> bool:
        """Has a call that makes the value yet to take effect, before call i returns?"""
        end = self.returned[i]
        makers = self.makers.get(value, ())
        first = bisect_left(makers, (position, 0))
        for _, j in makers[first:first + TRIED]:
            if self.called[j] < position:
                if not mask >> self.slots[j] & 1:
                    return True
            elif self.called[j] < end:
                return True
        return len(makers) - first > TRIED or any(
            called < end and not used >> k & 1 for called, k in self.ghosts.get(value, ()))


def needed(act: Act) -> bool:
    """Does the call need a certain value to be there?"""
    return act[0] == "read" or (act[0] == "cas" and act[3] is True)


def made(act: Act) -> Any:
    """The value there may be after the call, for those that set one; OTHER for an append."""
    return act[2] if act[0] == "cas" else act[1] if act[0] == "write" else OTHER
