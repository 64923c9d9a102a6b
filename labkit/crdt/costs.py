"""The bill for merging without asking: writes that a clock throws away, and metadata that never goes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit import ranges
from labkit.crdt.garbage import StableORSet
from labkit.crdt.registers import LWWMap
from labkit.crdt.sets import ORSWOT, ORSet

# The world of the loss: three replicas that share every write at once, so that only the clocks can be wrong.
REPLICAS, KEYS, RATE, WRITES = 3, 4, 10.0, 60       # RATE: writes a second over all keys


def lww_loss(skew: float, rate: float = RATE, trials: int = 200, seed: int = 0) -> tuple[float, float]:
    """Share of keys that end on another value than the last one written, and its standard error.

    skew: standard deviation of each replica's clock (s, >= 0)    rate: writes a second over all keys (> 0)
    60 writes to 4 keys at 3 replicas.
    """
    ranges.number("costs.lww_loss: skew", skew, 0)
    ranges.number("costs.lww_loss: rate", rate, 0, above=True)
    ranges.whole("costs.lww_loss: trials", trials, 2)
    shares = np.array([_lost_share(skew, rate, random.Random(1_000_003 * seed + i)) for i in range(trials)])
    return float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(trials))


def _lost_share(skew: float, rate: float, rng: random.Random) -> float:
    clocks = [rng.gauss(0, skew) if skew else 0.0 for _ in range(REPLICAS)]
    replicas, everybody = [LWWMap(i) for i in range(REPLICAS)], LWWMap("everybody")
    now, last = 0.0, {}
    for number in range(WRITES):
        now += rng.expovariate(rate)
        key, i = rng.randrange(KEYS), rng.randrange(REPLICAS)
        replicas[i].set(key, number, now + clocks[i])
        everybody.merge_delta(replicas[i].delta())
        last[key] = number
    lost = sum(everybody.get(key) != number for key, number in last.items())
    return float(lost / len(last))


def expected_lww_loss(skew: float, rate: float = RATE, draws: int = 200_000, seed: int = 0) -> float:
    """The same share by formula: 1 - E[exp(-(rate / replicas) sum over the others of max(0, their clock - mine))].

    The last write loses if some replica whose clock is ahead by d wrote the key within the last d seconds; such writes
    are a Poisson process. The mean over the clocks is taken over `draws` of them; ages are cut off at the run's length.
    """
    ranges.number("costs.expected_lww_loss: skew", skew, 0)
    clocks = np.random.default_rng(seed).normal(0, 1, (draws, REPLICAS)) * skew
    ahead = np.clip(clocks[:, 1:] - clocks[:, :1], 0, (WRITES - KEYS) / rate).sum(axis=1)
    return float(1 - np.exp(-rate / KEYS / REPLICAS * ahead).mean())


@dataclass(frozen=True)
class Growth:
    """One replica's metadata over a run, sampled: `operations` done, `live` items, and per type tombstones and bytes.

    Lists of equal length; means over the replicas.
    """

    operations: list[int]
    live: list[float]
    tombstones: dict[str, list[float]]
    size: dict[str, list[float]]

    def summary(self) -> str:
        """One line with the numbers at the end."""
        parts = [f"{name} {self.size[name][-1]:,.0f} B" + (f", {self.tombstones[name][-1]:,.0f} tombstones"
                 if name in self.tombstones else "") for name in self.size]
        return f"after {self.operations[-1]:,} operations, {self.live[-1]:.0f} items live: " + "; ".join(parts)


def growth(operations: int = 400, replicas: int = 4, items: int = 20, removes: float = 0.5, exchanges: int = 3,
           away: tuple[int, int] | None = None, samples: int = 20, seed: int = 0,
           progress: Callable[[range], range] = lambda steps: steps) -> Growth:
    """The same adds, removes and exchanges for three sets: ORSet, ORSet with collection, ORSWOT.

    removes: share of operations that remove (0 to 1)    exchanges: random two-way merges after each operation
    away: (first, last) operation during which replica 0 talks to nobody    samples: how often to measure
    """
    ranges.whole("costs.growth: operations", operations, samples)
    ranges.whole("costs.growth: replicas", replicas, 2)
    ranges.number("costs.growth: removes", removes, 0, 1)
    rng, names = random.Random(seed), range(replicas)
    sets: dict[str, list[Any]] = {
        "ORSet": [ORSet(i) for i in names], "ORSet, collected": [StableORSet(i, names) for i in names],
        "ORSWOT": [ORSWOT(i) for i in names]}
    out = Growth([], [], {"ORSet": [], "ORSet, collected": []}, {name: [] for name in sets})
    for t in progress(range(operations)):
        who, item = rng.randrange(replicas), rng.randrange(items)
        kind = "remove" if rng.random() < removes else "add"
        pairs = [rng.sample(names, 2) for _ in range(exchanges)]
        for group in sets.values():
            getattr(group[who], kind)(item)
            for a, b in pairs:
                if away is None or not away[0] <= t < away[1] or 0 not in (a, b):
                    group[a].merge(group[b])
                    group[b].merge(group[a])
        if (t + 1) * samples // operations > t * samples // operations:
            _measure(out, sets, t + 1)
    return out


def _measure(out: Growth, sets: dict[str, list[Any]], count: int) -> None:
    out.operations.append(count)
    out.live.append(_mean([len(one.value()) for one in sets["ORSWOT"]]))
    for name, group in sets.items():
        out.size[name].append(_mean([one.size_bytes() for one in group]))
        if name in out.tombstones:
            out.tombstones[name].append(_mean([len(one.tombstones) for one in group]))


def _mean(numbers: list[int]) -> float:
    return sum(numbers) / len(numbers)
