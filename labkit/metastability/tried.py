"""A service tried out: short simulations that say whether it serves undisturbed, and whether it comes back.

Formulas describe a fluid. What they leave out (a queue's randomness, drawn service times, a breaker, errors) a few
seconds of simulation take in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from labkit.metastability import theory
from labkit.metastability.model import Clients, Fifo, Load, Service, Trigger
from labkit.metastability.run import OK, Run
from labkit.metastability.simulate import simulate_tiers
from labkit.metastability.tiers import Tier

SERVED = 0.9            # a service that answers fewer of its requests than this is down
REQUESTS = 5_000        # a run is long enough for so many ...
PATIENCES = 40          # ... and for so many time-outs in a row ...
ATTEMPTS = 40_000       # ... but not for more attempts than this


@dataclass(frozen=True)
class Tried:
    """What became of a service in simulation.

    undisturbed: share of the requests answered in time without any trigger, mean over the seeds, 0 to 1.
    serves: whether that is at least 0.9 to the end in most seeds.
    returns: for each trigger by name, in how many of its runs at least 0.9 are answered in the end, or the backlog
    shrinks steadily; and how many runs there were.
    length: of each trigger, s.
    seconds: how long an undisturbed run was, simulated s.
    """

    undisturbed: float
    serves: bool
    returns: dict[str, tuple[int, int]]
    length: float
    seconds: float

    @property
    def state(self) -> Literal["healthy", "vulnerable", "overloaded"]:
        """What `assess` says: healthy is who comes back from every trigger in most of its runs."""
        if not self.serves:
            return "overloaded"
        return "healthy" if all(2 * back > runs for back, runs in self.returns.values()) else "vulnerable"


def tried(service: Service, clients: Clients, rate: float) -> Tried:
    """Simulate `service` at `rate` (1/s) undisturbed, and with triggers long enough to fail every attempt: a spike, a
    pause and a slowdown; where there is a cache also its loss. Two seeds each, and seven where these differ."""
    return tried_tiers([Tier(service, clients)], rate)


def tried_tiers(tiers: Sequence[Tier], rate: float) -> Tried:
    """The same for tiers, judged by what users see; pause, slowdown and loss of the cache hit the last one."""
    users, back = tiers[0].clients, tiers[-1]
    narrow = min((tier.service for tier in tiers), key=theory.saturated_throughput)
    calm = _length(narrow, users, rate)
    swamped = len(tiers) == 1 and _plain(back) and rate > theory.saturated_throughput(narrow)
    quiet = _seeds(lambda seed: _end(simulate_tiers(tiers, Load.constant(rate), calm, seed)[0], calm), SERVED)
    serves = not swamped and 2 * sum(share >= SERVED for share in quiet) > len(quiet)
    returns, length = {}, _trigger_length(narrow, users)
    if serves:
        start = 2 * min(_patience(users), 3 * calm)
        after = _recovery(narrow, tiers, rate, length, calm)
        for name, load, trigger in _pushes(narrow, back.clients, rate, start, length):
            pushed = [*tiers[:-1], replace(back, trigger=trigger)]

            def back_again(seed: int, load: Load = load, pushed: Sequence[Tier] = pushed) -> float:
                return float(_comes_back(pushed, load, start + length, seed, after))

            found = _seeds(back_again, 0.5)
            returns[name] = int(sum(found)), len(found)
    return Tried(float(np.mean(quiet)), serves, returns, length, calm)


def _plain(tier: Tier) -> bool:
    """Whether it has a queue that nothing bounds: above mu it grows for ever, however long that takes to see."""
    service = tier.service
    return isinstance(service.queue, Fifo) and not service.refuses and service.shards == 1 \
        and not service.autoscaler and not tier.clients.cache


def _pushes(service: Service, clients: Clients, rate: float, start: float,
            length: float) -> Iterator[tuple[str, Load, Trigger | None]]:
    """Name, load and trigger of each kind of push."""
    usual = Load.constant(rate)
    yield "spike", Load.spike(rate, 3 * max(theory.saturated_throughput(service), rate), start, length), None
    yield "pause", usual, Trigger.pause(start, length)
    yield "slowdown", usual, Trigger.slowdown(start, length, 20)
    if clients.cache:
        yield "loss of the cache", usual, Trigger.flush(start)


def _seeds(outcome: Callable[[int], float], line: float) -> list[float]:
    """Outcomes of two seeds, of seven if the two are on different sides of the line or one is close to it."""
    found = [outcome(seed) for seed in range(2)]
    if len({value >= line for value in found}) > 1 or min(abs(value - line) for value in found) < 0.05:
        found += [outcome(seed) for seed in range(2, 7)]
    return found


def _recovery(narrow: Service, tiers: Sequence[Tier], rate: float, length: float, calm: float) -> float:
    """Seconds to wait for a recovery: as long as the fluid needs to work the backlog off, if it does, and longer."""
    amplification = math.prod(theory.collapsed_amplification(tier.clients) for tier in tiers)
    mu = theory.saturated_throughput(narrow)
    spare = mu - amplification * rate
    drain = amplification * 3 * max(mu, rate) * length / spare if spare > 0 else math.inf
    wanted = max(calm, min(3 * drain, 20 * calm) if drain < math.inf else 0.0)
    attempts = math.prod(_most_attempts(tier.clients) for tier in tiers)
    return max(min(wanted, ATTEMPTS / (rate * attempts)), 12 * min(_patience(tiers[0].clients), 3 * calm))


def _most_attempts(clients: Clients) -> float:
    return 1 + min(clients.retries, 50)


def _patience(clients: Clients) -> float:
    """Longest that one request goes on, s (time-outs and waits between them)."""
    waits = 0.0
    if clients.backoff:
        cap = clients.backoff.cap or math.inf
        waits = sum(min(cap, clients.backoff.base * clients.backoff.factor ** k)
                    for k in range(int(min(clients.retries, 10))))
    return _finite(clients.timeout) * _most_attempts(clients) + waits


def _length(service: Service, clients: Clients, rate: float) -> float:
    """Simulated seconds of an undisturbed run. Close to capacity a queue needs 1 / (1 - utilization)^2 requests to
    find its length (relaxation time of the M/M/1 queue)."""
    scale = max(_finite(clients.timeout), theory.service_time_when_full(service))
    spare = 1 - rate / theory.saturated_throughput(service)
    requests = max(REQUESTS, min(ATTEMPTS, 4 / spare**2)) if spare > 0 else REQUESTS
    return max(min(max(requests / rate, PATIENCES * scale), ATTEMPTS / rate), 12 * scale)


def _finite(timeout: float) -> float:
    return timeout if timeout < math.inf else 0.0


def _trigger_length(service: Service, clients: Clients) -> float:
    """Seconds after which the queue alone is several time-outs long."""
    mu = theory.saturated_throughput(service)
    return max(3 * _finite(clients.timeout), 3 * theory.service_time_when_full(service), 30 / mu)


def _end(run: Run, window: float) -> float:
    """Share answered in time of the requests offered in the last half of `window` s whose patience has run out."""
    stop = run.duration - min(_patience(run.clients), window / 4)
    start = run.duration - window / 2
    late = (run.offered >= start) & (run.offered < stop)
    if not late.any():
        return 1.0
    if len(run.hits):                       # a hit is no attempt: count answers by their time
        return min(1.0, run.goodput(start, stop) * (stop - start) / float(late.sum()))
    answered = np.zeros(len(run.offered), dtype=bool)
    answered[run.request[run.fate == OK]] = True
    return float(answered[late].mean())


def _comes_back(tiers: Sequence[Tier], load: Load, stop: float, seed: int, after: float) -> bool:
    """Whether most requests are answered `after` s beyond `stop`, or four times as long beyond it if the backlog is
    shrinking by then; one that still shrinks then comes back, too, only later."""
    for wait in (after, 4 * after):
        runs = simulate_tiers(tiers, load, stop + wait, seed)
        if _end(runs[0], after) >= SERVED:
            return True
        if _waiting(runs, stop + wait) > 0.9 * _waiting(runs, stop + wait / 2):
            return False
    return True


def _waiting(runs: Sequence[Run], now: float) -> int:
    """Attempts in the queues or in service at `now`, s."""
    return sum(int(np.count_nonzero((run.arrived <= now) & (run.ended > now))) for run in runs)
