"""What the gateway tells Prometheus. Labels are bounded: tiers, teams and outcomes, never users, prompts or model names
that a caller made up (litellm #12159, #27272: one series per typo)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from labkit.gateway.budget import Ledger
    from labkit.gateway.resilience import Admission, CircuitBreaker

OUTCOMES = ("ok", "degraded", "cancelled", "invalid", "unauthorized", "rate_limited", "over_budget", "overloaded",
            "timeout", "upstream_error", "ledger_error", "internal_error")
BREAKER = {"closed": 0, "half open": 1, "open": 2}
SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SMALL = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)


class GatewayMetrics:
    """The metrics of one gateway, in a registry of their own, so that two can live in one process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("gateway_requests", "Requests by how they ended", ["tier", "team", "outcome"],
                                registry=registry)
        self.attempts = Counter("gateway_attempts", "Attempts at an engine by result", ["tier", "result"],
                                registry=registry)
        self.retries = Counter("gateway_retries", "Attempts that were not the first", ["tier"], registry=registry)
        self.tokens = Counter("gateway_tokens", "Tokens by kind: prompt, cached (part of prompt), answer",
                              ["tier", "team", "kind"], registry=registry)
        self.cost = Counter("gateway_cost_dollars", "Charged to the ledger", ["tier", "team"], registry=registry)
        self.seconds = Histogram("gateway_request_seconds", "From arrival to the last byte", ["tier"],
                                 buckets=SECONDS, registry=registry)
        self.ttft = Histogram("gateway_ttft_seconds", "From arrival to the first piece of a stream", ["tier"],
                              buckets=SECONDS, registry=registry)
        self.itl = Histogram("gateway_itl_seconds", "Between pieces of a stream, its mean", ["tier"],
                             buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1), registry=registry)
        self.overhead = Histogram("gateway_overhead_seconds", "Of a request, what was not the engine nor the queue",
                                  buckets=SMALL, registry=registry)
        self.warnings = Counter("gateway_budget_warnings", "Caps passed by 80 or 100 per cent, once a window",
                                ["level"], registry=registry)
        self.ledger_errors = Counter("gateway_ledger_errors", "Times the ledger could not be used", registry=registry)
        self.traces = Counter("gateway_traces", "Requests traced or dropped", ["result"], registry=registry)
        self.audit = Gauge("gateway_audit_records", "Records in the audit log", registry=registry)
        self.started = Gauge("gateway_start_time_seconds", "When it started, since 1970", registry=registry)
        self.started.set(time.time())
        for result in ("sent", "dropped"):
            self.traces.labels(result)

    def watch(self, ledger: Ledger, admission: Admission, breakers: dict[str, CircuitBreaker]) -> None:
        """Read the ledger, the queue and the breakers at each scrape."""
        self.registry.register(_Live(ledger, admission, breakers, self.ledger_errors.inc))

    def text(self) -> bytes:
        """For /metrics."""
        return generate_latest(self.registry)


class _Live(Collector):
    """Gauges that are read when somebody looks."""

    def __init__(self, ledger: Ledger, admission: Admission, breakers: dict[str, CircuitBreaker],
                 failed: Callable[[], None]):
        self.ledger, self.admission, self.breakers, self.failed = ledger, admission, breakers, failed

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family after the other."""
        yield GaugeMetricFamily("gateway_running", "Requests at the engines", self.admission.running)
        yield GaugeMetricFamily("gateway_running_limit", "How many may be there, as learned", self.admission.limit)
        yield GaugeMetricFamily("gateway_queue", "Requests that wait", self.admission.waiting)
        yield GaugeMetricFamily("gateway_queue_limit", "How many may wait", self.admission.queue)
        breaker = GaugeMetricFamily("gateway_breaker", "0 closed, 1 half open, 2 open", labels=["tier"])
        for tier, one in self.breakers.items():
            breaker.add_metric([tier], BREAKER[one.state])
        yield breaker
        yield from self.money()

    def money(self) -> Iterator[GaugeMetricFamily]:
        """Budgets of teams and of all together (of users there may be too many), and the holds."""
        from labkit.gateway.budget import LedgerError
        from labkit.gateway.budget.money import MICRO
        try:
            accounts, holds = self.ledger.accounts(), self.ledger.holds()
        except LedgerError:
            self.failed()
            return
        families = {name: GaugeMetricFamily(f"gateway_budget_{name}_dollars", f"Budget: {name}",
                                            labels=["scope", "window"]) for name in ("spent", "held", "cap")}
        for account in accounts:
            if not account.scope.startswith("user:"):
                labels = [account.scope, account.period]
                families["spent"].add_metric(labels, account.spent / MICRO)
                families["held"].add_metric(labels, account.held / MICRO)
                if account.cap is not None:
                    families["cap"].add_metric(labels, account.cap / MICRO)
        yield from families.values()
        yield GaugeMetricFamily("gateway_holds", "Attempts that are not settled", len(holds))
        yield GaugeMetricFamily("gateway_hold_oldest_seconds", "Age of the oldest hold",
                                max((hold.age for hold in holds), default=0.0))
