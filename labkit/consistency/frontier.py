"""Breadth first: walk along the events and keep every configuration the object might be in.

The family of Lowe's just-in-time linearization ("Testing for linearizability", 2017, section 5) and Knossos' "linear".
Exact reductions: a call that only looks takes effect as soon as it fits; crashed calls that do the same are used by
age, and those that nobody would see not at all (`Ghosts`); and a configuration that needed more crashed calls than
another, all else equal, is dropped. What is remembered grows with the calls that are open, not with the history: what
all configurations have in common of their orders is moved out of them now and then.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Generator, Iterator
from typing import Any

from labkit.consistency.meter import Meter
from labkit.consistency.models import IMPOSSIBLE, unknown
from labkit.consistency.task import SearchResult, Steps, Task

Configuration = tuple[Any, int, int]        # state, slots of the open calls that took effect, crashed calls used
Path = list[Any] | None                     # [call, path before it]
SETTLE = 2_000                              # events between two clearings of the paths
CONFIGURATION, STEP = 400, 100              # bytes, about


def frontier(task: Task, meter: Meter) -> Steps:
    """Is there a legal order? On "no" the answer names the call at whose return none was left."""
    walk = _Walk(task, meter)
    codes, stop = task.timeline, task.stop
    position, settle = 0, SETTLE
    while position < stop:
        meter.spend()
        code = codes[position]
        i = code >> 1
        if not code & 1:
            if not walk.bit and position + 1 < stop and codes[position + 1] == code + 1 and walk.alone(i):
                position += 2
            else:
                walk.call(i)
                position += 1
        else:
            explained = yield from walk.returned(i, position)
            if not explained:
                walk.settle()
                order = [task.shown[j] for j in (*walk.order, *_unrolled(walk.shortest()))]
                return SearchResult(False, order, task.shown[i], position)
            walk.configurations = explained
            position += 1
        meter.walked = position
        if position >= settle:
            settle = position + SETTLE + walk.settle()
            yield
    walk.settle()
    walk.order.extend(_unrolled(walk.shortest()))
    return SearchResult(True, task.complete(walk.order))


class _Walk:
    def __init__(self, task: Task, meter: Meter):
        self.task, self.meter, self.after, self.awaited = task, meter, task.after, set(task.after.values())
        self.configurations: dict[Configuration, Path] = {(task.initial, 0, 0): None}
        self.order = array("q")                     # what all configurations' orders begin with
        self.bit: dict[int, int] = {}               # open calls that will return -> their bit
        self.looking: list[int] = []                # of these, the ones that only look
        self.changing: list[int] = []
        self.ghosts_called = 0

    def alone(self, i: int) -> bool:
        """Take a call that no other overlaps, where that is all there is to it; was it?"""
        act, apply = self.task.acts[i], self.task.apply
        if self.task.crashed[i] or (self.ghosts_called and (not self.task.lazy or unknown(act))):
            return False
        following: dict[Configuration, Path] = {}
        for (state, _, used), path in self.configurations.items():
            state = apply(state, act)
            if state is not IMPOSSIBLE:
                following[state, 0, used] = [i, path]
            elif self.ghosts_called:
                return False
        if not following:
            return False
        if len(following) == 1:
            self.configurations = {next(iter(following)): self.flush(next(iter(following.values())))}
        else:
            self.meter.spend(len(following))
            self.configurations = _prune(following, self.meter)
        return True

    def flush(self, path: Path) -> Path:
        """The end of the only path, all of it moved into the order."""
        if path and path[1] is None:
            self.order.append(path[0])
        else:
            self.order.extend(_unrolled(path))
        return None

    def settle(self) -> int:
        """Move what all paths share into the order; how many steps are left in the paths, counted singly."""
        paths = list(self.configurations.values())
        nodes = []
        path = paths[0]
        while path:
            nodes.append(path)
            path = path[1]
        nodes.reverse()
        index = {id(node): k for k, node in enumerate(nodes)}
        shared = len(nodes)
        for path in paths[1:]:
            self.meter.spend()
            while path and id(path) not in index:
                path = path[1]
                self.meter.spend()
            shared = min(shared, index[id(path)] + 1 if path else 0)
        last = nodes[shared - 1] if shared else None
        self.order.extend(node[0] for node in nodes[:shared])
        left = 0
        for configuration, path in self.configurations.items():
            if path is last:
                self.configurations[configuration] = None
                continue
            while path and path[1] is not last and path[1] is not None:
                path = path[1]
                left += 1
            if path:
                path[1] = None
        self.meter.hold(STEP * left + CONFIGURATION * len(paths) + 8 * len(self.order))
        return left

    def shortest(self) -> Path:
        def length(path: Path) -> int:
            n = 0
            while path:
                n, path = n + 1, path[1]
            return n

        return min(self.configurations.values(), key=length) if len(self.configurations) < 50 \
            else next(iter(self.configurations.values()))

    def call(self, i: int) -> None:
        if self.task.crashed[i]:
            self.ghosts_called += 1
            return
        self.bit[i] = 1 << self.task.slots[i]
        if self.task.looks[i]:
            self.looking.append(i)
            self.meter.spend(len(self.configurations) * (1 + len(self.looking) // 8))
            self.configurations = dict(self.look(c, path) for c, path in self.configurations.items())
        else:
            self.changing.append(i)

    def look(self, configuration: Configuration, path: Path) -> tuple[Configuration, Path]:
        """Let every open look that fits the state take effect."""
        state, mask, used = configuration
        for i in self.looking:
            if not mask & self.bit[i] and self.task.apply(state, self.task.acts[i]) is not IMPOSSIBLE \
                    and (not self.after or self.free(i, mask)):
                mask |= self.bit[i]
                path = [i, path]
        return (state, mask, used), path

    def returned(self, i: int, position: int) -> Generator[None, None, dict[Configuration, Path]]:
        """The configurations in which call i has taken effect, closed under everything that may happen first."""
        bit, meter = self.bit[i], self.meter
        explained: dict[Configuration, Path] = {}
        seen = dict(self.configurations)
        work = list(seen)
        pause, weight = meter.work + SETTLE, 1 + len(self.bit) // 8
        while work:
            configuration = work.pop()
            meter.spend(weight)
            if configuration[1] & bit:
                explained[configuration] = seen[configuration]
                continue
            for following, path in self.steps(configuration, seen[configuration], position, i):
                meter.spend(weight)
                if following not in seen:
                    seen[following] = path
                    work.append(following)
            if meter.work > pause:
                pause = meter.work + SETTLE
                meter.hold((CONFIGURATION + sys.getsizeof(configuration[0])) * len(seen) + 8 * len(self.order))
                yield
        del self.bit[i]
        (self.looking if self.task.looks[i] else self.changing).remove(i)
        if len(explained) > 1:
            meter.spend(len(explained))
            return _prune({(s, mask & ~bit, used): path for (s, mask, used), path in explained.items()}, meter)
        return {(s, mask & ~bit, used): path for (s, mask, used), path in explained.items()}

    def steps(self, configuration: Configuration, path: Path, position: int,
              due: int) -> Iterator[tuple[Configuration, Path]]:
        """What one call more may lead to, when the return of call `due` is to be explained."""
        state, mask, used = configuration
        task, ahead = self.task, self.task.ahead
        waiting = [j for j, bit in self.bit.items() if not mask & bit]
        for j in self.changing:
            if not mask & self.bit[j] and (not self.after or self.free(j, mask)) \
                    and (j == due or ahead is None or j in self.awaited or ahead.useful(task.acts[j], waiting)):
                new = task.apply(state, task.acts[j])
                if new is not IMPOSSIBLE and self.may_be(new, mask | self.bit[j], used, position):
                    yield self.look((new, mask | self.bit[j], used), [j, path])
        if self.ghosts_called:
            for k in task.ghosts.options(state, self.ghosts_called, used, [task.acts[j] for j in waiting]):
                new, call = task.apply(state, task.ghosts.acts[k]), task.ghosts.calls[k]
                if new is IMPOSSIBLE or new == state or not self.free(call, mask) \
                        or not (ahead is None or ahead.useful(task.ghosts.acts[k], waiting)):
                    continue
                if self.may_be(new, mask, used | 1 << k, position):
                    yield self.look((new, mask, used | 1 << k), [call, path])

    def free(self, i: int, mask: int) -> bool:
        """Has the call of its process that came right before taken effect, if it is still open?"""
        before = self.after.get(i, -1)
        return before < 0 or before not in self.bit or bool(mask & self.bit[before])

    def may_be(self, state: Any, mask: int, used: int, position: int) -> bool:
        ahead = self.task.ahead
        return ahead is None or ahead.may_be(state, position, mask, used, self.bit)


def _unrolled(path: Path) -> list[int]:
    order = []
    while path:
        order.append(path[0])
        path = path[1]
    return order[::-1]


def _prune(configurations: dict[Configuration, Path], meter: Meter) -> dict[Configuration, Path]:
    """Drop what needed more crashed calls than another with the same state and the same open calls done."""
    alike: dict[tuple[Any, int], list[int]] = {}
    for state, mask, used in configurations:
        alike.setdefault((state, mask), []).append(used)
    if len(alike) == len(configurations):
        return configurations
    kept = {}
    for (state, mask), choices in alike.items():
        frugal: list[int] = []
        for used in sorted(choices, key=int.bit_count):
            meter.spend(1 + len(frugal) // 8)
            if not any(other & used == other for other in frugal):
                frugal.append(used)
                kept[state, mask, used] = configurations[state, mask, used]
    return kept
