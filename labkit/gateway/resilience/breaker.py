"""A circuit breaker that lets one probe through.

Written here because the libraries do not: purgatory 3.0.1, aiobreaker 1.2.0, pybreaker 1.4.1 and circuitbreaker 2.1.3
each let 50 of 50 concurrent calls through when they are half open (tried in November 2026). `metastability.policies`
has the simulator's breaker, which is handed the time and one call at a time; this one is for threads and tasks, and for
callers that vanish.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from labkit import ranges


class BreakerOpen(RuntimeError):
    """No call may be made now; try again in `retry_after` seconds."""

    def __init__(self, retry_after: float):
        super().__init__(f"the circuit breaker is open for {retry_after:.1f} s more")
        self.retry_after = retry_after


class CircuitBreaker:
    """Closed, open, half open; opens on a share of failures in a sliding window, closes when one probe succeeds.

    window: seconds over which outcomes count, > 0. ratio: share of failures that opens it, in (0, 1). minimum:
    outcomes below which a share says nothing, >= 1. open_for: seconds before a probe, > 0. clock: seconds, monotonic.
    Safe for threads and tasks. Source: Nygard, "Release It!", 2007, ch. 5; the window instead of a count of failures
    in a row, which one success resets and, never reset, opens on any steady trickle.

        with breaker.call():        # BreakerOpen if no call may be made
            ...                     # an exception is a failure; being cancelled is no evidence
    """

    def __init__(self, window: float = 30.0, ratio: float = 0.5, minimum: int = 10, open_for: float = 5.0,
                 clock: Callable[[], float] = time.monotonic):
        ranges.number("window", window, 0, above=True)
        ranges.number("ratio", ratio, 0, 1, above=True)
        ranges.whole("minimum", minimum, 1)
        ranges.number("open_for", open_for, 0, above=True)
        self.window, self.ratio, self.minimum, self.open_for, self.clock = window, ratio, minimum, open_for, clock
        self._lock = threading.Lock()
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._opened: float | None = None
        self._probe: Call | None = None
        self._round = 0             # a call of an earlier round says nothing about this one

    @property
    def state(self) -> str:
        """"closed", "open" or "half open" (a probe is on its way, or may be sent)."""
        if self._opened is None:
            return "closed"
        return "open" if self.clock() < self._opened + self.open_for else "half open"

    def call(self) -> Call:
        """Leave to make one call; BreakerOpen if there is none."""
        with self._lock:
            self._left()
            call = Call(self, self._round)
            if self._opened is not None:
                self._probe = call
            return call

    def check(self) -> None:
        """BreakerOpen if `call` would say so now; takes nothing."""
        with self._lock:
            self._left()

    def _left(self) -> None:
        if self._opened is not None:
            left = self._opened + self.open_for - self.clock()
            if left > 0 or self._probe is not None:
                raise BreakerOpen(left if left > 0 else self.open_for)

    def _end(self, call: Call, ok: bool | None) -> None:
        with self._lock:
            if call is self._probe:
                self._probe = None
                if ok is not None:
                    self._switch(None if ok else self.clock())
            elif call.round == self._round and self._opened is None and ok is not None:
                self._count(ok)

    def _count(self, ok: bool) -> None:
        now = self.clock()
        self._outcomes.append((now, ok))
        self._failures += not ok
        while self._outcomes[0][0] <= now - self.window:
            self._failures -= not self._outcomes.popleft()[1]
        calls = len(self._outcomes)
        if calls >= self.minimum and self._failures >= self.ratio * calls:
            self._switch(now)

    def _switch(self, opened: float | None) -> None:
        self._opened, self._failures = opened, 0
        self._outcomes.clear()
        self._round += 1


class Call:
    """One call under a breaker: a `with` block, or `end` by hand."""

    def __init__(self, breaker: CircuitBreaker, round: int):
        self.breaker, self.round, self.ended = breaker, round, False

    def end(self, ok: bool | None) -> None:
        """It went well, it failed, or (None) nobody knows. Only the first `end` counts."""
        if not self.ended:
            self.ended = True
            self.breaker._end(self, ok)

    def __enter__(self) -> Call:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        # CancelledError and KeyboardInterrupt are no Exceptions: the caller left, the engine may be fine
        self.end(True if kind is None else False if issubclass(kind, Exception) else None)
