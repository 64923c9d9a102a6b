"""What is being modelled: a service, its clients, the load and the trigger. Parameters only, no behaviour.

The server is the one of Brooker's and Bhatti's simulators: an attempt takes `base_latency + slope * active`
seconds, so work gets slower the more of it there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from labkit import ranges

Times = npt.NDArray[np.float64]


# ------------------------------------------------------------------------------------------------ service
@dataclass(frozen=True)
class Fifo:
    """First in, first out; at most `limit` attempts wait (None: no limit), the next one is refused."""

    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None:
            ranges.whole("Fifo.limit", self.limit, 0)


@dataclass(frozen=True)
class Lifo:
    """Last in, first out: the newest attempt, the one whose client is surely still there, goes first."""

    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None:
            ranges.whole("Lifo.limit", self.limit, 0)


@dataclass(frozen=True)
class CoDel:
    """First in, first out, dropping at dequeue when waiting stays long (Nichols & Jacobson, ACM Queue 2012).

    target: acceptable wait, s. interval: how long the wait must stay above it before dropping begins, s.
    """

    target: float
    interval: float

    def __post_init__(self) -> None:
        ranges.number("CoDel.target", self.target, 0, above=True)
        ranges.number("CoDel.interval", self.interval, 0, above=True)


@dataclass(frozen=True)
class Service:
    """A server with `workers` places; an attempt takes `base_latency + slope * active` seconds.

    base_latency: seconds alone on the server, > 0. slope: extra seconds per attempt in service, >= 0
    (`active` is counted when service starts, the attempt itself included). workers: >= 1; the rest queue.
    queue: `Fifo`, `Lifo` or `CoDel`. drop: at dequeue, drop nothing ("never"), what has already timed out
    ("expired") or what can no longer finish in time ("hopeless"). times: "constant", or "exponential" with
    that mean, for comparison with textbook queues. Refused and dropped attempts are answered with an error.
    """

    base_latency: float
    slope: float
    workers: int
    queue: Fifo | Lifo | CoDel = Fifo()
    drop: Literal["never", "expired", "hopeless"] = "never"
    times: Literal["constant", "exponential"] = "constant"

    def __post_init__(self) -> None:
        ranges.number("Service.base_latency", self.base_latency, 0, above=True)
        ranges.number("Service.slope", self.slope, 0)
        ranges.whole("Service.workers", self.workers, 1)
        ranges.instance("Service.queue", self.queue, (Fifo, Lifo, CoDel))
        ranges.one_of("Service.drop", self.drop, ["never", "expired", "hopeless"])
        ranges.one_of("Service.times", self.times, ["constant", "exponential"])

    @property
    def refuses(self) -> bool:
        """Whether this service ever answers "no" instead of letting a client wait."""
        return self.drop != "never" or isinstance(self.queue, CoDel) or self.queue.limit is not None


# ------------------------------------------------------------------------------------------------ clients
@dataclass(frozen=True)
class Backoff:
    """Wait before retry k = 0, 1, ...: `min(cap, base * factor**k)` seconds, spread by `jitter`.

    jitter: "none"; "full" U(0, w); "equal" w/2 + U(0, w/2); "decorrelated" U(base, 3 * previous wait), capped.
    Source: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """

    base: float
    factor: float = 2.0
    cap: float | None = None
    jitter: Literal["none", "full", "equal", "decorrelated"] = "none"

    def __post_init__(self) -> None:
        ranges.number("Backoff.base", self.base, 0, above=True)
        ranges.number("Backoff.factor", self.factor, 1)
        if self.cap is not None:
            ranges.number("Backoff.cap", self.cap, self.base)
        ranges.one_of("Backoff.jitter", self.jitter, ["none", "full", "equal", "decorrelated"])


@dataclass(frozen=True)
class RetryBudget:
    """A token bucket shared by all clients: a retry costs 1 token, `credit` earns `ratio` tokens.

    ratio: tokens per credit, in (0, 1]. capacity: tokens the full bucket holds, >= 1; it starts full.
    credit: "first_try" (each new request earns) or "success" (each answered request earns).
    """

    ratio: float
    capacity: float = 10.0
    credit: Literal["first_try", "success"] = "first_try"

    def __post_init__(self) -> None:
        ranges.number("RetryBudget.ratio", self.ratio, 0, 1, above=True)
        ranges.number("RetryBudget.capacity", self.capacity, 1)
        ranges.one_of("RetryBudget.credit", self.credit, ["first_try", "success"])


@dataclass(frozen=True)
class Breaker:
    """A circuit breaker around all calls: opens when more than `failure_ratio` of the attempts that ended in
    the last `window` s failed (at least 10 of them); after `open_for` s one probe decides whether it closes.
    """

    failure_ratio: float
    window: float
    open_for: float

    def __post_init__(self) -> None:
        ranges.number("Breaker.failure_ratio", self.failure_ratio, 0, 1, above=True)
        ranges.number("Breaker.window", self.window, 0, above=True)
        ranges.number("Breaker.open_for", self.open_for, 0, above=True)


@dataclass(frozen=True)
class Clients:
    """Who calls: they give up on an attempt after `timeout` s and try again at most `retries` times.

    A client that gives up leaves, but its attempt goes on using the server unless the service drops it.
    timeout: s per attempt, > 0. retries: >= 0, or `math.inf`. population: None for an open system (arrivals
    do not care how the last ones fared), or N serial clients: each thinks, calls, and waits for its answer.
    """

    timeout: float
    retries: float
    backoff: Backoff | None = None
    budget: RetryBudget | None = None
    breaker: Breaker | None = None
    population: int | None = None

    def __post_init__(self) -> None:
        ranges.number("Clients.timeout", self.timeout, 0, above=True)
        ranges.whole("Clients.retries", self.retries, 0, infinite=True)
        ranges.instance("Clients.backoff", self.backoff, (Backoff, type(None)))
        ranges.instance("Clients.budget", self.budget, (RetryBudget, type(None)))
        ranges.instance("Clients.breaker", self.breaker, (Breaker, type(None)))
        if self.population is not None:
            ranges.whole("Clients.population", self.population, 1)


# ------------------------------------------------------------------------------------------------ load
@dataclass(frozen=True)
class Load:
    """New requests per second over time, as Poisson arrivals; made by `constant`, `spike`, `ramp` or `trace`.

    knots: (time s, rate 1/s) pairs, linear in between, constant outside; two knots at one time are a jump.
    times: a fixed list of arrival times (s) instead. disturbance: (start, stop) in s of what is unusual.
    """

    knots: tuple[tuple[float, float], ...]
    times: tuple[float, ...] | None = None
    disturbance: tuple[float, float] | None = None

    @classmethod
    def constant(cls, rate: float) -> Load:
        """`rate` requests/s for ever."""
        ranges.number("Load.rate", rate, 0)
        return cls(((0.0, rate),))

    @classmethod
    def spike(cls, base: float, peak: float, start: float, length: float) -> Load:
        """`base` requests/s, but `peak` requests/s from `start` for `length` seconds."""
        for field, value in (("base", base), ("peak", peak), ("start", start), ("length", length)):
            ranges.number(f"Load.{field}", value, 0)
        stop = start + length
        return cls(((start, base), (start, peak), (stop, peak), (stop, base)), disturbance=(start, stop))

    @classmethod
    def ramp(cls, base: float, peak: float, start: float, up: float, down: float) -> Load:
        """From `base` at `start` linearly to `peak` in `up` seconds and back in `down` seconds."""
        for field, value in (("base", base), ("peak", peak), ("start", start), ("up", up), ("down", down)):
            ranges.number(f"Load.{field}", value, 0)
        top, stop = start + up, start + up + down
        return cls(((start, base), (top, peak), (stop, base)), disturbance=(start, stop))

    @classmethod
    def trace(cls, times: Sequence[float]) -> Load:
        """Requests at exactly these times (s), in rising order."""
        for time in times:
            ranges.number("Load.times", time, 0)
        if list(times) != sorted(times):
            raise ValueError("Load.times: must be in rising order")
        return cls(((0.0, 0.0),), times=tuple(float(time) for time in times))

    def rate(self, time: float) -> float:
        """Requests/s at `time` (after the jump, if there is one)."""
        before = [knot for knot in self.knots if knot[0] <= time]
        after = [knot for knot in self.knots if knot[0] > time]
        if not before or not after:
            return (before[-1:] or after[:1])[0][1]
        (t0, r0), (t1, r1) = before[-1], after[0]
        return r0 + (r1 - r0) * (time - t0) / (t1 - t0)

    def arrivals(self, duration: float, rng: np.random.Generator) -> Times:
        """Arrival times in [0, duration), s: a unit-rate Poisson process run on the clock of the expected count.

        Stretching time, rather than thinning, keeps the same customers when a slider moves.
        """
        if self.times is not None:
            return np.array([time for time in self.times if time < duration])
        clock, mass = self._cumulative(duration)
        points = np.cumsum(rng.exponential(size=int(mass[-1] + 8 * math.sqrt(mass[-1]) + 20)))
        return np.asarray(np.interp(points[points < mass[-1]], mass, clock))

    def later(self, time: float, amount: float, horizon: float) -> float:
        """When `amount` more requests than by `time` are expected; inf if not before `horizon`."""
        clock, mass = self._cumulative(horizon)
        goal = float(np.interp(time, clock, mass)) + amount
        return float(np.interp(goal, mass, clock)) if goal < mass[-1] else math.inf

    def _cumulative(self, duration: float) -> tuple[Times, Times]:
        """Clock (s) and expected requests so far; a slope is walked in at most 2,000 steps of >= 0.05 s."""
        clock = [0.0, duration]
        for (t0, r0), (t1, r1) in zip(self.knots, self.knots[1:], strict=False):
            steps = min(2000, max(1, int((t1 - t0) / 0.05))) if r0 != r1 else 1
            clock += list(np.linspace(t0, t1, steps + 1))
        grid = np.unique([time for time in clock if 0 <= time <= duration])
        middle = (grid[1:] + grid[:-1]) / 2
        rates = np.array([self.rate(time) for time in middle])
        return grid, np.concatenate([[0.0], np.cumsum(rates * np.diff(grid))])


def steady_rate(load: float | Load) -> float:
    """The undisturbed rate (1/s) of a load, or the number itself."""
    if isinstance(load, Load):
        return load.rate(-1.0)
    ranges.number("load", load, 0)
    return float(load)


@dataclass(frozen=True)
class Trigger:
    """Something that goes wrong for a while, other than load, from `start` for `length` seconds.

    kind "slowdown": service takes `factor` times as long. "pause": the whole server stands still (a GC pause):
    nothing starts, what is in service ends `length` later. "outage": the network holds back what is sent and
    delivers it all when it ends, as TCP does on reconnect.
    """

    kind: Literal["slowdown", "outage", "pause"]
    start: float
    length: float
    factor: float = 1.0

    def __post_init__(self) -> None:
        ranges.number("Trigger.start", self.start, 0)
        ranges.number("Trigger.length", self.length, 0)
        ranges.number("Trigger.factor", self.factor, 1)

    @classmethod
    def slowdown(cls, start: float, length: float, factor: float) -> Trigger:
        """Service started in this time takes `factor` >= 1 times as long."""
        return cls("slowdown", start, length, factor)

    @classmethod
    def outage(cls, start: float, length: float) -> Trigger:
        """Attempts sent in this time all arrive when it ends (Bronson et al., HotOS 2021, section 2.1)."""
        return cls("outage", start, length)

    @classmethod
    def pause(cls, start: float, length: float) -> Trigger:
        """The server does nothing in this time and then goes on where it was."""
        return cls("pause", start, length)

    @property
    def stop(self) -> float:
        return self.start + self.length
