"""`assess` against textbook queues, against long simulations, and on numbers that cannot be meant."""

import math

import pytest

from labkit.metastability import (
    Cache,
    Clients,
    Fifo,
    Lifo,
    Load,
    RetryBudget,
    Service,
    Tier,
    assess,
    assess_tiers,
)
from tests.bench.bench_assess import judged, service

STORM = Service(0.5, 0.01, 50)


def test_a_queue_is_random_even_below_its_capacity():
    """M/M/1: the sojourn is exponential with mu - load, so e^-((10 - 8) 0.3) = 55 % wait too long."""
    found = assess(Service(0.1, 0, 1, times="exponential"), Clients(0.3, 0), 8)
    assert found.state == "overloaded" and found.hidden_capacity == pytest.approx(10)
    assert found.tried.undisturbed == pytest.approx(1 - math.exp(-0.6), abs=0.06)
    assert "by formula alone" in str(found) and "simulated" in str(found)


def test_formula_and_simulation_side_by_side_where_they_part():
    """Dropping what has expired has no formula here; at a service time of 1/150 of the time-out it is a cure."""
    quick = assess(Service(0.02, 0, 1, drop="expired"), Clients(3, 3), 20)
    assert quick.state == "healthy" and quick.tried.returns["spike"] == (2, 2)
    assert "by formula alone" in str(quick) and "vulnerable" in str(quick)
    assert assess(Service(0.5, 0.01, 50, drop="expired"), Clients(3, 3), 20).state == "vulnerable"


@pytest.mark.parametrize("state, server, clients, load", [
    ("vulnerable", STORM, Clients(3, 3), 20),
    ("healthy", STORM, Clients(3, 3), 10),
    ("healthy", STORM, Clients(3, 0), 40),
    ("overloaded", STORM, Clients(3, 3), 60),
    ("healthy", Service(0.5, 0.01, 50, Fifo(80)), Clients(3, 3), 20),
    ("vulnerable", Service(0.5, 0.01, 50, Fifo(150)), Clients(3, 3), 20),
    ("healthy", Service(0.5, 0.01, 50, Lifo()), Clients(3, 3), 20),
    ("healthy", STORM, Clients(3, 3, budget=RetryBudget(0.1)), 20),
    ("vulnerable", STORM, Clients(3, 3), Load.spike(20, 100, 10, 10)),
])
def test_the_services_of_the_lessons(state, server, clients, load):
    assert assess(server, clients, load).state == state


def test_a_time_out_below_the_latency_is_named_and_nobody_is_told_to_shed():
    found = assess(STORM, Clients(0.4, 3), 5)
    assert found.state == "overloaded" and found.shed == 0
    assert "time-out of 0.4 s is shorter than the 0.51 s" in found.fault and found.fault in str(found)


def test_milliseconds_are_suspected():
    found = assess(Service(500, 10, 50), Clients(3000, 3), 0.02)
    assert "base_latency = 500 s is unusually long; if milliseconds were meant, write 0.5" in found.fault
    assert "timeout = 3000 s" in found.fault
    assert not assess(STORM, Clients(3, 3), 20).fault


def test_nobody_asking_is_no_load():
    with pytest.raises(ValueError, match="load = 0.0: must be a number > 0"):
        assess(STORM, Clients(3, 3), 0)


@pytest.mark.parametrize("number", range(1000, 1005))
def test_long_simulations_agree(number):
    """A sample; `python -m tests.bench.bench_assess 2000` is the whole comparison."""
    world = service(number)
    state, calm, _ = judged(*world)
    if abs(sorted(calm)[1] - 0.9) > 0.03:           # at the very line between serving and not the judge is not sure
        assert assess(*world).state == state, world


def test_tiers_multiply():
    """3 retries at each of two tiers: 16 attempts at the back, whose 50/s then carry 3.1 requests/s."""
    front, back = Service(0.05, 0, 4000), Service(0.5, 0.01, 50)
    stubborn = Clients(3, 3)
    found = assess_tiers([Tier(front, stubborn), Tier(back, stubborn)], 10)
    assert found.state == "vulnerable" and found.hidden_capacity == pytest.approx(50 / 16)
    assert "16.00" in str(found)
    assert assess_tiers([Tier(front, Clients(3, 0)), Tier(back, Clients(3, 0))], 10).state == "healthy"


def test_errors_and_a_cache():
    failing = assess(Service(0.5, 0.01, 50, error_rate=0.3), Clients(3, 0), 5)
    assert failing.state == "overloaded" and failing.tried.undisturbed == pytest.approx(0.7, abs=0.03)
    assert assess(Service(0.5, 0.01, 50, error_rate=0.3), Clients(3, 3), 5).state == "healthy"
    database, cached = Service(0.1, 0, 3), Clients(1, 0, cache=Cache(0.9, 1000))
    assert assess(database, cached, 150).tried.returns["loss of the cache"][0] == 0
    assert assess(database, cached, 20).state == "healthy"


def test_whoever_waits_for_ever_is_safe_in_any_queue():
    found = assess(Service(0.5, 0.01, 50), Clients(math.inf, 0), 20)
    assert found.state == "healthy" and found.safe_queue == math.inf
