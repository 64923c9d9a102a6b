"""Which model should answer? Four routers, and the only fair way to judge one: by what the models then answered.

A router gives a score; the higher, the more it wants the stronger model. What the score is worth shows in the
cost-quality curve: send the top share to the strong model, and see how much of the gap between the two that closes
(Ong et al., "RouteLLM", 2024, section 4). `evaluate` puts intervals on it and holds every router against the length
of the prompt, which knows nothing of the question.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from labkit import ranges

Floats = npt.NDArray[np.float64]
TIERS = ("simple", "medium", "complex")

# the essay's two lists, looked for anywhere in the text, inside words too
COMPLEX = ("analyze", "compare", "evaluate", "assess risk", "recommend", "predict", "forecast", "implications")
MEDIUM = ("summarize", "explain", "describe", "list", "what are", "how does", "differences")


class Router(Protocol):
    """Anything with a score in [0, 1] for a prompt: how much it wants the stronger model."""

    def score(self, prompt: str) -> float:
        """The higher, the stronger the model should be."""


class KeywordRouter:
    """The rules of the essay of 2025, as printed: the baseline to beat.

    >>> KeywordRouter().tier("Recommend a playlist"), KeywordRouter().tier("Derive the Black-Scholes formula")
    ('complex', 'simple')
    """

    def tier(self, prompt: str) -> str:
        """"simple", "medium" or "complex"."""
        words, text = len(prompt.split()), prompt.lower()
        if words > 150 or any(word in text for word in COMPLEX):
            return "complex"
        if words > 50 or any(word in text for word in MEDIUM):
            return "medium"
        return "simple"

    def score(self, prompt: str) -> float:
        """0, 0.5 or 1, by tier."""
        return TIERS.index(self.tier(prompt)) / 2


class LengthRouter:
    """The number of words, and nothing else: what every router must beat. `half`: words at which the score is 0.5."""

    def __init__(self, half: float = 40.0):
        ranges.number("half", half, 0, above=True)
        self.half = half

    def score(self, prompt: str) -> float:
        """words / (words + half)."""
        words = len(prompt.split())
        return words / (words + self.half)


class LearnedRouter:
    """TF-IDF over words and pairs of words, then logistic regression: the probability that the strong model is needed.

    Trained with scikit-learn in a second, kept as data (a JSON of weights, no pickle), used with a dictionary: about
    20 microseconds a prompt and no scikit-learn in the gateway.
    """

    def __init__(self, weights: dict[str, tuple[float, float]], intercept: float):
        """weights: of each term, its inverse document frequency and its coefficient."""
        self.weights, self.intercept = weights, intercept

    @classmethod
    def train(cls, prompts: Sequence[str], needs_strong: Sequence[bool], strength: float = 1.0) -> LearnedRouter:
        """Learn from prompts and outcomes. strength: scikit-learn's C, > 0, the inverse of the regularization.
        ValueError if all outcomes are the same; ImportError without scikit-learn."""
        ranges.number("strength", strength, 0, above=True)
        if len(set(map(bool, needs_strong))) < 2:
            raise ValueError("needs_strong: must have both outcomes, or there is nothing to tell apart")
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        terms = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        model = LogisticRegression(C=strength, max_iter=2000)
        model.fit(terms.fit_transform(prompts), np.asarray(needs_strong, bool))
        return cls({term: (float(terms.idf_[i]), float(model.coef_[0][i])) for term, i in terms.vocabulary_.items()},
                   float(model.intercept_[0]))

    def score(self, prompt: str) -> float:
        """The probability, in [0, 1]."""
        words = re.findall(r"\b\w\w+\b", prompt.lower())
        counts = Counter(words) + Counter(f"{a} {b}" for a, b in zip(words, words[1:], strict=False))
        known = [(1 + math.log(n), *self.weights[term]) for term, n in counts.items() if term in self.weights]
        norm = math.sqrt(sum((tf * idf) ** 2 for tf, idf, _ in known)) or 1.0
        return 1 / (1 + math.exp(-self.intercept - sum(tf * idf * w for tf, idf, w in known) / norm))

    def save(self, path: str | Path) -> None:
        """As JSON, a line per term."""
        terms = sorted(self.weights.items())
        lines = ",\n".join(f"{json.dumps(term)}: [{idf:.6g}, {weight:.6g}]" for term, (idf, weight) in terms)
        Path(path).write_text(f'{{"intercept": {self.intercept:.6g}, "weights": {{\n{lines}\n}}}}\n')

    @classmethod
    def load(cls, path: str | Path) -> LearnedRouter:
        """What `save` wrote; ValueError if it is something else."""
        try:
            found = json.loads(Path(path).read_text())
            return cls({term: (float(idf), float(w)) for term, (idf, w) in found["weights"].items()},
                       float(found["intercept"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"path = {str(path)!r}: must be a router saved by LearnedRouter.save ({error})") from None


@dataclass(frozen=True)
class CascadeRouter:
    """Ask the small model first and look at its answer: escalate if it is unsure, cut off, empty, or refuses.

    least: mean log-probability of the answer's tokens below which it is unsure, <= 0. Costs the small answer each
    time; knows more than any router that has only read the question.
    """

    least: float = -0.6
    refusals: tuple[str, ...] = ("i'm sorry", "i am sorry", "i cannot", "i can't", "as an ai")

    def __post_init__(self) -> None:
        ranges.number("CascadeRouter.least", self.least, -math.inf, 0)

    def escalate(self, text: str, mean_logprob: float, finish: str = "stop") -> str:
        """Why the strong model should answer too; "" if this answer will do."""
        if not text.strip():
            return "empty"
        if finish == "length":
            return "cut off"
        if any(refusal in text.lower() for refusal in self.refusals):
            return "refusal"
        return "unsure" if mean_logprob < self.least else ""
