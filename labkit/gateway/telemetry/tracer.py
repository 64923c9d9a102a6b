"""Traces that leave the request alone: put into a bounded queue, made into Langfuse observations by another thread."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from labkit import ranges

BATCH = 100                 # traces before the exporter is asked to send
PAUSE = 1.0                 # seconds after which it is asked anyway
TIMEOUT = 5                 # seconds for one request to the server


@dataclass(frozen=True)
class Span:
    """One part of a request. name, kind ("span" or "generation"), start and end in s since 1970, and what is known:
    model, message, level, metadata."""

    name: str
    start: float
    end: float
    kind: str = "span"
    model: str = ""
    failed: str = ""


@dataclass
class Trace:
    """One request, finished. start, first_token (0 if none), end: s since 1970. usage: tokens, {"input": ..,
    "output": .., "input_cached": ..}. cost: dollars. steps: its parts."""

    request: str
    user: str
    team: str
    tier: str
    model: str
    outcome: str
    start: float
    end: float
    first_token: float = 0.0
    prompt: str = ""
    answer: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    cost: float = 0.0
    degraded: str = ""
    steps: list[Span] = field(default_factory=list)


class Tracer:
    """Sends traces to a Langfuse server with the Langfuse SDK.

    environment: LANGFUSE_BASE_URL, LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY; those of the process if None.
    max_waiting: traces that may wait; more are dropped.
    count: called with "sent" or "dropped" for each trace.
    ValueError without the three variables.
    """

    def __init__(self, environment: dict[str, str] | None = None, max_waiting: int = 1000,
                 count: Callable[[str], None] = lambda result: None):
        ranges.whole("max_waiting", max_waiting, 1)
        variables = os.environ if environment is None else environment
        names = ("LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY")
        if missing := [name for name in names if not variables.get(name)]:
            raise ValueError(f"tracing: {', '.join(missing)} must be set")
        self.count, self.dropped, self.sent = count, 0, 0
        self._waiting: queue.Queue[Trace | None] = queue.Queue(max_waiting)
        self._client, self._spans, self._exporter = _connect(*(variables[name] for name in names))
        self._thread = threading.Thread(target=self._work, name="tracer", daemon=True)
        self._thread.start()

    def record(self, trace: Trace) -> None:
        """Hand a trace over; never waits, never fails."""
        try:
            self._waiting.put_nowait(trace)
        except queue.Full:
            self._count("dropped", 1)

    def flush(self, patience: float = 5.0) -> bool:
        """Wait until all recorded so far is sent, `patience` seconds at most; whether it was."""
        deadline = time.monotonic() + patience
        while self._waiting.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self._waiting.unfinished_tasks

    def close(self, patience: float = 2.0) -> None:
        """Send what can be sent within `patience` seconds and forget the rest. (The SDK's own flush has no time limit:
        against a server that hangs it took 18 s for 20 spans, langfuse 5.0.4, November 2026.)"""
        if self.flush(patience):
            self._waiting.put(None)
            self._thread.join(1.0)
        else:
            self._count("dropped", self._waiting.unfinished_tasks)

    def _count(self, result: str, traces: int) -> None:
        self.sent += traces if result == "sent" else 0
        self.dropped += traces if result == "dropped" else 0
        for _ in range(traces):
            self.count(result)

    def _work(self) -> None:
        """Until told to end: take what waits, make observations of it, and send them."""
        over = False
        while not over:
            batch: list[Trace] = []
            with contextlib.suppress(queue.Empty):
                while len(batch) < BATCH:
                    trace = self._waiting.get(timeout=PAUSE if not batch else 0.05)
                    if trace is None:
                        over = True
                        self._waiting.task_done()
                        break
                    batch.append(trace)
            if batch:
                self._send(batch)

    def _send(self, batch: list[Trace]) -> None:
        lost = self._exporter.lost
        try:
            for trace in batch:
                self._observe(trace)
            self._client.flush()
            failed = self._exporter.lost > lost
        except Exception:                               # a trace is never worth a crash
            logging.getLogger(__name__).warning("a batch of traces was lost", exc_info=True)
            failed = True
        self._count("dropped" if failed else "sent", len(batch))
        for _ in batch:
            self._waiting.task_done()

    def _observe(self, trace: Trace) -> None:
        """The request as a span, its parts below it, with the times at which they were."""
        from langfuse import LangfuseOtelSpanAttributes as Name
        from opentelemetry.trace import set_span_in_context
        common = {Name.TRACE_USER_ID: trace.user, Name.TRACE_TAGS: [trace.team, trace.tier, trace.outcome],
                  Name.TRACE_NAME: "chat"}
        root = self._spans.start_span("chat", start_time=_ns(trace.start), attributes={
            **common, Name.OBSERVATION_TYPE: "span", **_metadata(trace), **_level(trace.outcome, trace.degraded)})
        inside = set_span_in_context(root)
        for step in trace.steps:
            facts: dict[str, Any] = {**common, Name.OBSERVATION_TYPE: step.kind, **_metadata(trace)}
            if step.kind == "generation":
                facts[Name.OBSERVATION_MODEL] = step.model
                if not step.failed:
                    facts |= _generation(trace)
            if step.failed:
                facts |= {Name.OBSERVATION_LEVEL: "WARNING" if step.failed == "cancelled" else "ERROR",
                          Name.OBSERVATION_STATUS_MESSAGE: step.failed}
            self._spans.start_span(step.name, context=inside, start_time=_ns(step.start),
                                   attributes=facts).end(_ns(step.end))
        root.end(_ns(trace.end))


def _metadata(trace: Trace) -> dict[str, str]:
    from langfuse import LangfuseOtelSpanAttributes as Name
    found = {"request": trace.request, "team": trace.team, "tier": trace.tier, "outcome": trace.outcome}
    return {f"{Name.OBSERVATION_METADATA}.{name}": value for name, value in found.items()}


def _level(outcome: str, degraded: str) -> dict[str, str]:
    from langfuse import LangfuseOtelSpanAttributes as Name
    if outcome == "ok":
        return {}
    level = "WARNING" if outcome in ("cancelled", "degraded") else "ERROR"
    return {Name.OBSERVATION_LEVEL: level, Name.OBSERVATION_STATUS_MESSAGE: degraded or outcome}


def _generation(trace: Trace) -> dict[str, Any]:
    """What the model was asked and said; tokens and dollars."""
    from langfuse import LangfuseOtelSpanAttributes as Name
    facts = {Name.OBSERVATION_INPUT: trace.prompt, Name.OBSERVATION_OUTPUT: trace.answer,
             Name.OBSERVATION_USAGE_DETAILS: json.dumps(trace.usage),
             Name.OBSERVATION_COST_DETAILS: json.dumps({"total": trace.cost})}
    if trace.first_token:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(trace.first_token))
        facts[Name.OBSERVATION_COMPLETION_START_TIME] = json.dumps(f"{moment}.{int(trace.first_token % 1 * 1e6):06d}Z")
    return {name: value for name, value in facts.items() if value}


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _connect(base: str, public: str, secret: str) -> tuple[Any, Any, Any]:
    """The SDK's client, and a tracer of its provider: spans may then say when they began, which the SDK's own
    `start_observation` (5.0.4) does not let them."""
    import langfuse
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExportResult

    class Counting(OTLPSpanExporter):
        """Also says how many spans did not arrive; the SDK only logs it."""

        lost = 0

        def export(self, spans: Any) -> SpanExportResult:
            result = super().export(spans)
            self.lost += len(spans) if result is not SpanExportResult.SUCCESS else 0
            return result

    for name in ("langfuse", "opentelemetry"):          # a dead server is counted, not told in a thousand tracebacks
        logging.getLogger(name).setLevel(logging.CRITICAL)
    login = base64.b64encode(f"{public}:{secret}".encode()).decode()
    exporter = Counting(endpoint=f"{base}/api/public/otel/v1/traces", timeout=TIMEOUT, compression=Compression.Gzip,
                        headers={"Authorization": f"Basic {login}", "x-langfuse-ingestion-version": "4",
                                 "x-langfuse-sdk-name": "python", "x-langfuse-public-key": public})
    provider = TracerProvider(shutdown_on_exit=False)
    client = langfuse.Langfuse(public_key=public, secret_key=secret, base_url=base, tracer_provider=provider,
                               span_exporter=exporter, timeout=TIMEOUT)
    spans = provider.get_tracer("langfuse-sdk", langfuse.__version__, attributes={"public_key": public})
    return client, spans, exporter
