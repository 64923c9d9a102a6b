"""One rumour among n, simulated: what `theory` is held against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from labkit import ranges
from labkit.crdt.gossip import theory


def spread(n: int, mode: str, p: float = 1.0, trials: int = 20, seed: int = 0) -> npt.NDArray[np.int64]:
    """How many of `n` know it after 0, 1, 2 ... synchronous rounds: one row per round, one column per trial.

    Each round each replica calls one other, at random; a call succeeds with chance `p` in (0, 1].
    mode: "push" (callers tell), "pull" (callers ask) or "push_pull" (both)
    """
    theory.check(n, mode, p)
    ranges.whole("rumour.spread: trials", trials, 1)
    rng = np.random.default_rng(seed)
    informed = np.zeros((trials, n), bool)
    informed[:, 0] = True
    counts = [informed.sum(axis=1)]
    while not informed.all():
        called = (np.arange(n) + rng.integers(1, n, (trials, n))) % n
        works = rng.random((trials, n)) < p
        news = informed.copy()
        if mode != "pull":
            rows, callers = np.nonzero(informed & works)
            news[rows, called[rows, callers]] = True
        if mode != "push":
            news |= works & np.take_along_axis(informed, called, axis=1)
        informed = news
        counts.append(informed.sum(axis=1))
    return np.array(counts)


def rounds(n: int, mode: str, p: float = 1.0, trials: int = 200, seed: int = 0) -> npt.NDArray[np.int64]:
    """Rounds until all `n` know it, once per trial; parameters as for `spread`."""
    return np.asarray((spread(n, mode, p, trials, seed) < n).sum(axis=0))


def exchanges(n: int, trials: int = 200, seed: int = 0, everybody: bool = False) -> npt.NDArray[np.int64]:
    """Random pair exchanges until all `n` know the rumour, once per trial.

    everybody: each replica starts with a rumour of its own, and all must know all of them.
    """
    ranges.whole("rumour.exchanges: n", n, 2)
    ranges.whole("rumour.exchanges: trials", trials, 1)
    rng = np.random.default_rng(seed)
    return np.array([_one(n, rng, everybody) for _ in range(trials)])


def _one(n: int, rng: np.random.Generator, everybody: bool) -> int:
    knows = [1 << i for i in range(n)] if everybody else [1] + [0] * (n - 1)
    full = (1 << n) - 1 if everybody else 1
    unsure, count = n - knows.count(full), 0
    while unsure:
        for i, step in zip(rng.integers(0, n, 256).tolist(), rng.integers(1, n, 256).tolist(), strict=True):
            j = (i + step) % n
            both = knows[i] | knows[j]
            unsure -= (both == full) * ((knows[i] != full) + (knows[j] != full))
            knows[i] = knows[j] = both
            count += 1
            if not unsure:
                break
    return count
