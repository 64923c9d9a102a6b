"""The readable telling: the same server and clients as SimPy processes.

Written apart from `simulate`, event by event in the words of the story, to be read and to keep the fast engine
honest: on the same arrivals both must give every attempt the same fate at the same time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from labkit.metastability.experiment import Experiment
from labkit.metastability.model import Clients, CoDel, Lifo, Load, Service, Trigger
from labkit.metastability.policies import BreakerState, BudgetState, CoDelState, delay
from labkit.metastability.run import DROPPED, LATE, OK, SHED, WAITING, Run

Process = Generator[simpy.Event, Any, None]


@dataclass
class Try:
    """One try of one request, on its way through the server."""

    request: int
    number: int
    sent: float
    answer: simpy.Event                 # succeeds with True (done) or False (refused)
    arrived: float = 0.0
    started: float = math.inf
    ended: float = math.inf
    fate: int = WAITING
    client_left: bool = False


@dataclass
class World:
    """Everything one run shares."""

    env: simpy.Environment
    service: Service
    clients: Clients
    load: Load
    duration: float
    seed: int
    trigger: Trigger | None
    offered: list[float] = field(default_factory=list)
    attempts: list[Try] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.jitter = random.Random(2 * self.seed)
        self.bucket = BudgetState(self.clients.budget) if self.clients.budget else None
        self.breaker = BreakerState(self.clients.breaker) if self.clients.breaker else None
        self.server = QueueServer(self)
        self.network = Link(self)


class QueueServer:
    """Workers behind one queue."""

    def __init__(self, world: World):
        self.world, self.env, self.service = world, world.env, world.service
        self.rng = random.Random(2 * world.seed + 1)
        self.queue: list[Try] = []
        self.active = 0
        self.paused = False
        self.codel = CoDelState(self.service.queue) if isinstance(self.service.queue, CoDel) else None
        self.pause = world.trigger if world.trigger and world.trigger.kind == "pause" else None
        if self.pause:
            self.env.process(self.stand_still())

    def receive(self, attempt: Try) -> None:
        attempt.arrived = self.env.now
        limit = getattr(self.service.queue, "limit", None)
        busy = self.paused or self.active >= self.service.workers
        if limit is not None and busy and len(self.queue) >= limit:
            self.refuse(attempt)
        else:
            self.queue.append(attempt)
            self.start_work()

    def start_work(self) -> None:
        while self.queue and self.active < self.service.workers and not self.paused:
            attempt = self.queue.pop(-1 if isinstance(self.service.queue, Lifo) else 0)
            length = self.length()
            if self.drops(attempt, length):
                self.refuse(attempt)
            else:
                self.active += 1
                self.env.process(self.work(attempt, length))

    def length(self) -> float:
        """How long an attempt takes that starts now, in seconds."""
        length = self.service.base_latency + self.service.slope * (self.active + 1)
        trigger = self.world.trigger
        if trigger and trigger.kind == "slowdown" and trigger.start <= self.env.now < trigger.stop:
            length *= trigger.factor
        return length

    def drops(self, attempt: Try, length: float) -> bool:
        deadline = attempt.sent + self.world.clients.timeout
        if self.service.drop == "expired" and self.env.now >= deadline:
            return True
        if self.service.drop == "hopeless" and self.env.now + length > deadline:
            return True
        return self.codel is not None and self.codel.drops(self.env.now, self.env.now - attempt.arrived)

    def work(self, attempt: Try, length: float) -> Process:
        attempt.started = self.env.now
        if self.service.times == "exponential":
            length = self.rng.expovariate(1 / length)
        yield self.env.timeout(length)
        if self.pause and attempt.started < self.pause.start < self.env.now:
            yield self.env.timeout(self.pause.length)
        self.active -= 1
        attempt.ended = self.env.now
        attempt.fate = LATE if attempt.client_left else OK
        attempt.answer.succeed(True)
        self.start_work()

    def refuse(self, attempt: Try) -> None:
        attempt.ended = self.env.now
        attempt.fate = DROPPED if attempt.client_left else SHED
        attempt.answer.succeed(False)

    def stand_still(self) -> Process:
        assert self.pause
        yield self.env.timeout(self.pause.start)
        self.paused = True
        yield self.env.timeout(self.pause.stop - self.env.now)
        self.paused = False
        self.start_work()


class Link:
    """Delivers at once, except in an outage: then it keeps everything and delivers it when the line is back."""

    def __init__(self, world: World):
        self.world = world
        self.kept: list[Try] = []
        self.outage = world.trigger if world.trigger and world.trigger.kind == "outage" else None
        if self.outage:
            world.env.process(self.reconnect())

    def carry(self, attempt: Try) -> None:
        if self.outage and self.outage.start <= self.world.env.now < self.outage.stop:
            self.kept.append(attempt)
        else:
            self.world.server.receive(attempt)

    def reconnect(self) -> Process:
        assert self.outage
        yield self.world.env.timeout(self.outage.stop)
        for attempt in self.kept:
            self.world.server.receive(attempt)


def ask(world: World) -> Process:
    """One client wants one answer: try, wait for the answer or the time-out, try again."""
    env, clients = world.env, world.clients
    world.offered.append(env.now)
    request = len(world.offered) - 1
    if world.bucket and world.bucket.budget.credit == "first_try":
        world.bucket.credit()
    number, waited = 0, 0.0
    while world.breaker is None or world.breaker.allows(env.now):
        attempt = Try(request, number, env.now, env.event())
        world.attempts.append(attempt)
        world.network.carry(attempt)
        yield attempt.answer | env.timeout(clients.timeout)
        done = bool(attempt.answer.triggered and attempt.answer.value)
        attempt.client_left = not attempt.answer.triggered
        if world.breaker:
            world.breaker.record(env.now, done)
        if done:
            if world.bucket and world.bucket.budget.credit == "success":
                world.bucket.credit()
            return
        if number >= clients.retries or (world.bucket and not world.bucket.spend()):
            return
        if clients.backoff:
            waited = delay(clients.backoff, number, world.jitter, waited)
            yield env.timeout(waited)
        elif attempt.fate == SHED:
            yield env.timeout(0)
        number += 1


def open_system(world: World, arrival: float) -> Process:
    yield world.env.timeout(arrival)
    yield from ask(world)


def serial_client(world: World, thoughts: random.Random) -> Process:
    """A client of a closed system: think, ask, think, ask."""
    while True:
        amount = (world.clients.population or 1) * thoughts.expovariate(1)
        wake = world.load.later(world.env.now, amount, world.duration)
        if wake == math.inf:
            return
        yield world.env.timeout(wake - world.env.now)
        yield from ask(world)


def tell(service: Service, clients: Clients, load: Load, duration: float, seed: int = 0,
         trigger: Trigger | None = None) -> Run:
    """`simulate`, told by SimPy: same arguments, same `Run`, about a tenth of the speed."""
    experiment = Experiment(service, clients, load, duration, trigger, seed)
    env = simpy.Environment()
    world = World(env, service, clients, load, duration, seed, trigger)
    if clients.population:
        thoughts = random.Random(2 * seed + 3)
        for _ in range(clients.population):
            env.process(serial_client(world, thoughts))
    else:
        for arrival in load.arrivals(duration, np.random.default_rng(seed)):
            env.process(open_system(world, float(arrival)))
    env.run(until=duration)
    column = {name: np.array([getattr(attempt, name) for attempt in world.attempts])
              for name in ("sent", "request", "number", "arrived", "started", "ended", "fate")}
    return Run(experiment, np.array(world.offered), **column)
