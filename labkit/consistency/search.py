"""Depth first: try to put the calls in order one by one, undo when stuck, never visit a configuration twice.

Wing & Gong, "Testing and Verifying Concurrent Objects" (JPDC 1993), with the memory of Lowe, "Testing for
linearizability" (2017), section 3. A configuration is the first return whose call has not taken effect, which of the
calls open there have, and the state: what lies before needs no bit, so a long history costs no more a call than a
short one. Exact short cuts: a call that only looks is ordered as soon as it fits; `Ghosts`; `Lookahead`. And a hint
that costs no exactness: towards the call that returns next.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import Any

from labkit.consistency.meter import Meter
from labkit.consistency.models import IMPOSSIBLE, Act
from labkit.consistency.task import SearchResult, Steps, Task

PAUSE = 2_000               # units of work between two pauses
VISITED, DEPTH = 350, 450   # bytes a visited configuration and a level of the search take, about


def search(task: Task, meter: Meter) -> Steps:
    """Is there a legal order? On "no", `position` is the furthest return that any order tried came to."""
    looking_for = _Search(task, meter)
    found = yield from looking_for.run()
    if found:
        return SearchResult(True, task.complete(looking_for.order))
    position = looking_for.furthest
    order = [task.shown[i] for i in looking_for.best]
    return SearchResult(False, order, task.shown[task.timeline[position] >> 1], position)


class _Search:
    """Where the search stands; ordering a call moves it on along the events, undoing moves it back."""

    def __init__(self, task: Task, meter: Meter):
        self.task, self.meter = task, meter
        self.codes, self.stop, self.slots, self.after = task.timeline, task.stop, task.slots, task.after
        self.awaited = set(task.after.values())
        self.position = 0                           # the first return whose call is not ordered
        self.open: dict[int, int] = {}              # slot -> call open there
        self.mask, self.used = 0, 0                 # the open calls, by slot, and the crashed calls that are ordered
        self.ghosts = 0                             # crashed calls that were called
        self.state = task.initial
        self.order: list[int] = []
        self.furthest, self.best = -1, list[int]()

    def run(self) -> Generator[None, None, bool]:
        """Search; pauses now and then, and returns whether there is an order."""
        meter, ahead = self.meter, self.task.ahead
        seen: dict[Any, list[int]] = {}             # configuration -> crashed calls it had used up
        trail: list[tuple[int, int, Any, int, int]] = []        # (position, mask, state, used, ghosts) before a step
        pause, held = meter.work + PAUSE, 0
        self.advance()
        choices = [self.candidates()]
        while self.position < self.stop:
            for step in choices[-1]:
                meter.spend()
                state = self.attempt(step)
                if state is IMPOSSIBLE:
                    continue
                before = self.position, self.mask, self.state, self.used, self.ghosts
                self.take(step, state)
                if ahead and self.position < self.stop and \
                        not ahead.may_be(state, self.position, self.mask, self.used, self.open.values()):
                    self.undo(before)
                    continue
                tried = seen.setdefault((self.position, self.mask, state), [])
                meter.spend(len(tried) // 8)
                if any(used & self.used == used for used in tried):
                    self.undo(before)               # with these and more still to use there was no way either
                    continue
                tried.append(self.used)
                held += VISITED + sys.getsizeof(state)
                trail.append(before)
                choices.append(self.candidates())
                break
            else:
                choices.pop()
                if self.position > self.furthest:
                    self.furthest, self.best = self.position, list(self.order)
                    meter.spend(len(self.order) // 100)
                if not trail:
                    return False
                self.undo(trail.pop())
            if meter.work > pause:
                pause = meter.work + PAUSE
                meter.walked = self.position
                meter.hold(held + DEPTH * len(trail))
                yield
        return True

    def candidates(self) -> Iterator[int]:
        """Steps that may come next, the promising first: a call i >= 0, or the crashed call k as ~k.

        The return at `position` is the deadline: its call, or what writes the value it saw, is tried first. A call
        that only looks and fits needs no alternative.
        """
        if self.position >= self.stop:
            return iter(())
        task, acts, state = self.task, self.task.acts, self.state
        found = []
        self.meter.spend(len(self.open) // 4)
        for slot, i in self.open.items():
            if not self.mask >> slot & 1:
                if self.after and not self.free(i):
                    continue
                found.append(i)
                if task.looks[i] and task.apply(state, acts[i]) is not IMPOSSIBLE:
                    return iter((i,))
        due = self.codes[self.position] >> 1
        wanted = acts[due][1] if acts[due][0] in ("read", "cas", "members") else state
        ahead = task.ahead
        steps = [i for i in found if not task.looks[i] and (
            i == due or not ahead or i in self.awaited or ahead.useful(acts[i], found))]
        if self.ghosts:
            steps += [~k for k in task.ghosts.options(state, self.ghosts, self.used, [acts[i] for i in found])
                      if self.free(task.ghosts.calls[k])
                      and (not ahead or ahead.useful(task.ghosts.acts[k], found))]

        def rank(step: int) -> tuple[bool, bool, int]:
            act = self.act(step)
            helps = step == due or (wanted != state and leads_to(act, state, wanted))
            return not helps, step < 0, task.returned[step] if step >= 0 else ~step

        return iter(sorted(steps, key=rank))

    def free(self, i: int) -> bool:
        """Has the call of its process that came right before taken effect?"""
        before = self.after.get(i, -1)
        return before < 0 or self.open.get(self.slots[before]) != before or bool(self.mask >> self.slots[before] & 1)

    def act(self, step: int) -> Act:
        """What a step does."""
        return self.task.acts[step] if step >= 0 else self.task.ghosts.acts[~step]

    def attempt(self, step: int) -> Any:
        """The state if the step comes next, or IMPOSSIBLE if it cannot, or need not."""
        state = self.task.apply(self.state, self.act(step))
        if state is IMPOSSIBLE or (step < 0 and state == self.state):
            return IMPOSSIBLE
        return state

    def take(self, step: int, state: Any) -> None:
        self.state = state
        if step >= 0:
            self.mask |= 1 << self.slots[step]
            self.order.append(step)
            self.advance()
        else:
            self.used |= 1 << ~step
            self.order.append(self.task.ghosts.calls[~step])

    def undo(self, before: tuple[int, int, Any, int, int]) -> None:
        """Back to where a step was taken."""
        position, self.mask, self.state, self.used, self.ghosts = before
        for code in reversed(self.codes[position:self.position]):
            i = code >> 1
            if code & 1:
                self.open[self.slots[i]] = i
            elif not self.task.crashed[i]:
                del self.open[self.slots[i]]
        self.position = position
        self.order.pop()

    def advance(self) -> None:
        """Pass every event up to the first return whose call is not ordered."""
        codes, slots, crashed = self.codes, self.slots, self.task.crashed
        position = self.position
        while position < self.stop:
            i = codes[position] >> 1
            if codes[position] & 1:
                if not self.mask >> slots[i] & 1:
                    break
                self.mask ^= 1 << slots[i]
                del self.open[slots[i]]
            elif crashed[i]:
                self.ghosts += 1
            else:
                self.open[slots[i]] = i
            position += 1
        self.meter.spend((position - self.position) // 4)
        self.position = position


def leads_to(act: Act, state: Any, wanted: Any) -> bool:
    """Does the action leave the object nearer to the state that a look wants? A hint, no more."""
    if act[0] == "append":
        return isinstance(state, str) and isinstance(wanted, str) and wanted.startswith(state + act[1])
    if act[0] in ("add", "remove"):
        return isinstance(wanted, int) and bool(act[1] & wanted) == (act[0] == "add")
    return bool((act[0] == "cas" and act[2] == wanted) or (act[0] == "write" and act[1] == wanted))
