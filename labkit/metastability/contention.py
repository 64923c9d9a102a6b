"""Where jitter earns its fame: N clients race to update one row under optimistic concurrency control.

The model of Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015), written afresh from its
description: read the row, try to write it back, and if somebody was faster wait and start over. Here backoff
does reduce the total work, because a failed attempt is caused by another client's attempt.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from labkit import ranges
from labkit.metastability.model import Backoff
from labkit.metastability.policies import delay


@dataclass(frozen=True)
class Race:
    """writes: attempts to write that reached the server. finished_at: ms until the last client got through."""

    writes: int
    finished_at: float


def race(clients: int, backoff: Backoff | None, seed: int = 0, delay_ms: float = 10.0,
         spread_ms: float = 2.0) -> Race:
    """Let `clients` >= 1 clients each update one row once. Times, those of `backoff` too, in milliseconds.

    Every message takes |Normal(delay_ms, spread_ms)|. The post's five strategies are None and
    Backoff(5, cap=2000, jitter=...), whose retry number counts from 1 there.
    """
    ranges.whole("clients", clients, 1)
    rng = random.Random(seed)

    def message() -> float:
        return abs(rng.gauss(delay_ms, spread_ms))

    version = writes = 0
    now = 0.0
    waited = [0.0] * clients
    tries = [0] * clients
    seen = [0] * clients
    # (time, order, client, what arrives where)
    events = [(message(), client, client, "read") for client in range(clients)]
    heapq.heapify(events)
    order = clients
    while events:
        now, _, client, what = heapq.heappop(events)
        if what == "read":                      # the server answers with the version it has
            seen[client] = version
            when, then = now + message() + message(), "write"
        elif what == "write" and seen[client] == version:
            writes += 1
            version += 1
            when, then = now + message(), "done"
        elif what == "write":
            writes += 1
            when, then = now + message(), "refused"
        elif what == "refused":
            tries[client] += 1
            waited[client] = delay(backoff, tries[client], rng, waited[client]) if backoff else 0.0
            when, then = now + waited[client] + message(), "read"
        else:
            continue
        order += 1
        heapq.heappush(events, (when, order, client, then))
    return Race(writes, now)
