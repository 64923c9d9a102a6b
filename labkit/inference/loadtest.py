"""Load on an engine, from callers who keep coming (open loop) or who wait for each other (closed loop)."""

from __future__ import annotations

import asyncio
import itertools
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import numpy as np
import pandas as pd

from labkit import ranges
from labkit.progress import bar
from labkit.wire import chat

OMISSION = ("closed loop: each caller waits for its answer before it asks again, so a slow engine slows the load down "
            "and the waiting of callers who would have come is left out (coordinated omission). Use rate= to see it.")
COLUMNS = ["due", "sent", "ttft", "itl", "e2e", "prompt_tokens", "cached_tokens", "answer_tokens", "error"]


def run(base_url: str, rate: float | None = None, concurrency: int | None = None,
        prompts: Sequence[chat.Prompt] = ("What is a cache?",), duration: float = 10.0, *, max_tokens: int = 32,
        model: str = "", seed: int = 0, **options: Any) -> pd.DataFrame:
    """Send load for `duration` seconds, then wait for the answers still out; a row per request.

    rate: requests per second on average, at random moments (open loop), or concurrency: callers who each send the next
    request when the last is answered (closed loop; warns of coordinated omission). prompts: taken in turn.
    model: its name; "" asks the engine. options: as in `chat.pieces`.

    Columns: due and sent (s since the start), ttft and e2e in s *from due*, so that a late start counts as waiting;
    itl (s); prompt_tokens, cached_tokens, answer_tokens; error ("" if none). A failed request is a row, not an
    exception. ValueError for a bad parameter, or if not exactly one of rate and concurrency is given.
    """
    if (rate is None) == (concurrency is None):
        raise ValueError(f"rate = {rate}, concurrency = {concurrency}: give one of them")
    if rate is not None:
        ranges.number("rate", rate, 0, above=True)
    if concurrency is not None:
        ranges.whole("concurrency", concurrency, 1, 10_000)
        warnings.warn(OMISSION, stacklevel=2)
    ranges.number("duration", duration, 0, above=True)
    ranges.whole("max_tokens", max_tokens, 1)
    if not prompts:
        raise ValueError("prompts = (): must have at least one")
    options["max_tokens"] = max_tokens
    with bar("load", int(duration), "s") as step:
        rows = chat.wait_for(_run(base_url, rate, concurrency, prompts, duration, model, seed, options, step))
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values("due", ignore_index=True)
    table.attrs["loop"] = "open" if rate is not None else "closed"
    return table


def summary(table: pd.DataFrame) -> pd.Series[float]:
    """Of a table of `run`: requests, failed, tokens per second, and ttft, itl and e2e at p50 and p95 (s)."""
    good = table[table.error == ""]
    span = float((table.due + table.e2e).max()) if len(good) else float("nan")
    found: dict[str, float] = {"requests": len(table), "failed": len(table) - len(good),
                               "tokens_per_s": float(good.answer_tokens.sum()) / span}
    for name, share in itertools.product(("ttft", "itl", "e2e"), (0.5, 0.95)):
        found[f"{name}_p{share * 100:.0f}"] = float(good[name].quantile(share)) if len(good) else float("nan")
    return pd.Series(found)


async def _run(base_url: str, rate: float | None, concurrency: int | None, prompts: Sequence[chat.Prompt],
               duration: float, model: str, seed: int, options: dict[str, Any],
               step: Callable[[int], None]) -> list[tuple[Any, ...]]:
    async with chat.session() as session:
        model = model or await served(session, base_url)
        load = _Load(base_url, model, itertools.cycle(prompts), options, session)
        clock = asyncio.create_task(_tick(duration, step))
        if rate is not None:
            await load.open(rate, duration, np.random.default_rng(seed))
        else:
            assert concurrency is not None
            await asyncio.gather(*(load.caller(duration) for _ in range(concurrency)))
        clock.cancel()
        return load.rows


async def served(session: aiohttp.ClientSession, base_url: str) -> str:
    """Name of the first model the engine serves; StreamError if it does not answer."""
    try:
        async with session.get(f"{base_url}/models") as response:
            return str((await response.json())["data"][0]["id"])
    except (aiohttp.ClientError, OSError, KeyError) as error:
        raise chat.StreamError(f"no engine answers at {base_url}: {error}") from None


async def _tick(duration: float, step: Callable[[int], None]) -> None:
    for _ in range(int(duration)):
        await asyncio.sleep(1)
        step(1)


class _Load:
    """One run: the rows grow as answers come in."""

    def __init__(self, base_url: str, model: str, prompts: itertools.cycle[chat.Prompt], options: dict[str, Any],
                 session: aiohttp.ClientSession):
        self.base_url, self.model, self.prompts, self.options = base_url, model, prompts, options
        self.session, self.start = session, time.perf_counter()
        self.rows: list[tuple[Any, ...]] = []

    async def one(self, due: float) -> None:
        """One request, due at `due` s since the start."""
        answer, error = chat.Answer(time.perf_counter()), ""
        try:
            answer = await chat.answer(self.base_url, self.model, next(self.prompts), using=self.session,
                                         **self.options)
        except chat.StreamError as failure:
            answer, error = failure.answer or answer, str(failure)
        late = answer.sent - self.start - due
        self.rows.append((due, due + late, answer.ttft + late, answer.itl, answer.e2e + late, answer.prompt_tokens,
                          answer.cached_tokens, answer.answer_tokens, error))

    async def open(self, rate: float, duration: float, rng: np.random.Generator) -> None:
        """Requests at random moments, whatever became of the ones before."""
        due, out = float(rng.exponential(1 / rate)), []
        while due < duration:
            await asyncio.sleep(max(0.0, self.start + due - time.perf_counter()))
            out.append(asyncio.create_task(self.one(due)))
            due += float(rng.exponential(1 / rate))
        await asyncio.gather(*out)

    async def caller(self, duration: float) -> None:
        """One caller who asks, waits, and asks again."""
        while (now := time.perf_counter() - self.start) < duration:
            await self.one(now)
