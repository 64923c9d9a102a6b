"""When to try again: with jitter, within a deadline, and out of a budget.

The waiting and the jitter are stamina's (hynek.me, MIT), which caps both by default; what it has not is a budget that
all requests share, and that is what ends a retry storm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import stamina

from labkit import ranges

stamina.instrumentation.set_on_retry_hooks([])         # the gateway counts its retries itself, with its own labels


class DeadlineExceeded(RuntimeError):
    """The time the caller gave is over. begun: whether the engine may have worked for it."""

    def __init__(self, where: str, seconds: float, begun: bool = True):
        super().__init__(f"the deadline of {seconds:g} s passed {where}")
        self.begun = begun


class Deadline:
    """A moment after which nobody waits for the answer. seconds: from now, > 0. clock: seconds, monotonic."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic):
        ranges.number("seconds", seconds, 0, above=True)
        self.seconds, self.clock = seconds, clock
        self.at = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.at - self.clock())

    def check(self, where: str, begun: bool = False) -> None:
        """DeadlineExceeded, saying `where` it passed, if it has."""
        if not self.left:
            raise DeadlineExceeded(where, self.seconds, begun)


class RetryThrottle:
    """Retries as a share of the requests: each request earns `ratio` of a retry, up to `capacity`; each retry takes 1.

    While all goes well a rare failure is always retried; when everything fails, retries add `ratio` to the load and no
    more. Source: Finagle's RetryThrottle (Twitter, 2016); the same law as `metastability.model.RetryBudget`, which the
    simulator of part 1 spends in virtual time, here under a lock.
    """

    def __init__(self, ratio: float = 0.1, capacity: float = 10.0):
        ranges.number("ratio", ratio, 0)
        ranges.number("capacity", capacity, 0)
        self.ratio, self.capacity, self._tokens = ratio, capacity, capacity
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A request came (not a retry)."""
        with self._lock:
            self._tokens = min(self.capacity, self._tokens + self.ratio)

    def spend(self) -> bool:
        """Take a retry; False if there is none."""
        with self._lock:
            if self._tokens < 1 - 1e-9:
                return False
            self._tokens -= 1
            return True


@dataclass(frozen=True)
class Retry:
    """How to try again. attempts: in all, >= 1. wait, max_wait: seconds before the first retry and at most, doubled in
    between, plus up to `jitter` seconds at random."""

    attempts: int = 3
    wait: float = 0.1
    max_wait: float = 2.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        ranges.whole("Retry.attempts", self.attempts, 1)
        for name in ("wait", "max_wait", "jitter"):
            ranges.number(f"Retry.{name}", getattr(self, name), 0)

    def context(self, deadline: Deadline, budget: RetryThrottle | None,
                retryable: Callable[[Exception], bool]) -> AsyncIterator[stamina.Attempt]:
        """`async for attempt in retry.context(...): with attempt: ...`; the last failure is raised as it is.

        budget: None retries without one (as in a naive gateway). retryable: whether this failure may be tried again.
        """
        def worth_it(error: Exception) -> bool:
            return retryable(error) and deadline.left > self.wait and (budget is None or budget.spend())

        return stamina.retry_context(on=worth_it, attempts=self.attempts, timeout=deadline.left or 1e-3,
                                     wait_initial=self.wait, wait_max=self.max_wait, wait_jitter=self.jitter)
