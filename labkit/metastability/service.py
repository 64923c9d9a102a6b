"""The service: workers behind a queue. Parameters only, no behaviour.

The server is the one of Brooker's and Bhatti's simulators: an attempt takes `base_latency + slope * active`
seconds, so work gets slower the more of it there is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from labkit import ranges


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
class Priority:
    """The most urgent class of `Load.with_classes` first, in order of arrival within a class; `limit` as for `Fifo`."""

    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None:
            ranges.whole("Priority.limit", self.limit, 0)


@dataclass(frozen=True)
class Autoscaler:
    """Sets the number of workers every `every` s to ceil(workers * metric / target), within its bounds.

    Within 10 % of the target nothing changes.

    target: the wanted metric, > 0.
    min_workers, max_workers: the bounds, 1 <= min_workers <= max_workers.
    every: s, > 0.
    lag: s until an added worker serves, >= 0; removed ones go as soon as they are idle.
    metric: "busy", the mean share of workers busy since the last decision (then `target` <= 1); or "answered",
        requests/s answered in time per worker.

    Source: Kubernetes documentation, "Horizontal Pod Autoscaling", algorithm details (2024).
    """

    target: float
    min_workers: int
    max_workers: int
    every: float = 15.0
    lag: float = 60.0
    metric: Literal["busy", "answered"] = "busy"

    def __post_init__(self) -> None:
        ranges.one_of("Autoscaler.metric", self.metric, ["busy", "answered"])
        ranges.number("Autoscaler.target", self.target, 0, 1 if self.metric == "busy" else math.inf, above=True)
        ranges.whole("Autoscaler.min_workers", self.min_workers, 1)
        ranges.whole("Autoscaler.max_workers", self.max_workers, self.min_workers)
        ranges.number("Autoscaler.every", self.every, 0, above=True)
        ranges.number("Autoscaler.lag", self.lag, 0)


@dataclass(frozen=True)
class Service:
    """A server with `workers` places; an attempt takes `base_latency + slope * active` seconds.

    base_latency: seconds alone on the server, > 0. slope: extra seconds per attempt in service, >= 0
    (`active` is counted when service starts, the attempt itself included). workers: >= 1; the rest queue.
    queue: `Fifo`, `Lifo`, `CoDel` or `Priority`. drop: at dequeue, drop nothing ("never"), what has already
    timed out ("expired") or what can no longer finish in time ("hopeless"). times: "constant", or "exponential"
    with that mean, for comparison with textbook queues. Refused and dropped attempts are answered with an error.

    network_delay: s one way, >= 0; network_times: "constant", or "exponential" with that mean.
    error_rate: share of the attempts that end in an error after all the work, in [0, 1]; error_latency: s that
    such an attempt takes instead, > 0 (None: as long as any other).
    queue_slope: extra seconds of service per attempt that waits when it starts, >= 0: the backlog itself costs
    time, as live objects do a garbage collector.
    refusal_cost: s of a worker's time per refused or dropped attempt, >= 0. The workers share it: each, before it
    begins the next attempt, spends its part, 1 / workers, of what has come up and not been spent yet.
    shards: that many servers of this kind, each with its own queue; a request belongs to one of them, at random.
    autoscaler: changes the number of workers over time (None: nobody does); for a service of one shard.
    """

    base_latency: float
    slope: float
    workers: int
    queue: Fifo | Lifo | CoDel | Priority = Fifo()
    drop: Literal["never", "expired", "hopeless"] = "never"
    times: Literal["constant", "exponential"] = "constant"
    network_delay: float = 0.0
    network_times: Literal["constant", "exponential"] = "constant"
    error_rate: float = 0.0
    error_latency: float | None = None
    queue_slope: float = 0.0
    refusal_cost: float = 0.0
    shards: int = 1
    autoscaler: Autoscaler | None = None

    def __post_init__(self) -> None:
        ranges.number("Service.base_latency", self.base_latency, 0, above=True)
        ranges.number("Service.slope", self.slope, 0)
        ranges.whole("Service.workers", self.workers, 1)
        ranges.instance("Service.queue", self.queue, (Fifo, Lifo, CoDel, Priority))
        ranges.one_of("Service.drop", self.drop, ["never", "expired", "hopeless"])
        ranges.one_of("Service.times", self.times, ["constant", "exponential"])
        ranges.number("Service.network_delay", self.network_delay, 0)
        ranges.one_of("Service.network_times", self.network_times, ["constant", "exponential"])
        ranges.number("Service.error_rate", self.error_rate, 0, 1)
        if self.error_latency is not None:
            ranges.number("Service.error_latency", self.error_latency, 0, above=True)
        ranges.number("Service.queue_slope", self.queue_slope, 0)
        ranges.number("Service.refusal_cost", self.refusal_cost, 0)
        ranges.whole("Service.shards", self.shards, 1)
        ranges.instance("Service.autoscaler", self.autoscaler, (Autoscaler, type(None)))
        if self.autoscaler and self.shards > 1:
            raise ValueError("Service.autoscaler: works on a service of one shard")

    @property
    def refuses(self) -> bool:
        """Whether this service ever answers "no" instead of letting a client wait."""
        return self.drop != "never" or isinstance(self.queue, CoDel) or self.queue.limit is not None
