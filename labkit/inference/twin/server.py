"""The twin behind the OpenAI protocol, in real time, with vLLM's own metric names.

    python -m labkit.inference.twin.server PORT SETTINGS

SETTINGS is the JSON of `engine.Settings`. Every token comes when the twin's scheduler says so; the words are made up
and say so. Listens on 127.0.0.1. LABKIT_TWIN_HURRY=4 makes its clock run four times as fast, for tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
import zlib
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from labkit.inference import catalogue, roofline, twin
from labkit.inference.twin.blocks import BlockPool
from labkit.inference.twin.scheduler import Request, Scheduler
from labkit.wire import events

SPEECH = "I am the twin of the engine, a simulation: my times are modelled and my words mean nothing."
WORDS = SPEECH.split(" ")
TEMPLATE = 31               # tokens the chat template of SmolLM2 puts around a question
BLOCK = 32
SECONDS = (.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120)


class Exported:
    """The metrics, under vLLM's names."""

    def __init__(self, model: str, pool: BlockPool):
        self.registry = CollectorRegistry()
        self.labels = {"engine": "0", "model_name": model}
        self._known: dict[str, Any] = {}
        self._told: dict[str, int] = {}
        info = {"block_size": str(pool.block_size), "num_gpu_blocks": str(pool.size),
                "enable_prefix_caching": str(pool.caching), "kv_cache_size_tokens": str(pool.size * pool.block_size),
                "engine": "0"}
        Gauge("vllm:cache_config_info", "KV cache of the twin", list(info), registry=self.registry).labels(
            **info).set(1)

    def metric(self, kind: Any, name: str, **extra: str) -> Any:
        """The metric `name`, made when first asked for."""
        labels = {**self.labels, **extra}
        if name not in self._known:
            more = {"buckets": SECONDS} if kind is Histogram else {}
            self._known[name] = kind(f"vllm:{name}", f"{name} of the twin", list(labels), registry=self.registry,
                                     **more)
        return self._known[name].labels(**labels)

    def count(self, name: str, total: int) -> None:
        """The counter `name` stands at `total`, which only grows."""
        self.metric(Counter, name).inc(total - self._told.get(name, 0))
        self._told[name] = total


class Twin:
    """The scheduler, its clock, and the callers waiting for tokens."""

    def __init__(self, settings: dict[str, Any]):
        known = catalogue.MODELS.get(settings["model"])
        width = "FP32" if settings["dtype"] == "float32" else "FP16"
        each = roofline.kv_bytes_per_token(known or "SmolLM2-135M-Instruct", width)
        pool = BlockPool(max(1, settings["kv_bytes"] // (each * BLOCK)), BLOCK, settings["prefix_caching"])
        self.scheduler = Scheduler(pool, sequences=settings["max_sequences"])
        self.speed, self.context = twin.measured(settings["dtype"]), settings["context"]
        self.hurry = float(os.environ.get("LABKIT_TWIN_HURRY") or 1)
        self.name = settings["model"].rsplit("/", 1)[-1]
        self.exported = Exported(self.name, pool)
        self.callers: dict[int, asyncio.Queue[str]] = {}
        self.news = asyncio.Event()

    async def run(self, app: web.Application) -> Any:
        """Start the clock with the server and stop it with it."""
        task = asyncio.create_task(self.serve())
        yield
        task.cancel()

    async def serve(self) -> None:
        """Step after step, each as long as the model says."""
        clock = time.perf_counter()
        while True:
            step = self.scheduler.schedule()
            if not step.work:
                self.news.clear()
                await self.news.wait()
                continue
            # from the planned end of the last step, so that a late wake-up does not add up
            clock = max(clock, time.perf_counter() - 0.005) + twin.duration(step, self.speed) / self.hurry
            await asyncio.sleep(max(0.0, clock - time.perf_counter()))
            for request in self.scheduler.complete(step, time.perf_counter()):
                self.callers[request.number].put_nowait(WORDS[(len(request.made) - 1) % len(WORDS)] + " ")

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions"""
        body = await http.json()
        text = "\n".join(f"{m['role']}: {m['content']}" for m in body["messages"])
        return await self.answer(http, body, [*range(-TEMPLATE, 0), *tokens(text)], chat=True)

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/completions"""
        body = await http.json()
        prompt = body["prompt"]
        return await self.answer(http, body, tokens(prompt) if isinstance(prompt, str) else list(prompt), chat=False)

    async def answer(self, http: web.Request, body: dict[str, Any], prompt: list[int],
                     chat: bool) -> web.StreamResponse:
        """Queue the request, pass its tokens on as they come, and account for it."""
        wanted = int(body.get("max_tokens") or body.get("max_completion_tokens") or 16)
        if body.get("model", self.name) != self.name:
            return _refuse(404, f"The model `{body['model']}` does not exist.")
        if len(prompt) + wanted > self.context:
            return _refuse(400, f"This model's maximum context length is {self.context} tokens; {len(prompt)} were "
                                f"given and {wanted} requested.")
        request = Request(time.perf_counter(), prompt, wanted, salt=str(body.get("cache_salt") or ""))
        await asyncio.sleep(self.speed.request / self.hurry)
        try:
            self.scheduler.add(request)
        except ValueError as error:
            return _refuse(400, str(error))
        words: asyncio.Queue[str] = asyncio.Queue()
        self.callers[request.number] = words
        self.news.set()
        try:
            if not body.get("stream"):
                text = "".join([await words.get() for _ in range(wanted)])
                return web.json_response(self.whole(request, text, chat))
            return await self.stream(http, body, request, words, chat)
        finally:
            del self.callers[request.number]
            self.scheduler.drop(request)
            self.count(request)

    async def stream(self, http: web.Request, body: dict[str, Any], request: Request, words: asyncio.Queue[str],
                     chat: bool) -> web.StreamResponse:
        """Server-sent events, one per token."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(http)
        for i in range(request.answer):
            text, last = await words.get(), i == request.answer - 1
            choice = {"index": 0, "finish_reason": "length" if last else None,
                      **({"delta": {"content": text}} if chat else {"text": text})}
            await response.write(events.chunk(self.name, [choice]))
        if (body.get("stream_options") or {}).get("include_usage"):
            await response.write(events.chunk(self.name, [], usage(request)))
        await response.write(events.DONE)
        return response

    def whole(self, request: Request, text: str, chat: bool) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        choice = {"index": 0, "finish_reason": "length",
                  **({"message": {"role": "assistant", "content": text}} if chat else {"text": text})}
        return {"id": f"twin-{request.number}", "object": "chat.completion" if chat else "text_completion",
                "model": self.name, "choices": [choice], "usage": usage(request)}

    def count(self, request: Request) -> None:
        """Add a request that is over, finished or dropped, to the metrics."""
        metric = self.exported.metric
        reason = "length" if request.done else "abort"
        metric(Counter, "request_success", finished_reason=reason).inc()
        metric(Counter, "prompt_tokens").inc(len(request.prompt))
        metric(Counter, "prompt_tokens_cached").inc(request.cached)
        metric(Counter, "generation_tokens").inc(len(request.made))
        if request.times:
            metric(Histogram, "time_to_first_token_seconds").observe(request.times[0] - request.arrival)
            metric(Histogram, "e2e_request_latency_seconds").observe(request.times[-1] - request.arrival)
        for a, b in zip(request.times, request.times[1:], strict=False):
            metric(Histogram, "inter_token_latency_seconds").observe(b - a)

    async def metrics(self, http: web.Request) -> web.Response:
        """GET /metrics"""
        scheduler, metric = self.scheduler, self.exported.metric
        for name, value in (("num_requests_running", len(scheduler.running)),
                            ("num_requests_waiting", len(scheduler.waiting)),
                            ("kv_cache_usage_perc", scheduler.pool.usage)):
            metric(Gauge, name).set(value)
        for name, total in (("prefix_cache_queries", scheduler.queries), ("prefix_cache_hits", scheduler.hits),
                            ("num_preemptions", scheduler.preemptions)):
            self.exported.count(name, total)
        for name in ("prompt_tokens", "prompt_tokens_cached", "generation_tokens"):
            metric(Counter, name).inc(0)
        return web.Response(body=generate_latest(self.exported.registry), content_type="text/plain")

    async def models(self, http: web.Request) -> web.Response:
        """GET /v1/models"""
        return web.json_response({"object": "list", "data": [{"id": self.name, "object": "model", "owned_by": "twin",
                                                              "max_model_len": self.context}]})

    async def tokenize(self, http: web.Request) -> web.Response:
        """POST /tokenize"""
        found = tokens((await http.json())["prompt"])
        return web.json_response({"tokens": found, "count": len(found), "max_model_len": self.context})

    async def health(self, http: web.Request) -> web.Response:
        """GET /health"""
        return web.Response()

    def app(self) -> web.Application:
        """The server."""
        app = web.Application()
        app.cleanup_ctx.append(self.run)
        app.add_routes([web.post("/v1/chat/completions", self.chat), web.post("/v1/completions", self.complete),
                        web.get("/v1/models", self.models), web.get("/metrics", self.metrics),
                        web.post("/tokenize", self.tokenize), web.get("/health", self.health)])
        return app


def tokens(text: str) -> list[int]:
    """Token numbers for a text: a word, or four letters of a long one, each; close to what a real tokenizer counts."""
    pieces = re.findall(r" ?[^\W\d]{1,6}|\d| ?[^\w\s]|\s", text)
    return [zlib.crc32(piece.encode()) for piece in pieces] or [0]


def usage(request: Request) -> dict[str, Any]:
    """The usage field of an answer."""
    return {"prompt_tokens": len(request.prompt), "completion_tokens": len(request.made),
            "total_tokens": request.known, "prompt_tokens_details": {"cached_tokens": request.cached}}


def _refuse(status: int, why: str) -> web.Response:
    return web.json_response({"error": {"message": why, "type": "BadRequestError", "code": status}}, status=status)


if __name__ == "__main__":
    web.run_app(Twin(json.loads(sys.argv[2])).app(), host="127.0.0.1", port=int(sys.argv[1]), print=None,
                handler_cancellation=True)
