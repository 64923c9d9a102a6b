"""Exercises that say what is wrong with an answer, and never give the right one away."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABKIT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Exercise:
    """`judge(value)` returns None if the value solves it, else one sentence about what is wrong with it.

    wants: what kind of answer is asked for ("a pair (load, retries)"), said where the judge cannot use the value.
    """

    name: str
    judge: Callable[[Any], str | None]
    wants: str = ""


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
    """Judge an answer in the terms of the lesson; `...` means not answered yet. Never gives the answer away.

    A value that the judge cannot use gets one sentence, too: no traceback, no class of an exception.
    """
    if value is ...:
        return Judgement(False, f"[    ] {exercise.name}: not answered yet; put your answer in place of the dots")
    try:
        complaint = exercise.judge(value)
    except Exception as error:
        complaint = _unusable(exercise, value, error)
    if complaint:
        return Judgement(False, f"[ NO ] {exercise.name}: {complaint}")
    return Judgement(True, f"[ OK ] {exercise.name}")


def _unusable(exercise: Exercise, value: Any, error: Exception) -> str:
    """One sentence for a value that its judge cannot use.

    What our own code raised on purpose was written for people, and what stopped a learner's code is about that code.
    Anything else is Python's word about the inside of a judge, which is nobody's business.
    """
    where = traceback.extract_tb(error.__traceback__)[-1]
    if LABKIT in Path(where.filename).resolve().parents:
        if (where.line or "").startswith("raise ") and str(error):
            return f"your answer could not be used: {_one_line(error)}"
    elif callable(value) and str(error):
        return f"your code stopped in line {where.lineno} of `{where.name}`: {_one_line(error)}"
    wanted = f"{exercise.wants} is wanted" if exercise.wants else "another kind of answer is wanted"
    return f"your answer could not be used: {wanted}; this is {kind(value)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def kind(value: Any) -> str:
    """What a value is, in plain words.

    >>> kind(None), kind("4"), kind([4]), kind(4.0)
    ('nothing (None)', 'a text', 'a list', 'a number')
    """
    if value is None:
        return "nothing (None)"
    if isinstance(value, bool):
        return f"{value}, true or false"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list | tuple | dict | set):
        return f"a {type(value).__name__}"
    if getattr(value, "shape", None):
        return "an array of numbers"
    if hasattr(value, "__float__"):
        return "a number"
    return "a function" if callable(value) else f"an object of type {type(value).__name__}"


def close_to(target: float, tolerance: float, low: str, high: str,
             mistakes: Sequence[tuple[float, str]] = ()) -> Callable[[Any], str | None]:
    """A judge for a number: within `tolerance` (relative) of `target`, else the sentence for too low or too high.

    mistakes: numbers that a known wrong way leads to (met within a fifth of a per cent), each with its own sentence.
    """
    def judge(value: Any) -> str | None:
        if isinstance(value, bool | str) or not hasattr(value, "__float__") or getattr(value, "shape", None):
            return f"a number is wanted, without a unit; this is {kind(value)}"
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
