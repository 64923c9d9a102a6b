"""A thin client of the OpenAI protocol that keeps the times: when each piece of the answer came."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp

from labkit.wire.events import error_text

Value = TypeVar("Value")
Prompt = str | Sequence[int] | Sequence[dict[str, str]]
PATIENCE = 600.0            # seconds without a piece of an answer after which we call the stream dead


class StreamError(RuntimeError):
    """The engine refused, or the stream broke; says after how many tokens. `answer`: what had come."""

    def __init__(self, message: str, answer: Answer | None = None):
        super().__init__(message)
        self.answer = answer


@dataclass
class Answer:
    """One answer and its times, in seconds of `time.perf_counter`.

    sent: when the request left.
    text: all pieces together.
    times: when each piece came.
    prompt_tokens, cached_tokens, answer_tokens: as the engine counts them.
    finish: "stop", "length", or "" if the stream broke.
    headers: of the response.
    logprobs: as the engine sent them, if asked for.
    """

    sent: float
    text: str = ""
    times: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    answer_tokens: int = 0
    finish: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    logprobs: list[Any] = field(default_factory=list)

    @property
    def ttft(self) -> float:
        """Seconds to the first token; NaN if none came."""
        return self.times[0] - self.sent if self.times else float("nan")

    @property
    def e2e(self) -> float:
        """Seconds to the last token; NaN if none came."""
        return self.times[-1] - self.sent if self.times else float("nan")

    @property
    def gaps(self) -> list[float]:
        """Seconds between neighbouring pieces."""
        return [b - a for a, b in zip(self.times, self.times[1:], strict=False)]

    @property
    def itl(self) -> float:
        """Mean seconds per token after the first; NaN if there is only one."""
        return (self.times[-1] - self.times[0]) / (self.answer_tokens - 1) if self.answer_tokens > 1 else float("nan")

    def __repr__(self) -> str:
        return (f"{self.text!r}\n{self.prompt_tokens} prompt tokens ({self.cached_tokens} cached), "
                f"{self.answer_tokens} tokens in {self.e2e:.2f} s: the first after {self.ttft * 1000:.0f} ms, then "
                f"{self.itl * 1000:.1f} ms each")


async def pieces(session: aiohttp.ClientSession, base_url: str, model: str, prompt: Prompt, max_tokens: int = 64,
                 answer: Answer | None = None, headers: Mapping[str, str] | None = None,
                 **options: Any) -> AsyncIterator[str]:
    """The pieces of one answer as they come; `answer` collects the times. StreamError if the engine fails.

    prompt: text (sent as a chat), a list of chat messages, or token numbers (sent as they are, no template).
    headers: of the request, an API key for instance.
    options: more fields of the request: temperature (0 here unless given), cache_salt, ignore_eos, seed ...
    """
    answer = answer or Answer(time.perf_counter())
    body: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "temperature": 0, "stream": True,
                            "stream_options": {"include_usage": True}, **options}
    raw = not isinstance(prompt, str) and not isinstance(prompt[0], dict)
    if raw:
        body["prompt"] = prompt
    else:
        body["messages"] = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    answer.sent = time.perf_counter()
    try:
        address = f"{base_url}/{'' if raw else 'chat/'}completions"
        async with session.post(address, json=body, headers=headers) as response:
            answer.headers = dict(response.headers)
            if response.status != 200:
                why = error_text(await response.text())
                raise StreamError(f"the engine refused ({response.status}): {why}", answer)
            async for line in response.content:
                if line.startswith(b"data: {") and (piece := _take(json.loads(line[6:]), answer)):
                    yield piece
    except (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError, TimeoutError) as error:
        raise StreamError(f"the engine at {base_url} was lost after {len(answer.times)} tokens "
                          f"({type(error).__name__})", answer) from None
    if not answer.finish:
        raise StreamError(f"the engine at {base_url} ended the stream after {len(answer.times)} tokens, unfinished",
                          answer)


def _take(event: dict[str, Any], answer: Answer) -> str:
    """Note what an event of the stream says; the text it brings."""
    if "error" in event:
        raise StreamError(f"the engine failed: {error_text(json.dumps(event))}", answer)
    text = ""
    for choice in event.get("choices", []):
        text = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
        answer.finish = choice.get("finish_reason") or answer.finish
        if choice.get("logprobs"):
            answer.logprobs.append(choice["logprobs"])
        if text:
            answer.times.append(time.perf_counter())
            answer.text += text
    if usage := event.get("usage"):
        answer.prompt_tokens, answer.answer_tokens = usage["prompt_tokens"], usage["completion_tokens"]
        answer.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return text


def session() -> aiohttp.ClientSession:
    """A session that opens as many connections as there are callers."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**18,
                                 timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=PATIENCE))


async def answer(base_url: str, model: str, prompt: Prompt, max_tokens: int = 64, *,
                 using: aiohttp.ClientSession | None = None, **options: Any) -> Answer:
    """One whole answer with its times; options as in `pieces`. StreamError if the engine fails."""
    if using is None:
        async with session() as using:
            return await answer(base_url, model, prompt, max_tokens, using=using, **options)
    result = Answer(time.perf_counter())
    async for _ in pieces(using, base_url, model, prompt, max_tokens, result, **options):
        pass
    return result


async def _together(base_url: str, model: str, prompts: Sequence[Prompt], max_tokens: int,
                    options: dict[str, Any]) -> list[Answer]:
    async with session() as using:
        return await asyncio.gather(*(answer(base_url, model, prompt, max_tokens, using=using, **options)
                                      for prompt in prompts))


def wait_for(work: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine to its end from ordinary code, also where a loop is running already, as in a notebook.

    Ctrl-C, or interrupting the cell, cancels it.
    """
    result: list[Value] = []
    failed: list[BaseException] = []
    loop = asyncio.new_event_loop()

    def target() -> None:
        try:
            result.append(loop.run_until_complete(task))
        except BaseException as error:
            failed.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    task = loop.create_task(work)
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(5)
        raise
    if failed:
        raise failed[0]
    return result[0]


def ask(base_url: str, model: str, prompt: Prompt, max_tokens: int = 64, **options: Any) -> Answer:
    """Ask and wait for the whole answer; options as in `pieces`."""
    return wait_for(answer(base_url, model, prompt, max_tokens, **options))


@dataclass(frozen=True)
class Reply:
    """What came back for one request that was not streamed: status, headers and body, error or not."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def text(self) -> str:
        """The answer, or what the error says."""
        if isinstance(self.body, dict) and "choices" in self.body:
            return str(self.body["choices"][0]["message"].get("content") or "")
        return error_text(json.dumps(self.body))

    def __repr__(self) -> str:
        shown = {name: self.headers[name] for name in ("x-labkit-model", "x-labkit-degraded", "retry-after")
                 if name in self.headers}
        return f"{self.status} {self.text[:200]!r}" + "".join(f"\n    {name}: {shown[name]}" for name in shown)


def post(base_url: str, prompt: str, headers: Mapping[str, str] | None = None, model: str = "auto",
         timeout: float = 60.0, **options: Any) -> Reply:
    """Ask for a whole answer at once; an error status is a Reply too. OSError if nobody answers in `timeout` s."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], **options}
    request = urllib.request.Request(f"{base_url}/chat/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as found:
            return Reply(found.status, dict(found.headers), json.loads(found.read()))
    except urllib.error.HTTPError as error:
        raw = error.read().decode(errors="replace")
        return Reply(error.code, dict(error.headers), json.loads(raw) if raw.startswith("{") else raw)


def together(base_url: str, model: str, prompts: Sequence[Prompt], max_tokens: int = 64,
             **options: Any) -> list[Answer]:
    """Ask all `prompts` at the same moment and wait for all answers."""
    return wait_for(_together(base_url, model, prompts, max_tokens, options))


def stream(base_url: str, model: str, prompt: Prompt, max_tokens: int = 64, **options: Any) -> Iterator[str]:
    """The pieces of an answer while they come: `for piece in stream(...): print(piece, end="")`."""
    line: queue.Queue[str | BaseException | None] = queue.Queue()
    gone = threading.Event()

    async def pump() -> None:
        try:
            async with session() as using:
                async for piece in pieces(using, base_url, model, prompt, max_tokens, **options):
                    line.put(piece)
                    if gone.is_set():
                        break
            line.put(None)
        except BaseException as error:
            line.put(error)

    threading.Thread(target=lambda: asyncio.run(pump()), daemon=True).start()
    try:
        while (piece := line.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        gone.set()
