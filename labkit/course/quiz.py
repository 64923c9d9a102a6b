"""Commit first, then see: prediction cards, and exercises that say what is wrong.

Plain HTML, no widgets: a card works without a kernel, on GitHub, with the keyboard alone, and in nbval.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

CARD = "border:1px solid #B9C6D2;border-left:5px solid #0072B2;padding:8px 14px;margin:6px 0;max-width:760px"


@dataclass(frozen=True)
class Prediction:
    """A question with options; choosing one opens it and shows whether it was right, and why."""

    question: str
    options: tuple[str, ...]
    answer: int
    because: str

    def __repr__(self) -> str:
        lines = [f"  {letter}) {option}" for letter, option in zip("abcdefgh", self.options, strict=False)]
        return "\n".join(["Predict: " + self.question, *lines])

    def _repr_html_(self) -> str:
        group = f"predict-{abs(hash_text(self.question))}"
        return (f'<div class="mathjax_ignore" style="{CARD}">'
                f"<b>Predict, then click your answer.</b> {html.escape(self.question)}"
                + "".join(self._option(i, group) for i in range(len(self.options))) + "</div>")

    def _option(self, i: int, group: str) -> str:
        right = i == self.answer
        verdict = "Yes." if right else f"Not quite: it is {'abcdefgh'[self.answer]})."
        color = "#009E73" if right else "#D55E00"
        return (f'<details name="{group}" style="margin:4px 0"><summary style="cursor:pointer">'
                f"{'abcdefgh'[i]}) {html.escape(self.options[i])}</summary>"
                f'<div style="margin:4px 0 6px 20px"><b style="color:{color}">{verdict}</b> '
                f"{html.escape(self.because)}</div></details>")


def predict(question: str, options: Sequence[str], answer: str, because: str) -> Prediction:
    """A card to commit to before the experiment: `answer` is the right one of the two to eight `options`.

    Raises ValueError if it is not among them.
    """
    if not 2 <= len(options) <= 8:
        raise ValueError(f"predict: options has {len(options)} entries: must be 2 to 8")
    if answer not in options:
        raise ValueError(f"predict: answer {answer!r} is not one of the options")
    return Prediction(question, tuple(options), list(options).index(answer), because)


def hash_text(text: str) -> int:
    """A number for a text that is the same in every process, unlike `hash`."""
    value = 5381
    for character in text:
        value = (value * 33 + ord(character)) % 2**32
    return value


# ------------------------------------------------------------------------------------------------ exercises
@dataclass(frozen=True)
class Exercise:
    """`judge(value)` returns None if the value solves it, else one sentence about what is wrong with it."""

    name: str
    judge: Callable[[Any], str | None]


@dataclass(frozen=True)
class Verdict:
    """What `check` answers: truthy if solved; shows as one line."""

    solved: bool
    text: str

    def __bool__(self) -> bool:
        return self.solved

    def __repr__(self) -> str:
        return self.text


def check(exercise: Exercise, value: Any) -> Verdict:
    """Judge an answer in the terms of the lesson; `...` means not answered yet. Never gives the answer away."""
    if value is ...:
        return Verdict(False, f"[    ] {exercise.name}: not answered yet; put your answer in place of the dots")
    try:
        complaint = exercise.judge(value)
    except Exception as error:
        complaint = f"your answer could not be used: {type(error).__name__}: {error}"
    if complaint:
        return Verdict(False, f"[ NO ] {exercise.name}: {complaint}")
    return Verdict(True, f"[ OK ] {exercise.name}")


def close_to(target: float, tolerance: float, low: str, high: str) -> Callable[[Any], str | None]:
    """A judge for a number: within `tolerance` (relative) of `target`, else the sentence for too low or too high."""
    def judge(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) and not hasattr(value, "__float__"):
            return f"a number is wanted, this is {type(value).__name__}"
        if abs(float(value) - target) <= tolerance * abs(target):
            return None
        return low if float(value) < target else high
    return judge
