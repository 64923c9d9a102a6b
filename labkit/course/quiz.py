"""Exercises that say what is wrong with an answer, and never give the right one away."""

from __future__ import annotations

from collections.abc import Callable
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


def close_to(target: float, tolerance: float, low: str, high: str) -> Callable[[Any], str | None]:
    """A judge for a number: within `tolerance` (relative) of `target`, else the sentence for too low or too high."""
    def judge(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) and not hasattr(value, "__float__"):
            return f"a number is wanted, this is {type(value).__name__}"
        if abs(float(value) - target) <= tolerance * abs(target):
            return None
        return low if float(value) < target else high
    return judge
