"""An engine that does what the message tells it to: answers at once, or fails in one of the ways engines fail.

For tests, and for measuring what a gateway costs: as little work as an answer can be, so that what is left is the
gateway's. Speaks the OpenAI protocol, counts like vLLM. Say "fault: NAME" in the last message:

    503, 500, 400    that status; 500 after the work was done        hang    never answers
    slow             a piece every quarter of a second               cut     ends a stream in the middle
    malformed        a stream with something that is no JSON         html    a web page instead of an answer
    first 503        503 until `recover` pieces of the same message were refused: then well
    error            a stream that says it failed                    silent  a stream that opens and says nothing
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

from labkit.loopback import Program
from labkit.wire import events
from labkit.wire.scrape import Metrics

WORDS = ("Every", "request", "has", "a", "price", "and", "every", "price", "has", "an", "owner", "so", "count",
         "before", "you", "spend")
RUNS = r"running on http://127.0.0.1:(\d+) "        # what uvicorn prints when it does
RECOVER = 2                 # refusals before "first 503" answers


class Scripted:
    """The server, a plain ASGI application. delay: seconds before an answer, or between the pieces of a stream."""

    def __init__(self, delay: float = 0.0):
        self.delay, self.running = delay, 0
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["method"] == "GET":
            await _reply(send, 200, self.metrics().encode(), b"text/plain")
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.running += 1
        work = asyncio.create_task(self.answer(json.loads(body), send))
        gone = asyncio.create_task(receive())
        try:                                            # like vLLM: nobody waits, nobody works
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.running -= 1
            if not work.done():
                self.counts["aborted"] += 1
            for task in (work, gone):
                task.cancel()

    async def answer(self, asked: dict[str, Any], send: Any) -> None:
        """One request."""
        content = asked["messages"][-1].get("content") or ""
        found = re.search(r"fault: ([\w ]+)", content if isinstance(content, str) else "")
        fault = found.group(1).strip() if found else ""
        self.counts["requests"] += 1
        length = min(asked.get("max_tokens") or 16, 16)
        usage = {"prompt_tokens": 20, "completion_tokens": length, "total_tokens": 20 + length}
        if fault in ("503", "400", "500", "429") or (fault == "first 503" and self.refused[content] < RECOVER):
            self.refused[content] += 1
            if fault == "500":
                self.work(20, length)
            status = 503 if fault == "first 503" else int(fault)
            await _reply(send, status, json.dumps({"error": {"message": f"as told: {status}"}}).encode())
        elif fault == "hang":
            await asyncio.sleep(3600)
        elif fault == "html":
            await _reply(send, 200, b"<html>502</html>", b"text/html")
        elif asked.get("stream"):
            await self.stream(asked, fault, length, send)
        else:
            await asyncio.sleep(self.delay)
            self.work(20, length)
            message: dict[str, Any] = {"role": "assistant", "content": " ".join(WORDS[:length])}
            if asked.get("tools"):
                message = {"role": "assistant", "content": None, "tool_calls": [
                    {"id": "call_1", "type": "function",
                     "function": {"name": asked["tools"][0].get("function", {}).get("name", ""), "arguments": "{}"}}]}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if asked.get("tools") else "stop",
                      "logprobs": {"content": [{"token": "x", "logprob": -0.1}]} if asked.get("logprobs") else None}
            await _reply(send, 200, json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "created": 1,
                                                "model": asked["model"], "choices": [choice], "usage": usage}).encode())

    async def stream(self, asked: dict[str, Any], fault: str, length: int, send: Any) -> None:
        """A stream of `length` pieces."""
        options = asked.get("stream_options") or {}
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})

        async def event(body: bytes, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": more})

        def chunk(choices: list[Any], done: int, with_usage: bool) -> bytes:
            usage = {"prompt_tokens": 20, "completion_tokens": done, "total_tokens": 20 + done}
            return events.chunk(asked["model"], choices, usage if with_usage else None, id="chatcmpl-1", created=1)

        continuous = bool(options.get("continuous_usage_stats"))
        self.counts["prompt_tokens"] += 20
        for i in range(length):
            if fault == "silent" or (i == 3 and fault in ("cut", "malformed", "error")):
                break
            await asyncio.sleep(0.25 if fault == "slow" else self.delay)
            self.counts["generation_tokens"] += 1
            await event(chunk([{"index": 0, "delta": {"content": WORDS[i] + " "},
                                "finish_reason": "stop" if i == length - 1 else None}], i + 1, continuous))
        if fault == "silent":
            await asyncio.sleep(3600)
        if fault == "malformed":
            await event(events.event(b"{this is no JSON}"))
        if fault == "error":
            await event(events.event(b'{"error": {"message": "out of memory"}}'))
        if not fault or fault == "slow":
            if options.get("include_usage"):
                await event(chunk([], length, True))
            await event(events.DONE)
        await event(b"", False)

    def work(self, prompt: int, answer: int) -> None:
        """Count tokens."""
        self.counts["prompt_tokens"] += prompt
        self.counts["generation_tokens"] += answer

    def metrics(self) -> str:
        """As vLLM names them."""
        lines = [f'vllm:{name}_total{{model_name="scripted"}} {self.counts[name]}'
                 for name in ("prompt_tokens", "generation_tokens", "requests", "aborted")]
        return "\n".join([*lines, f'vllm:num_requests_running{{model_name="scripted"}} {self.running}']) + "\n"


async def _reply(send: Any, status: int, body: bytes, kind: bytes = b"application/json") -> None:
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-type", kind), (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


class Handle:
    """A running scripted engine: base_url and port."""

    def __init__(self, program: Program):
        self.program, self.port, self.model = program, program.port, "scripted"
        self.base_url = f"http://127.0.0.1:{self.port}/v1"

    def metrics(self) -> Metrics:
        """Its counters now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            return Metrics(answer.read().decode())


@contextlib.contextmanager
def running(delay: float = 0.0) -> Iterator[Handle]:
    """A scripted engine in a process of its own, for one block."""
    with Program([sys.executable, "-m", "labkit.gateway.trial.scripted", delay], ready=RUNS) as program:
        yield Handle(program)


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(Scripted(float(sys.argv[1])), port=0, access_log=False)
