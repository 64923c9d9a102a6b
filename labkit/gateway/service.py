"""A request on its way through the gateway, in this order; whatever happens, the last two lines happen:

    whose key?        401
    too often?        429, the key's token bucket
    read the body     413 if too large
    well formed?      400, 404
    seen before?      409, 422, or the same answer again (idempotency key)
    which model?      the router, if the caller says "auto"
    a place           503 at once if too many wait, 504 if it comes too late
      an attempt      the breaker's leave -> a hold in the ledger (402) -> the engine -> settle
      another one     if that makes sense, there is time, and the retry budget has one
    a smaller model, an earlier answer, or an honest message
    counted           metrics, audit log, trace, log line
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import time
from typing import Any

import aiohttp

from labkit.gateway.attempts import Attempts, Send
from labkit.gateway.budget import Ledger, LedgerError
from labkit.gateway.exchange import Exchange
from labkit.gateway.keys import Caller, KeyRefused, Keys
from labkit.gateway.refusals import Refused
from labkit.gateway.resilience import (
    Admission,
    AnswerCache,
    BreakerOpen,
    Buckets,
    DeadlineExceeded,
    IdempotencyKeys,
    Overloaded,
)
from labkit.gateway.routing import CascadeRouter, KeywordRouter, LearnedRouter, LengthRouter
from labkit.gateway.schema import Chat
from labkit.gateway.settings import Config
from labkit.gateway.telemetry import LocalReceiver, Tracer
from labkit.gateway.telemetry.audit import Audit
from labkit.gateway.telemetry.metrics import GatewayMetrics
from labkit.gateway.telemetry.record import Recorder
from labkit.gateway.upstream import Upstream, UpstreamError, UpstreamRefused
from labkit.wire.events import from_answer

log = logging.getLogger("labkit.gateway")


class Gateway:
    """All parts of a gateway, put together from a `Config`."""

    def __init__(self, config: Config):
        self.config, self.metrics = config, GatewayMetrics()
        self.order = [model.name for model in config.models]        # from cheap to dear
        self.ledger = Ledger(config.path(config.files.ledger), ttl=config.hold_seconds)
        for scope, period, cap in config.budgets:
            self.ledger.limit(scope, period, cap)
        self.keys = Keys(config.folder / config.files.keys)
        self.buckets = Buckets(config.rate.per_second, config.rate.burst)
        self.admission = Admission(config.admission.running, config.admission.queue,
                                   learns=config.admission.learns)
        self.attempts = Attempts(config, self.ledger, self.metrics)
        self.answers: AnswerCache[bytes] = AnswerCache(config.cache.entries, config.cache.seconds)
        self.idempotency: IdempotencyKeys[tuple[bytes, str]] = IdempotencyKeys()
        self.router = _router(config)
        self.metrics.watch(self.ledger, self.admission, self.attempts.breakers)
        self.audit = Audit(config.folder / config.files.audit) if config.files.audit else None
        self.receiver, self.tracer = _tracing(config, self.metrics)
        self.recorder = Recorder(self.metrics, self.audit, self.tracer, config.tracing.text)
        self.draining = False

    async def start(self) -> None:
        """Open the connections and start the timer."""
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),
                                             read_bufsize=2**18, trust_env=False,
                                             timeout=aiohttp.ClientTimeout(total=None))
        self.attempts.engines = {model.name: Upstream(model, self.config.timeouts, self.session)
                                 for model in self.config.models}
        self.timer = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Settle what can be settled, send what can be sent, close everything."""
        self.timer.cancel()
        await self.session.close()
        self._tidy()
        if self.tracer:
            self.tracer.close()
        if self.receiver:
            self.receiver.close()
        self.ledger.close()
        if self.audit:
            log.info("stopped", extra={"facts": {"audit_records": self.audit.records}})
            self.audit.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._tidy()

    def _tidy(self) -> None:
        """Charge holds whose time is over; settle what the ledger could not take before."""
        try:
            self.ledger.expire()
            self.attempts.settle_rest()
        except LedgerError as error:
            self.metrics.ledger_errors.inc()
            log.error("ledger", extra={"facts": {"error": str(error)}})
        if self.audit:
            self.metrics.audit.set(self.audit.records)

    def authenticate(self, authorization: str) -> Caller:
        """The caller behind an Authorization header; Refused 401 or 429."""
        kind, _, key = authorization.partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            raise Refused("invalid_api_key", "give an API key: Authorization: Bearer lk-...")
        try:
            caller = self.keys.check(key.strip())
        except KeyRefused as refusal:
            raise Refused("invalid_api_key", str(refusal)) from None
        if wait := self.buckets.take(caller.id):
            raise Refused("rate_limit_exceeded", f"more than {self.config.rate.per_second:g} requests a second with "
                          "this key", retry_after=wait)
        return caller

    def choose(self, chat: Chat) -> str:
        """The model that answers first."""
        if chat.model in self.order:
            return chat.model
        if chat.model != "auto":
            raise Refused("model_not_found", f"model = {chat.model[:60]!r}: must be one of "
                          + ", ".join(map(repr, ["auto", *self.order])), "model")
        if isinstance(self.router, CascadeRouter):
            return self.order[0]
        score: float = self.router.score(chat.question)
        return self.order[min(sum(score >= t for t in self.config.router.thresholds), len(self.order) - 1)]

    async def answer(self, exchange: Exchange, send: Send | None) -> bytes:
        """The answer, by the chosen model or by what is left when it fails."""
        assert exchange.chat
        tier = exchange.tier = self.choose(exchange.chat)
        begun = time.perf_counter()
        try:
            async with self.admission.enter(exchange.deadline):
                waited = time.perf_counter() - begun
                exchange.away += waited
                if waited > 1e-3:
                    exchange.step("queue", begun)
                if isinstance(self.router, CascadeRouter) and exchange.may_choose and send is None:
                    answer = await self.cascade(exchange)
                else:
                    answer = await self.chain(exchange, tier, send)
                if answer and not exchange.degraded and self.config.cache.entries:
                    self.answers.put(self.fingerprint(exchange), answer)
                return answer
        except Overloaded as refusal:
            raise Refused("overloaded", f"{refusal}; the queue is full", retry_after=refusal.retry_after) from None
        except DeadlineExceeded as late:
            raise Refused("deadline_exceeded", f"{late}; {exchange.charged}") from None
        except UpstreamRefused as refusal:
            raise Refused("invalid_request", f"the engine refused: {refusal}") from None

    async def chain(self, exchange: Exchange, tier: str, send: Send | None) -> bytes:
        """This model; if "auto" may choose, the smaller ones after it; an earlier answer; an honest message."""
        assert exchange.chat
        place = self.order.index(tier)
        ways = [tier, *reversed(self.order[:place])] if exchange.chat.model == "auto" else [tier]
        failures: list[str] = []
        for name in ways:
            if name != tier:
                exchange.degraded = f"smaller model: {'; '.join(failures)}"
            try:
                return await self.attempts.at(exchange, name, send)
            except (UpstreamError, BreakerOpen) as error:
                failures.append(f"{name}: {error}")
                if exchange.begun:
                    raise Refused("upstream_error",
                                  f"{error} after {exchange.pieces} pieces; {exchange.charged}") from None
        if found := self.answers.get(self.fingerprint(exchange)):
            age, answer = found
            exchange.degraded = f"cached: an answer of {age:.0f} s ago; {'; '.join(failures)}"
            if send:
                await send(from_answer(answer))
            return answer
        waits = [breaker.open_for for name, breaker in self.attempts.breakers.items()
                 if name in ways and breaker.state != "closed"]
        raise Refused("unavailable" if waits else "upstream_error",
                      f"no model could answer ({'; '.join(failures)}); {exchange.charged}",
                      retry_after=max(waits, default=1.0))

    async def cascade(self, exchange: Exchange) -> bytes:
        """From the smallest model up, until an answer will do; each is paid for."""
        assert isinstance(self.router, CascadeRouter)
        answer, exchange.evidence = b"", True
        for tier in self.order:
            answer = await self.chain(exchange, tier, None)
            why = self.router.escalate(*_evidence(answer))
            if not why or tier == self.order[-1] or exchange.degraded:
                break
            exchange.step(f"escalate: {why}", time.perf_counter())
        return answer

    def fingerprint(self, exchange: Exchange) -> str:
        """The same team asking the same."""
        asked = {name: value for name, value in exchange.body.items()
                 if name not in ("stream", "stream_options", "user")}
        return hashlib.sha256(json.dumps([exchange.caller.team, asked], sort_keys=True).encode()).hexdigest()


def _tracing(config: Config, metrics: GatewayMetrics) -> tuple[LocalReceiver | None, Tracer | None]:
    """Where traces go."""
    if config.tracing.to == "off":
        return None, None
    receiver = LocalReceiver(config.folder / config.tracing.file) if config.tracing.to == "local" else None
    return receiver, Tracer(receiver.environment if receiver else None, config.tracing.queue,
                            lambda result: metrics.traces.labels(result).inc())


def _router(config: Config) -> Any:
    r = config.router
    if r.kind == "learned":
        return LearnedRouter.load(config.folder / r.file)
    return {"keyword": KeywordRouter, "length": LengthRouter}[r.kind]() if r.kind != "cascade" else CascadeRouter(
        r.least)


def _evidence(answer: bytes) -> tuple[str, float, str]:
    """Text, mean log-probability and reason of the end of an answer, for a cascade."""
    choice = json.loads(answer)["choices"][0]
    found = [token["logprob"] for token in (choice.get("logprobs") or {}).get("content") or []]
    return (choice["message"].get("content") or "", math.fsum(found) / len(found) if found else 0.0,
            choice.get("finish_reason") or "stop")
