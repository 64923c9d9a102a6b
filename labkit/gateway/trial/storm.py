"""The spike of part 1 against a real gateway: clients come whatever happens, give up after a while, and try again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import numpy as np
import pandas as pd

from labkit import ranges
from labkit.progress import bar
from labkit.wire import chat


@dataclass(frozen=True)
class Spike:
    """Load over time. calm, peak: requests per second; start, length: of the peak, seconds; duration: of all of it.

    patience: seconds a client waits for an answer. retries: how often it tries again (2 is the OpenAI SDK's default),
    at once after a failure with up to half a second of jitter. max_tokens: of an answer.
    """

    calm: float = 4.0
    peak: float = 16.0
    start: float = 10.0
    length: float = 10.0
    duration: float = 60.0
    patience: float = 4.0
    retries: int = 2
    max_tokens: int = 24

    def __post_init__(self) -> None:
        for name in ("calm", "peak", "duration", "patience"):
            ranges.number(f"Spike.{name}", getattr(self, name), 0, above=True)
        ranges.number("Spike.start", self.start, 0, self.duration)
        ranges.number("Spike.length", self.length, 0, self.duration - self.start)
        ranges.whole("Spike.retries", self.retries, 0, 10)
        ranges.whole("Spike.max_tokens", self.max_tokens, 1)

    def arrivals(self, seed: int) -> list[float]:
        """When clients come: Poisson, with the peak on top."""
        rng = random.Random(seed)
        times, now = [], 0.0
        while (now := now + rng.expovariate(max(self.calm, self.peak))) < self.duration:
            inside = self.start <= now < self.start + self.length
            if rng.random() < (self.peak if inside else self.calm) / max(self.calm, self.peak):
                times.append(now)
        return times


@dataclass
class _Counts:
    """Per second: clients who came, attempts they made, clients who got an answer in time, refusals."""

    rows: dict[str, list[int]] = field(default_factory=dict)

    def add(self, what: str, second: float) -> None:
        self.rows[what][min(int(second), len(self.rows[what]) - 1)] += 1


def run(base_url: str, spike: Spike = Spike(), key: str = "", model: str = "auto", seed: int = 0) -> pd.DataFrame:
    """Send the load; a row per second: arrivals, attempts, answered (of those who came in that second), refused
    (attempts answered with an error at once). Takes `spike.duration` seconds and the last clients' patience."""
    with bar("storm", int(spike.duration), "s") as step:
        return chat.wait_for(_run(base_url, spike, key, model, seed, step))


async def _run(base_url: str, spike: Spike, key: str, model: str, seed: int,
               step: Callable[[int], None]) -> pd.DataFrame:
    length = int(np.ceil(spike.duration))
    counts = _Counts({name: [0] * length for name in ("arrivals", "attempts", "answered", "refused")})
    rng, begun = random.Random(seed + 1), time.perf_counter()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:
        async def one(number: int, due: float) -> None:
            await asyncio.sleep(due - (time.perf_counter() - begun))
            counts.add("arrivals", due)
            body = {"model": model, "max_tokens": spike.max_tokens, "temperature": 0,
                    "messages": [{"role": "user", "content": f"Question {number}: what is a queue?"}]}
            for _ in range(1 + spike.retries):
                counts.add("attempts", time.perf_counter() - begun)
                try:
                    async with session.post(f"{base_url}/chat/completions", json=body,
                                            timeout=aiohttp.ClientTimeout(total=spike.patience)) as response:
                        await response.read()
                        if response.status == 200:
                            counts.add("answered", due)
                            return
                        counts.add("refused", time.perf_counter() - begun)
                except (aiohttp.ClientError, TimeoutError, OSError):
                    pass
                await asyncio.sleep(rng.random() / 2)

        clients = [asyncio.create_task(one(i, due)) for i, due in enumerate(spike.arrivals(seed))]
        for second in range(length):
            await asyncio.sleep(max(0.0, second + 1 - (time.perf_counter() - begun)))
            step(1)
        await asyncio.gather(*clients)
    return pd.DataFrame(counts.rows)


def recovered(table: pd.DataFrame, spike: Spike, share: float = 0.9, over: int = 3) -> float:
    """Seconds after the spike until, over `over` seconds and from then on, `share` of the clients get an answer; inf if
    that does not happen, 0 if they always did."""
    end = int(np.ceil(spike.start + spike.length))
    came = table.arrivals.rolling(over, min_periods=1).sum()
    good = table.answered.rolling(over, min_periods=1).sum() >= share * came
    bad = np.flatnonzero(~good.to_numpy()[end:])
    if len(bad) == 0:
        return 0.0
    return float(bad[-1] + 1) if bad[-1] + 1 < len(table) - end else float("inf")


NAIVE = {"retry": {"attempts": 3, "wait": 0.0, "max_wait": 0.0, "jitter": 0.0, "budget": -1}, "breaker": {"on": False},
         "admission": {"running": 100_000, "queue": 100_000, "learns": False},
         "timeouts": {"attempt": 4.0, "cancel": False}, "rate": {"per_second": 1e6, "burst": 1e6}}
"""A gateway as it is often built: tries again whatever failed, as often as it is told, lets everybody in, and does not
notice who left."""
