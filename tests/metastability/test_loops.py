"""The loops that need no retry, and what else the wider model shows: formula against simulation, in every seed."""

from dataclasses import replace

import numpy as np
import pytest

from labkit.metastability import (
    AdaptiveConcurrency,
    AdaptiveThrottle,
    Breaker,
    Cache,
    Clients,
    Fifo,
    Load,
    Pool,
    RetryBudget,
    Service,
    Trigger,
    loops,
    simulate,
    simulate_tiers,
    theory,
)

SEEDS = range(10)
LOOPS = [loops.slow_queue, loops.cold_cache, loops.reconnect_storm, loops.scaled_in]


def good_at_the_end(run):
    """Goodput of the last 40 s as a share of what was offered."""
    return run.goodput(run.duration - 40, run.duration) / np.mean(run.per_second["offered"].iloc[-40:])


@pytest.mark.parametrize("make", LOOPS, ids=lambda make: make.__name__)
def test_down_for_good_without_a_single_retry_and_back_with_the_cure(make):
    loop = make()
    assert loop.experiment.clients.retries == 0 and loop.band[0] < loop.experiment.load.rate(0) < loop.band[1]
    for seed in SEEDS:
        run = loop.run(seed)
        assert good_at_the_end(run) < 0.1 and run.recovered_at is None and run.goodput(0, 20) > 0.7 * run.load.rate(0)
        assert loop.run(seed, cured=True).recovered_at is not None


@pytest.mark.parametrize("make", LOOPS, ids=lambda make: make.__name__)
def test_the_band_begins_where_the_formula_says(make):
    """15 % below its lower end the same trigger passes; 15 % above, it stays. A flush alone is too weak a trigger
    there, because the cache fills before the queue is long, so the database stops as well."""
    loop = make()
    if make is loops.cold_cache:
        loop = replace(loop, experiment=replace(loop.experiment, trigger=[Trigger.flush(20), Trigger.pause(20, 10)]))
    for seed in SEEDS:
        assert loop.run(seed, load=0.85 * loop.band[0]).recovered_at is not None
        assert good_at_the_end(loop.run(seed, load=1.15 * loop.band[0])) < 0.1


def test_just_above_the_lower_end_a_lost_cache_alone_is_too_small_a_trigger():
    down = {load: sum(loops.cold_cache(load).run(seed).recovered_at is None for seed in SEEDS) for load in (33, 35, 50)}
    assert down[33] == 0 and down[35] <= 2 and down[50] == 10


def test_hotos_2021_section_2_2():
    """90 % hits and a database of 300/s: up to 3,000/s while the cache is warm, down for good once it is cold."""
    loop = loops.cold_cache(load=250, keys=1000, scale=10)
    assert loop.band == (300, 3000)
    assert theory.saturated_throughput(loop.experiment.service) == 300
    for seed in range(3):
        run = replace(loop.experiment, duration=80, seed=seed).simulate()
        assert run.goodput(5, 20) > 2400 and run.goodput(40, 80) < 0.05 * 2500
        assert run.amplification(5, 20) == pytest.approx(0.1, abs=0.01) and run.amplification(40, 80) > 0.9
    calm = replace(loop.experiment, duration=80, load=Load.constant(270)).simulate()
    assert good_at_the_end(calm) > 0.97


@pytest.mark.parametrize("hits, skew", [(0.9, 0.0), (0.6, 1.0)])
def test_a_warm_cache_answers_its_share(hits, skew):
    runs = [simulate(Service(0.1, 0, 30), Clients(1, 0, cache=Cache(hits, 500, skew)), Load.constant(100), 200, seed)
            for seed in range(20)]
    assert np.mean([len(run.hits) / len(run.offered) for run in runs]) == pytest.approx(hits, abs=0.005)


def test_late_answers_do_not_fill_the_cache():
    """One worker, one key: the first answer comes in time or not, and the second request sees which."""
    for length, hit in ((0.9, True), (1.1, False)):
        run = simulate(Service(length, 0, 1), Clients(1, 0, cache=Cache(1.0, 1)), Load.trace([1.0, 2.5]), 9, 0,
                       Trigger.flush(0.5))
        assert (len(run.hits) == 1) == hit


def test_a_pool_of_one_makes_attempts_wait_their_turn():
    run = simulate(Service(0.5, 0, 9), Clients(2, 0, pool=Pool(1, 0.3)), Load.trace([1.0, 1.1]), 5)
    assert run.arrived.tolist() == [1.0, 1.5] and run.ended.tolist() == [1.5, 2.0]
    run = simulate(Service(0.5, 0, 9), Clients(0.4, 0, pool=Pool(1, 0.3)), Load.trace([1.0, 1.1, 1.45]), 5)
    assert run.ended == pytest.approx([1.5, 1.4 + 0.8, 1.5 + 0.8]), "each time-out closes the one connection"


def test_refusals_that_cost_and_come_back_at_once():
    free, dear = loops.costly_refusals(cost=0), loops.costly_refusals()
    for seed in SEEDS:
        assert free.run(seed).recovered_at == 30 and dear.run(seed, cured=True).recovered_at is not None
        assert good_at_the_end(dear.run(seed)) < 0.01


def test_an_autoscaler_makes_a_short_trouble_long():
    alone, scaled = ([replace(loops.slow_scaler(lag), seed=seed).simulate().recovered_at - 90 for seed in SEEDS]
                     for lag in (None, 60))
    assert max(alone) <= 1 and min(scaled) > 300


def tiers_at(load, seed, duration=200, **how):
    return simulate_tiers(loops.two_tiers(**how), Load.constant(load), duration, seed)


def test_three_retries_at_each_of_two_tiers_are_sixteen_attempts():
    assert theory.attempts_at_the_back(3, 3) == 16
    for patience in (3, 13):
        seen = []
        for seed in SEEDS:
            front, back = tiers_at(10, seed, users=Clients(patience, 3))
            assert front.goodput(160, 200) == 0 and front.recovered_at is None
            seen.append(np.sum(back.sent > 100) / np.sum(front.offered > 100))
        assert np.mean(seen) == pytest.approx(16, rel=0.03)


def test_two_tiers_tip_at_a_sixteenth():
    """Backlog of the back, while everything fails: growth (1 + R1)(1 + R2) load - mu, either side of mu / 16."""
    tip = theory.healthy_limit(loops.WEB, loops.STUBBORN) / 16
    growth = {}
    for factor in (0.85, 1.15):
        slopes = []
        for seed in range(20):
            tiers = loops.two_tiers()
            tiers[1] = replace(tiers[1], trigger=Trigger.pause(5, 60))
            _, back = simulate_tiers(tiers, Load.constant(factor * tip), 130, seed)
            slopes.append(np.polyfit(np.arange(75, 120), back.per_second["queue"].to_numpy()[75:120], 1)[0])
        growth[factor] = np.mean(slopes)
    assert growth[0.85] < 0 < growth[1.15]


BUDGET = RetryBudget(0.1, 10)
CURES = {
    "budget at the top": dict(users=replace(loops.STUBBORN, budget=BUDGET)),
    "budget at the bottom": dict(calls=replace(loops.STUBBORN, budget=BUDGET)),
    "retries at the top only": dict(calls=Clients(3, 0)),
    "retries at the bottom only": dict(users=Clients(3, 0)),
    "deadline propagated": dict(propagate_deadline=True),
    "a short queue at the back": dict(back=replace(loops.WEB, queue=Fifo(80))),
}


@pytest.mark.parametrize("cure", CURES)
def test_what_cures_two_tiers(cure):
    assert all(tiers_at(10, seed, **CURES[cure])[0].recovered_at is not None for seed in SEEDS)


def test_a_deadline_longer_than_all_retries_cures_nothing():
    for seed in SEEDS:
        front, _ = tiers_at(10, seed, users=Clients(13, 3), propagate_deadline=True)
        assert front.goodput(160, 200) == 0


def test_no_attempt_is_sent_or_started_past_the_users_deadline():
    for propagate in (True, False):
        front, back = tiers_at(10, 1, propagate_deadline=propagate)
        users = front.sent[front.number == 0]
        assert len(users) == len(front.offered)
        late = (back.started - back.offered[back.request])[np.isfinite(back.started)] > 3
        assert late.any() != propagate


def standard(clients, service=loops.WEB, duration=300):
    return [simulate(service, clients, Load.spike(20, 100, 20, 10), duration, seed) for seed in SEEDS]


@pytest.mark.parametrize("processes", [1, 10])
def test_adaptive_throttling_cures_the_standard_storm(processes):
    throttled = replace(loops.STUBBORN, throttle=AdaptiveThrottle(2, 120), processes=processes)
    assert all(run.recovered_at is not None for run in standard(throttled))
    assert all(run.recovered_at is None for run in standard(loops.STUBBORN))


def test_robot_and_throttle_stay_down_without_overload():
    """Each goes by what is answered: fewer attempts come than ten workers can do, and most users get nothing."""
    robot = loops.scaled_in().experiment
    throttled = replace(robot.clients, throttle=AdaptiveThrottle(2, 10), processes=10)
    able = theory.saturated_throughput(replace(robot.service, workers=10))
    for seed in SEEDS:
        run = replace(robot, clients=throttled, seed=seed).simulate()
        assert run.per_second["attempts"][200:].mean() < 0.95 * able and run.goodput(200, 300) < 0.3 * 40


def test_the_throttle_turns_away_what_the_formula_says():
    """Of a calls/s of which at most g are accepted, it lets through close to K g (SRE book, chapter 21)."""
    service, clients = Service(0.1, 0, 5, Fifo(0)), Clients(1, 0, throttle=AdaptiveThrottle(2, 60))
    runs = [simulate(service, clients, Load.constant(200), 300, seed) for seed in range(20)]
    accepted = np.mean([run.goodput(150, 300) for run in runs])
    assert np.mean([np.sum(run.sent > 150) / 150 for run in runs]) == pytest.approx(2 * accepted, rel=0.02)


@pytest.mark.parametrize("processes, initial", [(1, 100), (10, 10)])
def test_adaptive_concurrency_cures_the_standard_storm(processes, initial):
    limited = replace(loops.STUBBORN, concurrency=AdaptiveConcurrency(initial, 1, 2 * initial), processes=processes)
    assert all(run.recovered_at is not None and run.recovered_at < 40 for run in standard(limited))


def test_policies_of_many_small_clients():
    """One budget of 10 tokens recovers in a quarter of a minute, a hundred of them take three times as long; and of a
    hundred breakers none sees ten calls in its window."""
    def outcome(**policy):
        return [run.recovered_at for run in standard(replace(loops.STUBBORN, processes=100, **policy))]

    assert max(outcome(budget=BUDGET)) < 60 < min(outcome(budget=replace(BUDGET, per="client")))
    assert None not in outcome(breaker=Breaker(0.5, 2, 5))
    assert outcome(breaker=Breaker(0.5, 2, 5, per="client")) == [None] * 10


def test_one_breaker_over_all_shards_makes_a_partial_failure_total():
    served = {per: [replace(loops.bad_shard(per), seed=seed).simulate().goodput(30, 80) / 80 for seed in SEEDS]
              for per in (None, "all", "shard")}
    assert np.mean(served[None]) == pytest.approx(0.75, abs=0.03)
    assert np.mean(served["shard"]) == pytest.approx(0.75, abs=0.03) and max(served["all"]) < 0.15


def test_the_urgent_survive_and_the_rest_starves():
    for seed in SEEDS:
        first, fifo = (replace(loops.starving(urgent), seed=seed).simulate() for urgent in (True, False))
        assert first.goodput_of(0, 25, 40) > 8 and fifo.goodput_of(0, 25, 40) < 2
        assert first.goodput_of(0, 160, 200) > 3 and first.goodput_of(1, 160, 200) == 0
        assert fifo.goodput_of(0, 160, 200) == fifo.goodput_of(1, 160, 200) == 0


def test_waiting_by_class_is_cobhams():
    """M/M/1 with two classes: W0 / (1 - rho1) and W0 / ((1 - rho1)(1 - rho)) (Cobham, Operations Research 1954)."""
    from labkit.metastability import Priority
    waits = {0: [], 1: []}
    for seed in range(20):
        run = simulate(Service(1, 0, 1, Priority(), times="exponential"), Clients(float("inf"), 0),
                       Load.constant(0.8).with_classes(0.5, 0.5), 6000, seed)
        kind = run.kind[run.request]
        for each in (0, 1):
            mine = (kind == each) & np.isfinite(run.started) & (run.sent > 300)
            waits[each].append(np.mean((run.started - run.sent)[mine]))
    for each, expected in ((0, 0.8 / 0.6), (1, 0.8 / (0.6 * 0.2))):
        error = np.std(waits[each], ddof=1) / 20**0.5
        assert abs(np.mean(waits[each]) - expected) < 3 * error
