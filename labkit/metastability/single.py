"""One worker and a queue in order, with real time-outs: small enough to run for simulated days.

First in first out with one worker needs no list of events: an attempt is done one service time after it came or
after the one before it was done, whichever is later. That is the second line of notebook 00, with retries added.
"""

from __future__ import annotations

import random
from collections import deque

from labkit import ranges


def time_to_collapse(load: float, seed: int, full: int = 60, timeout: float = 1.0, retries: int = 2,
                     mu: float = 10.0) -> float:
    """Seconds until an attempt finds `full` others in the system, from an empty one, at a constant `load` (1/s).

    Service is exponential, `mu` (1/s) when busy. A client whose attempt is not done after `timeout` (s) sends it
    again at that moment, `retries` times at most; the attempt it gave up stays in the queue. Raises ValueError
    for what is out of range; does not return if the load is so low that the queue never gets `full`.
    """
    ranges.number("load", load, 0, above=True)
    ranges.number("mu", mu, 0, above=True)
    ranges.number("timeout", timeout, 0, above=True)
    ranges.whole("full", full, 1)
    ranges.whole("retries", retries, 0)
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
