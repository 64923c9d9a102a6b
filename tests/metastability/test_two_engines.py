"""The fast engine and the SimPy telling must give every attempt the same fate, at the same moment."""

import random

import numpy as np
import pytest

from labkit.metastability import (
    Backoff,
    Breaker,
    Clients,
    CoDel,
    Fifo,
    Lifo,
    Load,
    RetryBudget,
    Service,
    Trigger,
    simulate,
)
from labkit.metastability.telling import tell


def scenario(seed):
    """A random small world: any queue, any drop rule, any policy, any trigger."""
    r = random.Random(seed)
    queue = r.choice([Fifo(), Fifo(r.randint(0, 40)), Lifo(), Lifo(r.randint(0, 40)),
                      CoDel(r.uniform(.02, .5), r.uniform(.1, 1))])
    service = Service(r.uniform(.05, .6), r.choice([0, r.uniform(.001, .03)]), r.randint(1, 30), queue,
                      r.choice(["never", "expired", "hopeless"]), r.choice(["constant", "exponential"]))
    backoff = r.choice([None, Backoff(r.uniform(.05, 2), r.uniform(1, 3), r.choice([None, 8]),
                                      r.choice(["none", "full", "equal", "decorrelated"]))])
    budget = r.choice([None, RetryBudget(r.uniform(.05, .5), r.randint(1, 20), r.choice(["first_try", "success"]))])
    breaker = r.choice([None, Breaker(r.uniform(.2, .8), r.uniform(.5, 3), r.uniform(.5, 5))])
    population = r.choice([None, None, None, r.randint(1, 60)])
    clients = Clients(r.uniform(.3, 3), r.randint(0, 5), backoff, budget, breaker, population)
    capacity = service.workers / (service.base_latency + service.slope * service.workers)
    base = capacity * r.uniform(.1, 1.1)
    load = r.choice([Load.constant(base), Load.spike(base, 3 * base, 5, r.uniform(1, 6)),
                     Load.ramp(base / 3, 2 * base, 3, 6, 6)])
    start, length = r.uniform(3, 8), r.uniform(1, 4)
    trigger = r.choice([None, Trigger.slowdown(start, length, r.uniform(1.5, 5)), Trigger.outage(start, length),
                        Trigger.pause(start, length)])
    return dict(service=service, clients=clients, load=load, duration=25, seed=seed, trigger=trigger)


@pytest.mark.parametrize("block", range(6))
def test_same_fate_for_every_attempt(block):
    for seed in range(block * 40, block * 40 + 40):
        world = scenario(seed)
        fast, told = simulate(**world), tell(**world)
        for name in ("offered", "sent", "request", "number", "arrived", "started", "ended", "fate"):
            np.testing.assert_allclose(getattr(fast, name), getattr(told, name), rtol=0, atol=1e-9,
                                       err_msg=f"{name} differs in {world}")
        assert fast.per_second.equals(told.per_second) or np.allclose(
            fast.per_second.fillna(-1), told.per_second.fillna(-1)), world


def test_same_seed_same_run():
    for seed in range(20):
        world = scenario(seed)
        assert simulate(**world).per_second.equals(simulate(**world).per_second)


def test_the_scenarios_reach_every_corner():
    """If the random worlds stopped shedding or timing out, agreement would mean little."""
    runs = [simulate(**scenario(seed)) for seed in range(200)]
    total = sum(run.per_second.sum() for run in runs)
    assert (total[["goodput", "late", "timed_out", "retried", "shed"]] > 1000).all()
    assert sum(run.clients.population is not None for run in runs) > 20
