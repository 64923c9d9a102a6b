"""What clients carry with them: the marks of a request, a look-aside cache, and a pool of connections.

Both engines run this very code; they hand in the time, so nothing here reads a clock.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from labkit.metastability.clients import Cache, Clients, Pool


class Marks(NamedTuple):
    """Which client process a request comes from, which shard it is for, its class, and its key (-1: not cacheable)."""

    process: int
    shard: int
    kind: int
    key: int


PLAIN = Marks(0, 0, 0, -1)      # where there is one process, one shard, one class and no cache


class Marking:
    """Draws the marks of one request after the other."""

    def __init__(self, clients: Clients, shards: int, classes: Sequence[float], name: str):
        self.processes, self.shards = clients.processes, shards
        self.classes = list(accumulate(classes))[:-1]
        self.rng = random.Random(f"marks {name}")
        self.cache = clients.cache
        self.keys = list(accumulate((k + 1) ** -self.cache.skew for k in range(self.cache.keys))) if self.cache else []
        self.plain = self.processes == self.shards == 1 and not self.classes and not self.cache

    def draw(self) -> Marks:
        if self.plain:
            return PLAIN
        chance = self.rng.random
        process = self.rng.randrange(self.processes) if self.processes > 1 else 0
        shard = self.rng.randrange(self.shards) if self.shards > 1 else 0
        kind = bisect(self.classes, chance()) if self.classes else 0
        key = -1
        if self.cache and chance() < self.cache.hit_ratio:
            key = min(bisect(self.keys, chance() * self.keys[-1]), len(self.keys) - 1)
        return Marks(process, shard, kind, key)


class CacheState:
    """The keys a look-aside cache holds; all of them at first."""

    def __init__(self, cache: Cache):
        self.held = set(range(cache.keys))

    def holds(self, key: int) -> bool:
        return key in self.held

    def store(self, key: int) -> None:
        if key >= 0:
            self.held.add(key)

    def flush(self) -> None:
        self.held.clear()


class PoolState:
    """Open connections and calls on them, of one client process."""

    def __init__(self, pool: Pool):
        self.size, self.open, self.used = pool.size, pool.size, 0

    @property
    def free(self) -> bool:
        return self.used < self.size

    def take(self) -> bool:
        """Take a connection; whether it is a new one, which the server must first accept."""
        self.used += 1
        new = self.open == 0
        self.open -= not new
        return new

    def give_back(self, usable: bool) -> None:
        self.used -= 1
        self.open += usable
