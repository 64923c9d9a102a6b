"""Fifty callers at one moment: what a breaker that has just half opened lets through."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from labkit import ranges
from labkit.gateway.resilience import BreakerOpen


def probes(call: Callable[[Callable[[], None]], object], count: int = 50, seconds: float = 0.05) -> int:
    """How many of `count` callers reach the engine when all of them come at once.

    call: runs the work it is given, or raises BreakerOpen. count: callers, a thread each, 1 to 500. seconds: how long
    the engine works for each, >= 0.
    """
    ranges.whole("count", count, 1, 500)
    ranges.number("seconds", seconds, 0)
    gate, reached = threading.Barrier(count), []

    def work() -> None:
        reached.append(1)
        time.sleep(seconds)

    def one() -> None:
        gate.wait()
        with contextlib.suppress(BreakerOpen):
            call(work)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(reached)
