"""The server of the readable telling; `telling.py` has those who call it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import simpy

from labkit.metastability.adaptive import wanted_workers
from labkit.metastability.belongings import Marks
from labkit.metastability.model import CoDel, Lifo, Priority, Trigger
from labkit.metastability.policies import CoDelState
from labkit.metastability.run import DROPPED, ERROR, LATE, OK, SHED, WAITING
from labkit.metastability.triggers import apart, of_kind

if TYPE_CHECKING:
    from labkit.metastability.telling import Customers

Process = Generator[simpy.Event, Any, Any]


@dataclass(eq=False)
class Try:
    """One try of one request, on its way through the server."""

    request: int
    number: int
    sent: float
    answer: simpy.Event                 # succeeds with OK, ERROR or SHED
    marks: Marks
    user_deadline: float = math.inf
    arrived: float = math.inf
    started: float = math.inf
    ended: float = math.inf
    answered: float = math.inf
    fate: int = WAITING
    client_left: bool = False
    new_connection: bool = False


class QueueServer:
    """Workers behind one queue. `call_next`: what an attempt does when its own work is done, or None."""

    def __init__(self, crowd: Customers, triggers: tuple[Trigger, ...], shard: int,
                 call_next: Callable[[Try], Process] | None):
        self.crowd, self.env, self.service = crowd, crowd.env, crowd.service
        self.call_next = call_next
        name = f"{crowd.seed} {crowd.tier} {shard}"
        self.rng = random.Random(f"service {name}" if crowd.tier or shard else 2 * crowd.seed + 1)
        self.luck = random.Random(f"errors {name}")
        self.queue: list[Try] = []
        self.workers, self.active = self.service.workers, 0
        self.unsaid = 0.0               # seconds of saying "no" that the workers have yet to spend
        self.paused = False
        self.codel = CoDelState(self.service.queue) if isinstance(self.service.queue, CoDel) else None
        self.slowdowns, self.bad_times = of_kind(triggers, "slowdown", shard), of_kind(triggers, "errors", shard)
        self.pauses = apart(of_kind(triggers, "pause", shard))
        for start, length in self.pauses:
            self.env.process(self.stand_still(start, length))
        self.meter = ScalerWatch(self) if self.service.autoscaler else None

    def receive(self, attempt: Try) -> None:
        attempt.arrived = self.env.now
        limit = getattr(self.service.queue, "limit", None)
        busy = self.paused or self.active >= self.workers
        if limit is not None and busy and len(self.queue) >= limit:
            self.refuse(attempt)
        else:
            self.queue.append(attempt)
            self.start_work()

    def next_in_line(self) -> Try:
        if isinstance(self.service.queue, Priority):
            return self.queue.pop(min(range(len(self.queue)), key=lambda place: self.queue[place].marks.kind))
        return self.queue.pop(-1 if isinstance(self.service.queue, Lifo) else 0)

    def start_work(self) -> None:
        while self.queue and self.active < self.workers and not self.paused:
            attempt = self.next_in_line()
            length = self.length()
            if self.drops(attempt, length):
                self.refuse(attempt)
                continue
            fails = self.luck.random() < self.error_rate() if self.can_fail else False
            if fails and self.service.error_latency is not None:
                length = self.service.error_latency
            if self.service.times == "exponential":
                length = self.rng.expovariate(1 / length)
            if attempt.new_connection and self.crowd.clients.pool:
                length += self.crowd.clients.pool.connect
            mine = self.unsaid / self.workers
            length, self.unsaid = length + mine, self.unsaid - mine
            self.busy(+1)
            self.env.process(self.work(attempt, length, fails))

    def busy(self, change: int) -> None:
        if self.meter:
            self.meter.read()
        self.active += change

    def length(self) -> float:
        """How long an attempt takes that starts now, in seconds."""
        length = self.service.base_latency + self.service.slope * (self.active + 1)
        length += self.service.queue_slope * len(self.queue)
        for slowdown in self.slowdowns:
            if slowdown.start <= self.env.now < slowdown.stop:
                length *= slowdown.factor
        return length

    @property
    def can_fail(self) -> bool:
        return self.service.error_rate > 0 or len(self.bad_times) > 0

    def error_rate(self) -> float:
        works = 1 - self.service.error_rate
        for bad in self.bad_times:
            if bad.start <= self.env.now < bad.stop:
                works *= 1 - bad.rate
        return 1 - works

    def drops(self, attempt: Try, length: float) -> bool:
        deadline = min(attempt.sent + self.crowd.clients.timeout, attempt.user_deadline)
        if self.env.now >= attempt.user_deadline:
            return True
        if self.service.drop == "expired" and self.env.now >= deadline:
            return True
        if self.service.drop == "hopeless" and self.env.now + length + self.service.network_delay > deadline:
            return True
        return self.codel is not None and self.codel.drops(self.env.now, self.env.now - attempt.arrived)

    def work(self, attempt: Try, length: float, fails: bool) -> Process:
        attempt.started = self.env.now
        yield self.env.timeout(length)
        for start, pause in self.pauses:
            if attempt.started < start < self.env.now:
                yield self.env.timeout(pause)
        outcome = ERROR if fails else OK
        if self.call_next and not fails:
            outcome = OK if (yield from self.call_next(attempt)) else ERROR
        self.busy(-1)
        attempt.ended = self.env.now
        self.reply(attempt, outcome)
        self.start_work()

    def refuse(self, attempt: Try) -> None:
        attempt.ended = self.env.now
        self.unsaid += self.service.refusal_cost
        self.reply(attempt, SHED)

    def reply(self, attempt: Try, outcome: int) -> None:
        if attempt.client_left:
            attempt.fate = DROPPED if outcome == SHED else LATE
        elif self.service.network_delay:
            self.env.process(self.crowd.way_back(attempt, outcome))
        else:
            attempt.fate, attempt.answered = outcome, self.env.now
            attempt.answer.succeed(outcome)

    def stand_still(self, start: float, length: float) -> Process:
        yield self.env.timeout(start)
        self.paused = True
        yield self.env.timeout(start + length - self.env.now)
        self.paused = False
        self.start_work()


class ScalerWatch:
    """What the autoscaler looks at, and what it does about it."""

    def __init__(self, server: QueueServer):
        self.server, self.env = server, server.env
        self.busy_seconds, self.since, self.answered_before = 0.0, 0.0, 0
        self.ordered = server.workers
        self.env.process(self.watch())

    def read(self) -> None:
        self.busy_seconds += self.server.active * (self.env.now - self.since)
        self.since = self.env.now

    def watch(self) -> Process:
        scaler = self.server.service.autoscaler
        assert scaler
        while True:
            yield self.env.timeout(scaler.every)
            self.read()
            answered = self.server.crowd.answered_in_time
            amount = self.busy_seconds if scaler.metric == "busy" else answered - self.answered_before
            self.busy_seconds, self.answered_before = 0.0, answered
            wanted = wanted_workers(scaler, self.server.workers, amount / self.server.workers / scaler.every)
            if wanted > self.ordered:
                self.env.process(self.boot(scaler.lag, wanted - self.ordered))
            self.ordered = wanted
            self.server.workers = min(self.server.workers, wanted)

    def boot(self, lag: float, count: int) -> Process:
        yield self.env.timeout(lag)
        self.server.workers = min(self.ordered, self.server.workers + count)
        self.server.start_work()
