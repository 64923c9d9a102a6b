"""Sets in which a remove can be undone or not: what happens when one replica adds what another removes."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from typing import Self

from labkit.crdt.state import Replica, Replicated, WithDeltas

Dot = tuple[Replica, int]       # the n-th update of a replica: a name that nothing else ever has


class TwoPhaseSet(Replicated):
    """A set in which removed means removed for ever (RR-7506, specification 12)."""

    def __init__(self, replica: Replica, replicas: Collection[Replica] | None = None):
        super().__init__(replica, replicas)
        self.added: set[Hashable] = set()
        self.removed: set[Hashable] = set()

    def add(self, item: Hashable) -> None:
        """Add `item`; without effect if it was ever removed."""
        self.added.add(item)

    def remove(self, item: Hashable) -> None:
        """Remove `item` for good, if it is here."""
        if item in self.added:
            self.removed.add(item)

    def value(self) -> set[Hashable]:
        return self.added - self.removed

    def merge(self, other: Self) -> None:
        self._mergeable(other)
        self.added |= other.added
        self.removed |= other.removed

    def state(self) -> tuple[set[Hashable], set[Hashable]]:
        return self.added, self.removed


class ORSet(Replicated):
    """Observed-remove set with tombstones (RR-7506, specification 15): a remove removes the adds it has seen.

    An add that the remove has not seen stays: add wins, but only over removes that happen at the same time.
    """

    def __init__(self, replica: Replica, replicas: Collection[Replica] | None = None):
        super().__init__(replica, replicas)
        self.live: dict[Dot, Hashable] = {}
        self.tombstones: set[Dot] = set()
        self._adds = 0

    def add(self, item: Hashable) -> None:
        """Add `item` under a new tag."""
        hash(item)                                  # refuse what no set can hold before counting it
        self._adds += 1
        self.live[self.replica, self._adds] = item

    def remove(self, item: Hashable) -> None:
        """Bury every tag of `item` that is here; nothing happens if there is none."""
        seen = {tag for tag, held in self.live.items() if held == item}
        self.tombstones |= seen
        for tag in seen:
            del self.live[tag]

    def value(self) -> set[Hashable]:
        return set(self.live.values())

    def merge(self, other: Self) -> None:
        self._mergeable(other)
        self.tombstones |= other.tombstones
        self.live = {tag: item for tag, item in (self.live | other.live).items() if tag not in self.tombstones}

    def state(self) -> tuple[dict[Dot, Hashable], set[Dot]]:
        return self.live, self.tombstones


class Context:
    """Which dots a replica has ever seen: a version vector, and the dots that came before their predecessors."""

    def __init__(self, dots: Iterable[Dot] = ()):
        self.vector: dict[Replica, int] = {}
        self.early: set[Dot] = set()
        self.include(dots)

    def __contains__(self, dot: Dot) -> bool:
        return dot[1] <= self.vector.get(dot[0], 0) or dot in self.early

    def include(self, dots: Iterable[Dot]) -> None:
        """Mark dots as seen, and fold what has become a row without gaps into the vector."""
        self.early |= {dot for dot in dots if dot not in self}
        if self.early:
            for replica, count in sorted(self.early, key=lambda dot: dot[1]):
                if count <= self.vector.get(replica, 0) + 1:
                    self.vector[replica] = max(count, self.vector.get(replica, 0))
            self.early = {dot for dot in self.early if dot[1] > self.vector.get(dot[0], 0)}

    def union(self, other: Context) -> None:
        for replica, count in other.vector.items():
            self.vector[replica] = max(count, self.vector.get(replica, 0))
        self.include(self.early | other.early)

    def next_dot(self, replica: Replica) -> Dot:
        dot = (replica, self.vector.get(replica, 0) + 1)
        self.include([dot])
        return dot

    def copy(self) -> Context:
        twin = Context()
        twin.vector, twin.early = self.vector.copy(), self.early.copy()
        return twin


class ORSWOT(WithDeltas):
    """Observed-remove set without tombstones (Bieniusa et al. 2012; the name is Riak's).

    It remembers which dots it has *seen*, in a version vector, instead of which it has buried. A dot that is seen but
    not held was removed. Memory: the live dots and one number per replica, whatever has been removed.
    """

    def __init__(self, replica: Replica, replicas: Collection[Replica] | None = None):
        super().__init__(replica, replicas)
        self.dots: dict[Hashable, frozenset[Dot]] = {}
        self.seen = Context()
        self._unsent: dict[Hashable, frozenset[Dot]] = {}
        self._touched: set[Dot] = set()

    def add(self, item: Hashable) -> None:
        """Add `item` under a new dot, which replaces those known here."""
        older = self.dots.get(item, frozenset())
        dot = self.seen.next_dot(self.replica)
        self.dots[item] = self._unsent[item] = frozenset([dot])
        self._touched |= older | {dot}

    def remove(self, item: Hashable) -> None:
        """Remove every add of `item` that was seen here; nothing happens if there is none."""
        self._touched |= self.dots.pop(item, frozenset())
        self._unsent.pop(item, None)

    def value(self) -> set[Hashable]:
        return set(self.dots)

    def merge(self, other: Self) -> None:
        self._mergeable(other)
        merged = {}
        for item in self.dots.keys() | other.dots.keys():
            mine, theirs = self.dots.get(item, frozenset()), other.dots.get(item, frozenset())
            kept = ((mine & theirs) | {dot for dot in mine - theirs if dot not in other.seen}
                    | {dot for dot in theirs - mine if dot not in self.seen})
            if kept:
                merged[item] = frozenset(kept)
        self.dots = merged
        self.seen.union(other.seen)

    def delta(self) -> Self:
        delta = type(self)(self.replica, self.replicas)
        delta.dots = self._unsent.copy()
        delta.seen.include(self._touched)
        self._unsent.clear()
        self._touched.clear()
        return delta

    def state(self) -> tuple[object, ...]:
        return self.dots, self.seen.vector, self.seen.early
