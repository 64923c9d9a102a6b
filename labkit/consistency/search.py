"""Depth first: try to put the calls in order one by one, undo when stuck, never visit a configuration twice.

Wing & Gong, "Testing and Verifying Concurrent Objects" (JPDC 1993), with the memory of Lowe, "Testing for
linearizability" (2017), section 3, over a doubly linked list of events. Three exact short cuts: a call that only
looks is ordered as soon as it fits; crashed calls that do the same are ordered by age; `Task.next_get`. And a hint
that costs no exactness: towards the call that returns next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from labkit.consistency.history import Operation
from labkit.consistency.task import IMPOSSIBLE, Meter, SearchResult, Task, only_looks


def search(task: Task, meter: Meter) -> SearchResult:
    """Is there a legal order? Raises `Spent` if the meter runs out first. `blocking` is not looked for."""
    order = _Search(task, meter).run()
    return SearchResult(order is not None, [task.operations[i] for i in order or []])


class _Search:
    """A linked list of events; ordering a call takes its two events out, undoing puts them back."""

    def __init__(self, task: Task, meter: Meter):
        self.task, self.meter = task, meter
        calls = task.calls
        self.events = task.timeline
        size = len(self.events)
        self.next = [*range(1, size + 1), 0]            # entry `size` is the head; it is also the end
        self.before = [size, *range(size)]
        self.call_at, self.return_at = [0] * len(calls), [-1] * len(calls)
        for position, (i, back) in enumerate(self.events):
            (self.return_at if back else self.call_at)[i] = position
        live = sorted((i for i, c in enumerate(calls) if not c.crashed), key=self.call_at.__getitem__)
        self.bit = {i: 1 << n for n, i in enumerate(live)}
        self.older = _older_twin(calls, self.call_at)
        self.looks = [only_looks(call) for call in calls]
        self.done, self.ghosts, self.state = 0, 0, task.initial     # ordered live calls, ordered crashed calls
        self.left = len(live)
        self.order: list[int] = []
        self.trail: list[tuple[int, Any]] = []                       # (entry, state before it)
        self.gets = sorted((i for i, c in enumerate(calls) if c.kind == "get"), key=self.return_at.__getitem__) \
            if task.next_get else []
        self.first_get = 0

    def run(self) -> list[int] | None:
        seen: dict[Any, list[int]] = {}             # configuration -> crashed calls it had used up
        choices = [self.candidates()] if self.left else []
        while self.left:
            for entry in choices[-1]:
                self.meter.step()
                state, before = self.try_call(self.events[entry][0]), self.state
                if state is IMPOSSIBLE:
                    continue
                self.take(entry, state)
                key = self.key()
                tried = seen.setdefault(key, [])
                if any(used & self.ghosts == used for used in tried):
                    self.put_back(entry, before)        # with these and more still to use there was no way either
                    continue
                tried.append(self.ghosts)
                self.meter.remember(key[1] | self.ghosts, state)
                self.trail.append((entry, before))
                if self.left:
                    choices.append(self.candidates())
                break
            else:
                choices.pop()
                if not self.trail:
                    return None
                self.put_back(*self.trail.pop())
        return self.order

    def candidates(self) -> Iterator[int]:
        """Entries of the calls that may come next, the promising ones first.

        They are those called before the first return still in the list. That return is the deadline: its call, or
        what writes the value it saw, is tried first. A call that only looks and fits needs no alternative.
        """
        entry, found = self.next[len(self.events)], []
        calls = self.task.calls
        while not self.events[entry][1]:
            i = self.events[entry][0]
            if self.looks[i] and self.task.apply(self.state, calls[i]) is not IMPOSSIBLE:
                return iter([entry])
            found.append(entry)
            entry = self.next[entry]
        due = self.events[entry][0]
        wanted = calls[due].args[0] if calls[due].kind == "cas" else calls[due].result
        wanted = None if wanted == self.state else wanted

        def rank(entry: int) -> tuple[bool, bool, int]:
            i = self.events[entry][0]
            helps = i == due or (wanted is not None and not self.looks[i] and calls[i].args[-1] == wanted)
            return not helps, calls[i].crashed, self.return_at[i]

        return iter(sorted(found, key=rank))

    def try_call(self, i: int) -> Any:
        """The state if call i comes next, or IMPOSSIBLE if it cannot, or need not."""
        call = self.task.calls[i]
        twin = self.older[i]
        if twin >= 0 and not self.ghosts >> twin & 1:
            return IMPOSSIBLE
        state = self.task.apply(self.state, call)
        if state is IMPOSSIBLE or (call.crashed and state == self.state):
            return IMPOSSIBLE
        if self.gets and state is not self.state:
            while self.first_get < len(self.gets) and self.done & self.bit[self.gets[self.first_get]]:
                self.first_get += 1
            if self.first_get < len(self.gets) and \
                    not self.task.calls[self.gets[self.first_get]].result.startswith(state):
                return IMPOSSIBLE
        return state

    def key(self) -> tuple[int, int, Any]:
        """The configuration: how many of the oldest calls are ordered, which after those, and the state."""
        whole = (~self.done & (self.done + 1)).bit_length() - 1
        return whole, self.done >> whole, self.state

    def take(self, entry: int, state: Any) -> None:
        i = self.events[entry][0]
        self.unlink(entry)
        if self.return_at[i] >= 0:
            self.unlink(self.return_at[i])
            self.done |= self.bit[i]
            self.left -= 1
        else:
            self.ghosts |= 1 << i
        self.state = state
        self.order.append(i)

    def put_back(self, entry: int, state: Any) -> None:
        i = self.events[entry][0]
        if self.return_at[i] >= 0:
            self.relink(self.return_at[i])
            self.done ^= self.bit[i]
            self.left += 1
        else:
            self.ghosts ^= 1 << i
        self.relink(entry)
        self.state = state
        self.order.pop()
        self.first_get = 0

    def unlink(self, entry: int) -> None:
        before, after = self.before[entry], self.next[entry]
        self.next[before], self.before[after] = after, before

    def relink(self, entry: int) -> None:
        self.next[self.before[entry]] = self.before[self.next[entry]] = entry


def _older_twin(calls: Sequence[Operation], called: list[int]) -> list[int]:
    """For each crashed call the crashed call before it that does the same, -1 if none."""
    latest: dict[Any, int] = {}
    older = [-1] * len(calls)
    for i in sorted(range(len(calls)), key=called.__getitem__):
        if calls[i].crashed:
            older[i] = latest.get((calls[i].kind, calls[i].args), -1)
            latest[calls[i].kind, calls[i].args] = i
    return older
