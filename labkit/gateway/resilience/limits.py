"""How much may come in: a token bucket for each key, and a bound on how many wait."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable

from labkit import ranges
from labkit.gateway.resilience.retry import Deadline, DeadlineExceeded


class TokenBucket:
    """`rate` tokens a second up to `burst`; full at the start. Both > 0.

    Safe for threads: a look and a take under one lock. The clock is monotonic: a wall clock that is set back would
    close the door for hours. Source: Turner, "New directions in communications", IEEE Comm. Magazine 24(10), 1986.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic):
        ranges.number("rate", rate, 0, above=True)
        ranges.number("burst", burst, 0, above=True)
        self.rate, self.burst, self.clock = rate, burst, clock
        self._tokens, self._at = float(burst), clock()
        self._lock = threading.Lock()

    def take(self, tokens: float = 1.0) -> float:
        """Take them and return 0.0, or take nothing and return the seconds until they will be there.

        ValueError for more than `burst`: they will never be there.
        """
        ranges.number("tokens", tokens, 0, self.burst)
        with self._lock:
            now = self.clock()
            self._tokens = min(self.burst, self._tokens + max(0.0, now - self._at) * self.rate)
            self._at = max(self._at, now)
            if self._tokens >= tokens:
                self._tokens -= tokens
                return 0.0
            return (tokens - self._tokens) / self.rate


class Buckets:
    """A bucket for each key, so that one caller cannot use up the others' share. At most `max_keys` keys are kept,
    those used last: a stranger who makes up names does not fill the memory."""

    def __init__(self, rate: float, burst: float, max_keys: int = 10_000, clock: Callable[[], float] = time.monotonic):
        ranges.whole("max_keys", max_keys, 1)
        self._new = lambda: TokenBucket(rate, burst, clock)
        self._new()                                     # refuses bad parameters now, not at the first request
        self.max_keys, self._lock = max_keys, threading.Lock()
        self._kept: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str, tokens: float = 1.0) -> float:
        """As `TokenBucket.take`, from the bucket of `key`."""
        with self._lock:
            bucket = self._kept.get(key)
            if bucket is None:
                bucket = self._kept[key] = self._new()
                if len(self._kept) > self.max_keys:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(key)
        return bucket.take(tokens)


class Overloaded(RuntimeError):
    """The queue is full; try again in `retry_after` seconds."""

    def __init__(self, waiting: int, retry_after: float):
        super().__init__(f"{waiting} requests are waiting already")
        self.retry_after = retry_after


def safe_queue_limit(throughput: float, patience: float, service: float) -> int:
    """K = mu (T - S): the longest queue whose last request still finishes in time.

    throughput: requests per second the engine completes when full. patience: seconds a caller waits in all. service:
    seconds one request takes in a full engine. The bound of part 1 (`metastability.theory.safe_queue_limit`), from
    numbers measured at an engine instead of a model's parameters.

    >>> safe_queue_limit(50, 3, 1)
    100
    """
    ranges.number("throughput", throughput, 0)
    ranges.number("patience", patience, 0)
    ranges.number("service", service, 0)
    return max(0, math.floor(throughput * (patience - service) + 1e-9))


class Admission:
    """So many requests at once as the engine finishes in time, `running` at most; `queue` may wait, the rest is turned
    away at once.

    How many those are is learned: each answer in time allows a little more, each caller who leaves or whose deadline
    passes at the engine takes a fifth off, once a round trip (additive increase, multiplicative decrease: Chiu and
    Jain, 1989; Netflix, "Performance Under Load", 2018). Whoever lets more in than the engine has places for has moved
    the queue to where nobody can bound it.

    First come first served, until the first has waited longer than `standing` seconds: from then on the newest goes
    first. A queue that stands is a queue of callers who are about to leave, and whoever serves it in order serves the
    dead (Maurer, "Fail at Scale", ACM Queue 13(8), 2015: adaptive LIFO). For one event loop. A waiter whose deadline
    passes leaves the queue; whoever is gone takes no place.
    """

    def __init__(self, running: int, queue: int, standing: float = 0.5, learns: bool = True):
        ranges.whole("running", running, 1)
        ranges.whole("queue", queue, 0)
        ranges.number("standing", standing, 0, infinite=True)
        self.max_running, self.limit, self.learns = running, float(running), learns
        self.least = max(1.0, running / 4)              # somebody who hangs up all day must not lock out the others
        self.queue, self.standing, self.running = queue, standing, 0
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._lowered = -math.inf

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def enter(self, deadline: Deadline) -> AsyncIterator[None]:
        """A place, for the length of the block. Overloaded if the queue is full, DeadlineExceeded if it is too late."""
        await self._take(deadline)
        begun = time.monotonic()
        try:
            yield
            self._more()
        except (asyncio.CancelledError, DeadlineExceeded):
            self._fewer(begun)
            raise
        finally:
            self.running -= 1
            self._next()

    def _more(self) -> None:
        if self.learns and self.running >= int(self.limit):     # only a limit that was reached has been tested
            self.limit = min(self.max_running, self.limit + 1 / self.limit)

    def _fewer(self, begun: float) -> None:
        if self.learns and begun > self._lowered:               # those of before are news of the same trouble
            self.limit = max(self.least, min(self.limit, self.running) * 0.8)
            self._lowered = time.monotonic()

    async def _take(self, deadline: Deadline) -> None:
        if self.running < int(self.limit) and not self._waiting:
            self.running += 1
            return
        if len(self._waiting) >= self.queue:
            raise Overloaded(len(self._waiting), 1.0)
        place: tuple[float, asyncio.Future[None]] = (time.monotonic(), asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        try:
            async with asyncio.timeout(deadline.left):
                await place[1]
        except BaseException as reason:
            if place in self._waiting:
                self._waiting.remove(place)
            elif not place[1].cancelled():                      # the place came at the very moment we gave up
                self.running -= 1
                self._next()
            if isinstance(reason, TimeoutError):
                raise DeadlineExceeded("in the queue", deadline.seconds, begun=False) from None
            raise

    def _next(self) -> None:
        """Let in as many as there are places for."""
        while self._waiting and self.running < int(self.limit):
            stands = time.monotonic() - self._waiting[0][0] > self.standing
            _, future = self._waiting.pop() if stands else self._waiting.popleft()
            if not future.done():                               # else its waiter has given up, and is about to notice
                self.running += 1
                future.set_result(None)
