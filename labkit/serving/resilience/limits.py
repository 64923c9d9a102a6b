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
from labkit.serving.resilience.retry import Deadline, DeadlineExceeded


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
    """A bucket for each key, so that one caller cannot use up the others' share. At most `most` keys are kept, those
    used last: a stranger who makes up names does not fill the memory."""

    def __init__(self, rate: float, burst: float, most: int = 10_000, clock: Callable[[], float] = time.monotonic):
        ranges.whole("most", most, 1)
        self._new = lambda: TokenBucket(rate, burst, clock)
        self._new()                                     # refuses bad parameters now, not at the first request
        self.most, self._lock = most, threading.Lock()
        self._kept: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str, tokens: float = 1.0) -> float:
        """As `TokenBucket.take`, from the bucket of `key`."""
        with self._lock:
            bucket = self._kept.get(key)
            if bucket is None:
                bucket = self._kept[key] = self._new()
                if len(self._kept) > self.most:
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
    """At most `running` requests at once, at most `queue` waiting, first come first served; the rest is turned away.

    For one event loop. A waiter whose deadline passes leaves the queue; whoever is gone takes no place.
    """

    def __init__(self, running: int, queue: int):
        ranges.whole("running", running, 1)
        ranges.whole("queue", queue, 0)
        self.limit, self.queue, self.running = running, queue, 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return sum(not future.done() for future in self._waiting)

    @contextlib.asynccontextmanager
    async def enter(self, deadline: Deadline) -> AsyncIterator[None]:
        """A place, for the length of the block. Overloaded if the queue is full, DeadlineExceeded if it is too late."""
        await self._take(deadline)
        try:
            yield
        finally:
            self._give()

    async def _take(self, deadline: Deadline) -> None:
        if self.running < self.limit and not self.waiting:
            self.running += 1
            return
        if (waiting := self.waiting) >= self.queue:
            raise Overloaded(waiting, 1.0)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(deadline.left):
                await future
        except TimeoutError:
            if future.done() and not future.cancelled():
                self._give()                            # the place came at the very moment we gave up
            raise DeadlineExceeded("in the queue", deadline.seconds) from None
        except BaseException:
            if future.done() and not future.cancelled():
                self._give()
            raise
        finally:
            if not future.done():
                future.cancel()

    def _give(self) -> None:
        """Hand the place to the next who is still there."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.running -= 1
