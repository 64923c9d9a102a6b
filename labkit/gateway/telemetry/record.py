"""What is written down about a request when it is over: metrics, audit log, trace, log line."""

from __future__ import annotations

import logging
import time

from labkit.gateway.exchange import Ask
from labkit.gateway.telemetry import Trace, Tracer
from labkit.gateway.telemetry.audit import Audit
from labkit.gateway.telemetry.metrics import GatewayMetrics
from labkit.gateway.telemetry.redact import redact

log = logging.getLogger("labkit.gateway")


class Recorder:
    """Where it is written. text: whether traces carry prompts and answers, redacted."""

    def __init__(self, metrics: GatewayMetrics, audit: Audit | None, tracer: Tracer | None, text: bool):
        self.metrics, self.audit, self.tracer, self.text = metrics, audit, tracer, text

    def count(self, ask: Ask) -> None:
        """Metrics, audit log, trace, log line. Nothing here may fail a request."""
        end, m = time.perf_counter(), self.metrics
        tier, team = ask.tier or "none", ask.caller.team or "none"
        m.requests.labels(tier, team, ask.outcome).inc()
        if ask.attempts:
            m.seconds.labels(tier).observe(end - ask.started)
            m.overhead.observe(max(0.0, end - ask.started - ask.away))
            for kind in ("prompt", "cached", "answer"):
                m.tokens.labels(tier, team, kind).inc(getattr(ask, f"{kind}_tokens"))
            m.cost.labels(tier, team).inc(ask.cost / 1e6)
        if ask.pieces:
            m.ttft.labels(tier).observe(ask.first - ask.started)
        if ask.pieces > 1:
            m.itl.labels(tier).observe((ask.last - ask.first) / (ask.pieces - 1))
        facts = {"request": ask.id, "key": ask.caller.id, "user": ask.caller.user, "team": ask.caller.team,
                 "tier": ask.tier, "outcome": ask.outcome, "status": ask.status, "microdollars": ask.cost,
                 "prompt_tokens": ask.prompt_tokens, "answer_tokens": ask.answer_tokens, "attempts": ask.attempts}
        try:
            if self.audit:
                self.audit.write({"at": round(ask.since_1970, 3), **facts})
        except OSError as error:
            log.error("audit", extra={"facts": {"error": str(error)}})
        log.info("request", extra={"facts": {**facts, "seconds": round(end - ask.started, 4),
                                             **({"error": redact(ask.message)} if ask.message else {}),
                                             **({"degraded": redact(ask.degraded)} if ask.degraded else {})}})
        if self.tracer:
            self.tracer.record(self._trace(ask, end))

    def _trace(self, ask: Ask, end: float) -> Trace:
        usage = {"input": ask.prompt_tokens, "output": ask.answer_tokens, "input_cached": ask.cached_tokens}
        prompt, answer = (ask.chat.question, "".join(ask.answer)) if self.text and ask.chat else ("", "")
        return Trace(ask.id, ask.caller.user, ask.caller.team, ask.tier, ask.served, ask.outcome, ask.since_1970,
                     ask.moment(end), ask.moment(ask.first) if ask.first else 0.0, redact(prompt), redact(answer),
                     usage, ask.cost / 1e6, redact(ask.degraded or ask.message), ask.steps)
