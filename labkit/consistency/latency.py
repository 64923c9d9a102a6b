"""Latency of a quorum by formula: the k-th fastest of n round trips made in parallel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit import ranges
from labkit.consistency.distributions import Constant, Distribution, Exponential, quantile

Floats = npt.NDArray[Any]
POINTS = 1 << 17


@dataclass(frozen=True, eq=False)
class OrderStatistic:
    """The k-th smallest of n independent delays. x: delays (ms, rising); below: P(k-th smallest <= x); mean: ms."""

    n: int
    k: int
    x: Floats
    below: Floats
    mean: float

    def cdf(self, x: npt.ArrayLike) -> Floats:
        """P(k-th smallest <= x), x in ms."""
        return np.asarray(np.interp(np.asarray(x, dtype=float), self.x, self.below, left=0.0, right=1.0))

    def quantile(self, q: float) -> float:
        """The delay (ms) within which a share q (0 to 1) of the operations finishes."""
        ranges.number("q", q, 0, 1)
        return float(self.x[min(int(np.searchsorted(self.below, q)), len(self.x) - 1)])


def order_statistic(n: int, k: int, *legs: Distribution) -> OrderStatistic:
    """The k-th of n round trips, each the sum of independent `legs` (default: one Exponential of mean 1 ms).

    With F the distribution of a round trip, P(k-th <= x) = sum over i >= k of C(n, i) F^i (1 - F)^(n - i)
    (David & Nagaraja, "Order Statistics", 2003, section 2.1). F is exact for one random leg and otherwise a
    numeric convolution; the mean of one exponential leg is the closed form of `exponential_mean`.
    Raises ValueError unless 1 <= k <= n.

    >>> round(order_statistic(5, 3, Exponential(10)).mean, 2), round(order_statistic(3, 1, Constant(7)).mean, 2)
    (7.83, 7.0)
    """
    ranges.whole("n", n, 1)
    ranges.whole("k", k, 1, n)
    legs = legs or (Exponential(1.0),)
    shift = float(sum(leg.ms for leg in legs if isinstance(leg, Constant)))
    moving = [leg for leg in legs if not isinstance(leg, Constant)]
    if not moving:
        return OrderStatistic(n, k, np.array([shift, shift]), np.array([1.0, 1.0]), shift)
    x, survival = _sum(moving)
    below = at_least(n, k, 1 - survival)
    mean = float(np.sum((1 - below[1:] + 1 - below[:-1]) / 2 * np.diff(x)))
    if len(moving) == 1 and isinstance(moving[0], Exponential):
        mean = exponential_mean(n, k, moving[0].mean)
    return OrderStatistic(n, k, x + shift, below, mean + shift)


def exponential_mean(n: int, k: int, mean: float) -> float:
    """Mean of the k-th of n exponential delays: mean x (1/n + 1/(n-1) + ... + 1/(n-k+1)). Renyi, 1953."""
    return mean * sum(1 / (n - i) for i in range(k))


def at_least(n: int, k: int, p: npt.ArrayLike) -> Floats:
    """P(at least k of n independent events, each of probability p)."""
    p = np.asarray(p, dtype=float)
    return np.asarray(sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)))


def _sum(legs: Sequence[Distribution]) -> tuple[Floats, Floats]:
    """Delays and their survival for the sum of independent legs."""
    top = sum(float(quantile(leg, 1e-7)) for leg in legs)
    if len(legs) == 1:
        x = np.concatenate([[0.0], np.geomspace(top * 1e-8, top, POINTS - 1)])
        return x, legs[0].sf(x)
    x = np.linspace(0, top, POINTS)
    spectrum: Any = 1.0
    for leg in legs:
        mass = np.diff(1 - leg.sf(x), prepend=0.0)
        spectrum = spectrum * np.fft.rfft(mass, 2 * POINTS)
    total = np.cumsum(np.fft.irfft(spectrum, 2 * POINTS)[:POINTS])
    half = (len(legs) * x[1]) / 2           # each leg's mass lies half a step before the end of its cell
    return np.maximum(x - half, 0), np.clip(1 - total, 0.0, 1.0)
