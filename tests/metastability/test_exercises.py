"""The judges of part 1 against what a learner computes, and against the mistakes of the lesson."""

import json
from pathlib import Path

import pytest

from labkit.course import check
from labkit.metastability import (
    Backoff,
    Clients,
    Load,
    RetryBudget,
    Service,
    challenge,
    exercises,
    simulate,
    theory,
)

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
    assert check(exercises.BACKOFF, 274), "at the very edge nothing is left to drain a collapse with"
    for workers, hint in ((273, "more workers"), (276, "more attempts"), (125, "more workers"), (5, "more workers")):
        assert not check(exercises.BACKOFF, workers) and hint in repr(check(exercises.BACKOFF, workers))


def test_in_the_challenge_retries_earn_something():
    service = Service(0.5, 0.01, 50, drop="hopeless")
    policies = {"none": Clients(3, 0), "one": Clients(3, 1),
                "budget": Clients(3, 3, Backoff(3, jitter="full"), RetryBudget(0.5, 10))}
    given = {name: challenge.play(service, policy).points for name, policy in policies.items()}
    held_out = {name: challenge.play(service, policy, held_out=True).points for name, policy in policies.items()}
    assert given["budget"] > given["none"] + 1 and held_out["budget"] > held_out["none"]
    assert given["one"] > given["none"] and held_out["one"] == 0, "tuned to what was given"


@pytest.mark.parametrize(("places", "works"), [(1, True), (5, True), (10, False), (25, False)])
@pytest.mark.parametrize("ratio", [0.03, 0.33])
def test_where_dropping_the_expired_works_depends_on_the_places(places, works, ratio):
    """c (A load / mu - 1) decides, here 0.6 c, and not the service time over the time-out."""
    each, patience = places / 50, places / 50 / ratio
    spike = Load.spike(20, 100, 20, max(10, 4 * patience))
    end = spike.disturbance[1] + 100 + 6 * patience
    for seed in range(3):
        run = simulate(Service(each, 0, places, drop="expired"), Clients(patience, 3), spike, end + 50, seed)
        assert (run.goodput(end, end + 50) > 15) == works
