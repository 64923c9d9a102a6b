"""The policies, each against a trace worked out by hand."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.metastability import Clients, Load, Service, simulate
from labkit.metastability.model import Backoff, Breaker, CoDel, RetryBudget
from labkit.metastability.policies import BreakerState, BudgetState, CoDelState, delay


def test_breaker_opens_lets_one_probe_through_and_closes():
    breaker = BreakerState(Breaker(0.5, window=1, open_for=5))
    for i in range(10):
        assert breaker.allows(i / 100)
        breaker.record(i / 100, ok=False)
    assert not breaker.allows(1.0)
    assert breaker.allows(5.2), "the probe"
    assert not breaker.allows(5.2), "only one"
    breaker.record(5.3, ok=False)
    assert not breaker.allows(9.0)
    assert breaker.allows(10.4)
    breaker.record(10.5, ok=True)
    assert breaker.allows(10.6) and breaker.allows(10.6)


def test_breaker_forgets_what_left_the_window():
    breaker = BreakerState(Breaker(0.5, window=1, open_for=5))
    for _ in range(9):
        breaker.record(0.0, ok=False)
    breaker.record(2.0, ok=False)
    assert breaker.allows(2.0)


def test_codel_waits_an_interval_and_then_drops_ever_more_often():
    state = CoDelState(CoDel(target=0.1, interval=1))
    dropped = [t / 10 for t in range(60) if state.drops(t / 10, 0.5)]
    assert dropped[0] == 1.0
    gaps = [b - a for a, b in zip(dropped, dropped[1:], strict=False)]
    assert gaps[-1] < gaps[0]
    assert not state.drops(6.0, 0.05) and not state.drops(6.1, 0.5)


@pytest.mark.parametrize("interval", [0.1, 0.5, 1])
def test_codels_rate_grows_with_the_square_of_its_interval(interval):
    """Gaps of interval / sqrt(n) add up to 2 interval sqrt(n), so after t seconds it is t / (2 interval^2) a second."""
    state, end, step = CoDelState(CoDel(target=0.05, interval=interval)), 40 * interval, interval / 500
    moments = [i * step for i in range(round(end / step))]
    dropped = [when for when in moments if state.drops(when, 1.0)]
    last = sum(when >= end - interval for when in dropped) / interval
    assert last == pytest.approx((end - interval) / (2 * interval**2), rel=0.05)


def test_codel_with_a_long_interval_is_back_when_it_drops_more_than_comes_too_much():
    """The lesson's storm, 80 attempts/s and 50 done: 30/s are dropped 2 x interval^2 x 30 s after it began."""
    service = Service(0.5, 0.01, 50, queue=CoDel(0.5, 1))
    run = simulate(service, Clients(3, 3), Load.spike(20, 100, 20, 10), 130, seed=1)
    queue = run.per_second["queue"].to_numpy()
    assert 70 <= queue[40:].argmax() + 40 <= 95, "it grows until 60 s after second 23"
    assert run.per_second["shed"][75:90].mean() == pytest.approx(30, rel=0.15)


@given(ratio=st.floats(0.01, 1), capacity=st.integers(1, 50), steps=st.lists(st.booleans(), max_size=300))
def test_a_budget_never_allows_more_than_bucket_and_credits(ratio, capacity, steps):
    bucket = BudgetState(RetryBudget(ratio, capacity))
    spent = credits = 0
    for spend in steps:
        if spend:
            spent += bucket.spend()
        else:
            bucket.credit()
            credits += 1
        assert spent <= capacity + ratio * credits + 1e-6
        assert 0 <= bucket.tokens <= capacity


@given(retry=st.integers(0, 2000), jitter=st.sampled_from(["none", "full", "equal", "decorrelated"]),
       seed=st.integers(0, 99), previous=st.floats(0, 60))
def test_a_delay_stays_within_its_cap(retry, jitter, seed, previous):
    wait = delay(Backoff(0.5, cap=20, jitter=jitter), retry, random.Random(seed), previous)
    assert 0 <= wait <= 20
    if jitter == "equal":
        assert wait >= min(20, 0.5 * 2**min(retry, 60)) / 2
