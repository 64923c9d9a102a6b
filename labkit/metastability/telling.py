"""The readable telling: the same server and clients as SimPy processes.

Written apart from `simulate`, event by event in the words of the story, to be read and to keep the fast engine
honest: on the same arrivals both must give every attempt the same fate at the same time. Here are the clients and
the network; `telling_server.py` has the server.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import simpy

from labkit.metastability.adaptive import Guards
from labkit.metastability.belongings import CacheState, Marking, PoolState
from labkit.metastability.experiment import Experiment
from labkit.metastability.model import Clients, Load, Service, Trigger
from labkit.metastability.policies import BudgetState, delay
from labkit.metastability.run import DROPPED, LATE, OK, SHED, Run
from labkit.metastability.telling_server import Process, QueueServer, Try
from labkit.metastability.tiers import Tier, experiments
from labkit.metastability.triggers import as_triggers, of_kind


class Customers:
    """Those who call one tier: users, or the attempts of the tier in front. `next_tier`: the crowd behind, if any."""

    def __init__(self, env: simpy.Environment, tier: Tier, number: int, load: Load, seed: int,
                 next_tier: Customers | None):
        self.env, self.tier, self.seed, self.next_tier = env, number, seed, next_tier
        self.service, self.clients = tier.service, tier.clients
        self.propagates = tier.propagate_deadline and number > 0
        self.offered: list[float] = []
        self.kinds: list[int] = []
        self.hits: list[float] = []
        self.attempts: list[Try] = []
        self.answered_in_time = 0
        name = f"{seed} {number}"
        self.jitter = random.Random(f"jitter {name}" if number else 2 * seed)
        self.classes = () if number else load.classes
        self.marking = Marking(self.clients, self.service.shards, self.classes, name)
        self.guards = Guards(self.clients, self.service.shards, name)
        budget = self.clients.budget
        self.buckets = [BudgetState(budget) for _ in range(self.clients.processes)] if budget else []
        self.cache = CacheState(self.clients.cache) if self.clients.cache else None
        self.pools = [Connections(self) for _ in range(self.clients.processes)] if self.clients.pool else []
        triggers = as_triggers(tier.trigger)
        self.outages: list[tuple[Trigger, list[Try]]] = [(outage, []) for outage in of_kind(triggers, "outage")]
        for outage, kept in self.outages:
            env.process(self.reconnect(outage, kept))
        self.there, self.back = random.Random(f"there {name}"), random.Random(f"back {name}")
        for flush in of_kind(triggers, "flush"):
            env.process(self.lose_cache(flush))
        onward = self.pass_on if next_tier else None
        self.servers = [QueueServer(self, triggers, shard, onward) for shard in range(self.service.shards)]

    def bucket(self, process: int) -> BudgetState | None:
        if not self.buckets or not self.clients.budget:
            return None
        return self.buckets[process if self.clients.budget.per == "client" else 0]

    def ask(self, until: float = math.inf) -> Process:
        """One client wants one answer: try, wait for the answer or the time-out, try again. True if it got one."""
        env, clients = self.env, self.clients
        self.offered.append(env.now)
        request, marks = len(self.offered) - 1, self.marking.draw()
        self.kinds.append(marks.kind)
        if self.cache and self.cache.holds(marks.key):
            self.hits.append(env.now)
            return True
        bucket = self.bucket(marks.process)
        if bucket and bucket.budget.credit == "first_try":
            bucket.credit()
        number, waited = 0, 0.0
        while not (self.propagates and env.now >= until) and self.guards.allow(env.now, marks.process, marks.shard):
            attempt = Try(request, number, env.now, env.event(), marks, until if self.propagates else math.inf)
            self.attempts.append(attempt)
            self.set_out(attempt)
            if clients.timeout < math.inf:
                yield attempt.answer | env.timeout(clients.timeout)
            else:
                yield attempt.answer
            attempt.client_left = not attempt.answer.triggered
            done = attempt.fate == OK
            self.guards.record(env.now, marks.process, marks.shard, done)
            if self.pools:
                self.pools[marks.process].hang_up(attempt)
            if done:
                self.answered_in_time += 1
                if bucket and bucket.budget.credit == "success":
                    bucket.credit()
                if self.cache:
                    self.cache.store(marks.key)
                return True
            if number >= clients.retries or (bucket and not bucket.spend()):
                return False
            if clients.backoff:
                waited = delay(clients.backoff, number, self.jitter, waited)
                yield env.timeout(waited)
            elif not attempt.client_left:
                yield env.timeout(0)
            number += 1
        return False

    def pass_on(self, attempt: Try) -> Process:
        """An attempt in service calls the tier behind; True if it gets its answer."""
        assert self.next_tier
        own = attempt.sent + self.clients.timeout
        return (yield from self.next_tier.ask(min(own, attempt.user_deadline)))

    # ------------------------------------------------------------------------------------------ the way
    def set_out(self, attempt: Try) -> None:
        if self.pools:
            self.pools[attempt.marks.process].call(attempt)
        else:
            self.travel(attempt)

    def travel(self, attempt: Try) -> None:
        """The network keeps what is sent in an outage until it ends, and then takes its time."""
        for outage, kept in self.outages:
            if outage.shard in (None, attempt.marks.shard) and outage.start <= self.env.now < outage.stop:
                kept.append(attempt)
                return
        if self.service.network_delay:
            self.env.process(self.way_there(attempt, self.one_way(self.there)))
        else:
            self.servers[attempt.marks.shard].receive(attempt)

    def reconnect(self, outage: Trigger, kept: list[Try]) -> Process:
        yield self.env.timeout(outage.stop)
        for attempt in kept:
            self.travel(attempt)

    def one_way(self, rng: random.Random) -> float:
        mean = self.service.network_delay
        return rng.expovariate(1 / mean) if self.service.network_times == "exponential" else mean

    def way_there(self, attempt: Try, wait: float) -> Process:
        yield self.env.timeout(wait)
        self.servers[attempt.marks.shard].receive(attempt)

    def way_back(self, attempt: Try, outcome: int) -> Process:
        yield self.env.timeout(self.one_way(self.back))
        if attempt.client_left:
            attempt.fate = DROPPED if outcome == SHED else LATE
        else:
            attempt.fate, attempt.answered = outcome, self.env.now
            attempt.answer.succeed(outcome)

    def lose_cache(self, flush: Trigger) -> Process:
        yield self.env.timeout(flush.start)
        if self.cache:
            self.cache.flush()


class Connections:
    """The pool of one client process, and the attempts that wait for a connection."""

    def __init__(self, crowd: Customers):
        assert crowd.clients.pool
        self.crowd, self.state = crowd, PoolState(crowd.clients.pool)
        self.line: list[Try] = []
        self.lent: list[Try] = []

    def call(self, attempt: Try) -> None:
        if self.line or not self.state.free:
            self.line.append(attempt)
        else:
            self.lend_to(attempt)

    def lend_to(self, attempt: Try) -> None:
        attempt.new_connection = self.state.take()
        self.lent.append(attempt)
        self.crowd.travel(attempt)

    def hang_up(self, attempt: Try) -> None:
        """A client has its answer or has given up: its connection goes to the next that still wants one."""
        if attempt not in self.lent:
            attempt.fate, attempt.ended = DROPPED, self.crowd.env.now
            return
        self.lent.remove(attempt)
        self.state.give_back(usable=not attempt.client_left)
        if self.line:
            self.crowd.env.timeout(0).callbacks.append(self.next_in_line)

    def next_in_line(self, _: simpy.Event) -> None:
        while self.line and self.state.free:
            attempt = self.line.pop(0)
            if not attempt.client_left:
                self.lend_to(attempt)
                return


def open_system(crowd: Customers, arrival: float) -> Process:
    yield crowd.env.timeout(arrival)
    yield from crowd.ask()


def serial_client(crowd: Customers, load: Load, duration: float, thoughts: random.Random) -> Process:
    """A client of a closed system: think, ask, think, ask."""
    while True:
        amount = (crowd.clients.population or 1) * thoughts.expovariate(1)
        wake = load.later(crowd.env.now, amount, duration)
        if wake == math.inf:
            return
        yield crowd.env.timeout(wake - crowd.env.now)
        yield from crowd.ask()


def tell(service: Service, clients: Clients, load: Load, duration: float, seed: int = 0,
         trigger: Trigger | Sequence[Trigger] | None = None) -> Run:
    """`simulate`, told by SimPy: same arguments, same `Run`, about a tenth of the speed."""
    experiment = Experiment(service, clients, load, duration, trigger, seed)
    return _record(experiment, _play([Tier(service, clients, trigger)], load, duration, seed)[0])


def tell_tiers(tiers: Sequence[Tier], load: Load, duration: float, seed: int = 0) -> tuple[Run, ...]:
    """`simulate_tiers`, told by SimPy."""
    each = experiments(tiers, load, duration, seed)
    return tuple(_record(experiment, crowd)
                 for experiment, crowd in zip(each, _play(tiers, load, duration, seed), strict=True))


def _play(tiers: Sequence[Tier], load: Load, duration: float, seed: int) -> list[Customers]:
    env = simpy.Environment()
    crowds: list[Customers] = []
    for number in reversed(range(len(tiers))):
        crowds.insert(0, Customers(env, tiers[number], number, load, seed, crowds[0] if crowds else None))
    users = crowds[0]
    if users.clients.population:
        thoughts = random.Random(2 * seed + 3)
        for _ in range(users.clients.population):
            env.process(serial_client(users, load, duration, thoughts))
    else:
        for arrival in load.arrivals(duration, np.random.default_rng(seed)):
            env.process(open_system(users, float(arrival)))
    env.run(until=duration)
    return crowds


def _record(experiment: Experiment, crowd: Customers) -> Run:
    column = {name: np.array([getattr(attempt, name) for attempt in crowd.attempts], dtype=kind)
              for names, kind in (("sent arrived started ended", float), ("request number fate", int))
              for name in names.split()}
    return Run(experiment, np.array(crowd.offered), **column,
               answers=np.array([attempt.answered for attempt in crowd.attempts]), hits=np.array(crowd.hits),
               kind=np.array(crowd.kinds, dtype=int) if crowd.classes else None)
