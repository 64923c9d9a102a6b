"""The fast engine and the SimPy telling must give every attempt the same fate, at the same moment."""

import random
from dataclasses import replace

import numpy as np
import pytest

from labkit.metastability import (
    AdaptiveConcurrency,
    AdaptiveThrottle,
    Autoscaler,
    Backoff,
    Breaker,
    Cache,
    Clients,
    CoDel,
    Fifo,
    Lifo,
    Load,
    Pool,
    Priority,
    RetryBudget,
    Service,
    Tier,
    Trigger,
    simulate,
    simulate_tiers,
)
from labkit.metastability.run import FATES
from labkit.metastability.telling import tell, tell_tiers


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


def some(r, chance, make):
    """What `make()` gives, or None: its own draw either way, so that the worlds differ in one thing at a time."""
    made = make()
    return made if r.random() < chance else None


def wider_service(r, service, population, shards):
    """Network, errors, a queue that slows things down, refusals that cost, shards, an autoscaler."""
    service = replace(
        service, network_delay=r.choice([0, 0, r.uniform(.01, .3)]),
        network_times=r.choice(["constant", "exponential"]),
        error_rate=r.choice([0, 0, r.uniform(.01, .4)]), error_latency=r.choice([None, r.uniform(.001, .4)]),
        queue_slope=r.choice([0, 0, r.uniform(.0005, .01)]), refusal_cost=r.choice([0, r.uniform(.001, .2)]),
        shards=shards)
    scaler = some(r, .3, lambda: Autoscaler(r.uniform(.3, .9), r.randint(1, 3), r.randint(4, 40), r.uniform(.5, 3),
                                            r.choice([0, r.uniform(.1, 5)]), r.choice(["busy", "busy", "answered"])))
    queue = Priority(r.choice([None, r.randint(0, 40)])) if population is None and r.random() < .3 else service.queue
    return replace(service, queue=queue, autoscaler=None if shards > 1 else scaler)


def wider_clients(r, clients):
    """Throttles, limits, caches, pools, several processes and policies of their own, or no time-out at all."""
    budget, breaker = clients.budget, clients.breaker
    return replace(
        clients, timeout=r.choice([clients.timeout] * 9 + [float("inf")]), processes=r.choice([1, r.randint(2, 6)]),
        budget=budget and replace(budget, per=r.choice(["all", "client"])),
        breaker=breaker and replace(breaker, per=r.choice(["all", "client", "shard"])),
        throttle=some(r, .25, lambda: AdaptiveThrottle(r.uniform(1.1, 3), r.uniform(1, 20))),
        concurrency=some(r, .25, lambda: AdaptiveConcurrency(r.randint(3, 20), r.randint(1, 3), 60, r.uniform(.3, .9))),
        cache=some(r, .25, lambda: Cache(r.uniform(.2, .95), r.randint(1, 300), r.choice([0, r.uniform(.5, 1.5)]))),
        pool=some(r, .25, lambda: Pool(r.randint(1, 40), r.choice([0, r.uniform(.01, .5)]))))


def untied(r, service, clients):
    """A pool hands connections on and a service refuses at one and the same moment; who then comes first is nobody's
    rule, and the engines need not agree on it. So let retries be spread there."""
    if clients.pool and service.refuses:
        clients = replace(clients, backoff=Backoff(r.uniform(.05, 2), jitter="full"))
    return clients


def troubles(r, clients, shards):
    """Nought to four triggers of any kind, which may overlap."""
    found = []
    for _ in range(r.choice([0, 1, 1, 2, 4])):
        start, length, shard = r.uniform(2, 12), r.uniform(.5, 5), r.choice([None, r.randrange(shards)])
        found.append(r.choice([
            Trigger.slowdown(start, length, r.uniform(1.5, 5), shard), Trigger.outage(start, length, shard),
            Trigger.pause(start, length, shard), Trigger.errors(start, length, r.uniform(.1, 1), shard),
            Trigger.flush(start) if clients.cache else Trigger.pause(start, length)]))
    return tuple(found)


def wide(seed):
    """A random small world with all that the model can say, in one tier."""
    world, r = scenario(seed), random.Random(f"wide {seed}")
    clients = wider_clients(r, world["clients"])
    shards = r.choice([1, 1, r.randint(2, 4)])
    service = wider_service(r, world["service"], clients.population, shards)
    load, clients = world["load"], untied(r, service, clients)
    if isinstance(service.queue, Priority) or (clients.population is None and r.random() < .2):
        load = load.with_classes(.2, .5, .3)
    trigger = troubles(r, clients, shards)
    return dict(world, service=service, clients=clients, load=load, trigger=trigger or None)


def deep(seed):
    """Two or three tiers of random services; whoever is in front has places for many attempts that wait."""
    r = random.Random(f"deep {seed}")
    tiers = []
    depth = r.choice([2, 2, 3])
    for number in range(depth):
        world = scenario(seed + 1000 * number)
        population = world["clients"].population if not number else None
        clients = wider_clients(r, replace(world["clients"], population=population))
        # two attempts in front that are done at one moment would call in another order in the two engines: let no two
        shards = r.choice([1, 1, 3]) if number == depth - 1 else 1
        service = wider_service(r, replace(world["service"], slope=r.uniform(.001, .03)), 1, shards)
        service = replace(service, workers=r.randint(10, 80) if not number else service.workers)
        trigger, clients = troubles(r, clients, shards), untied(r, service, clients)
        tiers.append(Tier(service, clients, trigger, r.choice([True, False])))
    return dict(tiers=tiers, load=scenario(seed)["load"], duration=25, seed=seed)


COLUMNS = ("offered", "sent", "request", "number", "arrived", "started", "ended", "fate", "answered", "hits")


def agree(fast, told, world):
    for name in COLUMNS:
        a, b = getattr(fast, name), getattr(told, name)
        assert a.shape == b.shape, f"{name}: {a.shape} and {b.shape} in {world}"
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9, err_msg=f"{name} differs in {world}")
    assert (fast.kind is None) == (told.kind is None)
    assert fast.kind is None or (fast.kind == told.kind).all()
    assert fast.per_second.equals(told.per_second) or np.allclose(
        fast.per_second.fillna(-1), told.per_second.fillna(-1)), world


@pytest.mark.parametrize("block", range(6))
def test_same_fate_for_every_attempt(block):
    for seed in range(block * 40, block * 40 + 40):
        world = scenario(seed)
        agree(simulate(**world), tell(**world), world)


@pytest.mark.parametrize("block", range(6))
def test_same_fate_in_the_wider_worlds(block):
    for seed in range(block * 40, block * 40 + 40):
        world = wide(seed)
        agree(simulate(**world), tell(**world), world)


@pytest.mark.parametrize("block", range(6))
def test_same_fate_in_every_tier(block):
    for seed in range(block * 20, block * 20 + 20):
        world = deep(seed)
        for fast, told in zip(simulate_tiers(**world), tell_tiers(**world), strict=True):
            agree(fast, told, world)


def test_same_seed_same_run():
    for seed in range(20):
        for world in (scenario(seed), wide(seed)):
            assert simulate(**world).per_second.equals(simulate(**world).per_second)


def test_the_scenarios_reach_every_corner():
    """If the random worlds stopped shedding or timing out, agreement would mean little."""
    runs = [simulate(**scenario(seed)) for seed in range(200)]
    total = sum(run.per_second.sum() for run in runs)
    assert (total[["goodput", "late", "timed_out", "retried", "shed"]] > 1000).all()
    assert sum(run.clients.population is not None for run in runs) > 20


def test_the_wider_scenarios_reach_every_corner():
    runs = [simulate(**wide(seed)) for seed in range(240)]
    total = sum(run.per_second.sum() for run in runs)
    assert (total[["goodput", "late", "timed_out", "retried", "shed", "errors", "hits"]] > 1000).all()
    fates = sum(np.bincount(run.fate, minlength=len(FATES)) for run in runs)
    assert (fates > 200).all(), dict(zip(FATES, fates, strict=True))
    for part in (lambda run: run.service.autoscaler, lambda run: run.service.shards > 1,
                 lambda run: run.kind is not None,
                 lambda run: run.clients.throttle, lambda run: run.clients.pool, lambda run: run.clients.concurrency,
                 lambda run: len(run.experiment.triggers) > 1, lambda run: run.clients.timeout == np.inf):
        assert sum(bool(part(run)) for run in runs) > 12
