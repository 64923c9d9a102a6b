"""Ways to stay down, ready to run: each a world, a trigger, and a cure. Most need not a single retry.

`slow_queue`, `cold_cache`, `reconnect_storm` and `scaled_in` collapse with retries off; `costly_refusals` needs
them; `two_tiers`, `bad_shard`, `starving` and `slow_scaler` are failures to look at, with what helps as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from labkit.metastability import theory
from labkit.metastability.experiment import Experiment
from labkit.metastability.model import (
    Autoscaler,
    Breaker,
    Cache,
    Clients,
    Fifo,
    Load,
    Pool,
    Priority,
    RetryBudget,
    Service,
    Trigger,
    steady_rate,
)
from labkit.metastability.run import Run
from labkit.metastability.tiers import Tier

WEB = Service(0.5, 0.01, 50)            # the service of the first notebooks: 50 attempts/s when full
PATIENT = Clients(timeout=3, retries=0)
STUBBORN = Clients(timeout=3, retries=3)


@dataclass(frozen=True)
class Loop:
    """A failure that keeps itself going once it has begun.

    name. what: what keeps it going. experiment: the world and its trigger. band: loads (1/s) between which it can
    stay down, by the formula that the function which made it names (None: we know of none). cure: what helps.
    cured: the experiment with it.
    """

    name: str
    what: str
    experiment: Experiment
    band: tuple[float, float] | None
    cure: str
    cured: Experiment

    def run(self, seed: int = 0, load: float | None = None, cured: bool = False) -> Run:
        """Simulate it: the loop or its cure, at another constant load (1/s) if one is given."""
        experiment = self.cured if cured else self.experiment
        rate = steady_rate(experiment.load) if load is None else load
        return replace(experiment, load=Load.constant(rate), seed=seed).simulate()


def slow_queue(load: float = 30, pause: float = 10) -> Loop:
    """The backlog itself slows the server down: 5 ms more for each attempt that waits, as a heap full of waiting
    requests does to a garbage collector. A pause of `pause` s leaves a backlog of load * pause.

    Band: from the load at which that backlog is `theory.queue_of_no_return`, to mu.
    """
    service = replace(WEB, queue_slope=0.005)
    full, slope = theory.service_time_when_full(service), service.queue_slope * pause
    low = ((full**2 + 4 * slope * service.workers)**0.5 - full) / (2 * slope)
    experiment = Experiment(service, PATIENT, Load.constant(load), 200, Trigger.pause(20, pause))
    return Loop("slowdown with the queue", "a long queue makes the server slow, and a slow server makes the queue long",
                experiment, (low, theory.healthy_limit(service, PATIENT)), "a queue of at most 50",
                replace(experiment, service=replace(service, queue=Fifo(50))))


def cold_cache(load: float = 150, keys: int = 1000, scale: int = 1) -> Loop:
    """A database that carries a tenth of the load, behind a look-aside cache with 90 % hits that is restarted.

    Band: `theory.cold_cache_band`. scale = 10 is the size of Bronson et al., HotOS 2021, section 2.2: a database of
    300 queries/s for up to 3,000; the default is a tenth of it, and as fast to simulate.
    """
    service = Service(0.1, 0, 3 * scale)
    clients = Clients(1, 0, cache=Cache(0.9, keys * scale))
    experiment = Experiment(service, clients, Load.constant(load * scale), 200, Trigger.flush(20))
    return Loop("cold cache", "only an answer in time refills the cache, and without the cache no answer is in time",
                experiment, theory.cold_cache_band(service, clients), "a queue short enough to answer in time",
                replace(experiment, service=replace(service, queue=Fifo(20 * scale))))


def reconnect_storm(load: float = 40, connect: float = 0.5) -> Loop:
    """Every time-out closes a connection, and to accept a new one costs the server `connect` s of a worker.

    Band: `theory.reconnect_band`.
    """
    clients = replace(PATIENT, pool=Pool(200, connect))
    experiment = Experiment(WEB, clients, Load.constant(load), 200, Trigger.pause(20, 10))
    return Loop("reconnect storm", "time-outs close connections, and to open new ones makes the server time out",
                experiment, theory.reconnect_band(WEB, clients), "give up on the call and keep its connection",
                replace(experiment, clients=replace(clients, pool=Pool(200, 0.0))))


def scaled_in(load: float = 40, min_workers: int = 10) -> Loop:
    """An autoscaler that counts the requests answered in time, 0.8/s for each worker, and 30 s of quick errors.

    Band: `theory.scaled_in_band`.
    """
    scaler = Autoscaler(0.8, min_workers, 60, every=15, lag=60, metric="answered")
    service = replace(WEB, error_latency=0.01, autoscaler=scaler)
    experiment = Experiment(service, PATIENT, Load.constant(load), 300, Trigger.errors(60, 30, 1.0))
    floor = replace(service, autoscaler=replace(scaler, min_workers=50))
    return Loop("scaled in", "who answers nothing seems to need no workers, and without workers nothing is answered",
                experiment, theory.scaled_in_band(service, PATIENT), "never fewer workers than the load needs",
                replace(experiment, service=floor))


def costly_refusals(load: float = 40, cost: float = 0.2) -> Loop:
    """A queue of 80, safe while a refusal is free, and clients that at a refusal try again at once, three times.

    Each refusal takes `cost` s of a worker; what is then left is `theory.refusing_throughput`. At 0.2 it stays down,
    at 0.1 it comes back after 10 s, and near 0.16 it depends on the seed. No formula for that border is known to us.
    """
    service, clients = replace(WEB, queue=Fifo(80), refusal_cost=cost), STUBBORN
    experiment = Experiment(service, clients, Load.constant(load), 200, Trigger.pause(20, 10))
    return Loop("costly refusals", "refused clients come back at once, and to refuse them takes the time to serve them",
                experiment, None, "a retry budget of 10 %",
                replace(experiment, clients=replace(clients, budget=RetryBudget(0.1))))


def two_tiers(users: Clients = STUBBORN, calls: Clients = STUBBORN, propagate_deadline: bool = False,
              back: Service = WEB) -> list[Tier]:
    """A front with places for 4,000 waiting attempts, which calls `back`; that pauses at 20 s for 20 s.

    With three retries at each of the two, the back sees `theory.attempts_at_the_back(3, 3)` = 16 attempts per
    request, and its hidden capacity is 50 / 16 = 3.1 requests/s. For `simulate_tiers(two_tiers(), Load.constant(10),
    200)`.
    """
    return [Tier(Service(0.05, 0, 4000), users),
            Tier(back, calls, Trigger.pause(20, 20), propagate_deadline)]


def bad_shard(per: Literal["all", "shard"] | None = None, retries: int = 0, load: float = 80) -> Experiment:
    """Four shards of 50/s each, and from 20 to 80 s every attempt on one of them fails: a quarter of the requests.

    per: one breaker around all calls, one for each shard, or none. One around all makes a partial failure total.
    """
    breaker = Breaker(0.2, 5, 5, per=per) if per else None
    return Experiment(Service(0.1, 0, 5, shards=4), Clients(1, retries, breaker=breaker), Load.constant(load), 120,
                      Trigger.errors(20, 60, 1.0, shard=0))


def starving(urgent_first: bool = True, load: float = 40, retries: int = 2) -> Experiment:
    """A tenth of the requests are urgent (health checks, payments); a spike of 100/s for 20 s on a server of 50/s.

    First in first out, all classes go down together; with the urgent ones first only these are served, and the rest
    stays down: `run.goodput_of(0, ...)` and `run.goodput_of(1, ...)`.
    """
    service = Service(0.1, 0, 5, queue=Priority() if urgent_first else Fifo())
    return Experiment(service, Clients(1, retries), Load.spike(load, 100, 20, 20).with_classes(0.1, 0.9), 200)


def slow_scaler(lag: float | None = 60, load: float = 40) -> Experiment:
    """30 s of quick errors, in which the workers idle, and an autoscaler that goes by how busy they are, with a boot
    time of `lag` s (None: no autoscaler, 50 workers at all times). It recovers, long after a service left alone."""
    scaler = Autoscaler(0.8, 10, 60, every=15, lag=lag) if lag is not None else None
    return Experiment(replace(WEB, error_latency=0.01, autoscaler=scaler), PATIENT, Load.constant(load), 1800,
                      Trigger.errors(60, 30, 1.0))
