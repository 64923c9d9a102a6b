"""A service tried out: short simulations that say whether it serves undisturbed, and whether it comes back.

Formulas describe a fluid. What they leave out (a queue's randomness, drawn service times, a breaker, errors) a few
seconds of simulation take in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from labkit.metastability import theory
from labkit.metastability.model import Clients, Load, Service, Trigger
from labkit.metastability.run import OK, Run
from labkit.metastability.simulate import simulate

SEEDS = range(3)
SERVED = 0.9            # a service that answers fewer of its requests than this is down
REQUESTS = 1_500        # a run is long enough for so many ...
PATIENCES = 40          # ... and for so many time-outs in a row ...
ATTEMPTS = 40_000      # ... but not for more attempts than this


@dataclass(frozen=True)
class Tried:
    """What became of a service in simulation.

    undisturbed: share of the requests answered in time without any trigger, mean over the seeds, 0 to 1.
    serves: whether that is at least 0.9 to the end in most seeds.
    returns: in how many of the pushed runs (two triggers, three seeds each) at least 0.9 are answered in the end, or
    the backlog shrinks steadily; `pushed` is how many there were.
    trigger: what they were pushed with, in words.
    seconds: how long a run was, simulated s.
    """

    undisturbed: float
    serves: bool
    returns: int
    pushed: int
    trigger: str
    seconds: float

    @property
    def state(self) -> Literal["healthy", "vulnerable", "overloaded"]:
        """What `assess` says: most runs decide."""
        if not self.serves:
            return "overloaded"
        return "healthy" if 2 * self.returns > self.pushed else "vulnerable"


def tried(service: Service, clients: Clients, rate: float) -> Tried:
    """Simulate `service` at `rate` (1/s) undisturbed, and after a spike and a pause that fail every attempt."""
    calm = _length(service, clients, rate)
    quiet = [_end(simulate(service, clients, Load.constant(rate), calm, seed), calm) for seed in SEEDS]
    serves = sum(share >= SERVED for share in quiet) * 2 > len(quiet)
    peak, spike = _spike(service, clients, rate)
    start = 2 * _patience(clients)
    stop = start + spike
    # as long as the fluid needs to work the backlog off, if it does, and as long again
    backlog = theory.collapsed_amplification(clients) * peak * spike
    drain = theory.recovery_time(service, clients, rate, backlog)
    after = max(calm, min(3 * drain, 20 * calm) if drain < math.inf else 0.0)
    after = max(min(after, ATTEMPTS / max(rate * _most_attempts(clients), 1e-9)), 12 * _patience(clients))
    runs = []
    for seed in SEEDS:
        runs.append(simulate(service, clients, Load.spike(rate, peak, start, spike), stop + after, seed))
        runs.append(simulate(service, clients, Load.constant(rate), stop + after, seed,
                             Trigger.pause(start, spike)))
    returns = sum(_end(run, after) >= SERVED or _shrinks(run, after) for run in runs) if serves else 0
    return Tried(float(np.mean(quiet)), serves, returns, len(runs),
                 f"a spike of {peak:.3g}/s and a pause, {spike:.3g} s each", calm)


def _most_attempts(clients: Clients) -> float:
    return 1 + min(clients.retries, 50)


def _patience(clients: Clients) -> float:
    """Longest that one request goes on, s (time-outs and waits between them)."""
    waits = 0.0
    if clients.backoff:
        cap = clients.backoff.cap or math.inf
        waits = sum(min(cap, clients.backoff.base * clients.backoff.factor ** k)
                    for k in range(int(min(clients.retries, 10))))
    return clients.timeout * _most_attempts(clients) + waits


def _length(service: Service, clients: Clients, rate: float) -> float:
    """Simulated seconds of an undisturbed run."""
    scale = max(clients.timeout, theory.service_time_when_full(service))
    wanted = max(REQUESTS / max(rate, 1e-9), PATIENCES * scale)
    return max(min(wanted, ATTEMPTS / max(rate, 1e-9)), 12 * scale)


def _spike(service: Service, clients: Clients, rate: float) -> tuple[float, float]:
    """Peak (1/s) and length (s) of a spike after which the queue alone is many time-outs long."""
    mu = theory.saturated_throughput(service)
    peak = 3 * max(mu, rate)
    return peak, max(3 * clients.timeout, 3 * theory.service_time_when_full(service), 30 / mu)


def _end(run: Run, window: float) -> float:
    """Share answered in time of the requests offered in the last half of `window` s whose patience has run out."""
    stop = run.duration - min(_patience(run.clients), window / 4)
    start = run.duration - window / 2
    answered = np.zeros(len(run.offered), dtype=bool)
    answered[run.request[run.fate == OK]] = True
    late = (run.offered >= start) & (run.offered < stop)
    return float(answered[late].mean()) if late.any() else 1.0


def _shrinks(run: Run, window: float) -> bool:
    """Whether the backlog falls steadily over the last half of `window`: it comes back, only later."""
    quarters = [_waiting(run, run.duration - window / 2 * share) for share in (1.0, 2 / 3, 1 / 3, 0.001)]
    fall = quarters[0] - quarters[-1]
    noise = 3 * math.sqrt(max(1.0, run.load.rate(run.duration) * _most_attempts(run.clients) * window / 2))
    return all(a > b for a, b in zip(quarters, quarters[1:], strict=False)) and fall > noise


def _waiting(run: Run, now: float) -> int:
    """Attempts in the queue or in service at `now`, s."""
    return int(np.count_nonzero((run.arrived <= now) & (run.ended > now)))
