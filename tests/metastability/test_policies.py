"""The policies, each against a trace worked out by hand."""

import random

from hypothesis import given
from hypothesis import strategies as st

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
