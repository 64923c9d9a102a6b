"""One worker and a queue in order, with real time-outs: small enough to run for simulated days.

First in first out with one worker needs no list of events: an attempt is done one service time after it came or
after the one before it was done, whichever is later. That is the second line of notebook 00, with retries added.

Three of its rules can each be exchanged for what the Markov chain of `approximate.ctmc` makes of it, which shows
what of the chain's optimism comes from where.
"""

from __future__ import annotations

import heapq
import random
from collections import deque

from labkit import ranges
from labkit.metastability.approximate import erlang_tail

# which rule of the chain stands in for which of reality: see `time_to_collapse`
RULES = ("clock", "lateness", "retries")


def time_to_collapse(load: float, seed: int, full: int = 60, timeout: float = 1.0, retries: int = 2,
                     mu: float = 10.0, chain: tuple[str, ...] = ()) -> float:
    """Seconds until an attempt finds `full` others in the system, from an empty one, at a constant `load` (1/s).

    Service is exponential, `mu` (1/s) when busy. A client whose attempt is not done after `timeout` (s) sends it
    again at that moment, `retries` times at most; the attempt it gave up stays in the queue.

    chain: rules of the Markov chain to put in, out of `RULES`. "clock": who is late comes back after an exponential
    time of mean `timeout` instead of exactly then. "lateness": whether an attempt will be late is drawn from the
    number of attempts it finds, apart from the services that follow, instead of being what those services make it.
    "retries": a client that is late sends again with probability retries / (retries + 1) each time, instead of
    exactly `retries` times. With all three this is the chain, simulated.

    Raises ValueError for what is out of range; does not return if the load is so low that the queue never gets
    `full`.
    """
    ranges.number("load", load, 0, above=True)
    ranges.number("mu", mu, 0, above=True)
    ranges.number("timeout", timeout, 0, above=True)
    ranges.whole("full", full, 1)
    ranges.whole("retries", retries, 0)
    for rule in chain:
        ranges.one_of("chain", rule, RULES)
    if chain:
        return _with_rules(random.Random(seed), load, full, timeout, retries, mu, chain)
    rng = random.Random(seed)
    users = rng.expovariate(load)                     # when the next user comes
    again: deque[tuple[float, int]] = deque()         # when the next time-outs run out, and the retry they start
    present: deque[float] = deque()                   # when each attempt in the system will be done
    done = 0.0
    while True:
        if again and again[0][0] <= users:
            now, tries = again.popleft()
        else:
            now, tries, users = users, 0, users + rng.expovariate(load)
        while present and present[0] <= now:
            present.popleft()
        if len(present) >= full:
            return now
        done = max(now, done) + rng.expovariate(mu)
        present.append(done)
        if done - now > timeout and tries < retries:
            again.append((now + timeout, tries + 1))


def _with_rules(rng: random.Random, load: float, full: int, timeout: float, retries: int, mu: float,
                chain: tuple[str, ...]) -> float:
    """The same loop with rules of the chain; time-outs no longer run out in order, so they wait in a heap."""
    memoryless, redrawn, geometric = (rule in chain for rule in RULES)
    late = erlang_tail(full + 2, mu * timeout)
    persists = retries / (retries + 1)
    users = rng.expovariate(load)
    again: list[tuple[float, int]] = []
    present: deque[float] = deque()
    done = 0.0
    while True:
        if again and again[0][0] <= users:
            now, tries = heapq.heappop(again)
        else:
            now, tries, users = users, 0, users + rng.expovariate(load)
        while present and present[0] <= now:
            present.popleft()
        if len(present) >= full:
            return now
        found = len(present)
        done = max(now, done) + rng.expovariate(mu)
        present.append(done)
        is_late = rng.random() < late[found + 1] if redrawn else done - now > timeout
        goes_on = rng.random() < persists if geometric else tries < retries
        if is_late and goes_on:
            wait = rng.expovariate(1 / timeout) if memoryless else timeout
            heapq.heappush(again, (now + wait, tries + 1))
