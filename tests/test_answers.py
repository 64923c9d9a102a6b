"""Every exercise against the answers in `tests/answers/NN.toml`: right ones in odd forms, wrong ones, and nonsense.

What a check says must be one sentence that is true of the answer at hand, in no programmer's terms, and must not give
the answer away. One table an exercise:

    ["12.2"]
    exercise = "labkit.metastability.exercises:BUDGET"  # an Exercise; with `args`, a function that makes one of them
    args = "1000.0"
    setup = "load = Load.constant(20)"                  # code for the expressions below
    right = ["0.25", "1 / 4"]
    may_say = ["0.25"]                                  # a right number that may be in a complaint for another reason
    [["12.2".wrong]]
    answer = "0.10"
    says = "regular expression that the complaint has"
    never = "regular expression that it must not have"

Expressions know `np`, `math`, and what the exercise's topic exports.
"""

import importlib
import json
import math
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labkit.course import check
from labkit.course.quiz import Exercise

ROOT = Path(__file__).resolve().parent.parent
TABLES = {path.stem: tomllib.loads(path.read_text()) for path in sorted((ROOT / "tests" / "answers").glob("*.toml"))}
CASES = [(stem, name) for stem, tables in TABLES.items() for name in tables]
# parts whose every exercise has a table
COVERED = sorted(path for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb") if path.stem[:2] in TABLES)

NONSENSE = ["None", "''", "'abc'", "[]", "{}", "math.nan", "math.inf", "-1", "True", "1e300", "10**400", "np.arange(3)",
            "object()", "(1, 2, 3)", "np.array([[1.0, 2.0]])", "lambda: 1", "b'1'", "1j", "set()", "[None, None]"]
TALK = re.compile(r"\b[A-Z]\w*(Error|Exception|Warning)\b|Traceback|has no attribute|not iterable|not subscriptable"
                  r"|unsupported operand|not callable|unpack|invalid literal|could not convert|ambiguous|NoneType"
                  r"|<class |<function |object at 0x|expected \d+|broadcast|not supported between|positional argument")


@dataclass(frozen=True)
class Case:
    """One exercise and what its expressions mean."""

    exercise: Exercise
    table: dict[str, Any]
    names: dict[str, Any]

    def value(self, expression: str) -> Any:
        return eval(expression, dict(self.names))

    def right_numbers(self) -> set[str]:
        """How a right answer would look in a sentence; single digits are too common to tell."""
        values = [self.value(expression) for expression in self.table["right"]]
        numbers = [float(v) for v in values if isinstance(v, int | float | np.number) and not isinstance(v, bool)]
        looks = {f"{number:.{digits}g}" for number in numbers for digits in (3, 4, 6)}
        return {look for look in looks if len(look.strip("-0.")) > 1} - set(self.table.get("may_say", ()))


@cache
def case(stem: str, name: str) -> Case:
    table = TABLES[stem][name]
    place, attribute = table["exercise"].split(":")
    topic = importlib.import_module(place.rpartition(".")[0])
    names = {"np": np, "math": math, **{public: getattr(topic, public) for public in getattr(topic, "__all__", ())}}
    exec(table.get("setup", ""), names)
    exercise = getattr(importlib.import_module(place), attribute)
    if "args" in table:
        exercise = exercise(*eval(f"({table['args']},)", dict(names)))
    assert exercise.name == name
    return Case(exercise, table, names)


def refused(one: Case, expression: str) -> str:
    """The sentence a wrong answer gets."""
    verdict = check(one.exercise, one.value(expression))
    assert not verdict, f"{expression} passes"
    said = verdict.text.removeprefix(f"[ NO ] {one.exercise.name}: ")
    assert said != verdict.text and len(said) > 10 and "\n" not in said and len(said) < 400, said
    assert not TALK.search(said), said
    for number in one.right_numbers():
        assert not re.search(rf"(?<![\d.,]){re.escape(number)}(?![\d]|[.,]\d)", said), f"gives {number} away: {said}"
    return said


@pytest.mark.parametrize(("stem", "name"), CASES)
def test_the_right_answer_passes_in_every_form(stem, name):
    one = case(stem, name)
    assert len(one.table["right"]) >= 3
    for expression in one.table["right"]:
        verdict = check(one.exercise, one.value(expression))
        assert verdict, f"{expression}: {verdict}"


@pytest.mark.parametrize(("stem", "name"), CASES)
def test_a_wrong_answer_gets_a_true_sentence(stem, name):
    one = case(stem, name)
    assert len(one.table["wrong"]) >= 6
    for wrong in one.table["wrong"]:
        said = refused(one, wrong["answer"])
        assert re.search(wrong["says"], said), f"{wrong['answer']}: {said}"
        assert "never" not in wrong or not re.search(wrong["never"], said), f"{wrong['answer']}: {said}"


@pytest.mark.parametrize(("stem", "name"), CASES)
def test_nonsense_gets_one_sentence(stem, name):
    for expression in NONSENSE:
        refused(case(stem, name), expression)


@pytest.mark.parametrize("path", COVERED, ids=lambda path: path.stem)
def test_every_exercise_of_a_lesson_has_answers(path):
    code = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    used = {name for source in code for name in re.findall(r"check\(exercises\.(\w+)", source)}
    told = {table["exercise"].split(":")[1] for table in TABLES[path.stem[:2]].values()}
    assert used == told
