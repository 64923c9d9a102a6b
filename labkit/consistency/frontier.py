"""Breadth first: walk along the events and keep every configuration the register might be in.

The family of Lowe's just-in-time linearization (2017, section 5) and Knossos' "linear". Exact reductions: a call
that only looks takes effect as soon as it fits; crashed calls that do the same are counted, not told apart; and a
configuration that needed more crashed calls than another, all else equal, is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labkit.consistency.task import IMPOSSIBLE, Meter, SearchResult, Task, only_looks

Configuration = tuple[Any, int, tuple[int, ...]]    # state, ordered calls among the open ones, crashed calls used
Path = tuple[int, "Path"] | None                    # calls in reverse order


def frontier(task: Task, meter: Meter) -> SearchResult:
    """Is there a legal order? On "no" the answer names the call at whose return none was left."""
    walk = _Walk(task, meter)
    for position, (i, back) in enumerate(task.timeline):
        if not back:
            walk.call(i)
            continue
        explained = walk.returned(i, position)
        if not explained:
            return SearchResult(False, walk.longest(), task.operations[i])
        walk.configurations = explained
    return SearchResult(True, walk.longest())


class _Walk:
    def __init__(self, task: Task, meter: Meter):
        self.task, self.meter = task, meter
        self.configurations: dict[Configuration, Path] = {(task.initial, 0, ()): None}
        self.bit: dict[int, int] = {}               # open calls that will return -> their bit
        self.free: list[int] = []
        self.looking: list[int] = []                # of these, the ones that only look
        self.changing: list[int] = []
        self.classes: dict[Any, int] = {}           # crashed calls by what they do
        self.crashed: list[list[int]] = []          # class -> calls, oldest first

    def longest(self) -> list[Any]:
        def length(path: Path) -> int:
            n = 0
            while path:
                n, path = n + 1, path[1]
            return n

        path = max(self.configurations.values(), key=length) if len(self.configurations) < 50 \
            else next(iter(self.configurations.values()))
        order = []
        while path:
            order.append(self.task.operations[path[0]])
            path = path[1]
        return order[::-1]

    def call(self, i: int) -> None:
        call = self.task.calls[i]
        if call.crashed:
            kind = self.classes.setdefault((call.kind, call.args), len(self.crashed))
            if kind == len(self.crashed):
                self.crashed.append([])
            self.crashed[kind].append(i)
            return
        self.bit[i] = self.free.pop() if self.free else 1 << len(self.bit)
        if only_looks(call):
            self.looking.append(i)
            self.configurations = dict(self.look(c, path) for c, path in self.configurations.items())
        else:
            self.changing.append(i)

    def look(self, configuration: Configuration, path: Path) -> tuple[Configuration, Path]:
        """Let every open look that fits the state take effect."""
        state, mask, used = configuration
        for i in self.looking:
            if not mask & self.bit[i] and self.task.apply(state, self.task.calls[i]) is not IMPOSSIBLE:
                mask |= self.bit[i]
                path = (i, path)
        return (state, mask, used), path

    def returned(self, i: int, position: int) -> dict[Configuration, Path]:
        """The configurations in which call i has taken effect, closed under everything that may happen first."""
        bit = self.bit[i]
        explained: dict[Configuration, Path] = {}
        seen = dict(self.configurations)
        work = list(seen)
        while work:
            configuration = work.pop()
            if configuration[1] & bit:
                explained[configuration] = seen[configuration]
                continue
            for following, path in self.steps(configuration, seen[configuration], position):
                self.meter.step()
                if following not in seen:
                    seen[following] = path
                    self.meter.remember(following[1], following[0])
                    work.append(following)
        del self.bit[i]
        self.free.append(bit)
        (self.looking if i in self.looking else self.changing).remove(i)
        if not explained:
            return {}
        return _prune({(s, mask & ~bit, used): path for (s, mask, used), path in explained.items()})

    def steps(self, configuration: Configuration, path: Path, position: int) -> Iterator[tuple[Configuration, Path]]:
        state, mask, used = configuration
        for j in self.changing:
            if not mask & self.bit[j]:
                new = self.task.apply(state, self.task.calls[j])
                if new is not IMPOSSIBLE and self.may_be(new, mask, position):
                    yield self.look((new, mask | self.bit[j], used), (j, path))
        for kind, calls in enumerate(self.crashed):
            taken = used[kind] if kind < len(used) else 0
            if taken < len(calls):
                new = self.task.apply(state, self.task.calls[calls[taken]])
                if new is not IMPOSSIBLE and new != state and self.may_be(new, mask, position):
                    more = [*used, *[0] * (kind + 1 - len(used))]
                    more[kind] += 1
                    yield self.look((new, mask, tuple(more)), (calls[taken], path))

    def may_be(self, state: Any, mask: int, position: int) -> bool:
        """Look-ahead for append-only keys, see `Task.next_get`."""
        if not self.task.next_get:
            return True
        i = self.task.next_get[position]
        return i < 0 or bool(mask & self.bit.get(i, 0)) or self.task.calls[i].result.startswith(state)


def _prune(configurations: dict[Configuration, Path]) -> dict[Configuration, Path]:
    """Drop what needed more crashed calls than another with the same state and the same open calls done."""
    alike: dict[tuple[Any, int], list[tuple[int, ...]]] = {}
    for state, mask, used in configurations:
        alike.setdefault((state, mask), []).append(used)
    if len(alike) == len(configurations):
        return configurations
    kept = {}
    for (state, mask), choices in alike.items():
        frugal: list[tuple[int, ...]] = []
        for used in sorted(choices, key=sum):
            if not any(_at_most(other, used) for other in frugal):
                frugal.append(used)
                kept[state, mask, used] = configurations[state, mask, used]
    return kept


def _at_most(some: tuple[int, ...], others: tuple[int, ...]) -> bool:
    return len(some) <= len(others) and all(a <= b for a, b in zip(some, others, strict=False))
