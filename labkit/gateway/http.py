"""The gateway as an ASGI application: what goes over the wire. What is decided is in `service`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import math
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from labkit.gateway import schema
from labkit.gateway.attempts import Send as SendPiece
from labkit.gateway.budget import LedgerError
from labkit.gateway.exchange import Exchange
from labkit.gateway.refusals import Refused
from labkit.gateway.resilience import Deadline, InFlight, Reused
from labkit.gateway.service import Gateway
from labkit.wire import events

log = logging.getLogger("labkit.gateway")
LEFT = 499                  # nginx's code for a client that hung up


class Outgoing:
    """What goes back to one caller: a whole answer, or events; and an error in the shape the moment allows."""

    def __init__(self, exchange: Exchange, send: Send):
        self.exchange, self.send, self.begun = exchange, send, False

    async def whole(self, status: int, body: bytes, extra: dict[str, str] | None = None) -> None:
        """One answer."""
        self.exchange.status = status
        await self._start(status, "application/json", {**(extra or {}), "content-length": str(len(body))})
        await self.send({"type": "http.response.body", "body": body})

    async def event(self, event: bytes) -> None:
        """A piece of a stream; the first one opens it, so that what fails before has a status of its own."""
        if not self.begun:
            await self._start(200, "text/event-stream; charset=utf-8", {"cache-control": "no-store"})
        await self.send({"type": "http.response.body", "body": event, "more_body": True})

    async def done(self) -> None:
        """The end of a stream."""
        self.exchange.status = 200
        await self.event(events.DONE)
        await self.send({"type": "http.response.body", "body": b""})

    async def refuse(self, refusal: Refused) -> None:
        """An error, as a status or, in the middle of a stream, as its last event, without a [DONE]."""
        exchange = self.exchange
        exchange.outcome, exchange.message, exchange.status = refusal.outcome, str(refusal), refusal.status
        if self.begun:
            await self.event(events.event(refusal.body))
            await self.send({"type": "http.response.body", "body": b""})
            return
        wait = refusal.retry_after
        extra = {"retry-after": str(max(1, math.ceil(wait)))} if wait is not None else {}
        if refusal.status == 401:
            extra["www-authenticate"] = "Bearer"
        await self.whole(refusal.status, refusal.body, extra)

    async def _start(self, status: int, kind: str, extra: dict[str, str]) -> None:
        self.begun = True
        exchange = self.exchange
        headers = {"content-type": kind, "x-request-id": exchange.id, **extra}
        if exchange.tier:
            headers["x-labkit-model"] = exchange.tier
        if exchange.degraded:
            headers["x-labkit-degraded"] = exchange.degraded.replace("\n", " ")
        await self.send({"type": "http.response.start", "status": status, "headers": [
            (name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]})


class ChatEndpoint:
    """POST /v1/chat/completions"""

    def __init__(self, service: Gateway):
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        exchange = Exchange(_request_id(headers.get("x-request-id", "")))
        reply = Outgoing(exchange, send)
        watch: asyncio.Task[None] | None = None
        try:
            exchange.caller = self.service.authenticate(headers.get("authorization", ""))
            if self.service.draining:
                raise Refused("draining", "this gateway is shutting down", retry_after=1)
            try:
                async with asyncio.timeout(self.service.config.timeouts.body):
                    raw = await self._body(receive, headers)
            except TimeoutError:
                raise Refused("body_too_slow", "the body did not arrive in "
                              f"{self.service.config.timeouts.body:g} s") from None
            if self.service.config.timeouts.cancel:
                watch = asyncio.create_task(_watch(receive, asyncio.current_task()))
            self._understand(exchange, raw, headers)
            await self._answer(exchange, raw, headers.get("idempotency-key"), reply)
        except Refused as refusal:
            await reply.refuse(refusal)
        except _Left:
            exchange.outcome, exchange.status = "cancelled", LEFT
        except asyncio.CancelledError:
            exchange.outcome, exchange.status = "cancelled", LEFT
            if watch is None or not watch.done():       # the server is going down, not the caller
                raise
        except Exception:
            log.exception("request %s", exchange.id)
            await reply.refuse(Refused("internal_error", "the gateway failed; the error is in its log"))
        finally:
            if watch:
                watch.cancel()
            self.service.recorder.count(exchange)

    async def _body(self, receive: Receive, headers: dict[str, str]) -> bytes:
        max_bytes = self.service.config.server.max_body_bytes
        stated = headers.get("content-length", "0")
        size, parts = int(stated) if stated.isascii() and stated.isdigit() else 0, []
        if size <= max_bytes:
            size = 0
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Left
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > max_bytes or not message.get("more_body"):
                    break
        if size > max_bytes:
            raise Refused("request_too_large", f"the body has more than {max_bytes:,} bytes")
        return b"".join(parts)

    def _understand(self, exchange: Exchange, raw: bytes, headers: dict[str, str]) -> None:
        """Check the request and its headers; fill in what follows from them."""
        exchange.chat, exchange.size = schema.read(raw), len(raw)
        exchange.body = json.loads(raw)
        longest = self.service.config.timeouts.request
        asked = headers.get("x-timeout-seconds")
        try:
            seconds = float(asked) if asked is not None else longest
        except ValueError:
            seconds = math.nan
        if not schema.SHORTEST <= seconds < math.inf:
            raise Refused("invalid_request", f"x-timeout-seconds = {(asked or '')[:30]!r}: must be a number >= "
                          f"{schema.SHORTEST:g}", "x-timeout-seconds")
        exchange.deadline = Deadline(min(seconds, longest))

    async def _answer(self, exchange: Exchange, raw: bytes, key: str | None, reply: Outgoing) -> None:
        assert exchange.chat
        send = reply.event if exchange.chat.stream else None
        answer = await (self.service.answer(exchange, send) if key is None else
                        self._idempotent(exchange, raw, key, send))
        exchange.outcome = "degraded" if exchange.degraded else "ok"
        if send:
            await reply.done()
        else:
            await reply.whole(200, answer, {"x-labkit-microdollars": str(exchange.cost)})

    async def _idempotent(self, exchange: Exchange, raw: bytes, key: str, send: SendPiece | None) -> bytes:
        """Answer, or give the answer that this key got before, at no cost. A stream is not kept, only that it was."""
        if not 1 <= len(key) <= 200:
            raise Refused("invalid_request", "idempotency-key: must have 1 to 200 characters", "idempotency-key")
        idempotency, name = self.service.idempotency, f"{exchange.caller.user}\n{key}"
        try:
            before = idempotency.begin(name, hashlib.sha256(raw).hexdigest())
        except InFlight:
            raise Refused("idempotency_conflict", "a request with this idempotency key is still running",
                          retry_after=1) from None
        except Reused:
            raise Refused("idempotency_reused", "this idempotency key was used for another request") from None
        if before is not None and send:
            raise Refused("idempotency_conflict", "this idempotency key was used, and streams are not kept")
        if before is not None:
            answer, exchange.tier = before
            return answer
        try:
            answer = await self.service.answer(exchange, send)
        except BaseException:
            idempotency.forget(name)
            raise
        if exchange.degraded:
            idempotency.forget(name)                           # the next try may get the real answer
        else:
            idempotency.finish(name, (answer, exchange.tier))
        return answer


class _Left(Exception):
    """The caller hung up before we had the whole request."""


async def _watch(receive: Receive, task: asyncio.Task[Any] | None) -> None:
    """Cancel the work for a caller who hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if task:
        task.cancel()


def _request_id(given: str) -> str:
    """The caller's own id if it is harmless, else a new one."""
    return given if re.fullmatch(r"[\w.-]{1,64}", given) else uuid.uuid4().hex


def app(service: Gateway) -> Starlette:
    """The application around a service. All endpoints are coroutines: they share one thread with the ledger."""
    async def models(request: Request) -> Response:
        try:
            service.authenticate(request.headers.get("authorization", ""))
        except Refused as refusal:
            return Response(refusal.body, refusal.status, media_type="application/json")
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model", "created": 0,
                                                         "owned_by": "labkit"} for name in ["auto", *service.order]]})

    async def health(request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def ready(request: Request) -> Response:
        try:
            service.ledger.check()
        except LedgerError:
            return PlainTextResponse("the ledger does not answer\n", 503)
        return PlainTextResponse("draining\n", 503) if service.draining else PlainTextResponse("ready\n")

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    max_tokens = max(model.max_tokens for model in service.config.models)

    async def openapi(request: Request) -> Response:
        return JSONResponse(schema.openapi(service.order, max_tokens))

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": {"message": f"{request.method} {request.url.path}: {error.detail}",
                                       "type": "invalid_request_error", "param": None, "code": "not_found"}},
                            error.status_code, error.headers)

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    return Starlette(lifespan=life, exception_handlers={HTTPException: failed}, routes=[
        Route("/v1/chat/completions", ChatEndpoint(service), methods=["POST"]), Route("/v1/models", models),
        Route("/healthz", health), Route("/readyz", ready), Route("/metrics", metrics),
        Route("/openapi.json", openapi)])
