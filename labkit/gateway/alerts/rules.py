"""Alert rules, their tests, Alertmanager's routes and a Grafana dashboard; and the check that none of them is deaf.

A rule on a series nobody exports never fires and never says so. `unheard` finds them: every name in an expression is
held against what the gateway exports and what vLLM does (`vllm_metrics.txt`, read from a running engine).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.gateway.telemetry.metrics import GatewayMetrics

HERE = Path(__file__).parent
ALWAYS = {"up", "ALERTS"}           # Prometheus' own


def exported() -> set[str]:
    """Names of all series that the gateway and vLLM export."""
    from labkit.gateway.budget import Ledger
    from labkit.gateway.resilience import Admission, CircuitBreaker
    metrics, ledger = GatewayMetrics(), Ledger(":memory:")
    ledger.limit("global", "day", 1)
    ledger.reserve("", "", 0)
    metrics.watch(ledger, Admission(1, 1), {"small": CircuitBreaker()})
    ours = {suffixed for family in metrics.registry.collect() for suffixed in _names(family.name, family.type)}
    theirs = [line for line in (HERE / "vllm_metrics.txt").read_text().splitlines() if not line.startswith("#")]
    return ours | set(theirs) | ALWAYS


def _names(name: str, kind: str) -> list[str]:
    return {"counter": [f"{name}_total"],
            "histogram": [f"{name}_{end}" for end in ("bucket", "sum", "count")]}.get(kind, [name])


def names(expression: str) -> set[str]:
    """The series an expression refers to; ValueError if it is no PromQL. Needs promql-parser.

    >>> sorted(names('sum(rate(a_total{b="c"}[5m])) / d > 1 or absent(up)'))
    ['a_total', 'd', 'up']
    """
    import promql_parser

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, promql_parser.VectorSelector):
            yield node.name or next(str(m.value) for m in node.matchers.matchers if m.name == "__name__")
        elif isinstance(node, promql_parser.MatrixSelector):
            yield from walk(node.vector_selector)
        else:
            for part in ("expr", "lhs", "rhs", "param"):
                if (child := getattr(node, part, None)) is not None:
                    yield from walk(child)
            for child in getattr(node, "args", None) or []:
                yield from walk(child)

    return set(walk(promql_parser.parse(expression)))


def rules(path: Path = HERE / "rules.yml") -> dict[str, str]:
    """Expression of each rule in a Prometheus rule file, by alert or recorded name."""
    import yaml
    return {rule.get("alert") or rule["record"]: rule["expr"]
            for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]}


def panels(path: Path = HERE / "dashboard.json") -> dict[str, list[str]]:
    """Expressions of each panel of a Grafana dashboard, by title."""
    return {panel["title"]: [re.sub(r"\$__\w+", "5m", target["expr"]) for target in panel.get("targets", [])]
            for panel in json.loads(path.read_text())["panels"]}


def unheard(expressions: dict[str, str], also: set[str] = frozenset()) -> dict[str, set[str]]:  # type: ignore[assignment]
    """Rules (or panels) that refer to series nobody exports, and those series. also: names that others export."""
    there = exported() | set(also) | {name for name in expressions if ":" in name}
    found = {name: names(expression) - there for name, expression in expressions.items()}
    return {name: missing for name, missing in found.items() if missing}
