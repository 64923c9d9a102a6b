"""What is written down about a request when it is over: metrics, audit log, trace, log line."""

from __future__ import annotations

import logging
import time

from labkit.gateway.exchange import Exchange
from labkit.gateway.telemetry import Trace, Tracer
from labkit.gateway.telemetry.audit import Audit
from labkit.gateway.telemetry.metrics import GatewayMetrics
from labkit.gateway.telemetry.redact import redact

log = logging.getLogger("labkit.gateway")


class Recorder:
    """Where it is written. text: whether traces carry prompts and answers, redacted."""

    def __init__(self, metrics: GatewayMetrics, audit: Audit | None, tracer: Tracer | None, text: bool):
        self.metrics, self.audit, self.tracer, self.text = metrics, audit, tracer, text

    def count(self, exchange: Exchange) -> None:
        """Metrics, audit log, trace, log line. Nothing here may fail a request."""
        end, m = time.perf_counter(), self.metrics
        tier, team = exchange.tier or "none", exchange.caller.team or "none"
        m.requests.labels(tier, team, exchange.outcome).inc()
        if exchange.attempts:
            m.seconds.labels(tier).observe(end - exchange.started)
            m.overhead.observe(max(0.0, end - exchange.started - exchange.away))
            for kind in ("prompt", "cached", "answer"):
                m.tokens.labels(tier, team, kind).inc(getattr(exchange, f"{kind}_tokens"))
            m.cost.labels(tier, team).inc(exchange.cost / 1e6)
        if exchange.pieces:
            m.ttft.labels(tier).observe(exchange.first - exchange.started)
        if exchange.pieces > 1:
            m.itl.labels(tier).observe((exchange.last - exchange.first) / (exchange.pieces - 1))
        caller = exchange.caller
        facts = {"request": exchange.id, "key": caller.id, "user": caller.user, "team": caller.team,
                 "tier": exchange.tier, "outcome": exchange.outcome, "status": exchange.status,
                 "microdollars": exchange.cost, "prompt_tokens": exchange.prompt_tokens,
                 "answer_tokens": exchange.answer_tokens, "attempts": exchange.attempts}
        try:
            if self.audit:
                self.audit.write({"at": round(exchange.since_1970, 3), **facts})
        except OSError as error:
            log.error("audit", extra={"facts": {"error": str(error)}})
        log.info("request", extra={"facts": {**facts, "seconds": round(end - exchange.started, 4),
                                             **({"error": redact(exchange.message)} if exchange.message else {}),
                                             **({"degraded": redact(exchange.degraded)} if exchange.degraded else {})}})
        if self.tracer:
            self.tracer.record(self._trace(exchange, end))

    def _trace(self, exchange: Exchange, end: float) -> Trace:
        caller = exchange.caller
        usage = {"input": exchange.prompt_tokens, "output": exchange.answer_tokens,
                 "input_cached": exchange.cached_tokens}
        prompt, answer = (exchange.chat.question, "".join(exchange.answer)) if self.text and exchange.chat else ("", "")
        first = exchange.moment(exchange.first) if exchange.first else 0.0
        return Trace(exchange.id, caller.user, caller.team, exchange.tier, exchange.served, exchange.outcome,
                     exchange.since_1970, exchange.moment(end), first, redact(prompt), redact(answer), usage,
                     exchange.cost / 1e6, redact(exchange.degraded or exchange.message), exchange.steps)
