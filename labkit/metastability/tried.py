"""A service tried out: short simulations that say whether it serves undisturbed, and whether it comes back.

Formulas describe a fluid. What they leave out (a queue's randomness, drawn service times, a breaker, errors) a few
seconds of simulation take in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from labkit.metastability import theory
from labkit.metastability.experiment import Experiment
from labkit.metastability.model import Clients, Fifo, Load, Service, Trigger
from labkit.metastability.run import OK, Run
from labkit.metastability.simulate import simulate

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
    pause and a slowdown. Two seeds each, and seven where these differ."""
    calm = _length(service, clients, rate)
    # a first-in-first-out queue that nothing bounds grows for ever above mu, however long it takes to see that
    swamped = rate > theory.saturated_throughput(service) and not service.refuses and isinstance(service.queue, Fifo)
    quiet = _seeds(lambda seed: _end(simulate(service, clients, Load.constant(rate), calm, seed), calm), SERVED)
    serves = not swamped and 2 * sum(share >= SERVED for share in quiet) > len(quiet)
    returns, length = {}, _trigger_length(service, clients)
    if serves:
        start = 2 * min(_patience(clients), 3 * calm)
        after = _recovery(service, clients, rate, length, calm)
        peak = 3 * max(theory.saturated_throughput(service), rate)
        for name, load, trigger in (
                ("spike", Load.spike(rate, peak, start, length), None),
                ("pause", Load.constant(rate), Trigger.pause(start, length)),
                ("slowdown", Load.constant(rate), Trigger.slowdown(start, length, 20))):
            def back(seed: int, load: Load = load, trigger: Trigger | None = trigger) -> float:
                return float(_comes_back(Experiment(service, clients, load, start + length, trigger, seed), after))

            found = _seeds(back, 0.5)
            returns[name] = int(sum(found)), len(found)
    return Tried(float(np.mean(quiet)), serves, returns, length, calm)


def _seeds(outcome: Callable[[int], float], line: float) -> list[float]:
    """Outcomes of two seeds, of seven if the two are on different sides of the line or one is close to it."""
    found = [outcome(seed) for seed in range(2)]
    if len({value >= line for value in found}) > 1 or min(abs(value - line) for value in found) < 0.05:
        found += [outcome(seed) for seed in range(2, 7)]
    return found


def _recovery(service: Service, clients: Clients, rate: float, length: float, calm: float) -> float:
    """Seconds to wait for a recovery: as long as the fluid needs to work the backlog off, if it does, and longer."""
    backlog = theory.collapsed_amplification(clients) * 3 * max(theory.saturated_throughput(service), rate) * length
    drain = theory.recovery_time(service, clients, rate, backlog)
    wanted = max(calm, min(3 * drain, 20 * calm) if drain < math.inf else 0.0)
    return max(min(wanted, ATTEMPTS / (rate * _most_attempts(clients))), 12 * min(_patience(clients), 3 * calm))


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
    answered = np.zeros(len(run.offered), dtype=bool)
    answered[run.request[run.fate == OK]] = True
    late = (run.offered >= start) & (run.offered < stop)
    return float(answered[late].mean()) if late.any() else 1.0


def _comes_back(pushed: Experiment, after: float) -> bool:
    """Whether most requests are answered `after` s beyond the end of an experiment, or four times as long beyond it if
    the backlog is shrinking by then; one that still shrinks then comes back, too, only later."""
    for wait in (after, 4 * after):
        run = replace(pushed, duration=pushed.duration + wait).simulate()
        if _end(run, after) >= SERVED:
            return True
        if _waiting(run, run.duration) > 0.9 * _waiting(run, run.duration - wait / 2):
            return False
    return True


def _waiting(run: Run, now: float) -> int:
    """Attempts in the queue or in service at `now`, s."""
    return int(np.count_nonzero((run.arrived <= now) & (run.ended > now)))
