"""Exercises that say what is wrong with an answer, and never give the right one away."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exercise:
    """`judge(value)` returns None if the value solves it, else one sentence about what is wrong with it."""

    name: str
    judge: Callable[[Any], str | None]


@dataclass(frozen=True)
class Judgement:
    """What `check` answers: truthy if solved; shows as one line."""

    solved: bool
    text: str

    def __bool__(self) -> bool:
        return self.solved

    def __repr__(self) -> str:
        return self.text


def check(exercise: Exercise, value: Any) -> Judgement:
    """Judge an answer in the terms of the lesson; `...` means not answered yet. Never gives the answer away."""
    if value is ...:
        return Judgement(False, f"[    ] {exercise.name}: not answered yet; put your answer in place of the dots")
    try:
        complaint = exercise.judge(value)
    except Exception as error:
        complaint = f"your answer could not be used: {type(error).__name__}: {error}"
    if complaint:
        return Judgement(False, f"[ NO ] {exercise.name}: {complaint}")
    return Judgement(True, f"[ OK ] {exercise.name}")


def close_to(target: float, tolerance: float, low: str, high: str,
             mistakes: Sequence[tuple[float, str]] = ()) -> Callable[[Any], str | None]:
    """A judge for a number: within `tolerance` (relative) of `target`, else the sentence for too low or too high.

    mistakes: numbers that a known wrong way leads to (met within a fifth of a per cent), each with its own sentence.
    """
    def judge(value: Any) -> str | None:
        if isinstance(value, bool | str) or not hasattr(value, "__float__"):
            return f"a number is wanted, without a unit; this is {type(value).__name__}"
        number = float(value)
        if not math.isfinite(number):
            return f"a number is wanted; this is {number}"
        if abs(number - target) <= tolerance * abs(target):
            return None
        for wrong, why in mistakes:
            if abs(number - wrong) <= 0.002 * abs(wrong):
                return why
        return low if number < target else high
    return judge
