"""The way out of a collapse that nobody can deploy a cure for: how much traffic to turn away, for how long.

Turning a user away at the door means that neither the request nor its retries reach the service. The queue then has to
swallow four things before the door may open, and each has its line in `Plan`:

1. the backlog that is there,
2. the retries that clients who came before the door closed will still send,
3. bad luck: arrivals, and service times if they are exponential, are random (three standard deviations),
4. one more time-out and one service time, for who sent an attempt while the queue was still too long.

It rests on the fluid argument of `theory`: first in first out, every attempt of those who still come fails until the
queue is worked off, and a full server completes mu. That errs on the safe side: towards the end attempts succeed again.
It also rests on a healthy server staying healthy at its ordinary load, which no formula here says; `plan` simulates it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from labkit import ranges
from labkit.metastability import theory
from labkit.metastability.model import Backoff, Clients, Load, Service, steady_rate
from labkit.metastability.simulate import simulate

SIGMAS = 3.0        # standard deviations of bad luck to be ready for: one run in 740 has more
TRIALS = 8          # undisturbed runs; with two of them down in five minutes, a healed service would not stay healed


@dataclass(frozen=True)
class Plan:
    """What to do, and what the time is made of.

    turn_away: share of new requests to turn away. seconds: for how long (inf: it does not help, turn more away).
    ramp: seconds in which the door then opens, evenly; 0 is a step. at_least: share that must be exceeded for the
    queue to shrink at all. backlog, on_the_way, luck: attempts of 1, 2 and 3 above. spare: attempts per second by
    which the queue shrinks meanwhile. settle: seconds of 4. load: requests/s without the door. returners: users who
    were turned away and come back while the door opens.
    """

    turn_away: float
    seconds: float
    ramp: float
    at_least: float
    backlog: float
    on_the_way: float
    luck: float
    spare: float
    settle: float
    load: float
    returners: float = 0.0

    def traffic(self, load: Load, start: float) -> Load:
        """`load` with the door closed from `start` (s), as the plan says; ValueError if the plan is not to be."""
        if self.seconds == math.inf:
            raise ValueError(f"turn_away = {self.turn_away:g}: must be more than {self.at_least:.3f}, or the queue "
                             "does not shrink")
        if load.times is not None:
            raise ValueError("load: a door needs a rate; Load.trace fixes the arrivals")
        ranges.number("start", start, max((time for time, _ in load.knots), default=0.0))
        let_in, full = self.load * (1 - self.turn_away), load.rate(start)
        end, extra = start + self.seconds, self.returners / self.ramp if self.ramp else 0.0
        opened = end + self.ramp
        door = ((start, full), (start, let_in), (end, let_in), (end, let_in + extra), (opened, full + extra),
                (opened, full))
        begin = load.disturbance[0] if load.disturbance else start
        return replace(load, knots=load.knots + door, disturbance=(begin, opened))

    def __str__(self) -> str:
        if self.seconds == math.inf:
            return (f"Turning away {self.turn_away:.0%} does not help however long it lasts: "
                    f"it takes more than {self.at_least:.1%}.")
        how = f"over {self.ramp:.0f} s, evenly" if self.ramp else "at once"
        return "\n".join([
            f"Turn away {self.turn_away:.0%} for {self.seconds:.0f} s, then let everybody in again {how}.",
            f"{self.backlog:7.0f} attempts in the queue",
            f"{self.on_the_way:7.0f} retries on their way, of clients who came before",
            f"{self.luck:7.0f} attempts of bad luck ({SIGMAS:.0f} standard deviations)",
            f"{self.spare:7.1f} attempts per second by which the queue shrinks",
            f"{self.settle:7.1f} s for who sent an attempt while the queue was too long"])


def plan(service: Service, clients: Clients, load: float | Load, backlog: float, turn_away: float = 0.7,
         ramp: float = 0.0, returning: float = 0.0, start: float | None = None) -> Plan:
    """How long to turn away how much of the traffic of a collapsed service.

    load: requests/s, or a `Load` with what has happened, a spike say, whose clients may still have retries to send.
    backlog: attempts in the queue when the door closes, >= 0; if only the age of the oldest is known, mu * age.
    turn_away: share of the new requests, in (0, 1].
    ramp: seconds in which the door opens, >= 0.
    start: when the door closes, on the clock of `load` (s). Without it, the worst: at the end of the disturbance.
    returning: share of those turned away who try again while the door opens, in [0, 1]. The ramp is made long enough
        for them to take no more than half of the spare capacity (`ramp_for`), and longer if simulated runs fall over
        with as many.
    Raises ValueError for what has no plan: a load at which even a healthy server does not stay up, clients that never
    give up, a closed system, a breaker, a service whose speed depends on its backlog, several shards, a cache, a pool.
    """
    rate = _checked(service, clients, load)
    ranges.number("backlog", backlog, 0)
    ranges.number("turn_away", turn_away, 0, 1, above=True)
    ranges.number("ramp", ramp, 0)
    ranges.number("returning", returning, 0, 1)
    mu, amplification = theory.saturated_throughput(service), theory.collapsed_amplification(clients)
    limit = theory.healthy_limit(service, clients)
    at_least = max(0.0, 1 - limit / (amplification * rate)) if rate else 0.0
    spare = mu - amplification * rate * (1 - turn_away)
    if turn_away <= at_least or spare <= 0:
        return Plan(turn_away, math.inf, ramp, at_least, backlog, 0, 0, spare, 0, rate)
    delays, longest = retry_delays(clients)
    each = (amplification - 1) / len(delays) if delays else 0.0         # a budget allows only part of each retry
    came = _came_before(load, rate, delays, start)
    on_the_way = each * sum(many - (1 - turn_away) * rate * delay for many, delay in zip(came, delays, strict=True))
    settle = clients.timeout + theory.service_time_when_full(service)
    fixed = each**2 * _variance(came)
    per_second = amplification**2 * rate * (1 - turn_away) + (mu if service.times == "exponential" else 0.0)
    seconds = luck = 0.0
    for _ in range(60):                     # the longer it takes, the more luck is in it: a fixed point
        luck = SIGMAS * math.sqrt(fixed + per_second * seconds)
        # while the door opens the queue goes on shrinking until A times what is let in exceeds mu
        shrinking = 0.0 if returning else ramp * (turn_away - at_least) / turn_away
        seconds = max(0.0, (backlog + on_the_way + luck) / spare - shrinking / 2)
    seconds = math.ceil(max(seconds, longest) + settle)
    returners = returning * turn_away * rate * seconds
    ramp = max(ramp, math.ceil(ramp_for(service, rate, returners)))
    for _ in range(12 if returners else 0):             # up to 15 times as long
        peak = math.ceil(100 * (rate + returners / ramp) / mu) * mu / 100       # in whole per cent of mu: remembered
        if _falls(service, clients, peak, _long(clients, rate)) <= 1:
            break
        ramp = math.ceil(1.25 * ramp)
    return Plan(turn_away, seconds, ramp, at_least, backlog, on_the_way, luck, spare, settle, rate, returners)


def ramp_for(service: Service, load: float, returning: float) -> float:
    """Seconds of ramp in which `returning` users come back on top of `load` and take half of what is spare.

    2 n / (mu - load): the other half is reserve. inf if nothing is spare.
    """
    spare = theory.saturated_throughput(service) - load
    return 2 * returning / spare if spare > 0 else math.inf


def retry_delays(clients: Clients) -> tuple[list[float], float]:
    """When each retry of a request comes, s after its first try: the means, and the latest the last one can."""
    means, mean, longest, wait, max_wait = [], 0.0, 0.0, 0.0, 0.0
    for k in range(int(clients.retries)):
        if clients.backoff:
            wait, max_wait = _wait(clients.backoff, k, wait, max_wait)
        mean += clients.timeout + wait
        longest += clients.timeout + max_wait
        means.append(mean)
    return means, longest


def _wait(backoff: Backoff, k: int, before: float, max_before: float) -> tuple[float, float]:
    """Mean and longest wait before retry k; `before` and `max_before` are those before the last one."""
    cap = math.inf if backoff.cap is None else backoff.cap
    if backoff.jitter == "decorrelated":
        high = min(cap, 3 * max(max_before, backoff.base))
        return min(cap, (backoff.base + 3 * max(before, backoff.base)) / 2), high
    wait = min(cap, backoff.base * backoff.factor ** min(k, 500))
    return wait * {"none": 1.0, "full": 0.5, "equal": 0.75}[backoff.jitter], wait


def _came_before(load: float | Load, rate: float, delays: list[float], start: float | None) -> list[float]:
    """Requests that came before the door closed and have retry k still to send: those of the last `delays[k]` s."""
    if not isinstance(load, Load) or load.times is not None or not load.disturbance:
        return [rate * delay for delay in delays]
    closes = load.disturbance[1] if start is None else start
    return [delay * float(np.mean([load.rate(closes - delay * (i + 0.5) / 400) for i in range(400)]))
            for delay in delays]


def _variance(came: list[float]) -> float:
    """Variance of the retries still to come: clients with j of them left are a Poisson number, and count j each."""
    clients = [many - before for before, many in zip([0.0, *came], came, strict=False)]
    return sum((len(came) - k) ** 2 * many for k, many in enumerate(clients))


def _long(clients: Clients, rate: float) -> float:
    """Seconds of an undisturbed run that shows whether a server stays up."""
    return max(60 + 10 * clients.timeout, min(300 + 20 * clients.timeout, 50_000 / max(rate, 1)))


@lru_cache(maxsize=64)
def _falls(service: Service, clients: Clients, rate: float, length: float) -> int:
    """How many of the undisturbed runs are down after `length` s. Remembered: a plan is asked for again and again."""
    return sum(simulate(service, clients, Load.constant(rate), length, seed).goodput(length - 30, length) < 0.6 * rate
               for seed in range(TRIALS))


def _checked(service: Service, clients: Clients, load: float | Load) -> float:
    """The rate of a load for which there is a plan."""
    rate, limit = steady_rate(load), theory.healthy_limit(service, clients)
    if rate >= limit:
        raise ValueError(f"load = {rate:g}: must be less than {limit:g}, what this service answers in time at best; "
                         "with more, no door may ever open")
    if clients.retries == math.inf:
        raise ValueError("Clients.retries = inf: clients that never give up come back whatever the door does")
    if clients.population is not None:
        raise ValueError(f"Clients.population = {clients.population}: the plan is for an open system")
    if clients.breaker is not None:
        raise ValueError("Clients.breaker: there is no formula for a breaker; simulate the door")
    beyond = {"Service.queue_slope": service.queue_slope, "Service.autoscaler": service.autoscaler,
              "Service.shards": service.shards > 1, "Clients.cache": clients.cache, "Clients.pool": clients.pool}
    for name, there in beyond.items():
        if there:
            raise ValueError(f"there is no formula for {name}; simulate the door")
    length = _long(clients, rate)
    falls = _falls(service, clients, rate, length)
    if falls > 1:
        raise ValueError(f"load = {rate:g}: a healthy server does not stay up at it: {falls} of {TRIALS} simulated "
                         f"runs fall over within {length:.0f} s with nothing happening, and would with the door open")
    return rate
