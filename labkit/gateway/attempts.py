"""Attempts at an engine: none without a hold in the ledger, none that is not settled."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from labkit.gateway.budget import Decision, Ledger, LedgerError
from labkit.gateway.exchange import Exchange
from labkit.gateway.refusals import Refused
from labkit.gateway.resilience import Call, CircuitBreaker, DeadlineExceeded, Retry, RetryThrottle
from labkit.gateway.settings import Config
from labkit.gateway.telemetry.metrics import GatewayMetrics
from labkit.gateway.upstream import Upstream, UpstreamError, UpstreamRefused, Usage

log = logging.getLogger("labkit.gateway")
Send = Callable[[bytes], Awaitable[None]]


class Attempts:
    """What stands between a request and the engines: ledger, breakers, retries. `engines` is set at start."""

    def __init__(self, config: Config, ledger: Ledger, metrics: GatewayMetrics):
        self.config, self.ledger, self.metrics = config, ledger, metrics
        self.models = {model.name: model for model in config.models}
        self.engines: dict[str, Upstream] = {}
        b, r = config.breaker, config.retry
        # without a breaker, one that would need more failures than there are
        minimum = b.minimum if b.on else 10**9
        self.breakers = {name: CircuitBreaker(b.window, b.ratio, minimum, b.open_for) for name in self.models}
        self.retry = Retry(r.attempts, r.wait, r.max_wait, r.jitter)
        self.budget = RetryThrottle(r.budget, r.capacity) if r.budget >= 0 else None
        self.unsettled: list[tuple[str, int, dict[str, Any]]] = []

    def usage(self, exchange: Exchange, tier: str) -> Usage:
        """The bounds of an attempt: a byte-level tokenizer makes no more tokens than the request has bytes."""
        assert exchange.chat
        model = self.models[tier]
        answer = exchange.chat.answer_tokens(model.max_tokens) * exchange.chat.n
        return Usage(model, exchange.size + model.template, answer)

    def payload(self, exchange: Exchange, tier: str) -> bytes:
        """What the engine gets: its own name for the model, a bound on the answer, and a salt that keeps one team's
        cached prefixes from being timed by another (vLLM's cache_salt)."""
        assert exchange.chat
        model = self.models[tier]
        body = {name: value for name, value in exchange.body.items()
                if name not in ("max_completion_tokens", "user", "metadata")}       # it need not know who asks
        body |= {"model": model.served, "max_tokens": exchange.chat.answer_tokens(model.max_tokens)}
        if model.vllm:
            body["cache_salt"] = hashlib.sha256(f"team:{exchange.caller.team}".encode()).hexdigest()
        if exchange.chat.stream:
            body["stream_options"] = {"include_usage": True, **({"continuous_usage_stats": True} if model.vllm else {})}
        elif exchange.evidence:
            body["logprobs"] = True
        return json.dumps(body).encode()

    def reserve(self, exchange: Exchange, tier: str, worst: int) -> tuple[str, Decision]:
        """A hold for one attempt: at this model, or, if that does not fit and "auto" may choose, at the cheapest."""
        cheapest, cheaper = tier, None
        if exchange.may_choose and len(self.models) > 1:
            costs = {name: self.usage(exchange, name).worst for name in self.models}
            cheapest = min(costs, key=costs.__getitem__)
            cheaper = costs[cheapest] if costs[cheapest] < worst else None
        try:
            decision = self.ledger.reserve(exchange.caller.user, exchange.caller.team, worst, cheaper=cheaper,
                                           request=exchange.id, tier=tier, cheaper_tier=cheapest)
        except LedgerError:
            self.metrics.ledger_errors.inc()
            raise Refused("ledger_unavailable",
                          f"the ledger cannot be written, so nothing may be spent; {exchange.charged}",
                          retry_after=5) from None
        for warning in decision.warnings:
            self.metrics.warnings.labels(str(warning.level)).inc()
            log.warning("budget", extra={"facts": {"percent": warning.level, "warning": str(warning)}})
        if decision.action == "reject":
            raise Refused("budget_exceeded", f"{decision.reason}; {exchange.charged}")
        return (cheapest if decision.action == "downgrade" else tier), decision

    def settle(self, exchange: Exchange, hold: str, usage: Usage, cost: int, outcome: str) -> None:
        """Charge an attempt. Cannot fail: what the ledger does not take now is kept and tried again each second, and
        if we die before that, the hold expires and is charged in full."""
        known = usage.counted or outcome == "ok" or usage.answer > 0
        facts = {"prompt_tokens": usage.prompt if known else 0, "answer_tokens": usage.answer, "outcome": outcome}
        exchange.cost += cost
        if known and cost:
            exchange.prompt_tokens += usage.prompt
            exchange.cached_tokens += usage.cached
            exchange.answer_tokens += usage.answer
        try:
            self.ledger.settle(hold, cost, **facts)     # type: ignore[arg-type]
        except LedgerError:
            self.metrics.ledger_errors.inc()
            self.unsettled.append((hold, cost, facts))

    def settle_rest(self) -> None:
        """Settle what the ledger could not take before; LedgerError if it still cannot."""
        while self.unsettled:
            hold, cost, facts = self.unsettled[0]
            self.ledger.settle(hold, cost, **facts)
            self.unsettled.pop(0)

    async def attempt(self, exchange: Exchange, tier: str, send: Send | None) -> bytes:
        """One attempt at one model: the whole answer, or, with `send`, its pieces as they come."""
        exchange.deadline.check("before the engine was asked")
        self.breakers[tier].check()                     # before the ledger is written for nothing
        tier, decision = self.reserve(exchange, tier, self.usage(exchange, tier).worst)
        if decision.action == "downgrade":
            exchange.degraded = f"budget: {decision.reason}"
        exchange.tier, exchange.served, exchange.attempts = tier, self.models[tier].served, exchange.attempts + 1
        usage, begun = self.usage(exchange, tier), time.perf_counter()
        cost, outcome = 0, "breaker_open"
        try:
            with self.breakers[tier].call() as call:
                cost, outcome = usage.worst, "cancelled"        # unless we come to know better
                answer = await self._send(exchange, tier, usage, send, call)
            cost, outcome = usage.cost, "ok"
            return answer
        except UpstreamRefused:
            cost, outcome = 0, "refused"
            raise
        except UpstreamError as error:
            cost, outcome = _charge(usage, error.sent), "upstream_error"
            raise
        except DeadlineExceeded as late:
            cost, outcome = _charge(usage, late.begun), "timeout"
            raise
        except (asyncio.CancelledError, GeneratorExit):
            cost = _charge(usage, True)
            raise
        finally:
            exchange.away += time.perf_counter() - begun
            self.settle(exchange, decision.hold, usage, cost, outcome)
            self.metrics.attempts.labels(tier, outcome).inc()
            exchange.step(f"attempt {exchange.attempts}", begun, kind="generation", model=self.models[tier].served,
                     failed="" if outcome == "ok" else outcome)

    async def _send(self, exchange: Exchange, tier: str, usage: Usage, send: Send | None, call: Call) -> bytes:
        if exchange.attempts > 1:
            self.metrics.retries.labels(tier).inc()
        try:
            if send:
                return await self._stream(exchange, tier, self.payload(exchange, tier), usage, send)
            return await self.engines[tier].whole(self.payload(exchange, tier), exchange.deadline, usage)
        except UpstreamRefused:
            call.end(True)                              # the caller's mistake is no failure of the engine
            raise
        except DeadlineExceeded:
            if exchange.deadline.seconds < self.config.timeouts.request:
                call.end(None)                          # nor is an impatient caller: ten of them would lock out all
            raise

    async def _stream(self, exchange: Exchange, tier: str, raw: bytes, usage: Usage, send: Send) -> bytes:
        """Pass the pieces on as they come; the last one with the usage only to callers who asked for it."""
        assert exchange.chat
        wanted = exchange.chat.stream_options is not None and exchange.chat.stream_options.include_usage
        events = self.engines[tier].stream(raw, exchange.deadline, usage)
        try:
            async for event, text in events:
                if text:
                    exchange.last = time.perf_counter()
                    exchange.first = exchange.first or exchange.last
                    exchange.pieces += 1
                    exchange.answer.append(text)
                if wanted or b'"choices":[]' not in event.replace(b" ", b"")[:400]:
                    exchange.begun = True
                    await send(event)
        finally:
            await events.aclose()                       # type: ignore[attr-defined]  # an async generator
        return b""

    async def at(self, exchange: Exchange, tier: str, send: Send | None) -> bytes:
        """Attempts at one model until one succeeds or it makes no sense to go on."""
        if self.budget:
            self.budget.earn()

        def again(error: Exception) -> bool:            # never after the caller has seen something of the answer
            return isinstance(error, UpstreamError) and error.again and not exchange.begun

        async for one in self.retry.context(exchange.deadline, self.budget, again):
            with one:
                return await self.attempt(exchange, tier, send)
        raise AssertionError("stamina ends with an answer or an error")


def _charge(usage: Usage, sent: bool) -> int:
    """What a broken attempt costs: what the engine counted, the pieces seen with the prompt at its bound, or all."""
    if not sent:
        return 0
    return usage.cost if usage.counted or usage.answer else usage.worst
