"""Is a router any good? Judged by what the models then answered, with intervals, and held against prompt length.

Offline only: the gateway never imports this.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from labkit import ranges
from labkit.files import data
from labkit.gateway.routing.routers import CascadeRouter, LearnedRouter, LengthRouter, Router

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """How a router did.

    curve: a row per share of prompts sent to the strong model: share, quality (mean score of the answers), cost ($ per
    1,000 prompts; NaN without costs), gap (share of the weak-strong gap closed). auc: probability that a prompt that
    needs the strong model scores higher than one that does not; 0.5 is chance. half: share of strong calls that closes
    half of the gap. better_by: AUC minus that of prompt length, on the same prompts. Intervals are 95 %, from
    resampled prompts (percentile bootstrap, Efron 1979).
    """

    curve: pd.DataFrame
    auc: float
    auc_interval: tuple[float, float]
    half: float
    half_interval: tuple[float, float]
    better_by: float
    better_interval: tuple[float, float]
    prompts: int
    needs: int

    @property
    def verdict(self) -> str:
        """The gate: a router that is not surely better than counting words is said to be so."""
        low, high = self.better_interval
        if low > 0:
            return "better than prompt length"
        return "worse than prompt length" if high < 0 else "no better than prompt length"

    def __repr__(self) -> str:
        (a, b), (c, d), (e, f) = self.auc_interval, self.half_interval, self.better_interval
        return (f"AUC {self.auc:.2f} ({a:.2f} to {b:.2f}); half of the gap with {self.half:.0%} strong calls "
                f"({c:.0%} to {d:.0%}); {self.verdict} ({self.better_by:+.2f}, {e:+.2f} to {f:+.2f}); "
                f"{self.needs} of {self.prompts} prompts need the strong model")


def evaluate(router: Router | Callable[[str], float] | CascadeRouter, outcomes: pd.DataFrame, *, resamples: int = 1000,
             seed: int = 0) -> Evaluation:
    """Judge a router by outcomes.

    outcomes: a row per prompt with `prompt`, `weak` and `strong` (how good each model's answer was, 0 to 1), and, if
    known, `weak_cost` and `strong_cost` ($ per prompt). A cascade also needs `confidence` (mean log-probability of the
    weak answer); it is charged for both answers. resamples: of the bootstrap, >= 100. A prompt needs the strong model
    if `strong` > `weak`. ValueError if no prompt does, or all do. Ties in the score are broken at random.
    """
    ranges.whole("resamples", resamples, 100)
    missing = {"prompt", "weak", "strong"} | ({"confidence"} if isinstance(router, CascadeRouter) else set())
    if missing := missing - set(outcomes.columns):
        raise ValueError(f"outcomes: must have the columns {', '.join(sorted(missing))}")
    gain = (outcomes.strong - outcomes.weak).to_numpy(float)
    needs = gain > 0
    if not 0 < needs.sum() < len(needs):
        raise ValueError(f"outcomes: {needs.sum()} of {len(needs)} prompts need the strong model; there is nothing to "
                         "route")
    rng = np.random.default_rng(seed)
    scores, base = _scores(router, outcomes), _scores(LengthRouter(), outcomes)
    curve = _curve(scores, outcomes, isinstance(router, CascadeRouter), rng)
    aucs, bases, halves = [], [], []
    for _ in range(resamples):
        pick = rng.integers(0, len(gain), len(gain))
        if 0 < needs[pick].sum() < len(pick):
            aucs.append(auc(scores[pick], needs[pick]))
            bases.append(auc(base[pick], needs[pick]))
            halves.append(_half(_closed(scores[pick], gain[pick], rng)))
    better = np.subtract(aucs, bases)
    own = auc(scores, needs)
    return Evaluation(curve, own, _interval(aucs), _half(curve.gap.to_numpy()), _interval(halves),
                      own - auc(base, needs), _interval(better), len(gain), int(needs.sum()))


def auc(scores: Floats, needs: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve, ties counted half (Mann-Whitney).

    >>> auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    _, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[where]
    n = int(needs.sum())
    return float((ranks[needs].sum() - n * (n + 1) / 2) / (n * (len(needs) - n)))


def _scores(router: Any, outcomes: pd.DataFrame) -> Floats:
    if isinstance(router, CascadeRouter):
        return np.asarray(-outcomes.confidence.to_numpy(float))
    score = router.score if hasattr(router, "score") else router
    return np.array([score(prompt) for prompt in outcomes.prompt], float)


def _closed(scores: Floats, gain: Floats, rng: np.random.Generator) -> Floats:
    """Share of the gap closed after 0, 1, 2 ... strong calls, the highest score first."""
    order = np.lexsort((rng.random(len(scores)), -scores))
    total = gain.sum()
    return np.concatenate([[0.0], np.cumsum(gain[order])]) / (total if total > 0 else math.nan)


def _curve(scores: Floats, outcomes: pd.DataFrame, both: bool, rng: np.random.Generator) -> pd.DataFrame:
    """The cost-quality curve: the mean of twenty orders, because ties are broken at random."""
    import pandas as pd  # here: a gateway, which makes no tables, starts without

    n, parts = len(scores), []
    weak, strong = outcomes.weak.to_numpy(float), outcomes.strong.to_numpy(float)
    priced = {"weak_cost", "strong_cost"} <= set(outcomes.columns)
    small, large = (outcomes[name].to_numpy(float) if priced else np.full(n, math.nan)
                    for name in ("weak_cost", "strong_cost"))
    extra = large if both else large - small
    for _ in range(20):
        order = np.lexsort((rng.random(n), -scores))
        steps = [np.concatenate([[0.0], np.cumsum(values[order])]) for values in (strong - weak, extra)]
        parts.append(steps)
    gains, costs = np.mean(parts, axis=0)
    total = gains[-1]
    return pd.DataFrame({"share": np.arange(n + 1) / n, "quality": weak.mean() + gains / n,
                         "cost": 1000 * (small.mean() + costs / n), "gap": gains / (total if total > 0 else math.nan)})


def _half(gap: Floats) -> float:
    """Share of strong calls at which half of the gap is closed; NaN if the strong model is not better on average."""
    return float(np.argmax(gap >= 0.5) / (len(gap) - 1)) if np.nanmax(gap, initial=-1) >= 0.5 else math.nan


def _interval(values: Sequence[float] | Floats) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def out_of_fold(outcomes: pd.DataFrame, folds: int = 5, seed: int = 0, strength: float = 1.0) -> Callable[[str], float]:
    """Scores of a `LearnedRouter` for each prompt from a router that never saw it: `folds`-fold cross-validation.

    Judged on its own training prompts, any router looks wise.
    """
    ranges.whole("folds", folds, 2, len(outcomes))
    fold = np.random.default_rng(seed).permutation(len(outcomes)) % folds
    needs = (outcomes.strong > outcomes.weak).to_numpy()
    scores: dict[str, float] = {}
    for k in range(folds):
        router = LearnedRouter.train(outcomes.prompt[fold != k].tolist(), needs[fold != k].tolist(), strength)
        scores |= {prompt: router.score(prompt) for prompt in outcomes.prompt[fold == k]}
    return scores.__getitem__


def prompts(origin: str = "ours") -> pd.DataFrame:
    """The labelled set: id, tier (what answering needs), prompt, expected (a regular expression a right answer
    matches), origin. origin: "ours" (221 prompts) or "essay" (its eleven, rebuilt from type and length)."""
    import pandas as pd  # here: a gateway, which makes no tables, starts without

    ranges.one_of("origin", origin, ("ours", "essay"))
    table = pd.read_csv(data("routing_prompts.csv"), keep_default_na=False)
    return table[table.origin == origin].reset_index(drop=True)


def outcomes() -> pd.DataFrame:
    """What two real models made of our prompts: id, tier, prompt, weak and strong (1 if right), confidence (mean
    log-probability of the weak answer), weak_finish, and tokens. weak: SmolLM2-135M-Instruct rounded to 4 bits; strong:
    the same in float32; vLLM 0.32 on a CPU, greedy, at most 96 tokens."""
    import pandas as pd  # here: a gateway, which makes no tables, starts without

    found = pd.read_csv(data("routing_outcomes.csv"))
    return prompts()[["id", "tier", "prompt"]].merge(found, on="id")


def right(expected: str, answer: str) -> bool:
    """Whether an answer has what was asked for."""
    return re.search(expected, answer, re.IGNORECASE | re.DOTALL) is not None
