"""How long a message takes: a few distributions, in milliseconds, each with its survival function and its draws."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit import ranges

Floats = npt.NDArray[Any]


@dataclass(frozen=True)
class Constant:
    """Always `ms` (>= 0)."""

    ms: float

    def __post_init__(self) -> None:
        ranges.number("Constant.ms", self.ms, 0)

    @property
    def mean(self) -> float:
        return self.ms

    def sf(self, x: npt.ArrayLike) -> Floats:
        """P(delay > x)."""
        return np.where(np.asarray(x, dtype=float) < self.ms, 1.0, 0.0)

    def one(self, rng: random.Random) -> float:
        return self.ms


@dataclass(frozen=True)
class Exponential:
    """Exponential with the given `mean` (ms, > 0)."""

    mean: float

    def __post_init__(self) -> None:
        ranges.number("Exponential.mean", self.mean, 0, above=True)

    def sf(self, x: npt.ArrayLike) -> Floats:
        """P(delay > x)."""
        return np.asarray(np.exp(-np.maximum(np.asarray(x, dtype=float), 0) / self.mean))

    def one(self, rng: random.Random) -> float:
        return -self.mean * math.log(1.0 - rng.random())


@dataclass(frozen=True)
class Pareto:
    """P(delay > x) = (scale / x)^shape for x >= scale (ms, > 0); shape > 1, so that there is a mean."""

    scale: float
    shape: float

    def __post_init__(self) -> None:
        ranges.number("Pareto.scale", self.scale, 0, above=True)
        ranges.number("Pareto.shape", self.shape, 1, above=True)

    @property
    def mean(self) -> float:
        return self.scale * self.shape / (self.shape - 1)

    def sf(self, x: npt.ArrayLike) -> Floats:
        """P(delay > x)."""
        return np.asarray((self.scale / np.maximum(np.asarray(x, dtype=float), self.scale)) ** self.shape)

    def one(self, rng: random.Random) -> float:
        return self.scale * math.pow(1.0 - rng.random(), -1.0 / self.shape)


@dataclass(frozen=True)
class Mixture:
    """`body` with probability `share` (0 to 1), else `tail`: how production latencies are usually fitted."""

    share: float
    body: Pareto | Exponential | Constant
    tail: Pareto | Exponential | Constant

    def __post_init__(self) -> None:
        ranges.number("Mixture.share", self.share, 0, 1)

    @property
    def mean(self) -> float:
        return self.share * self.body.mean + (1 - self.share) * self.tail.mean

    def sf(self, x: npt.ArrayLike) -> Floats:
        """P(delay > x)."""
        return self.share * self.body.sf(x) + (1 - self.share) * self.tail.sf(x)

    def one(self, rng: random.Random) -> float:
        return (self.body if rng.random() < self.share else self.tail).one(rng)


Distribution = Constant | Exponential | Pareto | Mixture


@lru_cache(maxsize=64)
def _inverse(distribution: Distribution) -> tuple[Floats, Floats]:
    """(-log survival, delay) on a fine grid, to interpolate between: monotone, and exact far into the tail."""
    x = np.concatenate([[0.0], np.geomspace(1e-4, 1e8, 80_000)])
    survival = distribution.sf(x)
    kept = survival > 1e-14
    depth = -np.log(survival[kept])
    first = np.concatenate([[True], np.diff(depth) > 0])
    return depth[first], x[kept][first]


def quantile(distribution: Distribution, survival: npt.ArrayLike) -> Floats:
    """The delay (ms) that is exceeded with probability `survival` (0 < survival <= 1)."""
    if isinstance(distribution, Constant):
        return np.full(np.shape(survival), distribution.ms)
    return np.asarray(np.interp(-np.log(np.asarray(survival, dtype=float)), *_inverse(distribution)))


# Fits of one-way delays at LinkedIn and Yammer: Bailis et al., "Probabilistically Bounded Staleness for Practical
# Partial Quorums", VLDB 2012, table 3. A rate `lambda` there is 1 / mean here. YMMR's write fit has the Pareto shape
# 3.5 of the authors' simulator; the table prints 3.35, which does not give the text's 89.3 %.
SSD = Mixture(0.9122, Pareto(0.235, 10), Exponential(1 / 1.66))
DISK = Mixture(0.38, Pareto(1.05, 1.51), Exponential(1 / 0.183))
YAMMER_WRITE = Mixture(0.939, Pareto(3, 3.5), Exponential(1 / 0.0028))
YAMMER_OTHER = Mixture(0.982, Pareto(1.5, 3.8), Exponential(1 / 0.0217))
