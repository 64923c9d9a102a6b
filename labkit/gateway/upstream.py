"""One attempt at an engine: what went out, what came back, and what it will be charged if it breaks off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from labkit.gateway.budget import price
from labkit.gateway.resilience import Deadline, DeadlineExceeded
from labkit.gateway.settings import ModelConfig, TimeoutConfig
from labkit.wire.events import DONE, error_text

MADE = ("content", "tool_calls", "reasoning_content")       # what an engine generates
LARGEST = 2**20             # bytes of one event of a stream
BILLED = (500, 502, 504)    # answers after which the engine may have worked; 429 and 503 are refusals


class UpstreamError(RuntimeError):
    """The engine failed. sent: whether it may have worked for us. again: whether another attempt makes sense."""

    def __init__(self, message: str, sent: bool = True, again: bool = True):
        super().__init__(message)
        self.sent, self.again = sent, again


class UpstreamRefused(RuntimeError):
    """The engine says the request is wrong (4xx); nothing was done, and nothing will change that."""


class Usage:
    """Tokens of one attempt. Until the engine has counted them, the prompt is taken at its upper bound."""

    def __init__(self, model: ModelConfig, bound: int, max_tokens: int):
        """bound: prompt tokens there can be at most. max_tokens: of the answer."""
        self.model, self.bound, self.max_tokens = model, bound, max_tokens
        self.prompt, self.cached, self.answer = bound, 0, 0
        self.counted = False        # by the engine

    @property
    def worst(self) -> int:
        """The most it can cost, in micro-dollars."""
        m = self.model
        # a cached token is cheaper in most tariffs; one that is dearer must not break the bound
        dearest = max(m.usd_per_million_input, m.usd_per_million_cached_input or 0.0)
        return price(self.bound, self.max_tokens, dearest, m.usd_per_million_output)

    @property
    def cost(self) -> int:
        """What the tokens known so far cost."""
        m = self.model
        return price(self.prompt, self.answer, m.usd_per_million_input, m.usd_per_million_output,
                     self.cached, m.usd_per_million_cached_input)

    def take(self, usage: dict[str, Any]) -> None:
        """The engine's own count; nonsense is no count."""
        prompt, answer = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if isinstance(prompt, int) and isinstance(answer, int) and prompt >= 0 and answer >= 0:
            self.prompt, self.answer, self.counted = prompt, answer, True
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
            self.cached = min(cached, prompt) if isinstance(cached, int) and cached > 0 else 0


class Upstream:
    """The address of one model; a session shared by all."""

    def __init__(self, model: ModelConfig, timeouts: TimeoutConfig, session: aiohttp.ClientSession):
        self.model, self.timeouts, self.session = model, timeouts, session
        self.url = f"{model.base_url.rstrip('/')}/chat/completions"
        self.headers = {"content-type": "application/json"}
        if model.key:
            self.headers["authorization"] = f"Bearer {model.key}"

    async def whole(self, body: bytes, deadline: Deadline, usage: Usage) -> bytes:
        """A whole answer, as the engine wrote it. UpstreamError, UpstreamRefused or DeadlineExceeded."""
        try:
            async with asyncio.timeout(self.timeouts.attempt or None):
                raw = await self._read(body, deadline)
        except TimeoutError:
            raise UpstreamError(f"the engine took more than {self.timeouts.attempt:g} s") from None
        try:
            found = json.loads(raw)
            usage.take(found["usage"])
            found["choices"][0]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise UpstreamError("the engine's answer is not a chat completion", again=False) from None
        return raw

    async def _read(self, body: bytes, deadline: Deadline) -> bytes:
        response = await self._post(body, deadline)
        try:
            return await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(error, deadline) from None
        finally:
            response.close() if response.content.is_eof() is False else response.release()

    async def stream(self, body: bytes, deadline: Deadline, usage: Usage) -> AsyncIterator[tuple[bytes, str]]:
        """The events of a stream as the engine wrote them, and their text. Closing it closes the connection, which is
        how an engine learns that nobody waits."""
        response = await self._post(body, deadline)
        try:
            finished = False
            async for event in self._events(response, deadline):
                if event == DONE.rstrip():
                    finished = True
                    break
                yield event + b"\n\n", _text(event, usage)
            if not finished:
                raise UpstreamError("the engine ended the stream early")
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(error, deadline) from None
        finally:
            response.close()

    async def _post(self, body: bytes, deadline: Deadline) -> aiohttp.ClientResponse:
        deadline.check("before the engine was asked")
        left = deadline.left
        timeout = aiohttp.ClientTimeout(total=left, sock_connect=self.timeouts.connect)
        try:
            response = await self.session.post(self.url, data=body, headers=self.headers, timeout=timeout)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if isinstance(error, TimeoutError) and left <= self.timeouts.connect:
                raise DeadlineExceeded("while connecting to the engine", deadline.seconds, begun=False) from None
            raise UpstreamError(f"the engine cannot be reached ({type(error).__name__})", sent=False) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(error, deadline) from None
        if response.status == 200:
            return response
        with_text = (await response.text(errors="replace"))[:300]
        response.release()
        if response.status in (401, 403, 404):
            raise UpstreamError(f"the engine answered {response.status}: check base_url, served and key", sent=False,
                                again=False)
        if response.status < 500 and response.status not in (408, 429):
            raise UpstreamRefused(error_text(with_text))
        raise UpstreamError(f"the engine answered {response.status}", again=True,
                            sent=response.status in BILLED and not self.model.refunds_errors)

    async def _events(self, response: aiohttp.ClientResponse, deadline: Deadline) -> AsyncIterator[bytes]:
        """Server-sent events, cut at blank lines; a stream that says nothing for `idle` seconds is dead."""
        rest = b""
        while True:
            left = deadline.left
            try:
                async with asyncio.timeout(min(self.timeouts.idle, left)):
                    chunk = await response.content.readany()
            except TimeoutError:
                if left <= self.timeouts.idle:      # not what the clock says now: a timer may go off a moment early
                    raise DeadlineExceeded("in the stream", deadline.seconds, begun=True) from None
                raise UpstreamError(f"the engine sent nothing for {self.timeouts.idle:g} s") from None
            if not chunk:
                if rest.strip():
                    raise UpstreamError("the engine ended the stream in the middle of an event")
                return
            *events, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
            if len(rest) > LARGEST:
                raise UpstreamError("the engine sent an event without an end")
            for event in events:
                if event.strip():
                    yield event.strip()


def _text(event: bytes, usage: Usage) -> str:
    """The text an event brings; its usage is noted. UpstreamError if it is no event of a chat."""
    if event.startswith(b":"):
        return ""                                       # a comment, to keep the line open
    try:
        found = json.loads(event.removeprefix(b"data:"))
        if "error" in found:
            raise UpstreamError("the engine failed in the middle of the answer")
        deltas = [choice["delta"] for choice in found["choices"]]
        text = "".join(delta.get("content") or "" for delta in deltas)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UpstreamError("the engine sent something that is not an event of a chat") from None
    if found.get("usage"):
        usage.take(found["usage"])
    elif not usage.counted and any(delta.get(name) for delta in deltas for name in MADE):
        usage.answer += 1                               # a piece is at least one token
    return text


def _broken(error: Exception, deadline: Deadline) -> Exception:
    if isinstance(error, TimeoutError) or not deadline.left:
        return DeadlineExceeded("at the engine", deadline.seconds)
    return UpstreamError(f"the connection to the engine broke ({type(error).__name__})")
