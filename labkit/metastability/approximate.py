"""Two models between the formula and the simulation: a deterministic fluid, and a Markov chain.

Both leave something out, and the course shows where that bites: the fluid has no noise, and the chain forgets how
much work is in the queue: it knows how many attempts wait and draws anew, for every arrival, whether it will be late.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from labkit import ranges
from labkit.metastability.model import Backoff, Clients, Fifo, Load, Service, steady_rate

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]


# ------------------------------------------------------------------------------------------------ fluid
def fluid(service: Service, clients: Clients, load: Load, duration: float, step: float = 0.02) -> pd.DataFrame:
    """The retry storm as a fluid with delay: what arrives at t and is not done by t + T comes back.

    Returns columns offered, attempts, goodput (1/s) and queue (attempts), indexed by time (s), one row per
    `step`. First in first out, no limit, no drops, no budget or breaker: anything else raises ValueError.
    """
    import pandas as pd

    _only_plain_fifo(service, clients)
    ranges.number("step", step, 0, clients.timeout / 4, above=True)
    slots = math.ceil(duration / step)
    patience = round(clients.timeout / step)
    retries = int(clients.retries)
    spread = [_spread(clients.backoff, k, step) for k in range(retries)]
    tail = patience + round((service.base_latency + service.slope * service.workers) / step) + 2
    offered = np.array([load.rate((i + 0.5) * step) for i in range(slots)]) * step
    sent = np.zeros((retries + 1, slots + tail + max((len(s) for s in spread), default=0)))
    sent[0, :slots] = offered
    finishing, good, queue, attempts = (np.zeros(slots + tail) for _ in range(4))
    total = [0.0] * (slots + 1)              # attempts arrived by the start of slot i
    in_time = [False] * slots
    begun, oldest, active = 0.0, 0, 0.0
    for now in range(slots):
        active -= finishing[now]
        attempts[now] = sent[:, now].sum()
        total[now + 1] = total[now] + attempts[now]
        starting = min(total[now + 1] - begun, service.workers - active)
        if starting > 0:
            active += starting
            begun += starting
            length = round((service.base_latency + service.slope * active) / step)
            finishing[now + length] += starting
            while oldest <= now and total[oldest + 1] <= begun + 1e-9:
                in_time[oldest] = now + length - oldest <= patience
                if in_time[oldest]:
                    good[now + length] += attempts[oldest]
                oldest += 1
        queue[now] = total[now + 1] - begun
        given_up = now - patience
        if given_up >= 0 and not in_time[given_up]:
            for k in range(retries):
                back = sent[k, given_up] * spread[k]
                sent[k + 1, now + 1:now + 1 + len(back)] += back
    return pd.DataFrame({"offered": offered / step, "attempts": attempts[:slots] / step,
                         "goodput": good[:slots] / step, "queue": queue[:slots]},
                        index=pd.Index(np.arange(slots) * step, name="second"))


def _only_plain_fifo(service: Service, clients: Clients) -> None:
    plain = isinstance(service.queue, Fifo) and not service.refuses and service.times == "constant"
    if not plain or clients.budget or clients.breaker or clients.population or clients.retries == math.inf:
        raise ValueError("fluid: knows only a first-in-first-out queue without limit or drops, constant service, "
                         "and an open system with retries and backoff")


def _spread(backoff: Backoff | None, retry: int, step: float) -> Floats:
    """Share of the retries that come back in each slot from now."""
    if backoff is None:
        return np.ones(1)
    if backoff.jitter == "decorrelated":
        raise ValueError("fluid: Backoff.jitter = 'decorrelated' has no fixed distribution per retry")
    cap = math.inf if backoff.cap is None else backoff.cap
    high = min(cap, backoff.base * backoff.factor**retry)
    low = {"none": high, "equal": high / 2, "full": 0.0}[backoff.jitter]
    first, last = round(low / step), round(high / step)
    share = np.zeros(last + 1)
    share[first:] = 1 / (last + 1 - first)
    return share


# ------------------------------------------------------------------------------------------------ chain
@dataclass(frozen=True)
class Chain:
    """Mean times of the Markov chain, s: from empty until the queue is full, and from full until empty."""

    to_collapse: float
    to_recover: float


def ctmc(service: Service, clients: Clients, load: float | Load, full: int = 60, orbit: int = 40) -> Chain:
    """Mean time to a spontaneous collapse, and back, by a Markov chain of (attempts there, clients to retry).

    `full`: attempts in the system that count as collapsed. `orbit`: most clients that wait to retry. The chain
    is the retry orbit of Isaacs et al. (HotOS 2025) with two corrections: the rates out of a state add up to the
    load (as first published, retries are added to it even when R = 0), and the chance of a time-out is the exact
    Erlang tail for the attempts ahead rather than Chebyshev's bound.

    Far from saturation it is too optimistic, for two reasons (`single.time_to_collapse` puts them in one by one).
    Each arrival's lateness is drawn anew from the number it finds, while in a queue one slow stretch of services
    makes all who stand behind it late together. And clients send again with probability R / (R + 1) each time rather
    than exactly R times. That its time-outs are memoryless makes next to no difference.
    One worker, exponential service; anything else raises ValueError.
    """
    if service.workers != 1 or service.times != "exponential":
        raise ValueError("ctmc: the chain is for Service(workers=1, times='exponential')")
    ranges.whole("full", full, 2, 200)
    ranges.whole("orbit", orbit, 2, 100)
    ranges.whole("Clients.retries", clients.retries, 0)
    rates = _chain_rates(steady_rate(load), 1 / (service.base_latency + service.slope), clients, full + 1, orbit)
    to_collapse = _mean_time(rates, [k * (full + 1) + full for k in range(orbit)], full + 1)
    to_recover = _mean_time(rates, [0], full + 1)
    return Chain(float(to_collapse[0]), float(to_recover[-1]))


def _chain_rates(load: float, mu: float, clients: Clients, sizes: int, orbit: int) -> Floats:
    """Generator matrix over states k * sizes + n: n attempts in the system, k clients that will decide."""
    late = erlang_tail(sizes + 1, mu * clients.timeout)
    decide = 1 / clients.timeout
    again = clients.retries / (clients.retries + 1)
    q = np.zeros((sizes * orbit, sizes * orbit))
    for k in range(orbit):
        for n in range(sizes):
            here, more, p = k * sizes + n, min(n + 1, sizes - 1), late[n + 1]
            up = min(k + 1, orbit - 1)
            flows = [(more, up, load * p), (more, k, load * (1 - p)), (n - 1, k, mu if n else 0.0)]
            if k:
                flows += [(more, k, k * decide * again * p), (more, k - 1, k * decide * again * (1 - p)),
                          (n, k - 1, k * decide * (1 - again))]
            for n2, k2, rate in flows:
                if rate:
                    q[here, k2 * sizes + n2] += rate
                    q[here, here] -= rate
    return q


def erlang_tail(count: int, x: float) -> Floats:
    """P(Erlang(j, 1) > x) for j = 0 ... count - 1: fewer than j Poisson(x) events."""
    terms = np.exp(-x + np.arange(count) * math.log(x) - np.array([math.lgamma(j + 1) for j in range(count)]))
    return np.concatenate([[0.0], np.cumsum(terms)[:count - 1]]).clip(0, 1)


def _mean_time(rates: Floats, target: list[int], sizes: int) -> Floats:
    """Mean time to reach `target` from each state.

    Only neighbouring numbers k of waiting clients lead to one another, so the matrix is block tridiagonal and is
    eliminated block by block.
    """
    matrix, right = rates.copy(), -np.ones(len(rates))
    matrix[target], right[target] = 0.0, 0.0
    matrix[target, target] = 1.0
    levels = [slice(start, start + sizes) for start in range(0, len(rates), sizes)]
    for below, here in zip(levels, levels[1:], strict=False):
        factor = np.linalg.solve(matrix[below, below].T, matrix[here, below].T).T
        matrix[here, here] -= factor @ matrix[below, here]
        right[here] -= factor @ right[below]
    times = np.zeros(len(rates))
    for here, above in zip(reversed(levels), [None, *reversed(levels)], strict=False):
        known = matrix[here, above] @ times[above] if above else 0.0
        times[here] = np.linalg.solve(matrix[here, here], right[here] - known)
    return times
