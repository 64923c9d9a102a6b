"""Calls that never came back: each may take effect at any time after it was called, or never.

Engines number them in the order they were called and note the used ones in a bit mask.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

from labkit.consistency.models import Act


class Ghosts:
    """calls: the crashed calls in the order they were called; acts: what they do; lazy: see `models.Actions`.

    tied: calls that must wait for another; these are told apart from those that do the same.
    """

    def __init__(self, calls: Sequence[int], acts: Sequence[Act], lazy: bool, tied: Container[int] = ()):
        self.calls, self.acts, self.lazy = calls, acts, lazy
        self.twin: list[int] = []               # the ghost before it that does the same, -1 if none
        self.makes: dict[Any, list[int]] = {}   # value -> ghosts that may leave it in a register
        self.swaps = [k for k, act in enumerate(acts) if act[0] == "cas"]
        latest: dict[Act, int] = {}
        for k, act in enumerate(acts):
            if calls[k] in tied:
                self.twin.append(-1)
            else:
                self.twin.append(latest.get(act, -1))
                latest[act] = k
            if lazy:
                self.makes.setdefault(act[2] if act[0] == "cas" else act[1], []).append(k)

    def options(self, state: Any, called: int, used: int, waiting: Iterable[Act]) -> list[int]:
        """The ghosts worth trying next, of the first `called`, when the calls `waiting` have not taken effect.

        Of ghosts that do the same the oldest comes first. In a lazy model a ghost that nobody sees can be left out of
        any order: so only those that make what a waiting call, or a ghost, looks for; all of them if one waits for
        the value to go.
        """
        unused = ~used & ((1 << called) - 1)
        if not unused:
            return []
        some: Iterable[int] = range(called)
        if self.lazy:
            wanted, anything = set(), False
            for act in waiting:
                if act[0] == "read" or (act[0] == "cas" and act[3] is not False):
                    wanted.add(act[1])
                if act[0] == "cas" and act[3] is not True and act[1] == state:
                    anything = True
            wanted.update(self.acts[k][1] for k in self.swaps if unused >> k & 1)
            if not anything:
                some = [k for value in wanted for k in self.makes.get(value, ()) if value != state]
        return [k for k in some if unused >> k & 1 and (self.twin[k] < 0 or used >> self.twin[k] & 1)]
