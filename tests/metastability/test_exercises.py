"""The judges of part 1 against what a learner computes, and against the mistakes of the lesson."""

import json
from pathlib import Path

import pytest

from labkit.course import check
from labkit.metastability import Clients, Service, exercises, theory

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def by_hand():
    """What the cells of notebook 10 define, up to the storm built by hand, and its arrivals."""
    names = {}
    for cell in json.loads((ROOT / "notebooks" / "10_retry_storm.ipynb").read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and source.startswith(("def ", "import simpy", "import numpy")):
            exec(source.split("\n\nfor ")[0], names)
        if "def storm" in source:
            break
    names["times"] = names["arrivals"](base=20, peak=100, start=20, length=10, duration=150, seed=1)
    return names


def test_10_2_counts_the_users_whom_the_spike_alone_costs_an_answer(by_hand):
    log = by_hand["storm"](by_hand["times"], 150, retries=0)
    missed = [attempt for attempt in log if not attempt["ok"]]
    assert check(exercises.NO_RETRIES, len(missed))
    assert check(exercises.NO_RETRIES, sum(attempt["ended"] is not None for attempt in missed))  # the run ended
    unfinished = sum(attempt["ended"] is None for attempt in log)
    with_retries = sum(not attempt["ok"] for attempt in by_hand["storm"](by_hand["times"], 150))
    for mistake, hint in ((unfinished, "`ended`"), (with_retries, "still retry")):
        assert not check(exercises.NO_RETRIES, mistake) and hint in repr(check(exercises.NO_RETRIES, mistake))


def test_12_3_is_the_closed_formula_the_other_way_round():
    def needed(workers):
        return theory.closed_backoff_needed(Service(0.5, 0.01, 50), Clients(3, 3, population=workers))
    assert check(exercises.BACKOFF, 275) and needed(275) <= 2.5 < needed(276)
    for workers, hint in ((274, "more workers"), (276, "more attempts"), (125, "more workers"), (5, "more workers")):
        assert not check(exercises.BACKOFF, workers) and hint in repr(check(exercises.BACKOFF, workers))
