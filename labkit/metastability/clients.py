"""The clients: how long they wait, how often they try again, and what holds them back. Parameters only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labkit import ranges


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
    """A token bucket: a retry costs 1 token, `credit` earns `ratio` tokens.

    ratio: tokens per credit, in (0, 1]. capacity: tokens the full bucket holds, >= 1; it starts full.
    credit: "first_try" (each new request earns) or "success" (each answered request earns).
    per: "all" (one bucket for all clients) or "client" (one in each of the `Clients.processes`).
    """

    ratio: float
    capacity: float = 10.0
    credit: Literal["first_try", "success"] = "first_try"
    per: Literal["all", "client"] = "all"

    def __post_init__(self) -> None:
        ranges.number("RetryBudget.ratio", self.ratio, 0, 1, above=True)
        ranges.number("RetryBudget.capacity", self.capacity, 1)
        ranges.one_of("RetryBudget.credit", self.credit, ["first_try", "success"])
        ranges.one_of("RetryBudget.per", self.per, ["all", "client"])


@dataclass(frozen=True)
class Breaker:
    """A circuit breaker: opens when more than `failure_ratio` of the attempts that ended in the last `window` s
    failed (at least 10 of them); after `open_for` s one probe decides whether it closes.

    per: "all" (one breaker around all calls), "client" (one in each of the `Clients.processes`) or "shard".
    """

    failure_ratio: float
    window: float
    open_for: float
    per: Literal["all", "client", "shard"] = "all"

    def __post_init__(self) -> None:
        ranges.number("Breaker.failure_ratio", self.failure_ratio, 0, 1, above=True)
        ranges.number("Breaker.window", self.window, 0, above=True)
        ranges.number("Breaker.open_for", self.open_for, 0, above=True)
        ranges.one_of("Breaker.per", self.per, ["all", "client", "shard"])


@dataclass(frozen=True)
class AdaptiveThrottle:
    """Each client process turns its own calls away with probability max(0, (requests - k accepts) / (requests + 1)).

    requests, accepts: calls wanted, and calls answered in time, in its last `window` s. k: > 1; 2 lets the service
    see twice what it accepts. window: s, > 0. A call turned away has failed for good.
    Source: Beyer et al., "Site Reliability Engineering" (2016), chapter 21, "Handling Overload".
    """

    k: float = 2.0
    window: float = 120.0

    def __post_init__(self) -> None:
        ranges.number("AdaptiveThrottle.k", self.k, 1, above=True)
        ranges.number("AdaptiveThrottle.window", self.window, 0, above=True)


@dataclass(frozen=True)
class AdaptiveConcurrency:
    """Each client process has at most `limit` calls waiting, and learns the limit: +1 when a call is answered
    while the limit is at least half used, times `ratio` when one fails. A call above it has failed for good.

    initial: the limit at first, calls waiting.
    min_limit, max_limit: its bounds, 1 <= min_limit <= initial <= max_limit.
    ratio: what a failure leaves of it, in (0, 1).

    Source: Netflix, concurrency-limits (2018), AIMDLimit; additive increase, multiplicative decrease is TCP's.
    """

    initial: int = 20
    min_limit: int = 1
    max_limit: int = 200
    ratio: float = 0.9

    def __post_init__(self) -> None:
        ranges.whole("AdaptiveConcurrency.min_limit", self.min_limit, 1)
        ranges.whole("AdaptiveConcurrency.initial", self.initial, self.min_limit)
        ranges.whole("AdaptiveConcurrency.max_limit", self.max_limit, self.initial)
        ranges.number("AdaptiveConcurrency.ratio", self.ratio, 0, 1 - 1e-9, above=True)


@dataclass(frozen=True)
class Cache:
    """A look-aside cache, asked before the service: `hit_ratio` of the requests are for one of `keys` keys that
    can be in it; who finds nothing there asks the service and stores the answer, if it comes in time.

    hit_ratio: in [0, 1]; the rest is never cached. keys: >= 1; it starts with all of them. skew: exponent of the
    Zipf law by which they are asked for, >= 0 (0: all alike). A hit costs the service nothing and takes no time.
    Source: Bronson et al., HotOS 2021, section 2.2.
    """

    hit_ratio: float
    keys: int
    skew: float = 0.0

    def __post_init__(self) -> None:
        ranges.number("Cache.hit_ratio", self.hit_ratio, 0, 1)
        ranges.whole("Cache.keys", self.keys, 1)
        ranges.number("Cache.skew", self.skew, 0)


@dataclass(frozen=True)
class Pool:
    """`size` connections in each client process, all open at first. An attempt needs one for itself, and waits
    for it if there is none (its time-out runs meanwhile).

    An answer gives the connection back. A time-out closes it, because the answer may still come; the next
    attempt opens a new one, which takes `connect` more seconds of a worker's time, >= 0.
    """

    size: int
    connect: float

    def __post_init__(self) -> None:
        ranges.whole("Pool.size", self.size, 1)
        ranges.number("Pool.connect", self.connect, 0)


@dataclass(frozen=True)
class Clients:
    """Who calls: they give up on an attempt after `timeout` s and try again at most `retries` times.

    A client that gives up leaves, but its attempt goes on using the server unless the service drops it.
    timeout: s per attempt, > 0, or `math.inf`. retries: >= 0, or `math.inf`. population: None for an open system
    (arrivals do not care how the last ones fared), or N serial clients: each thinks, calls, and waits for its
    answer. processes: >= 1; requests come from that many client processes, at random, each with its own throttle,
    concurrency limit and pool, and its own budget and breaker where these say `per="client"`.
    """

    timeout: float
    retries: float
    backoff: Backoff | None = None
    budget: RetryBudget | None = None
    breaker: Breaker | None = None
    population: int | None = None
    throttle: AdaptiveThrottle | None = None
    concurrency: AdaptiveConcurrency | None = None
    cache: Cache | None = None
    pool: Pool | None = None
    processes: int = 1

    def __post_init__(self) -> None:
        ranges.number("Clients.timeout", self.timeout, 0, above=True, infinite=True)
        ranges.whole("Clients.retries", self.retries, 0, infinite=True)
        ranges.instance("Clients.backoff", self.backoff, (Backoff, type(None)))
        ranges.instance("Clients.budget", self.budget, (RetryBudget, type(None)))
        ranges.instance("Clients.breaker", self.breaker, (Breaker, type(None)))
        if self.population is not None:
            ranges.whole("Clients.population", self.population, 1)
        ranges.instance("Clients.throttle", self.throttle, (AdaptiveThrottle, type(None)))
        ranges.instance("Clients.concurrency", self.concurrency, (AdaptiveConcurrency, type(None)))
        ranges.instance("Clients.cache", self.cache, (Cache, type(None)))
        ranges.instance("Clients.pool", self.pool, (Pool, type(None)))
        ranges.whole("Clients.processes", self.processes, 1)
