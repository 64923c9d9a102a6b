"""The moving parts behind the policies: who waits in which order, when to retry, when to stop trying.

The simulator and the live experiment run this very code; both hand in the time, so nothing here reads a clock.
"""

from __future__ import annotations

import random
from collections import deque

from labkit.metastability.model import Backoff, Breaker, CoDel, RetryBudget


def delay(backoff: Backoff, retry: int, rng: random.Random, previous: float = 0.0) -> float:
    """Seconds to wait before retry number `retry` (0 is the first).

    `previous` is the last delay, which only "decorrelated" looks at (0 before the first retry).

    >>> delay(Backoff(1, cap=5), 2, random.Random(0)), delay(Backoff(1, cap=5), 9, random.Random(0))
    (4.0, 5)
    """
    cap = backoff.cap if backoff.cap is not None else float("inf")
    if backoff.jitter == "decorrelated":
        return min(cap, rng.uniform(backoff.base, 3 * max(previous, backoff.base)))
    wait = min(cap, backoff.base * backoff.factor ** min(retry, 500))
    if backoff.jitter == "full":
        return rng.uniform(0, wait)
    if backoff.jitter == "equal":
        return wait / 2 + rng.uniform(0, wait / 2)
    return wait


class BudgetState:
    """Retry budget: `credit()` puts `ratio` tokens in, `spend()` takes one for a retry if there is one."""

    def __init__(self, budget: RetryBudget):
        self.budget = budget
        self.tokens = float(budget.capacity)

    def credit(self) -> None:
        self.tokens = min(self.budget.capacity, self.tokens + self.budget.ratio)

    def spend(self) -> bool:
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class BreakerState:
    """Closed: calls pass, outcomes are counted. Open: no call passes. Half open: one probe decides."""

    minimum = 10  # with fewer outcomes in the window a ratio says nothing

    def __init__(self, breaker: Breaker):
        self.breaker = breaker
        self.state = "closed"
        self.opened_at = 0.0
        self.outcomes: deque[tuple[float, bool]] = deque()
        self.failures = 0

    def allows(self, now: float) -> bool:
        """Whether a call may be sent; the first one after `open_for` seconds is the probe."""
        if self.state == "open" and now >= self.opened_at + self.breaker.open_for:
            self.state = "half open"
            return True
        return self.state == "closed"

    def record(self, now: float, ok: bool) -> None:
        """One call ended. While open, stragglers of before are not evidence; the probe is."""
        if self.state == "half open":
            self._switch("closed" if ok else "open", now)
        elif self.state == "closed":
            self._count(now, ok)
            calls = len(self.outcomes)
            if calls >= self.minimum and self.failures / calls > self.breaker.failure_ratio:
                self._switch("open", now)

    def _count(self, now: float, ok: bool) -> None:
        self.outcomes.append((now, ok))
        self.failures += not ok
        while self.outcomes[0][0] <= now - self.breaker.window:
            self.failures -= not self.outcomes.popleft()[1]

    def _switch(self, state: str, now: float) -> None:
        self.state, self.opened_at = state, now
        self.outcomes.clear()
        self.failures = 0


class CoDelState:
    """CoDel's control law: once waits stayed above target for an interval, drop ever more often.

    Source: Nichols & Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012, appendix.
    """

    def __init__(self, codel: CoDel):
        self.codel = codel
        self.first_above: float | None = None
        self.dropping = False
        self.next_drop = 0.0
        self.count = 0

    def drops(self, now: float, waited: float) -> bool:
        """Whether the attempt at the head, which waited `waited` s, is dropped."""
        if waited < self.codel.target:
            self.first_above, self.dropping = None, False
            return False
        if self.first_above is None:
            self.first_above = now + self.codel.interval
        if now < self.first_above:
            return False
        if not self.dropping:
            self.dropping, self.count, self.next_drop = True, 1, now + self.codel.interval
            return True
        if now < self.next_drop:
            return False
        self.count += 1
        self.next_drop += self.codel.interval / self.count**0.5
        return True
