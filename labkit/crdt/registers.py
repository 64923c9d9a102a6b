"""Registers and maps: what to keep when two replicas write the same place at the same time."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, Self

from labkit import ranges
from labkit.crdt.sets import Context, Dot
from labkit.crdt.state import Replica, Replicated, WithDeltas, rank


class Entry(NamedTuple):
    """A write: its stamp (timestamp, replica), and the value or None for a delete."""

    timestamp: float
    replica: Replica
    value: Any
    deleted: bool = False

    @property
    def order(self) -> tuple[float, tuple[bool, Replica]]:
        return self.timestamp, rank(self.replica)


class LWWMap(WithDeltas):
    """A map in which the last writer wins (RR-7506, specification 8): the larger timestamp, then the larger replica id.

    A write that loses is gone, acknowledged or not. A deleted key keeps its stamp, or an old write would revive it.
    """

    def __init__(self, replica: Replica, replicas: Collection[Replica] | None = None):
        super().__init__(replica, replicas)
        self.entries: dict[Hashable, Entry] = {}
        self.clock: float = 0
        self._unsent: set[Hashable] = set()

    def set(self, key: Hashable, value: Any, timestamp: float | None = None) -> None:
        """Write `value` at `timestamp`, in any unit, the same everywhere; None is one more than the largest seen here.

        Raises ValueError if this replica wrote another value under that very timestamp: neither would be the later.
        """
        self._write(key, self._entry(value, timestamp, False))

    def delete(self, key: Hashable, timestamp: float | None = None) -> None:
        """Delete `key`: a write of "nothing", with the same rules."""
        self._write(key, self._entry(None, timestamp, True))

    def _entry(self, value: Any, timestamp: float | None, deleted: bool) -> Entry:
        if timestamp is None:
            timestamp = self.clock + 1
        ranges.number("LWWMap: timestamp", timestamp, float("-inf"))
        return Entry(timestamp, self.replica, value, deleted)

    def _write(self, key: Hashable, entry: Entry) -> None:
        self._one_winner(key, entry)
        self._take(key, entry)
        self._unsent.add(key)

    def _one_winner(self, key: Hashable, entry: Entry) -> None:
        held = self.entries.get(key)
        if held is not None and held[:2] == entry[:2] and held != entry:
            raise ValueError(f"LWWMap: key = {key!r} has two values with the stamp {entry[:2]!r}, {held.value!r} and "
                             f"{entry.value!r}: a replica must use each timestamp once")

    def _take(self, key: Hashable, entry: Entry) -> None:
        held = self.entries.get(key)
        if held is None or entry.order > held.order:
            self.entries[key] = entry
        self.clock = max(self.clock, entry.timestamp)

    def get(self, key: Hashable, default: Any = None) -> Any:
        """The value of `key`, or `default` if it was never set or is deleted."""
        held = self.entries.get(key)
        return default if held is None or held.deleted else held.value

    def value(self) -> dict[Hashable, Any]:
        return {key: entry.value for key, entry in self.entries.items() if not entry.deleted}

    def merge(self, other: Self) -> None:
        """Keep the later write of each key; ValueError, and no change, if one stamp has two values."""
        self._mergeable(other)
        for key, entry in other.entries.items():
            self._one_winner(key, entry)
        for key, entry in other.entries.items():
            self._take(key, entry)

    def delta(self) -> Self:
        delta = type(self)(self.replica, self.replicas)
        delta.entries = {key: self.entries[key] for key in self._unsent}
        self._unsent.clear()
        return delta

    def state(self) -> dict[Hashable, Entry]:
        return self.entries


class MVRegister(Replicated):
    """A register that keeps every value nobody has seen and overwritten (Dynamo's siblings; RR-7506, spec. 10)."""

    def __init__(self, replica: Replica, replicas: Collection[Replica] | None = None):
        super().__init__(replica, replicas)
        self.siblings: dict[Dot, Hashable] = {}
        self.seen = Context()

    def value(self) -> AbstractSet[Hashable]:
        """The values written at the same time: one, unless there is a conflict for the reader to settle."""
        return {*self.siblings.values()}

    def set(self, value: Hashable) -> None:
        """Overwrite what is seen here."""
        hash(value)
        self.siblings = {self.seen.next_dot(self.replica): value}

    def merge(self, other: Self) -> None:
        self._mergeable(other)
        mine = {dot: value for dot, value in self.siblings.items() if dot in other.siblings or dot not in other.seen}
        theirs = {dot: value for dot, value in other.siblings.items() if dot in self.siblings or dot not in self.seen}
        self.siblings = mine | theirs
        self.seen.union(other.seen)

    def state(self) -> tuple[object, ...]:
        return self.siblings, self.seen.vector, self.seen.early
