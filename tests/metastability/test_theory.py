"""Formula against simulation, with stated tolerances: the numbers the lessons rest on."""

from dataclasses import replace

import numpy as np
import pytest

from labkit.metastability import (
    Backoff,
    Clients,
    Fifo,
    Load,
    RetryBudget,
    Service,
    Trigger,
    simulate,
    theory,
)
from labkit.metastability.contention import race
from labkit.metastability.drawings import loop
from labkit.metastability.single import time_to_collapse

SERVICE, CLIENTS = Service(0.5, 0.01, 50), Clients(3, 3)
SPIKE = Load.spike(20, 100, 20, 10)


def root_of_growth(service, retries, seeds=20):
    """Load at which the backlog of a collapsed server stops growing, by regression over loads near it."""
    tip = theory.tipping_load(service, Clients(3, retries))
    loads = tip * np.array([0.85, 1.15])
    growth = []
    for load in loads:
        slopes = []
        for seed in range(seeds):
            run = simulate(service, Clients(3, retries), Load.spike(load, 3 * tip * (1 + retries), 5, 12), 130, seed)
            slopes.append(np.polyfit(np.arange(40, 125), run.per_second["queue"].to_numpy()[40:125], 1)[0])
        growth.append(np.mean(slopes))
    return loads[0] - growth[0] * (loads[1] - loads[0]) / (growth[1] - growth[0]), tip


@pytest.mark.parametrize("retries", [1, 2, 3])
def test_tipping_load(retries):
    root, tip = root_of_growth(SERVICE, retries)
    assert root == pytest.approx(tip, rel=0.03)


@pytest.mark.parametrize("slope", [0.001, 0.005, 0.02, 0.03])
def test_tipping_load_at_other_slopes(slope):
    root, tip = root_of_growth(Service(0.5, slope, 50), 3)
    assert root == pytest.approx(tip, rel=0.03)


@pytest.mark.parametrize("backoff", [None, *[Backoff(base, jitter=jitter) for base in (0.1, 1, 5, 10)
                                             for jitter in ("none", "full")]])
def test_the_collapse_is_for_ever_and_backoff_does_not_help(backoff):
    for seed in range(10):
        run = simulate(SERVICE, replace(CLIENTS, backoff=backoff), SPIKE, 330, seed)
        assert run.goodput(280, 330) < 0.01 * 20


def recoveries(service=SERVICE, clients=CLIENTS, load=SPIKE, duration=300):
    runs = [simulate(service, clients, load, duration, seed) for seed in range(10)]
    return [None if run.recovered_at is None else run.recovered_at - 30 for run in runs]


def test_a_queue_within_the_safe_bound_recovers_at_once_and_a_longer_one_never():
    assert theory.safe_queue_limit(SERVICE, CLIENTS) == 100
    assert max(recoveries(replace(SERVICE, queue=Fifo(80)))) <= 2
    assert recoveries(replace(SERVICE, queue=Fifo(150))) == [None] * 10


def test_dropping_the_hopeless_helps_and_dropping_the_expired_does_not():
    assert max(recoveries(replace(SERVICE, drop="hopeless"))) <= 2
    assert recoveries(replace(SERVICE, drop="expired")) == [None] * 10


def test_a_budget_works_up_to_its_own_tipping_load():
    budget = replace(CLIENTS, budget=RetryBudget(0.1, 10))
    assert max(recoveries(clients=budget)) < 30
    assert recoveries(clients=budget, load=Load.spike(47, 100, 20, 10), duration=500) == [None] * 10


def test_without_retries_it_recovers():
    assert max(recoveries(clients=Clients(3, 0))) < 20


def test_hotos_2021_figure_2():
    database, application = Service(0.1, 0, 30), Clients(1, 1)
    outage = Trigger.outage(20, 10)
    assert theory.tipping_load(database, application) == pytest.approx(150)
    for load, stuck in ((140, False), (160, True), (280, True)):
        run = simulate(database, application, Load.constant(load), 320, 1, outage)
        assert (run.goodput(270, 320) < 0.01 * load) == stuck
        if load == 280:
            assert run.amplification(270, 320) == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize("backoff, calls", [
    # reported by aws-samples' simulator of the 2015 article, mean of 100 runs of 100 clients
    (None, 2426), (Backoff(5, cap=2000), 1846), (Backoff(5, cap=2000, jitter="equal"), 813),
    (Backoff(5, cap=2000, jitter="decorrelated"), 999), (Backoff(5, cap=2000, jitter="full"), 796)])
def test_aws_contention_counts(backoff, calls):
    assert np.mean([race(100, backoff, seed).writes for seed in range(60)]) == pytest.approx(calls, rel=0.03)


@pytest.mark.parametrize("retries", [1, 2, 3])
def test_hysteresis_is_as_wide_as_the_retry_count(retries):
    ratios, downs, ups = [], [], []
    for seed in range(2):
        slow = Load.ramp(2, 54, 20, 4000, 4000)
        run = simulate(replace(SERVICE, queue=Fifo(300)), Clients(3, retries), slow, 8030, seed)
        load, good, rising = loop(run)
        ups.append(load[rising][np.argmax(good[rising] < 0.5 * load[rising])])
        downs.append(load[~rising][np.argmax(good[~rising] > 0.8 * load[~rising])])
        ratios.append(ups[-1] / downs[-1])
    assert 1 + retries <= np.mean(ratios) <= 1.2 * (1 + retries)
    assert np.mean(ups) == pytest.approx(theory.healthy_limit(SERVICE, Clients(3, retries)), rel=0.05)
    assert np.mean(downs) == pytest.approx(theory.tipping_load(SERVICE, Clients(3, retries)), rel=0.2)


def within(samples, expected, errors=3):
    samples = np.asarray(samples)
    error = samples.std(ddof=1) / len(samples)**0.5
    assert abs(samples.mean() - expected) <= errors * error, (samples.mean(), expected)


SEEDS = range(100, 124)


def steady(service, timeout, load, duration=6000):
    return [simulate(service, Clients(timeout, 0), Load.constant(load), duration, seed) for seed in SEEDS]


def test_erlang_c():
    runs = steady(Service(1, 0, 10, times="exponential"), 1e6, 8)
    settled = [(run.ended - run.sent)[(run.fate == 0) & (run.sent > 500) & (run.sent < 5900)].mean() for run in runs]
    within(settled, theory.erlang_c(10, 8) / (10 - 8) + 1)


@pytest.mark.parametrize("load, places", [(0.8, 5), (0.95, 10), (1.5, 10)])
def test_mm1k_loss(load, places):
    runs = steady(Service(1, 0, 1, Fifo(places - 1), times="exponential"), 1e6, load)
    within([np.mean(run.fate[run.sent > 300] == 2) for run in runs], theory.mm1k_loss(load, places))


@pytest.mark.parametrize("load, patience", [(0.8, 3), (0.95, 5), (1.3, 5)])
def test_mm1_patience(load, patience):
    runs = steady(Service(1, 0, 1, drop="expired", times="exponential"), patience, load)
    lost = [np.mean(run.fate[(run.sent > 300) & (run.sent < 5900)] == 3) for run in runs]
    within(lost, theory.mm1_patience(load, patience))


def test_the_fluid_finds_the_smallest_spike():
    def tips(length):
        flow = theory.fluid(SERVICE, CLIENTS, Load.spike(20, 100, 5, length), 80, 0.04)
        return flow["goodput"].loc[60:].mean() < 10
    assert theory.smallest_trigger(tips, 8) == pytest.approx(3.13, rel=0.06)    # 50 % point of the simulation


def test_the_chain_is_right_near_saturation_and_optimistic_far_below():
    single, clients = Service(0.1, 0, 1, times="exponential"), Clients(1, 2)
    assert theory.ctmc(single, clients, 8).to_collapse == pytest.approx(31.2, rel=0.01)
    assert theory.ctmc(single, clients, 4).to_collapse > 20 * 3959      # 3959 s is what simulation gives


def first_to_find(full, run):
    """When the first attempt found `full` others in the system of a run of the general engine."""
    done = np.sort(run.ended)
    found = np.arange(len(run.sent)) - np.searchsorted(done, run.sent, side="right")
    return run.sent[np.argmax(found >= full)] if (found >= full).any() else np.nan


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_the_small_simulation_of_one_worker_collapses_when_the_engine_does(retries):
    worker, clients = Service(0.1, 0, 1, times="exponential"), Clients(1, retries)
    engine = [first_to_find(60, simulate(worker, clients, Load.constant(12), 150, seed)) for seed in range(100)]
    small = [time_to_collapse(12, seed, retries=retries) for seed in range(400)]
    error = np.hypot(np.std(engine) / 10, np.std(small) / 20)
    assert abs(np.mean(engine) - np.mean(small)) < 3 * error < 0.15 * np.mean(small)


def test_the_small_simulation_refuses_what_is_out_of_range():
    with pytest.raises(ValueError, match="load = 0: must be a number > 0"):
        time_to_collapse(0, 1)


@pytest.mark.parametrize("size, short, enough", [(200, 0.7, 1.4), (300, 2.6, 3.6)])
def test_backoff_in_a_closed_system(size, short, enough):
    needed = theory.closed_backoff_needed(SERVICE, Clients(3, 3, population=size))
    assert short < needed < enough
    for wait, stuck in ((short, True), (enough, False)):
        clients = Clients(3, float("inf"), Backoff(wait, factor=1), population=size)
        run = simulate(SERVICE, clients, Load.constant(size / 8), 400, 1, Trigger.pause(20, 10))
        assert (run.goodput(300, 400) < 1) == stuck


def test_recovery_time_below_the_tipping_load():
    for load in (4, 8):
        runs = [simulate(SERVICE, CLIENTS, Load.spike(load, 100, 20, 10), 400, seed) for seed in range(20)]
        formula = [theory.recovery_time(SERVICE, CLIENTS, load, run.per_second["queue"][45]) for run in runs]
        assert np.mean([run.recovered_at - 45 for run in runs]) == pytest.approx(np.mean(formula), rel=0.15)
