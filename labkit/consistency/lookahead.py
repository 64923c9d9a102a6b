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

from labkit.consistency.models import Act

TRIED = 40      # makers of one value that are looked at
SHARED = 4      # makers a value has on average, up to which looking ahead pays
END = 2 ** 62

Makers = tuple[list[tuple[int, int]], list[tuple[int, int]]]     # (event of the return, call); of crashed (event of the
                                                                # call, number)


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
        self.makers: dict[tuple[bool, Any], Makers] = {}        # see `made`
        self.sources: dict[Any, list[Makers]] = {}              # value -> who may set it anew
        for k, i in enumerate(ghosts):
            self.makers.setdefault(made(acts[i]), ([], []))[1].append((self.called[i], k))
        crashed = set(ghosts)
        for i, act in enumerate(acts):
            if i not in crashed and act[0] != "read" and (act[0] != "cas" or act[3] is not False):
                self.makers.setdefault(made(act), ([], []))[0].append((self.returned[i], i))
        for live, _ in self.makers.values():
            live.sort()
        texts = [thing for thing in self.makers if isinstance(thing[1], str)]
        self.lengths = {anew: sorted({len(text) for kind, text in texts if kind is anew}) for anew in (True, False)}

    @property
    def pays(self) -> bool:
        """Do few calls make each value?"""
        return self.text or sum(len(live) for live, _ in self.makers.values()) <= SHARED * len(self.makers)

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

    def useful(self, act: Act, waiting: Iterable[int]) -> bool:
        return True

    def can(self, i: int, state: Any, position: int, mask: int, used: int) -> bool:
        """Can call i come to see the value that it needs?"""
        value, end = self.acts[i][1], self.returned[i]
        if state == value:
            return True
        if self.text and isinstance(value, str) and (
                state is None or (isinstance(state, str) and value.startswith(state))):
            rest = value[len(state or ""):]                 # some call must append what comes next
            for length in self.lengths[False]:
                makers = self.makers.get((False, rest[:length]))
                if makers and self.to_come(makers, end, position, mask, used):
                    return True
        sources = self.sources.get(value)
        if sources is None:
            sources = self.sources[value] = self.made_anew(value)
        return any(self.to_come(makers, end, position, mask, used) for makers in sources)

    def made_anew(self, value: Any) -> list[Makers]:
        """Those who may set the value, or what it begins with, or take all away."""
        starts = [value]
        if self.text and isinstance(value, str):
            starts = [None, *(value[:length] for length in self.lengths[True] if length <= len(value))]
        return [self.makers[True, start] for start in dict.fromkeys(starts) if (True, start) in self.makers]

    def to_come(self, makers: Makers, end: int, position: int, mask: int, used: int) -> bool:
        """Has one of these yet to take effect, before event `end`?"""
        live, ghosts = makers
        first = bisect_left(live, (position, 0))
        for _, j in live[first:first + TRIED]:
            if self.called[j] < position:
                if not mask >> self.slots[j] & 1:
                    return True
            elif self.called[j] < end:
                return True
        return len(live) - first > TRIED or any(called < end and not used >> k & 1 for called, k in ghosts)


def needed(act: Act) -> bool:
    """Does the call need a certain value to be there?"""
    return act[0] == "read" or (act[0] == "cas" and act[3] is True)


def made(act: Act) -> tuple[bool, Any]:
    """Is it set anew, and the value there may be after the call, or the text that it appends."""
    return act[0] != "append", act[2] if act[0] == "cas" else act[1]
