"""When a tombstone may go: causal stability, and what one replica that is away does to it."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Self

from labkit.crdt.sets import Dot
from labkit.crdt.state import Replica, Replicated, json_bytes


class StableORSet(Replicated):
    """An ORSet that drops a tombstone once *every* replica is known to have seen the remove.

    That moment is causal stability (Baquero, Almeida & Shoker 2017, section 5): from then on nobody can send the
    removed add again. Knowing it takes a closed group, and a table of what each replica is known to have seen.
    """

    def __init__(self, replica: Replica, replicas: Collection[Replica]):
        super().__init__(replica, replicas)
        self.live: dict[Dot, Hashable] = {}
        self.tombstones: dict[Dot, Dot] = {}                # the removed add -> the remove
        self.known: dict[Replica, dict[Replica, int]] = {name: {} for name in replicas}

    @property
    def seen(self) -> dict[Replica, int]:
        """How many events of each replica have been seen here."""
        return self.known[self.replica]

    def _next(self) -> Dot:
        self.seen[self.replica] = self.seen.get(self.replica, 0) + 1
        return self.replica, self.seen[self.replica]

    def add(self, item: Hashable) -> None:
        """Add `item` under a new tag."""
        hash(item)
        self.live[self._next()] = item

    def remove(self, item: Hashable) -> None:
        """Bury every tag of `item` that is here."""
        tags = [tag for tag, held in self.live.items() if held == item]
        if tags:
            event = self._next()
            for tag in tags:
                del self.live[tag]
                self.tombstones[tag] = event

    def merge(self, other: Self) -> None:
        self._mergeable(other)
        mine, theirs = self._has, other._has
        buried = self.tombstones | other.tombstones
        live = {tag: item for tag, item in (self.live | other.live).items() if tag not in buried
                and (tag in self.live or not mine(tag)) and (tag in other.live or not theirs(tag))}
        # a tombstone one side has collected is not taken over again: it has seen both the add and the remove
        self.tombstones = {tag: event for tag, event in buried.items() if (tag in self.tombstones or not mine(event))
                           and (tag in other.tombstones or not theirs(event))}
        self.live = live
        for name, row in other.known.items():
            self.known[name] = _largest(self.known[name], row)
        self.known[self.replica] = _largest(self.seen, other.seen)
        self.collect()

    def _has(self, event: Dot) -> bool:
        return event[1] <= self.seen.get(event[0], 0)

    def collect(self) -> None:
        """Drop the tombstones whose remove everybody has seen."""
        stable = {name: min(row.get(name, 0) for row in self.known.values()) for name in self.known}
        self.tombstones = {tag: event for tag, event in self.tombstones.items() if event[1] > stable[event[0]]}

    def value(self) -> set[Hashable]:
        return set(self.live.values())

    def copy(self) -> Self:
        twin = super().copy()
        twin.known = {name: row.copy() for name, row in self.known.items()}
        return twin

    def state(self) -> tuple[object, ...]:
        """What is live and what was seen; the tombstones follow from these, and go at different times."""
        return self.live, self.seen

    def size_bytes(self) -> int:
        """As for every type, with the tombstones and the table of who has seen what."""
        return json_bytes((self.live, self.tombstones, self.known))


def _largest(one: dict[Replica, int], other: dict[Replica, int]) -> dict[Replica, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in one.keys() | other.keys()}
