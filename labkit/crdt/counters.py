"""Counters: each replica counts for itself, and merging takes the larger of each count."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from labkit import ranges
from labkit.crdt.state import Replica, WithDeltas


class Tallies(WithDeltas):
    """Numbers that only grow, each written by one replica only; the merge is the larger of each."""

    def __init__(self, replica: Replica, replicas: Collection[Replica] | None = None):
        super().__init__(replica, replicas)
        self.counts: dict[tuple[Replica, ...], int] = {}
        self._unsent: set[tuple[Replica, ...]] = set()

    def _grow(self, key: tuple[Replica, ...], amount: int) -> None:
        if amount:
            self.counts[key] = self.counts.get(key, 0) + amount
            self._unsent.add(key)

    def merge(self, other: Self) -> None:
        self._mergeable(other)
        for key, count in other.counts.items():
            self.counts[key] = max(self.counts.get(key, 0), count)

    def state(self) -> dict[tuple[Replica, ...], int]:
        return self.counts

    def delta(self) -> Self:
        delta = type(self)(self.replica, self.replicas)
        delta.counts = {key: self.counts[key] for key in self._unsent}
        self._unsent.clear()
        return delta


class GCounter(Tallies):
    """A counter that only grows (RR-7506, specification 6).

    >>> a, b = GCounter("a"), GCounter("b")
    >>> a.increment(2); b.increment(3); a.merge(b); a.merge(b)
    >>> a.value()
    5
    """

    def increment(self, amount: int = 1) -> None:
        """Count `amount` (a whole number >= 0, else ValueError)."""
        ranges.whole("GCounter.increment: amount", amount, 0)
        self._grow((self.replica,), int(amount))

    def value(self) -> int:
        return sum(self.counts.values())


class PNCounter(Tallies):
    """A counter that goes both ways: one that grows for the ups, one for the downs (RR-7506, specification 7).

    Its value may go below zero: two replicas that both have 1 left may both take it.
    """

    def increment(self, amount: int = 1) -> None:
        """Add `amount` (a whole number >= 0, else ValueError: use decrement)."""
        ranges.whole("PNCounter.increment: amount", amount, 0)
        self._grow(("+", self.replica), int(amount))

    def decrement(self, amount: int = 1) -> None:
        """Take `amount` away (a whole number >= 0, else ValueError)."""
        ranges.whole("PNCounter.decrement: amount", amount, 0)
        self._grow(("-", self.replica), int(amount))

    def value(self) -> int:
        return sum(count if key[0] == "+" else -count for key, count in self.counts.items())


class BoundedCounter(Tallies):
    """A counter that never goes below zero, without asking anybody (Balegas et al., SRDS 2015).

    Escrow: an increment makes *rights* at the replica that did it; a decrement uses up rights held here; rights can be
    transferred. Whoever holds no rights says no, although there may be stock elsewhere: that is the price.

    >>> a, b = BoundedCounter("a"), BoundedCounter("b")
    >>> a.increment(5); moved = a.transfer(2, "b"); b.merge(a)
    >>> b.decrement(3), b.decrement(2), b.value()
    (False, True, 3)
    """

    def increment(self, amount: int = 1) -> None:
        """Add `amount` (a whole number >= 0, else ValueError) and hold the rights to it."""
        ranges.whole("BoundedCounter.increment: amount", amount, 0)
        self._grow(("gives", self.replica, self.replica), int(amount))

    def decrement(self, amount: int = 1) -> bool:
        """Take `amount` (a whole number >= 0, else ValueError) away if the rights are here; say whether it did."""
        ranges.whole("BoundedCounter.decrement: amount", amount, 0)
        if amount > self.rights():
            return False
        self._grow(("used", self.replica), int(amount))
        return True

    def transfer(self, amount: int, to: Replica) -> bool:
        """Hand the rights to `amount` over to another replica, if held here; they arrive with the next merge there.

        Raises ValueError for an amount < 0, for a transfer to oneself, and for an unknown replica of a closed group.
        """
        ranges.whole("BoundedCounter.transfer: amount", amount, 0)
        self._known(to)
        if to == self.replica:
            raise ValueError(f"BoundedCounter.transfer: to = {to!r}: must be another replica")
        if amount > self.rights():
            return False
        self._grow(("gives", self.replica, to), int(amount))
        return True

    def rights(self, replica: Replica | None = None) -> int:
        """What `replica` (None: this one) may still take away, as far as is known here."""
        who = self.replica if replica is None else replica
        held = 0
        for key, count in self.counts.items():
            if key == ("used", who) or (key[0] == "gives" and key[1] == who != key[2]):
                held -= count
            elif key[0] == "gives" and key[2] == who:
                held += count
        return held

    def value(self) -> int:
        made = sum(count for key, count in self.counts.items() if key[0] == "gives" and key[1] == key[2])
        return made - sum(count for key, count in self.counts.items() if key[0] == "used")
