"""How stale, how often: probabilistically bounded staleness (PBS) of partial quorums, by Monte Carlo.

Bailis, Venkataraman, Franklin, Hellerstein & Stoica, "Probabilistically Bounded Staleness for Practical Partial
Quorums", VLDB 2012 (sections 3 and 4 for the formulas, 5 for the fits).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit import ranges
from labkit.consistency.distributions import DISK, SSD, YAMMER_OTHER, YAMMER_WRITE, Distribution, quantile

Floats = npt.NDArray[Any]
BLOCK = 1 << 14         # trials at a time: they stay in the processor's cache
CELLS = 1 << 16         # of the quantile tables
EXACT = 16              # the last cells, 0.02 % of the draws, are drawn exactly: the tail is what we ask about


@dataclass(frozen=True)
class Wars:
    """One-way delays (ms) between coordinator and replica: write, ack, read, reply (the paper's W, A, R, S).

    remote: ms added each way for every replica but one, the local one, drawn anew for each write and each read.
    """

    write: Distribution
    ack: Distribution
    read: Distribution
    reply: Distribution
    remote: float = 0.0

    def __post_init__(self) -> None:
        for name in ("write", "ack", "read", "reply"):
            ranges.instance(f"Wars.{name}", getattr(self, name), Distribution.__args__)
        ranges.number("Wars.remote", self.remote, 0)


MODELS = {
    "LNKD-SSD": Wars(SSD, SSD, SSD, SSD),
    "LNKD-DISK": Wars(DISK, SSD, SSD, SSD),
    "YMMR": Wars(YAMMER_WRITE, YAMMER_OTHER, YAMMER_OTHER, YAMMER_OTHER),
    "WAN": Wars(DISK, SSD, SSD, SSD, remote=75.0),
}


@dataclass(frozen=True, eq=False)
class Staleness:
    """What came out of `pbs`: arrays of one number (ms) per trial.

    read, write: latencies. needed: how long after a write's commit a read must start to see it (< 0: it may even
    start before).
    """

    n: int
    r: int
    w: int
    read: Floats
    write: Floats
    needed: Floats

    @cached_property
    def _sorted(self) -> Floats:
        return np.sort(self.needed)

    def read_latency(self, q: float = 0.999) -> float:
        """The q-quantile of the latency of reads, ms."""
        return _nearest(self.read, q)

    def write_latency(self, q: float = 0.999) -> float:
        """The q-quantile of the latency of writes, ms."""
        return _nearest(self.write, q)

    def t_visibility(self, q: float = 0.999) -> float:
        """ms to wait after a commit so that a share q of the reads is fresh; 0 if none needs to wait."""
        return max(0.0, _nearest(self.needed, q))

    def t_interval(self, q: float = 0.999, z: float = 1.96) -> tuple[float, float]:
        """Confidence interval of `t_visibility` by order statistics, z standard errors wide each way."""
        trials = len(self.needed)
        half = z * math.sqrt(trials * q * (1 - q))
        low, high = (min(max(int(q * trials + side * half), 0), trials - 1) for side in (-1, 1))
        return max(0.0, float(self._sorted[low])), max(0.0, float(self._sorted[high]))

    def p_fresh(self, t: npt.ArrayLike) -> Floats:
        """Share of the reads that see the write if they start t ms after its commit: the whole curve at once."""
        return np.asarray(np.searchsorted(self._sorted, np.asarray(t, dtype=float), side="right") / len(self._sorted))

    def p_error(self, t: npt.ArrayLike) -> Floats:
        """One standard error of `p_fresh`."""
        p = self.p_fresh(t)
        return np.asarray(np.sqrt(p * (1 - p) / len(self.needed)))

    def summary(self) -> str:
        low, high = self.t_interval()
        wait = f"{self.t_visibility():.4g} ms (95 %: {low:.4g} to {high:.4g})" if high else "0 ms"
        return (f"N={self.n} R={self.r} W={self.w}: 99.9 % of reads within {self.read_latency():.2f} ms, of writes "
                f"{self.write_latency():.2f} ms; fresh at once {float(self.p_fresh(0)):.1%}, 99.9 % fresh after {wait}")


def pbs(n: int, r: int, w: int, model: str | Wars = "LNKD-DISK", trials: int = 1_000_000, seed: int = 1) -> Staleness:
    """Send one write and one read through n replicas `trials` times.

    The write commits at the w-th smallest W + A. A read started t later hears first from the r replicas with the
    smallest R + S; it is stale if the write reached each of those after the read did: commit + t + R < W. So the
    t a trial needs is min over those replicas of (W - R), minus commit: the whole t-visibility curve in one pass.

    model: a fit of the paper ("LNKD-SSD", "LNKD-DISK", "YMMR", "WAN") or your own `Wars`. Not modelled, as in the
    paper: read repair, failures, other writes. Raises ValueError unless 1 <= r, w <= n.
    """
    ranges.whole("n", n, 1, 32)
    ranges.whole("r", r, 1, n)
    ranges.whole("w", w, 1, n)
    ranges.whole("trials", trials, 1)
    if isinstance(model, str):
        ranges.one_of("model", model, MODELS)
        model = MODELS[model]
    ranges.instance("model", model, Wars)
    rng = np.random.Generator(np.random.SFC64(seed))
    read, write, needed = (np.empty(trials, dtype=np.float32) for _ in range(3))
    for start in range(0, trials, BLOCK):
        some = slice(start, min(start + BLOCK, trials))
        read[some], write[some], needed[some] = _block(n, r, w, model, some.stop - some.start, rng)
    return Staleness(n, r, w, read, write, needed)


def _block(n: int, r: int, w: int, model: Wars, trials: int, rng: np.random.Generator) -> tuple[Floats, ...]:
    shape = (n, trials)
    to_write, ack, to_read, reply = (_draw(d, shape, rng) for d in (model.write, model.ack, model.read, model.reply))
    if model.remote:
        for there, back in ((to_write, ack), (to_read, reply)):
            far = np.full(shape, model.remote, dtype=np.float32)
            far[rng.integers(0, n, trials), np.arange(trials)] = 0
            there += far
            back += far
    commit = smallest(to_write + ack, w)
    round_trip = to_read + reply
    latency = smallest(round_trip, r)
    lead = to_write - to_read
    if r < n:
        lead[round_trip > latency] = np.inf
    return latency, commit, lead.min(axis=0) - commit


def smallest(x: Floats, k: int) -> Floats:
    """The k-th smallest of each column, by a sorting network: for a few rows much faster than sorting."""
    rows = list(x)
    for last in range(len(rows) - 1, 0, -1):
        for i in range(last):
            rows[i], rows[i + 1] = np.minimum(rows[i], rows[i + 1]), np.maximum(rows[i], rows[i + 1])
        if last < k:
            break
    return np.asarray(rows[k - 1])


@lru_cache(maxsize=64)
def _table(distribution: Distribution) -> Floats:
    return quantile(distribution, 1 - (np.arange(CELLS) + 0.5) / CELLS).astype(np.float32)


def _draw(distribution: Distribution, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draws from a table of 2^16 quantiles, except for the tail."""
    size = shape[0] * shape[1]
    raw = rng.bit_generator.random_raw((size + 3) // 4)
    cell = np.asarray(raw).view(np.uint16)[:size]
    values = _table(distribution).take(cell)
    tail = np.flatnonzero(cell >= CELLS - EXACT)
    values[tail] = quantile(distribution, (1 - rng.random(len(tail))) * EXACT / CELLS)
    return values.reshape(shape)


def k_staleness(n: int, r: int, w: int, k: int) -> float:
    """P(a read returns one of the last k versions): 1 - (C(n - w, r) / C(n, r))^k, section 3.1, equation 2.

    For quorums chosen at random and writes that reach nobody but their quorum: the pessimist's bound.

    >>> [round(k_staleness(3, 1, 1, k), 3) for k in (1, 2, 3)]
    [0.333, 0.556, 0.704]
    """
    ranges.whole("n", n, 1)
    ranges.whole("r", r, 1, n)
    ranges.whole("w", w, 1, n)
    ranges.whole("k", k, 1)
    return 1.0 - (math.comb(n - w, r) / math.comb(n, r)) ** k


def _nearest(values: Floats, q: float) -> float:
    ranges.number("q", q, 0, 1)
    rank = min(int(q * len(values)), len(values) - 1)
    return float(np.partition(values, rank)[rank])


# Table 4 of the paper, N = 3: (R, W) -> 99.9th percentile latency of reads, of writes, and t-visibility (ms).
PAPER: dict[str, dict[tuple[int, int], tuple[float, float, float]]] = {
    "LNKD-SSD": {(1, 1): (0.66, 0.66, 1.85), (1, 2): (0.66, 1.63, 1.79), (2, 1): (1.63, 0.65, 0),
                 (2, 2): (1.62, 1.64, 0), (3, 1): (4.14, 0.65, 0), (1, 3): (0.65, 4.09, 0)},
    "LNKD-DISK": {(1, 1): (0.66, 10.99, 45.5), (1, 2): (0.65, 20.97, 43.3), (2, 1): (1.63, 10.9, 13.6),
                  (2, 2): (1.64, 20.96, 0), (3, 1): (4.12, 10.89, 0), (1, 3): (0.65, 112.65, 0)},
    "YMMR": {(1, 1): (5.58, 10.83, 1364), (1, 2): (5.61, 427.12, 1352), (2, 1): (32.6, 10.73, 202),
             (2, 2): (33.18, 428.11, 0), (3, 1): (219.27, 10.79, 0), (1, 3): (5.63, 1870.86, 0)},
    "WAN": {(1, 1): (3.4, 55.12, 113), (1, 2): (3.4, 167.64, 0), (2, 1): (151.3, 56.36, 30.2),
            (2, 2): (151.31, 167.72, 0), (3, 1): (153.86, 55.19, 0), (1, 3): (3.44, 241.55, 0)},
}
