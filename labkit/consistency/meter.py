"""What a check may cost: a deadline, and a bound on what its engines remember. Both end it by raising `Spent`."""

from __future__ import annotations

import math
import time

MEMORY = 400_000_000        # bytes that the engines of one check may remember together
LOOK = 1_000                # units of work between two looks at the clock; a unit is about a microsecond


class Spent(Exception):
    """There is no answer within the bounds; `bound` is "time" or "memory"."""

    def __init__(self, bound: str):
        super().__init__(bound)
        self.bound = bound


class Memory:
    """What is remembered together, bytes, of at most `limit`."""

    def __init__(self, limit: float = math.inf):
        self.limit, self.total = limit, 0


class Meter:
    """Counts the work and the memory of one engine.

    deadline: on `time.monotonic`'s clock (s). work: units spent so far. walked: events behind it, for who compares.
    """

    def __init__(self, deadline: float = math.inf, memory: Memory | None = None):
        self.deadline, self.memory = deadline, memory or Memory()
        self.work, self.walked, self.bytes, self.next_look = 0, 0, 0, LOOK

    def spend(self, units: int = 1) -> None:
        """Account for work; raises `Spent` soon after the deadline."""
        self.work += units
        if self.work >= self.next_look:
            self.look()

    def look(self) -> None:
        """Raise `Spent` if the deadline is over."""
        self.next_look = self.work + LOOK
        if time.monotonic() > self.deadline:
            raise Spent("time")

    def hold(self, count: int) -> None:
        """Say how many bytes are remembered now; raises `Spent` if all engines together hold too many."""
        self.memory.total += count - self.bytes
        self.bytes = count
        if self.memory.total > self.memory.limit:
            raise Spent("memory")

    def release(self) -> None:
        """Nothing is remembered any more."""
        self.memory.total -= self.bytes
        self.bytes = 0
