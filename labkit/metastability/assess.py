"""Is my service vulnerable? A short simulation decides; the formulas of `theory` say why, and by how much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labkit import ranges
from labkit.metastability import theory
from labkit.metastability.model import (
    Clients,
    CoDel,
    Fifo,
    Lifo,
    Load,
    Service,
    steady_rate,
)
from labkit.metastability.tiers import Tier
from labkit.metastability.tried import Tried, tried, tried_tiers

QUEUES: dict[str, type] = {"fifo": Fifo, "lifo": Lifo, "codel": CoDel}


@dataclass(frozen=True)
class Finding:
    """One line of the answer: what, how much, and the formula it came from."""

    what: str
    value: str
    formula: str


@dataclass(frozen=True)
class Assessment:
    """`state` is "healthy" (comes back by itself), "vulnerable" (serves, and stays down after a trigger) or
    "overloaded" (does not serve 90 % of its requests even undisturbed), as a short simulation found it (`tried`).

    hidden_capacity: the load (1/s) up to which, by formula, a collapse cannot sustain itself.
    safe_queue: longest safe queue bound, attempts (inf: any, when nobody gives up).
    retry_budget: largest safe ratio of retries to requests (inf: any).
    shed: fraction of the traffic to turn away to get out of a collapse, 0 to 1.
    protected_by: what rules a lasting collapse out by formula ("" if nothing does).
    fault: what is wrong with the numbers themselves, such as a time-out below the latency ("" if nothing is).
    tried: what the simulation saw.
    """

    state: str
    hidden_capacity: float
    safe_queue: float
    retry_budget: float
    shed: float
    protected_by: str
    fault: str
    tried: Tried
    findings: tuple[Finding, ...]

    @property
    def vulnerable(self) -> bool:
        return self.state != "healthy"

    def __str__(self) -> str:
        width = max(len(f.what) for f in self.findings)
        span = max(len(f.value) for f in self.findings)
        lines = [f"{f.what:<{width}}  {f.value:>{span}}  {f.formula}".rstrip() for f in self.findings]
        fault = [f"LOOK AT THIS FIRST: {self.fault}"] if self.fault else []
        return "\n".join([*fault, f"{self.state.upper()}: {_EXPLAIN[self.state]}", *lines])


_EXPLAIN = {
    "healthy": "it came back by itself from what it was pushed with",
    "vulnerable": "fine undisturbed, but a large enough trigger brings it down for good",
    "overloaded": "not even an undisturbed server can answer this load in time",
}


def assess(service: Service, clients: Clients, load: float | Load) -> Assessment:
    """Judge a service at the undisturbed rate of `load`: by formula, and by short simulations with fixed seeds.

    The simulation decides (`Assessment.state`), because formulas leave out the randomness of queues and of service
    times, breakers and CoDel; where the formula says otherwise, a line says so. Takes about a second.
    Raises ValueError if the rate is 0: nobody asks.
    """
    rate = steady_rate(load)
    ranges.number("load", rate, 0, above=True)
    mu = theory.saturated_throughput(service)
    limit = theory.healthy_limit(service, clients)
    tipping = theory.tipping_load(service, clients)
    amplification = theory.collapsed_amplification(clients)
    safe_queue = theory.safe_queue_limit(service, clients) if clients.timeout < math.inf else math.inf
    protection = _protection(service, clients, safe_queue)
    hidden = limit if protection else tipping
    budget = max(0.0, limit / rate - 1)
    seen = tried(service, clients, rate)
    shed = 0.0 if protection or not limit else theory.load_to_drop(service, clients, rate)
    by_formula = "overloaded" if rate > limit else "vulnerable" if rate > hidden else "healthy"
    findings = (
        Finding("load", f"{rate:.1f}/s", ""),
        Finding("answered in time, undisturbed", f"{seen.undisturbed:.1%}", f"simulated, {seen.seconds:.3g} s"),
        *_pushed(seen), *_differ(by_formula, seen.state),
        Finding("saturated throughput mu", f"{mu:.1f}/s", "c / (b + s c)"),
        Finding("healthy limit", f"{limit:.1f}/s", "n / (b + s n), n = min(c, (T - b) / s)"),
        Finding("attempts per request, collapsed", f"{amplification:.2f}", "A = 1 + R, or 1 + budget"),
        Finding("hidden capacity", f"{hidden:.1f}/s",
                f"the healthy limit, thanks to {protection}" if protection else "healthy limit / A"),
        Finding("safe queue bound", f"{safe_queue:g}", "mu (T - b - s c)"),
        Finding("retry budget it can carry", _ratio(budget), "below healthy limit / load - 1"),
        Finding("traffic to shed once collapsed", f"{shed:.0%}", "1 - mu / (A load)"),
        *_closed(service, clients), *_unknown(service, clients))
    fault = _fault(service, clients)
    return Assessment(seen.state, hidden, safe_queue, budget, shed, protection, fault, seen, findings)


def assess_tiers(tiers: Sequence[Tier], load: float | Load) -> Assessment:
    """Judge tiers, the first in front, by what its users see; like `assess`, and each tier's share of the attempts.

    hidden_capacity, safe_queue and shed are those of the tier with the smallest throughput.
    Raises ValueError for a rate of 0 and for tiers that make no sense together (see `simulate_tiers`).
    """
    rate = steady_rate(load)
    ranges.number("load", rate, 0, above=True)
    seen = tried_tiers(tiers, rate)
    narrow = min(tiers, key=lambda tier: theory.saturated_throughput(tier.service))
    queue = theory.safe_queue_limit(narrow.service, narrow.clients) if narrow.clients.timeout < math.inf else math.inf
    rows, product = [], 1.0
    for number, tier in enumerate(tiers, 1):
        product *= theory.collapsed_amplification(tier.clients)
        mu = theory.saturated_throughput(tier.service)
        rows.append(Finding(f"tier {number}: attempts per request, collapsed", f"{product:.2f}",
                            f"product of 1 + R; carries {mu / product:.1f}/s of {mu:.1f}/s"))
        if tier is narrow:
            hidden = mu / product
    shed = max(0.0, 1 - hidden / rate)
    findings = (Finding("load", f"{rate:.1f}/s", ""),
                Finding("answered in time, undisturbed", f"{seen.undisturbed:.1%}", f"simulated, {seen.seconds:.3g} s"),
                *_pushed(seen), *rows, Finding("hidden capacity", f"{hidden:.1f}/s", "of the narrowest tier"),
                Finding("traffic to shed once collapsed", f"{shed:.0%}", "1 - hidden capacity / load"))
    faults = "; ".join(filter(None, (_fault(tier.service, tier.clients) for tier in tiers)))
    return Assessment(seen.state, hidden, queue, max(0.0, hidden / rate - 1), shed, "", faults, seen, findings)


def _pushed(seen: Tried) -> list[Finding]:
    return [Finding(f"came back after a {name}", f"{back} of {runs}", f"simulated, {seen.length:.3g} s long")
            for name, (back, runs) in seen.returns.items()]


def _differ(by_formula: str, state: str) -> list[Finding]:
    if by_formula == state:
        return []
    return [Finding("by formula alone", by_formula, "a fluid without randomness; the simulation decides")]


def _fault(service: Service, clients: Clients) -> str:
    """What is wrong with the numbers before any load is."""
    alone, found = service.base_latency + service.slope, []
    if clients.timeout < alone:
        found.append(f"the time-out of {clients.timeout:g} s is shorter than the {alone:g} s an attempt takes alone: "
                     "no load is low enough, and shedding cannot help; raise the time-out or make the service faster")
    for name, value, usual in (("base_latency", service.base_latency, 10), ("timeout", clients.timeout, 60)):
        if usual <= value < math.inf:
            found.append(f"{name} = {value:g} s is unusually long; if milliseconds were meant, write {value / 1000:g}")
    return "; ".join(found)


def _ratio(budget: float) -> str:
    return "any" if budget == math.inf else f"{budget:.2f}"


def _protection(service: Service, clients: Clients, safe_queue: float) -> str:
    """What makes a lasting collapse impossible, if anything does."""
    if service.drop == "hopeless":
        return "dropping hopeless work"
    if isinstance(service.queue, Lifo):
        return "newest-first service"
    if isinstance(service.queue, Fifo) and service.queue.limit is not None and service.queue.limit <= safe_queue:
        return f"a queue of at most {service.queue.limit}"
    if clients.population is not None and clients.backoff is not None \
            and clients.backoff.base / 2 > theory.closed_backoff_needed(service, clients):
        return "backoff in a closed system"
    return ""


def _closed(service: Service, clients: Clients) -> list[Finding]:
    if clients.population is None:
        return []
    needed = theory.closed_backoff_needed(service, clients)
    return [Finding("mean backoff a closed system needs", f"{needed:.1f} s", "N / mu - T")]


def _unknown(service: Service, clients: Clients) -> list[Finding]:
    """What the formulas above leave out, and the simulation does not."""
    there = {"the breaker": clients.breaker, "CoDel": isinstance(service.queue, CoDel), "the cache": clients.cache,
             "the connection pool": clients.pool, "adaptive throttling": clients.throttle,
             "the concurrency limit": clients.concurrency, "the autoscaler": service.autoscaler,
             "shards": service.shards > 1, "errors": service.error_rate, "the slope of the queue": service.queue_slope,
             "the cost of refusals": service.refusal_cost, "dropping what has expired": service.drop == "expired"}
    parts = [name for name, present in there.items() if present]
    return [Finding("not in these formulas", ", ".join(parts), "only in the simulation")] if parts else []
