"""What pencil and paper say: tipping load, recovery, safe queue, and three textbook queues to check against.

The argument behind most of it is a fluid one. First in first out and nobody cancels: once every attempt times
out, every request makes A attempts, and the backlog grows by A * load - mu per second, mu being what a full
server completes. Symbols: b base latency (s), s slope (s), c workers, T time-out (s) less the way there and back of a
constant network delay, R retries. One shard, no errors, and no slowdown with the queue, except where that is the topic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from labkit import ranges
from labkit.metastability.approximate import Chain, ctmc, fluid
from labkit.metastability.model import Clients, Load, Service, steady_rate

__all__ = ["Chain", "attempts_at_the_back", "backlog_growth", "closed_backoff_needed", "cold_cache_band",
           "collapsed_amplification", "ctmc", "erlang_c", "fluid", "healthy_limit", "load_to_drop", "mm1_patience",
           "mm1k_loss", "patience", "queue_of_no_return", "reconnect_band", "recovery_time", "refusing_throughput",
           "safe_queue_limit", "saturated_throughput", "scaled_in_band", "service_time_when_full", "shortest_spike",
           "smallest_trigger", "tipping_load"]


def saturated_throughput(service: Service) -> float:
    """mu = c / (b + s c): attempts per second that a server with all workers busy completes.

    >>> saturated_throughput(Service(0.5, 0.01, 50))
    50.0
    """
    return service.workers / (service.base_latency + service.slope * service.workers)


def service_time_when_full(service: Service) -> float:
    """S = b + s c: seconds an attempt takes when it fills the last place."""
    return service.base_latency + service.slope * service.workers


def patience(service: Service, clients: Clients) -> float:
    """T: seconds that an attempt may spend at the service; the time-out less the network's delay there and back."""
    return clients.timeout - 2 * service.network_delay


def healthy_limit(service: Service, clients: Clients) -> float:
    """Largest load (1/s) that can be served in time: n / (b + s n) at n = min(c, (T - b) / s).

    Above it no healthy state exists; 0 if even a lone attempt takes longer than the time-out.
    """
    spare = patience(service, clients) - service.base_latency
    if spare < service.slope:
        return 0.0
    places = min(service.workers, spare / service.slope) if service.slope else service.workers
    return places / (service.base_latency + service.slope * places)


def collapsed_amplification(clients: Clients) -> float:
    """A: attempts per request once every attempt fails. 1 + R; a budget of ratio r caps it at 1 + r if first
    tries earn the tokens, and at 1 if successes do, because there are none. Backoff does not appear: it moves
    retries in time and leaves their number alone. Without a time-out nobody retries: 1."""
    if clients.timeout == math.inf:
        return 1.0
    if clients.budget is None:
        return 1 + clients.retries
    earned = clients.budget.ratio if clients.budget.credit == "first_try" else 0.0
    return 1 + min(clients.retries, earned)


def tipping_load(service: Service, clients: Clients) -> float:
    """Load (1/s) above which a collapse sustains itself: `healthy_limit` / A. For a first-in-first-out queue
    without a safe bound, clients of an open system, and no breaker.

    Between this and `healthy_limit` the system is bistable: fine until something pushes it over. Source: the
    fluid argument above; Bronson et al., HotOS 2021, section 2.1 is the case 300 / 2 = 150 queries/s.

    >>> tipping_load(Service(0.5, 0.01, 50), Clients(timeout=3, retries=3))
    12.5
    """
    return healthy_limit(service, clients) / collapsed_amplification(clients)


def backlog_growth(service: Service, clients: Clients, load: float | Load) -> float:
    """dQ/dt = A * load - mu: attempts per second by which a collapsed server falls behind (< 0: it catches up)."""
    return collapsed_amplification(clients) * steady_rate(load) - saturated_throughput(service)


def recovery_time(service: Service, clients: Clients, load: float | Load, backlog: float) -> float:
    """Seconds to work off `backlog` waiting attempts while all still fail: Q / (mu - A load), or inf."""
    ranges.number("backlog", backlog, 0)
    growth = backlog_growth(service, clients, load)
    return backlog / -growth if growth < 0 else math.inf


def safe_queue_limit(service: Service, clients: Clients) -> int:
    """K = mu (T - S): the longest queue whose last attempt still finishes in time.

    A shorter bound sheds work that would fail anyway; a longer one serves the dead. Raises ValueError where clients
    wait for ever, and any queue is safe.

    >>> safe_queue_limit(Service(0.5, 0.01, 50), Clients(timeout=3, retries=3))
    100
    """
    if clients.timeout == math.inf:
        raise ValueError("Clients.timeout = inf: whoever waits for ever is served by a queue of any length")
    slack = patience(service, clients) - service_time_when_full(service)
    return max(0, math.floor(saturated_throughput(service) * slack + 1e-9))


def queue_of_no_return(service: Service, load: float | Load) -> float:
    """Q = (c / load - S) / q: the backlog above which a server that gets slower by q (s) for each attempt that waits
    no longer keeps up with `load` (1/s), retries or not; inf if q = 0, 0 if it does not keep up at all.

    >>> round(queue_of_no_return(Service(0.5, 0.01, 50, queue_slope=0.005), 30), 1)
    133.3
    """
    rate = steady_rate(load)
    slack = service.workers / rate - service_time_when_full(service) if rate else math.inf
    if slack <= 0:
        return 0.0
    return slack / service.queue_slope if service.queue_slope else math.inf


def refusing_throughput(service: Service, attempts: float) -> float:
    """(c - r a) / (S - r): what an overloaded server completes of `attempts` a (1/s) when each refusal costs it r s of
    a worker's time; 0 from a = c / r on, where it does nothing but refuse. Not overloaded: a itself.

    Source: c workers have c s to spend in a second: x S + (a - x) r = c. That such a server ends up doing nothing is
    the receive livelock of Mogul & Ramakrishnan, ACM TOCS 15(3), 1997.

    >>> refusing_throughput(Service(0.5, 0.01, 50, refusal_cost=0.1), 100)
    44.44444444444444
    """
    ranges.number("attempts", attempts, 0)
    if attempts <= saturated_throughput(service):
        return attempts
    cost = service.refusal_cost
    return max(0.0, (service.workers - cost * attempts) / (service_time_when_full(service) - cost))


def cold_cache_band(service: Service, clients: Clients) -> tuple[float, float]:
    """Loads (1/s) between which an empty look-aside cache can stay empty: `tipping_load` and limit / (1 - h).

    Below, the service carries all requests without the cache; above, it does not even carry the misses. Source:
    Bronson et al., HotOS 2021, section 2.2: a database of 300 queries/s behind a cache with 90 % hits.

    >>> from labkit.metastability.model import Cache
    >>> cold_cache_band(Service(0.1, 0, 30), Clients(1, 0, cache=Cache(0.9, keys=10_000)))
    (300.0, 3000.0)
    """
    hits = clients.cache.hit_ratio if clients.cache else 0.0
    limit = healthy_limit(service, clients)
    return tipping_load(service, clients), round(limit / (1 - hits), 9) if hits < 1 else math.inf


def reconnect_band(service: Service, clients: Clients) -> tuple[float, float]:
    """Loads (1/s) between which a reconnect storm sustains itself: c / (S + k) / A, and the healthy limit.

    Every time-out closes a connection, and to accept the next costs k s of a worker: a collapsed server completes
    c / (S + k) attempts/s. Fluid argument as above; A is 1 without retries.

    >>> from labkit.metastability.model import Pool
    >>> reconnect_band(Service(0.5, 0.01, 50), Clients(3, 0, pool=Pool(200, connect=0.5)))
    (33.333333333333336, 50.0)
    """
    connect = clients.pool.connect if clients.pool else 0.0
    reduced = service.workers / (service_time_when_full(service) + connect)
    return reduced / collapsed_amplification(clients), healthy_limit(service, clients)


def scaled_in_band(service: Service, clients: Clients) -> tuple[float, float]:
    """Loads (1/s) between which an autoscaler that goes by what is answered keeps a service down: the tipping load
    at its least number of workers, and the healthy limit at its most. Raises ValueError without an autoscaler.

    >>> from labkit.metastability.model import Autoscaler
    >>> scaler = Autoscaler(0.8, min_workers=10, max_workers=50, metric="answered")
    >>> [round(load, 1) for load in scaled_in_band(Service(0.5, 0.01, 50, autoscaler=scaler), Clients(3, 0))]
    [16.7, 50.0]
    """
    if service.autoscaler is None:
        raise ValueError("Service.autoscaler = None: nothing scales this service in")
    few, many = service.autoscaler.min_workers, service.autoscaler.max_workers
    return tipping_load(replace(service, workers=few), clients), healthy_limit(replace(service, workers=many), clients)


def attempts_at_the_back(*retries: float) -> float:
    """(1 + R1) (1 + R2) ...: attempts that the last tier sees per request of a user while all of them fail.

    >>> attempts_at_the_back(3, 3)
    16
    """
    return math.prod(1 + each for each in retries)


def load_to_drop(service: Service, clients: Clients, load: float | Load) -> float:
    """Fraction of the traffic that must be turned away at the door for a collapsed server to catch up at all:
    1 - mu / (A load), 0 if it catches up by itself."""
    rate = steady_rate(load)
    return max(0.0, 1 - saturated_throughput(service) / (collapsed_amplification(clients) * rate)) if rate else 0.0


def closed_backoff_needed(service: Service, clients: Clients) -> float:
    """Mean wait between attempts (s) above which N serial, persistent clients cannot keep a server collapsed:
    N / mu - T, at least 0. Each client then sends once in T + backoff seconds, all together less than mu.

    Raises ValueError if `clients` is an open system, where no backoff helps.
    """
    if clients.population is None:
        raise ValueError("Clients.population = None: the bound is for a closed system; give the number of clients")
    return max(0.0, clients.population / saturated_throughput(service) - clients.timeout)


def shortest_spike(service: Service, clients: Clients, peak: float) -> float:
    """Seconds of `peak` requests/s before the first time-out: mu (T - S) / (peak - mu); inf if peak <= mu."""
    ranges.number("peak", peak, 0)
    excess = peak - saturated_throughput(service)
    slack = patience(service, clients) - service_time_when_full(service)
    return max(0.0, saturated_throughput(service) * slack / excess) if excess > 0 else math.inf


def smallest_trigger(collapses: Callable[[float], bool], longest: float, within: float = 0.05) -> float:
    """Shortest length (s) for which `collapses(length)` is true, by bisection to `within` s; inf if `longest`
    is not enough. Works with the fluid model and with simulation alike."""
    if not collapses(longest):
        return math.inf
    low, high = 0.0, longest
    while high - low > within:
        middle = (low + high) / 2
        low, high = (low, middle) if collapses(middle) else (middle, high)
    return (low + high) / 2


# ---------------------------------------------------------------------------------------- textbook queues
def erlang_c(workers: int, offered: float) -> float:
    """Probability that an arrival waits in M/M/c; `offered` = arrival rate / service rate of one worker, < c.

    Source: Erlang 1917; the recursion is the stable form of Erlang B.

    >>> round(erlang_c(10, 8), 4)
    0.4092
    """
    ranges.whole("workers", workers, 1)
    ranges.number("offered", offered, 0, workers - 1e-12)
    blocked = 1.0
    for servers in range(1, workers + 1):
        blocked = offered * blocked / (servers + offered * blocked)
    return workers * blocked / (workers - offered * (1 - blocked))


def mm1k_loss(utilization: float, places: int) -> float:
    """Fraction refused by M/M/1/K: `places` K >= 1 counts the one in service; utilization = load / mu.

    >>> round(mm1k_loss(1.5, 10), 5)
    0.33723
    """
    ranges.number("utilization", utilization, 0)
    ranges.whole("places", places, 1)
    if utilization == 1:
        return 1 / (places + 1)
    return (1 - utilization) * utilization**places / (1 - utilization ** (places + 1))


def mm1_patience(utilization: float, patience: float) -> float:
    """Fraction lost by M/M/1 when whoever waited `patience` (in mean service times) is dropped at dequeue.

    Source: Barrer, "Queuing with Impatient Customers", Operations Research 5, 1957.

    >>> round(mm1_patience(0.95, 5), 4)
    0.1245
    """
    ranges.number("utilization", utilization, 0)
    ranges.number("patience", patience, 0)
    if utilization == 1:
        return 1 / (2 + patience)
    x = math.exp(-(1 - utilization) * patience)
    return (1 - utilization) * utilization * x / (1 - utilization**2 * x)
