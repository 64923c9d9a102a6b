"""What the wider model says, each part against a closed form or a published figure."""

from dataclasses import replace

import numpy as np
import pytest

from labkit.metastability import Clients, Fifo, Load, Service, Trigger, simulate, theory

SERVICE, CLIENTS = Service(0.5, 0.01, 50), Clients(3, 3)


def test_brookers_simulation_ends_up_in_one_of_two_states():
    """Brooker's `simple_collapse_sim` (2022), published parameters: 40/s, 80/s for 5 s, 1 s + 0.01 s per attempt in
    service, 3 tries, and a network that takes 0.1 s each way on average. Run here 40 times, the original ended with 28
    stuck and 12 recovered; without the network delay 6 are stuck."""
    without = Service(1.0, 0.01, 10_000)
    stuck = {}
    for service in (without, replace(without, network_delay=0.1, network_times="exponential")):
        ends = [simulate(service, Clients(3, 2), Load.spike(40, 80, 20, 5), 80, seed).goodput(60, 80)
                for seed in range(40)]
        stuck[service.network_delay] = sum(end < 8 for end in ends)
        assert sum(8 <= end < 32 for end in ends) <= 2, "two heaps and next to nothing between"
    assert stuck[0.0] <= 12 and 20 <= stuck[0.1] <= 36


def test_the_network_delay_is_in_the_latency_both_ways():
    run = simulate(replace(SERVICE, network_delay=0.2), CLIENTS, Load.trace([1.0]), 5)
    assert run.arrived[0] == pytest.approx(1.2) and run.ended[0] == pytest.approx(1.71)
    assert run.answered[0] == pytest.approx(1.91) and run.per_second["p50"][1] == pytest.approx(0.91)


def test_the_network_takes_its_part_of_the_safe_queue():
    far = replace(SERVICE, network_delay=0.2)
    bound = theory.safe_queue_limit(far, CLIENTS)
    assert bound == 80 and theory.safe_queue_limit(SERVICE, CLIENTS) == 100
    for seed in range(10):
        short, long = (simulate(replace(far, queue=Fifo(limit)), CLIENTS, Load.spike(20, 100, 20, 10), 200, seed)
                       for limit in (64, 120))
        assert short.recovered_at is not None and short.recovered_at <= 32 and long.recovered_at is None


@pytest.mark.parametrize("rate, retries", [(0.01, 3), (0.3, 3), (0.5, 1)])
def test_retries_cure_random_errors(rate, retries):
    """Success 1 - f^(R+1), attempts (1 - f^(R+1)) / (1 - f)."""
    runs = [simulate(replace(SERVICE, error_rate=rate), Clients(3, retries), Load.constant(10), 500, seed)
            for seed in range(20)]
    failed = 1 - np.array([run.goodput(0, 490) / np.mean(run.per_second["offered"][:490]) for run in runs])
    assert np.mean(failed) == pytest.approx(rate ** (retries + 1), abs=0.004)
    sent = [run.amplification(0, 490) for run in runs]
    assert np.mean(sent) == pytest.approx((1 - rate ** (retries + 1)) / (1 - rate), rel=0.02)


def test_a_rolling_restart_is_cured_by_one_retry():
    for seed in range(10):
        bad = Trigger.errors(20, 10, 0.2)
        none, one = (simulate(SERVICE, Clients(3, retries), Load.constant(20), 60, seed, bad) for retries in (0, 1))
        lost = [1 - run.goodput(21, 31) / np.mean(run.per_second["offered"][20:30]) for run in (none, one)]
        assert lost[0] > 0.1 and lost[1] < lost[0] / 2
        assert none.recovered_at is not None and one.recovered_at is not None


@pytest.mark.parametrize("offered", [60, 100, 200])
def test_refusals_that_cost_eat_the_goodput(offered):
    """x = (c - r a) / (S - r): the livelock of Mogul & Ramakrishnan (1997)."""
    service = replace(SERVICE, queue=Fifo(20), refusal_cost=0.1)
    runs = [simulate(service, Clients(3, 0), Load.constant(offered), 120, seed).per_second[40:] for seed in range(20)]
    done = [(seconds["goodput"] + seconds["late"]).mean() for seconds in runs]
    assert np.mean(done) == pytest.approx(theory.refusing_throughput(service, offered), rel=0.03)


def test_a_slower_server_with_a_longer_queue_does_not_come_back_without_a_single_retry():
    service = replace(SERVICE, queue_slope=0.005)
    lost = theory.queue_of_no_return(service, 30)
    assert lost == pytest.approx(133.3, abs=0.1)
    for seed in range(10):
        ends = {}
        for spike in (2, 6):
            run = simulate(service, Clients(3, 0), Load.spike(30, 100, 20, spike), 200, seed)
            ends[spike] = run.goodput(150, 200), run.per_second["queue"][20 + spike]
        assert ends[2][1] < lost < ends[6][1]
        assert ends[2][0] > 27 and ends[6][0] == 0


def test_several_triggers_and_no_time_out():
    triggers = [Trigger.pause(10, 2), Trigger.slowdown(30, 5, 3), Trigger.errors(50, 5, 1.0)]
    run = simulate(SERVICE, Clients(float("inf"), 0), Load.constant(20), 100, 1, triggers)
    assert run.disturbance == (10, 55) and not run.per_second["timed_out"].any() and not run.per_second["late"].any()
    assert run.goodput(10, 12) == 0 and run.goodput(51.5, 55) == 0 and run.goodput(80, 100) > 15


@pytest.mark.parametrize("make, message", [
    (lambda: replace(SERVICE, network_delay=-1), "Service.network_delay = -1: must be a number >= 0"),
    (lambda: replace(SERVICE, error_rate=2), "Service.error_rate = 2: must be a number >= 0 and <= 1"),
    (lambda: replace(SERVICE, error_latency=0), "Service.error_latency = 0: must be a number > 0"),
    (lambda: replace(SERVICE, queue_slope=-1), "Service.queue_slope = -1: must be a number >= 0"),
    (lambda: replace(SERVICE, refusal_cost=-1), "Service.refusal_cost = -1: must be a number >= 0"),
    (lambda: replace(SERVICE, shards=0), "Service.shards = 0: must be a whole number >= 1"),
    (lambda: Trigger.errors(1, 1, 2), "Trigger.rate = 2: must be a number >= 0 and <= 1"),
    (lambda: Trigger("flood", 1, 1), "Trigger.kind = 'flood': must be one of"),
    (lambda: simulate(SERVICE, CLIENTS, Load.constant(1), 9, trigger=[3]), "trigger = 3: must be of type Trigger"),
    (lambda: simulate(SERVICE, CLIENTS, Load.constant(1), 9, trigger=Trigger.flush(1)), "the clients have no cache"),
    (lambda: simulate(SERVICE, CLIENTS, Load.constant(1), 9, trigger=Trigger.pause(1, 1, 1)), "Trigger.shard = 1"),
    (lambda: theory.safe_queue_limit(SERVICE, Clients(float("inf"), 0)), "Clients.timeout = inf"),
])
def test_what_makes_no_sense_is_refused_by_name(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value)
