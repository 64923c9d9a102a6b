"""Operation-based types (CmRDT): ship the update, not the state. Small messages, and a promise the network must keep.

Every message has to reach every replica *exactly once*, and after the messages its sender had seen (Shapiro et al.
2011, section 2.2.2). What happens without that promise is what `labkit.crdt.assumptions` finds out.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from labkit import ranges
from labkit.crdt.sets import Dot
from labkit.crdt.state import Replica, Replicated

Message = tuple[Any, ...]


class OpCounter(Replicated):
    """A counter whose messages are numbers to add."""

    def __init__(self, replica: Replica):
        super().__init__(replica)
        self.total = 0

    def increment(self, amount: int = 1) -> Message:
        """Count `amount` (whole, >= 0) here, and return the message for all the others."""
        ranges.whole("OpCounter.increment: amount", amount, 0)
        return self._do(("count", int(amount)))

    def decrement(self, amount: int = 1) -> Message:
        """Count `amount` (whole, >= 0) down here, and return the message for all the others."""
        ranges.whole("OpCounter.decrement: amount", amount, 0)
        return self._do(("count", -int(amount)))

    def _do(self, message: Message) -> Message:
        self.apply(message)
        return message

    def apply(self, message: Message) -> None:
        """Do what another replica did."""
        self.total += message[1]

    def value(self) -> int:
        return self.total

    def state(self) -> int:
        return self.total


class OpSet(Replicated):
    """An add-wins set whose messages are "add this tag" and "remove these tags" (RR-7506, specification 15)."""

    def __init__(self, replica: Replica):
        super().__init__(replica)
        self.live: dict[Dot, Hashable] = {}
        self._adds = 0

    def add(self, item: Hashable) -> Message:
        """Add `item` here, and return the message for all the others."""
        hash(item)
        self._adds += 1
        return self._do(("add", item, (self.replica, self._adds)))

    def remove(self, item: Hashable) -> Message:
        """Remove the adds of `item` seen here, and return the message for all the others."""
        return self._do(("remove", item, frozenset(tag for tag, held in self.live.items() if held == item)))

    def _do(self, message: Message) -> Message:
        self.apply(message)
        return message

    def apply(self, message: Message) -> None:
        """Do what another replica did."""
        kind, item, tags = message
        if kind == "add":
            self.live[tags] = item
        else:
            for tag in tags:
                self.live.pop(tag, None)

    def value(self) -> set[Hashable]:
        return set(self.live.values())

    def state(self) -> dict[Dot, Hashable]:
        return self.live
