"""What the exercises of 60 to 63 say: right forms pass, each known mistake gets its own true sentence."""

import numpy as np
import pytest

from labkit.course import check
from labkit.inference import exercises

T1, T32 = 1 / 41.5, 32 / 934.4
STEP = T1 + 11 * (T32 - T1) / 31
RIGHT = [
    (exercises.LIARS, [[2, 4], (4, 2), {2, 4}, np.array([2, 4])]),
    (exercises.TWELVE, [12 / STEP, np.float32(12 / STEP), 433, 433.2]),
    (exercises.SEQUENCES, [6, 6.0, np.int64(6)]),
    (exercises.HALVES, [384, 384.0, np.int64(384)]),
    (exercises.BITS, [4.5, np.float32(4.5), 4 + 8 / 16]),
]
WRONG = [
    (exercises.LIARS, "2,4", "a list of row numbers"), (exercises.LIARS, [2], "1 more cannot be true"),
    (exercises.LIARS, [1, 2, 4], "row 1 is below its bound"), (exercises.LIARS, [], "2 more"),
    (exercises.LIARS, [7], "rows 1 to 5"), (exercises.LIARS, 2, "could not be used"),
    (exercises.TWELVE, 12 * 41.5, "for the price of one"), (exercises.TWELVE, 358.3, "time of a step"),
    (exercises.TWELVE, 350.4, "three eighths of batch 32"), (exercises.TWELVE, 1 / STEP, "all together"),
    (exercises.TWELVE, STEP, "in seconds"), (exercises.TWELVE, STEP * 1000, "in milliseconds"),
    (exercises.TWELVE, 300, "takes less than that"), (exercises.TWELVE, 663.2, "takes longer than that"),
    (exercises.TWELVE, "433 tokens/s", "without a unit; this is a text"),
    (exercises.TWELVE, float("nan"), "this is nan"), (exercises.TWELVE, None, "this is nothing (None)"),
    (exercises.SEQUENCES, 6.73, "whole conversations"), (exercises.SEQUENCES, 7, "do not fit"),
    (exercises.HALVES, 352, "saves 49%"), (exercises.HALVES, 416, "one block less"),
    (exercises.HALVES, 380, "full blocks of 32"), (exercises.HALVES, "384", "this is a text"),
    (exercises.BITS, 4, "has to be stored"), (exercises.BITS, 5.25, "16 bits and a zero of 4"),
    (exercises.BITS, 5, "scale of 16 bits"), (exercises.BITS, 4.75, "there is none"),
    (exercises.BITS, 4.25, "groups of 32"), (exercises.BITS, 12, "not stored for each"),
    (exercises.BITS, 72, "a whole group"), (exercises.BITS, "4.5", "this is a text"),
    (exercises.BITS, 3, "its four bits"), (exercises.BITS, 6, "no zero"),
]


@pytest.mark.parametrize(("exercise", "answers"), RIGHT, ids=lambda value: getattr(value, "name", ""))
def test_the_right_answer_passes_in_every_form(exercise, answers):
    for answer in answers:
        assert check(exercise, answer), check(exercise, answer)


@pytest.mark.parametrize(("exercise", "answer", "said"), WRONG, ids=[f"{one.name}-{said}" for one, _, said in WRONG])
def test_a_mistake_is_told_apart(exercise, answer, said):
    verdict = check(exercise, answer)
    assert not verdict and said in verdict.text, verdict
