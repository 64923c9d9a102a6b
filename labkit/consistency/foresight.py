"""The same for queues and sets: what later dequeues and reads saw decides most orders of enqueues and adds."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from labkit.consistency.models import Act

END = 2 ** 62
BACK = 30                   # elements that a new one is compared with


class QueueAhead:
    """What is enqueued once and dequeued once must be dequeued in the order in which it is in the queue.

    So behind an element whose dequeue is called only later, none may stand whose dequeue has returned by then; nor
    behind one that is never dequeued, unless a dequeue that never came back may have taken it.
    """

    def __init__(self, acts: Sequence[Act], timeline: Sequence[int], ghosts: Sequence[int], initial: Sequence[Any]):
        times = Counter(act[1] for act in acts if act[0] == "enqueue")
        times.update(initial[k:k + 1] for k in range(len(initial)))
        taken = Counter(act[1] for act in acts if act[0] == "dequeue" and act[1] is not None)
        unclear = any(acts[i][0] == "dequeue" for i in ghosts)
        self.called: dict[Any, int] = {}                # element -> event of the call of its dequeue, and its return
        self.returned: dict[Any, int] = {}
        for element, count in times.items():
            if count == 1 and taken[element] <= 1:
                self.called[element] = -1 if taken[element] or unclear else END
                self.returned[element] = END
        for position, code in enumerate(timeline):
            act = acts[code >> 1]
            if act[0] == "dequeue" and act[1] in self.called:
                (self.returned if code & 1 else self.called)[act[1]] = position

    def may_be(self, state: Any, position: int, mask: int, used: int, waiting: Iterable[int]) -> bool:
        """May the queue be `state`? Looks at its last element."""
        end = self.returned.get(state[-1:], END)
        return all(self.called.get(state[k:k + 1], -1) <= end
                   for k in range(max(0, len(state) - 1 - BACK), len(state) - 1))

    def useful(self, act: Act, waiting: Iterable[int]) -> bool:
        return True


class SetAhead:
    """What nobody removes stays: a read that has not taken effect must have seen all of it that is there.

    And to add it pays only when a waiting read saw it, or when the add is due: until then it can as well wait.
    """

    def __init__(self, acts: Sequence[Act], timeline: Sequence[int], slots: Sequence[int]):
        self.acts, self.slots = acts, slots
        removed = 0
        for act in acts:
            removed |= act[1] if act[0] == "remove" else 0
        self.kept = ~removed
        self.called = array("q", [END]) * len(acts)
        self.returned = array("q", [END]) * len(acts)
        for position, code in enumerate(timeline):
            (self.returned if code & 1 else self.called)[code >> 1] = position
        self.next = array("q", [-1]) * (len(timeline) + 1)      # the next return of a read
        for position in range(len(timeline) - 1, -1, -1):
            code = timeline[position]
            reads = code & 1 and acts[code >> 1][0] == "members"
            self.next[position] = code >> 1 if reads else self.next[position + 1]

    def may_be(self, state: int, position: int, mask: int, used: int, waiting: Iterable[int]) -> bool:
        """May the set be `state`?"""
        there = state & self.kept
        for i in waiting:
            if self.acts[i][0] == "members" and there & ~self.acts[i][1] and not mask >> self.slots[i] & 1:
                return False
        i = self.next[position]
        while i >= 0 and self.called[i] < position and mask >> self.slots[i] & 1:
            i = self.next[self.returned[i] + 1]
        return i < 0 or not there & ~self.acts[i][1]

    def useful(self, act: Act, waiting: Iterable[int]) -> bool:
        """Is there a reason to let `act` take effect before its return is due?"""
        return act[0] != "add" or not act[1] & self.kept or any(
            self.acts[i][0] == "members" and act[1] & self.acts[i][1] for i in waiting)
