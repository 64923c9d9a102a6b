"""The server of the fast engine: attempts queue, are served and answered. `simulate` has the loop that drives it."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from labkit.metastability.adaptive import wanted_workers
from labkit.metastability.model import CoDel, Lifo, Priority, Trigger
from labkit.metastability.policies import CoDelState
from labkit.metastability.run import ERROR, OK, SHED
from labkit.metastability.triggers import apart, of_kind

if TYPE_CHECKING:
    from labkit.metastability.callers import Callers
    from labkit.metastability.simulate import Agenda


class Urgent:
    """A queue that hands out the most urgent class first."""

    def __init__(self, caller: Callers):
        self.caller, self.heap = caller, list[tuple[int, int, int]]()
        self.count = 0

    def append(self, attempt: int) -> None:
        self.count += 1
        heappush(self.heap, (self.caller.marks_of(attempt).kind, self.count, attempt))

    def popleft(self) -> int:
        return heappop(self.heap)[2]

    def __len__(self) -> int:
        return len(self.heap)


class Server:
    """Workers behind one queue; one of the shards of the service that `caller` calls."""

    # so many attributes in a plain instance would cost a tenth of the speed
    __slots__ = ("agenda", "caller", "service", "onward", "heap", "started", "ended", "base", "slope", "workers",
                 "limit", "queue", "take", "codel", "chance", "luck", "slow", "bad", "errs", "failing", "active",
                 "paused", "debt", "scaler", "drop", "queue_slope", "random_times", "picky", "dear", "special",
                 "order", "completed", "size", "busy", "since", "good")

    def __init__(self, agenda: Agenda, caller: Callers, triggers: tuple[Trigger, ...], shard: int,
                 line: Callable[[], deque[int]]):
        service, seed = caller.service, caller.seed
        self.agenda, self.caller, self.service = agenda, caller, service
        self.onward: Callers | None = None            # whom its attempts call, when there is another tier behind
        self.heap, self.started, self.ended = agenda.heap, caller.started, caller.ended
        self.base, self.slope, self.workers = service.base_latency, service.slope, service.workers
        bound = None if isinstance(service.queue, CoDel) else service.queue.limit
        self.limit = math.inf if bound is None else bound
        self.queue: Urgent | deque[int] = Urgent(caller) if isinstance(service.queue, Priority) else line()
        self.take: Callable[[], int] = getattr(self.queue, "pop" if isinstance(service.queue, Lifo) else "popleft")
        self.codel = CoDelState(service.queue) if isinstance(service.queue, CoDel) else None
        first = not caller.tier and not shard
        name = f"{seed} {caller.tier} {shard}"
        self.chance = random.Random(2 * seed + 1 if first else f"service {name}").expovariate
        self.luck = random.Random(f"errors {name}").random
        self.slow, self.bad = of_kind(triggers, "slowdown", shard), of_kind(triggers, "errors", shard)
        self.errs = service.error_rate > 0 or bool(self.bad)
        self.failing: set[int] = set()               # those in service that will end in an error
        self.active, self.paused, self.debt = 0, False, 0.0
        self.scaler = service.autoscaler
        # what makes service special, looked at in `judge`
        self.drop, self.queue_slope, self.random_times = service.drop, service.queue_slope, service.times != "constant"
        self.picky = bool(self.codel or service.drop != "never" or caller.propagate)
        self.dear = bool(service.refusal_cost or caller.clients.pool or self.scaler)
        self.special = bool(self.picky or self.dear or self.random_times or self.slow or self.errs or self.queue_slope)
        self.order = agenda.starts
        self.completed = self.complete
        for start, length in apart(of_kind(triggers, "pause", shard)):
            agenda.plan(start, self.pause, length)
            agenda.plan(start + length, self.resume, None)
        if self.scaler:
            self.size, self.busy, self.since, self.good = self.workers, 0.0, 0.0, 0
            agenda.plan(self.scaler.every, self.decide, None)

    # ------------------------------------------------------------------------------------------ queue and workers
    def arrive(self, now: float, attempt: int) -> None:
        queue = self.queue
        if len(queue) >= self.limit and (self.active >= self.workers or self.paused):
            self.refuse(now, attempt)
        else:
            queue.append(attempt)
            if self.active < self.workers and not self.paused:
                self.serve(now)

    def serve(self, now: float) -> None:
        """Start queued attempts while a worker is free."""
        queue = self.queue
        while queue and self.active < self.workers:
            attempt = self.take()
            length = self.base + self.slope * (self.active + 1)
            if self.special:
                length = self.judge(now, attempt, length)
                if length < 0:
                    self.refuse(now, attempt)
                    continue
            self.active += 1
            self.started[attempt] = now
            heappush(self.heap, (now + length, next(self.order), self.completed, attempt))

    def judge(self, now: float, attempt: int, length: float) -> float:
        """How long an attempt takes that would start now, s, all things considered; -1: it is dropped instead."""
        if self.queue_slope:
            length += self.queue_slope * len(self.queue)
        if self.slow:
            for slow in self.slow:
                if slow.hits(now):
                    length *= slow.factor
        if self.picky and self.drops(now, attempt, length):
            return -1.0
        if self.errs and self.luck() < self.error_rate(now):
            self.failing.add(attempt)
            length = self.service.error_latency or length
        if self.random_times:
            length = self.chance(1 / length)
        if self.dear:
            length += self.extra(now, attempt)
        return length

    def drops(self, now: float, attempt: int, length: float) -> bool:
        caller = self.caller
        deadline = caller.sent[attempt] + caller.timeout
        if caller.propagate:
            user = caller.until[caller.request[attempt]]
            if now >= user:
                return True
            deadline = min(deadline, user)
        if self.drop == "expired" and now >= deadline:
            return True
        if self.drop == "hopeless" and now + length + caller.delay > deadline:
            return True
        return self.codel is not None and self.codel.drops(now, now - caller.arrived_at(attempt))

    def extra(self, now: float, attempt: int) -> float:
        """What else the worker has to do before it begins, s: accept a connection, say the "no" that came up."""
        if self.scaler:
            self.account(now)
        length = self.debt / self.workers
        self.debt -= length
        if attempt in self.caller.fresh:
            self.caller.fresh.discard(attempt)
            length += self.caller.connect_cost
        return length

    def error_rate(self, now: float) -> float:
        """The chance that an attempt which starts now fails."""
        fine = 1 - self.service.error_rate
        for bad in self.bad:
            if bad.hits(now):
                fine *= 1 - bad.rate
        return 1 - fine

    def refuse(self, now: float, attempt: int) -> None:
        """The service says no: to a client that waits, or to nobody if it has left."""
        self.ended[attempt] = now
        self.debt += self.service.refusal_cost
        self.caller.reply(now, attempt, SHED)

    def complete(self, now: float, attempt: int) -> None:
        """The server's own work is done."""
        if self.failing and attempt in self.failing:
            self.failing.discard(attempt)
            self.done(now, attempt, ERROR)
        elif self.onward:
            self.onward.new_request(now, attempt)       # which calls done() when it knows how that went
        else:
            self.done(now, attempt, OK)

    def done(self, now: float, attempt: int, outcome: int) -> None:
        if self.scaler:
            self.account(now)
        self.active -= 1
        self.ended[attempt] = now
        self.caller.reply(now, attempt, outcome)
        if self.queue and not self.paused:
            self.serve(now)

    # ------------------------------------------------------------------------------------------ pauses
    def pause(self, now: float, length: float) -> None:
        """What is in service stands still, too."""
        self.paused = True
        self.heap[:] = [(entry[0] + length, *entry[1:]) if entry[2] is self.completed else entry for entry in self.heap]
        heapify(self.heap)

    def resume(self, now: float, _: None) -> None:
        self.paused = False
        self.serve(now)

    # ------------------------------------------------------------------------------------------ autoscaler
    def account(self, now: float) -> None:
        """Add up the busy seconds of the workers."""
        self.busy += self.active * (now - self.since)
        self.since = now

    def decide(self, now: float, _: None) -> None:
        assert self.scaler
        self.account(now)
        amount = self.busy if self.scaler.metric == "busy" else self.caller.good - self.good
        self.busy, self.good = 0.0, self.caller.good
        wanted = wanted_workers(self.scaler, self.workers, amount / self.workers / self.scaler.every)
        if wanted > self.size:
            self.agenda.plan(now + self.scaler.lag, self.boot, wanted - self.size)
        self.size = wanted
        self.workers = min(self.workers, wanted)
        self.agenda.plan(now + self.scaler.every, self.decide, None)

    def boot(self, now: float, count: int) -> None:
        self.workers = min(self.size, self.workers + count)
        if not self.paused:
            self.serve(now)
