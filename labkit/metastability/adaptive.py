"""Limits that learn: a client's throttle and concurrency limit, and the autoscaler's rule.

Both engines run this very code; they hand in the time, so nothing here reads a clock.
"""

from __future__ import annotations

import math
import random
from collections import deque

from labkit.metastability.clients import AdaptiveConcurrency, AdaptiveThrottle, Clients
from labkit.metastability.policies import BreakerState
from labkit.metastability.service import Autoscaler


class ThrottleState:
    """Adaptive throttling of one client process: what it wanted and what was accepted, in its window."""

    def __init__(self, throttle: AdaptiveThrottle, rng: random.Random):
        self.throttle, self.rng = throttle, rng
        self.requests: deque[float] = deque()
        self.accepts: deque[float] = deque()

    def rejects(self, now: float) -> float:
        """The probability with which a call is turned away now: max(0, (requests - k accepts) / (requests + 1))."""
        for times in (self.requests, self.accepts):
            while times and times[0] <= now - self.throttle.window:
                times.popleft()
        wanted = len(self.requests)
        return max(0.0, (wanted - self.throttle.k * len(self.accepts)) / (wanted + 1))

    def allows(self, now: float) -> bool:
        allowed = self.rng.random() >= self.rejects(now)
        self.requests.append(now)
        return allowed

    def record(self, now: float, ok: bool) -> None:
        if ok:
            self.accepts.append(now)


class ConcurrencyState:
    """Adaptive concurrency of one client process: how many calls wait, and how many may."""

    def __init__(self, concurrency: AdaptiveConcurrency):
        self.concurrency = concurrency
        self.limit = float(concurrency.initial)
        self.waiting = 0

    def allows(self) -> bool:
        return self.waiting < int(self.limit)

    def record(self, ok: bool) -> None:
        """One call ended; the rule is that of AIMDLimit."""
        if not ok:
            self.limit = max(float(self.concurrency.min_limit), self.limit * self.concurrency.ratio)
        elif 2 * self.waiting >= self.limit:
            self.limit = min(float(self.concurrency.max_limit), self.limit + 1)
        self.waiting -= 1


class Guards:
    """All that may keep a call from being sent: throttle and concurrency limit of its process, and its breaker."""

    def __init__(self, clients: Clients, shards: int, name: str):
        count, throttle, limit, breaker = clients.processes, clients.throttle, clients.concurrency, clients.breaker
        self.throttles = [ThrottleState(throttle, random.Random(f"throttle {name} {process}"))
                          for process in range(count)] if throttle else None
        self.limits = [ConcurrencyState(limit) for _ in range(count)] if limit else None
        self.scope = breaker.per if breaker else "all"
        copies = {"all": 1, "client": count, "shard": shards}[self.scope]
        self.breakers = [BreakerState(breaker) for _ in range(copies)] if breaker else []
        self.only = self.breakers[0] if copies == len(self.breakers) == 1 and not throttle and not limit else None

    def breaker(self, process: int, shard: int) -> BreakerState | None:
        if not self.breakers:
            return None
        return self.breakers[0 if self.scope == "all" else process if self.scope == "client" else shard]

    def allow(self, now: float, process: int, shard: int) -> bool:
        """Whether a call may be sent. The breaker is asked last: what it allows may be its one probe."""
        if self.only:
            return self.only.allows(now)
        if self.limits and not self.limits[process].allows():
            return False
        if self.throttles and not self.throttles[process].allows(now):
            return False
        breaker = self.breaker(process, shard)
        if breaker and not breaker.allows(now):
            return False
        if self.limits:
            self.limits[process].waiting += 1
        return True

    def record(self, now: float, process: int, shard: int, ok: bool) -> None:
        """A call that was sent was answered, or given up on."""
        if self.only:
            self.only.record(now, ok)
            return
        if self.limits:
            self.limits[process].record(ok)
        if self.throttles:
            self.throttles[process].record(now, ok)
        breaker = self.breaker(process, shard)
        if breaker:
            breaker.record(now, ok)


def wanted_workers(scaler: Autoscaler, workers: int, metric: float) -> int:
    """How many workers the autoscaler wants for `metric`, the mean share busy or the requests/s answered per worker.

    >>> scaler = Autoscaler(target=0.5, min_workers=2, max_workers=20)
    >>> [wanted_workers(scaler, 10, busy) for busy in (1.0, 0.52, 0.1)]
    [20, 10, 2]
    """
    if abs(metric / scaler.target - 1) <= 0.1:
        return workers
    return min(scaler.max_workers, max(scaler.min_workers, math.ceil(workers * metric / scaler.target - 1e-9)))
