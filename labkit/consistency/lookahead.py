"""What the next get will return, for keys that are appended to: nearly all orders of many appends end there."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from labkit.consistency.models import Act

ANEW = ("write", "cas")             # what sets a text to something else


class Lookahead:
    """A text that is only appended to must stay a prefix of what the get that returns next saw.

    Exact: it says nothing while a put, delete or cas may still come before that get.
    """

    def __init__(self, acts: Sequence[Act], timeline: Sequence[int], crashed: Sequence[int]):
        self.acts = acts
        self.called, self.returned = (array("q", bytes(8 * len(acts))) for _ in range(2))
        self.next_get = array("q", [-1]) * (len(timeline) + 1)
        self.anew = array("q", bytes(8 * (len(timeline) + 1)))      # calls before each event that set the text anew
        self.off = any(crashed[i] and acts[i][0] in ANEW for i in range(len(acts)))
        for position, code in enumerate(timeline):
            i = code >> 1
            self.anew[position + 1] = self.anew[position] + (not code & 1 and acts[i][0] in ANEW)
            (self.returned if code & 1 else self.called)[i] = position
        following = -1
        for position in range(len(timeline) - 1, -1, -1):
            code = timeline[position]
            if code & 1 and acts[code >> 1][0] == "read":
                following = code >> 1
            self.next_get[position] = following

    def may_be(self, state: Any, position: int, mask: int, slots: Sequence[int], waiting: Iterable[int]) -> bool:
        """May the text be `state` at event `position`?

        mask: the open calls that have taken effect, by slot. waiting: the open calls, those of the mask included.
        """
        if self.off:
            return True
        get = self.next_get[position]
        while get >= 0 and self.called[get] < position and mask >> slots[get] & 1:
            get = self.next_get[self.returned[get] + 1]
        if get < 0 or self.anew[self.returned[get]] > self.anew[position]:
            return True
        wanted = self.acts[get][1]
        if not isinstance(state, str) or not isinstance(wanted, str) or wanted.startswith(state):
            return True
        return any(self.acts[i][0] in ANEW and not mask >> slots[i] & 1 for i in waiting)
