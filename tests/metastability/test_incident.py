"""The way out: the plan heals what it says it heals, and each line of it is needed."""

import math
import random
from dataclasses import replace

import pytest

from labkit.metastability import (
    Backoff,
    Breaker,
    Clients,
    Load,
    RetryBudget,
    Service,
    incident,
    restart,
    simulate,
    theory,
)
from labkit.metastability.experiment import Experiment

SERVICE, CLIENTS = Service(0.5, 0.01, 50), Clients(3, 3)
SPIKE, CLOSES = Load.spike(20, 100, 20, 10), 60
# service, clients, load, share to turn away, ramp
OTHERS = {
    "one worker, exponential": (Service(0.02, 0, 1, times="exponential"), Clients(1, 2), 22.0, 0.9, 0),
    "small and steep": (Service(0.05, 0.01, 5), Clients(0.5, 5), 20.0, 0.8, 60),
    "backoff": (Service(0.2, 0.002, 20), Clients(2, 3, Backoff(1, jitter="full")), 45.0, 0.8, 0),
    "a budget": (Service(0.1, 0, 5, times="exponential"), Clients(1, 3, budget=RetryBudget(0.5)), 38.0, 0.5, 0),
    "full service longer than the time-out": (Service(0.3, 0.03, 40), Clients(1.2, 2), 12.0, 0.7, 0),
}


def collapsed(service, clients, load, seed):
    """A spike, when the door closes, and the queue that is there then."""
    spike = Load.spike(load, 2.5 * theory.saturated_throughput(service), 20, max(10, 3 * clients.timeout))
    closes = math.ceil(spike.disturbance[1]) + 20
    run = simulate(service, clients, spike, closes, seed)
    assert run.goodput(closes - 8, closes) < 0.3 * load
    return spike, closes, int(run.per_second["queue"].iloc[-1])


def healed(service, clients, plan, spike, closes, seed):
    opened = closes + plan.seconds + plan.ramp
    run = simulate(service, clients, plan.traffic(spike, closes), opened + 60, seed)
    return run.goodput(opened + 30, opened + 60) > 0.8 * spike.rate(0)


def heal(case, seeds=20, change=lambda plan: plan, **options):
    service, clients, load, away, ramp = case
    count = 0
    for seed in range(seeds):
        spike, closes, backlog = collapsed(service, clients, load, seed)
        plan = change(incident.plan(service, clients, spike, backlog, away, ramp, start=closes, **options))
        count += healed(service, clients, plan, spike, closes, seed)
    return count


@pytest.mark.parametrize("ramp", [0, 60])
@pytest.mark.parametrize("away", [0.5, 0.7, 0.9])
def test_the_lessons_service_heals_by_the_plan_of_one_seed(away, ramp):
    backlog = int(simulate(SERVICE, CLIENTS, SPIKE, CLOSES, 1).per_second["queue"].iloc[-1])
    plan = incident.plan(SERVICE, CLIENTS, SPIKE, backlog, away, ramp, start=CLOSES)
    assert sum(healed(SERVICE, CLIENTS, plan, SPIKE, CLOSES, seed) for seed in range(20)) >= 19


@pytest.mark.parametrize("case", OTHERS.values(), ids=OTHERS)
def test_other_services_heal(case):
    assert heal(case) >= 19


def any_service(rng):
    """A service, clients, a load at which they are bistable, and what to do: drawn at random."""
    places, mu = rng.choice([1, 2, 5, 10, 25, 50]), rng.uniform(10, 60)
    each, share = places / mu, rng.choice([0, 0.3, 0.5])
    service = Service(each * (1 - share), each * share / places, places, times=rng.choice(["constant", "exponential"]))
    clients = Clients(max(3 * each, rng.choice([0.5, 1, 3])), rng.choice([1, 2, 3, 5]),
                      rng.choice([None, Backoff(1, jitter="full")]), rng.choice([None, None, RetryBudget(0.5)]))
    limit, tipping = theory.healthy_limit(service, clients), theory.tipping_load(service, clients)
    load = rng.uniform(1.1 * tipping, max(1.15 * tipping, 0.7 * limit))
    needed = 1 - limit / (theory.collapsed_amplification(clients) * load)
    return service, clients, load, min(0.95, max(rng.choice([0.5, 0.7, 0.9]), needed + 0.1)), rng.choice([0, 60])


@pytest.mark.parametrize("number", range(8))
def test_any_service_heals(number):
    assert heal(any_service(random.Random(number)), 10) >= 9


def test_the_time_the_backlog_alone_takes_is_not_enough():
    def backlog_only(plan):
        return replace(plan, seconds=plan.backlog / plan.spare)
    assert heal((SERVICE, CLIENTS, 20.0, 0.7, 0), 10, backlog_only) <= 5


def test_those_who_come_back_need_a_ramp():
    case = (SERVICE, CLIENTS, 20.0, 0.7, 0)
    assert heal(case, 5, returning=0.5) == 5
    assert heal(case, 5, lambda plan: replace(plan, ramp=10), returning=0.5) == 0


def test_the_ramp_is_longer_where_the_server_does_not_carry_half_of_what_is_spare():
    """Three workers of random speed and little patience: with the ramp of the formula 35 of 40 seeds healed."""
    service, clients = Service(3 / 39.5, 0, 3, times="exponential"), Clients(0.4, 2, Backoff(0.5, jitter="equal"))
    plan = incident.plan(service, clients, 15.3, 2000, 0.4, returning=0.4)
    assert plan.ramp > 1.3 * incident.ramp_for(service, 15.3, plan.returners)
    assert heal((service, clients, 15.3, 0.4, 0), 3, returning=0.4) == 3


def test_the_retries_of_a_spike_that_has_just_ended_are_counted():
    late, soon = (incident.plan(SERVICE, CLIENTS, SPIKE, 1000, 0.7, start=start) for start in (60, 31))
    assert late.on_the_way == pytest.approx(0.7 * 20 * (3 + 6 + 9))
    assert soon.on_the_way - late.on_the_way == pytest.approx(80 * (2 + 5 + 8), rel=0.02)
    assert incident.plan(SERVICE, CLIENTS, SPIKE, 1000, 0.7).seconds >= soon.seconds


def test_when_a_retry_comes():
    assert incident.retry_delays(Clients(3, 2)) == ([3, 6], 6)
    assert incident.retry_delays(Clients(3, 2, Backoff(1, jitter="full"))) == ([3.5, 7.5], 9)
    means, longest = incident.retry_delays(Clients(3, 2, Backoff(1, jitter="decorrelated", cap=5)))
    assert means == [5, 11.5] and longest == 3 + 3 + 3 + 5


def test_too_little_never_helps():
    plan = incident.plan(SERVICE, CLIENTS, 20, 3000, 0.3)
    assert plan.seconds == math.inf and "more than 37.5%" in str(plan)
    with pytest.raises(ValueError, match="turn_away = 0.3: must be more than 0.375"):
        plan.traffic(SPIKE, 60)


@pytest.mark.parametrize(("service", "clients", "load", "message"), [
    (SERVICE, CLIENTS, 60, "load = 60: must be less than 50"),
    (SERVICE, Clients(3, math.inf), 20, "never give up"),
    (SERVICE, Clients(3, 3, population=100), 20, "open system"),
    (SERVICE, Clients(3, 3, breaker=Breaker(0.5, 1, 5)), 20, "no formula for a breaker"),
    (replace(SERVICE, queue_slope=0.001), CLIENTS, 20, "no formula for Service.queue_slope"),
    (replace(SERVICE, shards=2), CLIENTS, 20, "no formula for Service.shards"),
    (Service(0.02, 0, 1, times="exponential"), Clients(0.1, 5), 40, "does not stay up"),
])
def test_what_has_no_plan(service, clients, load, message):
    with pytest.raises(ValueError, match=message):
        incident.plan(service, clients, load, 1000)


def test_a_restart_is_enough_up_to_its_load():
    limit = restart.largest_load(SERVICE, CLIENTS)

    def back(load, noticed):
        again = [Experiment(SERVICE, CLIENTS, Load.spike(load, 100, 10, 10), 80, seed=seed) for seed in range(4)]
        return sum(restart.restarted(one, 40, noticed).goodput(60, 80) > load / 2 for one in again)
    assert back(0.85 * limit, False) == 4 and back(1.35 * limit, False) == 0
    assert back(0.75 * limit, True) == 4 and back(1.1 * limit, True) == 0, "who notices comes at once"
