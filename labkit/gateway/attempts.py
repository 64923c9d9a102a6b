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
from labkit.gateway.config import Config
from labkit.gateway.exchange import Ask
from labkit.gateway.refusals import Refused
from labkit.gateway.resilience import Call, CircuitBreaker, DeadlineExceeded, Retry, RetryThrottle
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

    def usage(self, ask: Ask, tier: str) -> Usage:
        """The bounds of an attempt: a byte-level tokenizer makes no more tokens than the request has bytes."""
        assert ask.chat
        model = self.models[tier]
        return Usage(model, ask.size + model.template, ask.chat.answer_tokens(model.max_tokens) * ask.chat.n)

    def payload(self, ask: Ask, tier: str) -> bytes:
        """What the engine gets: its own name for the model, a bound on the answer, and a salt that keeps one team's
        cached prefixes from being timed by another (vLLM's cache_salt)."""
        assert ask.chat
        model = self.models[tier]
        body = {name: value for name, value in ask.body.items()
                if name not in ("max_completion_tokens", "user", "metadata")}       # it need not know who asks
        body |= {"model": model.served, "max_tokens": ask.chat.answer_tokens(model.max_tokens)}
        if model.vllm:
            body["cache_salt"] = hashlib.sha256(f"team:{ask.caller.team}".encode()).hexdigest()
        if ask.chat.stream:
            body["stream_options"] = {"include_usage": True, **({"continuous_usage_stats": True} if model.vllm else {})}
        elif ask.evidence:
            body["logprobs"] = True
        return json.dumps(body).encode()

    def reserve(self, ask: Ask, tier: str, worst: int) -> tuple[str, Decision]:
        """A hold for one attempt: at this model, or, if that does not fit and "auto" may choose, at the cheapest."""
        cheapest, cheaper = tier, None
        if ask.may_choose and len(self.models) > 1:
            costs = {name: self.usage(ask, name).worst for name in self.models}
            cheapest = min(costs, key=costs.__getitem__)
            cheaper = costs[cheapest] if costs[cheapest] < worst else None
        try:
            decision = self.ledger.reserve(ask.caller.user, ask.caller.team, worst, cheaper=cheaper, request=ask.id,
                                           tier=tier, cheaper_tier=cheapest)
        except LedgerError:
            self.metrics.ledger_errors.inc()
            raise Refused("ledger_unavailable", f"the ledger cannot be written, so nothing may be spent; {ask.charged}",
                          retry_after=5) from None
        for warning in decision.warnings:
            self.metrics.warnings.labels(str(warning.level)).inc()
            log.warning("budget", extra={"facts": {"level": warning.level, "warning": str(warning)}})
        if decision.action == "reject":
            raise Refused("budget_exceeded", f"{decision.reason}; {ask.charged}")
        return (cheapest if decision.action == "downgrade" else tier), decision

    def settle(self, ask: Ask, hold: str, usage: Usage, cost: int, outcome: str) -> None:
        """Charge an attempt. Cannot fail: what the ledger does not take now is kept and tried again each second, and
        if we die before that, the hold expires and is charged in full."""
        known = usage.counted or outcome == "ok" or usage.answer > 0
        facts = {"prompt_tokens": usage.prompt if known else 0, "answer_tokens": usage.answer, "outcome": outcome}
        ask.cost += cost
        if known and cost:
            ask.prompt_tokens += usage.prompt
            ask.cached_tokens += usage.cached
            ask.answer_tokens += usage.answer
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

    async def attempt(self, ask: Ask, tier: str, send: Send | None) -> bytes:
        """One attempt at one model: the whole answer, or, with `send`, its pieces as they come."""
        ask.deadline.check("before the engine was asked")
        self.breakers[tier].check()                     # before the ledger is written for nothing
        tier, decision = self.reserve(ask, tier, self.usage(ask, tier).worst)
        if decision.action == "downgrade":
            ask.degraded = f"budget: {decision.reason}"
        ask.tier, ask.served, ask.attempts = tier, self.models[tier].served, ask.attempts + 1
        usage, begun = self.usage(ask, tier), time.perf_counter()
        cost, outcome = 0, "breaker_open"
        try:
            with self.breakers[tier].call() as call:
                cost, outcome = usage.worst, "cancelled"        # unless we come to know better
                answer = await self._send(ask, tier, usage, send, call)
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
            ask.away += time.perf_counter() - begun
            self.settle(ask, decision.hold, usage, cost, outcome)
            self.metrics.attempts.labels(tier, outcome).inc()
            ask.step(f"attempt {ask.attempts}", begun, kind="generation", model=self.models[tier].served,
                     failed="" if outcome == "ok" else outcome)

    async def _send(self, ask: Ask, tier: str, usage: Usage, send: Send | None, call: Call) -> bytes:
        if ask.attempts > 1:
            self.metrics.retries.labels(tier).inc()
        try:
            if send:
                return await self._stream(ask, tier, self.payload(ask, tier), usage, send)
            return await self.engines[tier].whole(self.payload(ask, tier), ask.deadline, usage)
        except UpstreamRefused:
            call.end(True)                              # the caller's mistake is no failure of the engine
            raise
        except DeadlineExceeded:
            if ask.deadline.seconds < self.config.timeouts.request:
                call.end(None)                          # nor is an impatient caller: ten of them would lock out all
            raise

    async def _stream(self, ask: Ask, tier: str, raw: bytes, usage: Usage, send: Send) -> bytes:
        """Pass the pieces on as they come; the last one with the usage only to callers who asked for it."""
        assert ask.chat
        wanted = ask.chat.stream_options is not None and ask.chat.stream_options.include_usage
        events = self.engines[tier].stream(raw, ask.deadline, usage)
        try:
            async for event, text in events:
                if text:
                    ask.last = time.perf_counter()
                    ask.first = ask.first or ask.last
                    ask.pieces += 1
                    ask.answer.append(text)
                if wanted or b'"choices":[]' not in event.replace(b" ", b"")[:400]:
                    ask.begun = True
                    await send(event)
        finally:
            await events.aclose()                       # type: ignore[attr-defined]  # an async generator
        return b""

    async def at(self, ask: Ask, tier: str, send: Send | None) -> bytes:
        """Attempts at one model until one succeeds or it makes no sense to go on."""
        if self.budget:
            self.budget.earn()

        def again(error: Exception) -> bool:            # never after the caller has seen something of the answer
            return isinstance(error, UpstreamError) and error.again and not ask.begun

        async for one in self.retry.context(ask.deadline, self.budget, again):
            with one:
                return await self.attempt(ask, tier, send)
        raise AssertionError("stamina ends with an answer or an error")


def _charge(usage: Usage, sent: bool) -> int:
    """What a broken attempt costs: what the engine counted, the pieces seen with the prompt at its bound, or all."""
    if not sent:
        return 0
    return usage.cost if usage.counted or usage.answer else usage.worst
