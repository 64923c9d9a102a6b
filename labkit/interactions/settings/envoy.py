"""Envoy's YAML: routes, retries, idle limits of both sides.

Source: envoyproxy.io: route.v3.RouteAction (timeout 15 s, 0 is none), RetryPolicy (num_retries 1),
core.v3.HttpProtocolOptions (idle_timeout 1 h, 0 is none).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labkit.interactions import quantities as q
from labkit.interactions.settings.words import Configuration, Written

SAFE = {"connect-failure", "refused-stream", "reset-before-request"}        # nothing has been done yet
TIMES = {"s": 1.0}


def _time(name: str, raw: Any) -> float:
    return q.quantity(name, raw, TIMES) or float("inf")


def read(tree: dict[str, Any], where: str) -> Configuration:
    """The settings of every route and every idle limit, wherever they are nested."""
    loaded = Configuration()
    for path, table in _tables(tree, ()):
        if path and path[-1] == "route" and ("cluster" in table or "weighted_clusters" in table):
            _route(loaded, table, where)
        if "common_http_protocol_options" in table:
            options = table["common_http_protocol_options"] or {}
            side = "gateway.idle" if "clusters" in path else "gateway.client_idle"
            if "idle_timeout" in options:
                _put(loaded, side, "idle_timeout", options["idle_timeout"], where)
        if "max_request_bytes" in table:
            size = q.quantity(f"{where}: max_request_bytes", table["max_request_bytes"], {})
            loaded.put("proxy.max_body", Written(size, f"max_request_bytes {size:g} ({where})"))
        if "headers_with_underscores_action" in table:
            action = str(table["headers_with_underscores_action"])
            loaded.put("proxy.underscores_in_headers", Written(action == "ALLOW", f"{action} ({where})"))
    for word in ("gateway.idle", "gateway.client_idle"):
        loaded.put(word, Written(3600.0, f"idle_timeout 1h (default of {where})", default=True))
    return loaded


def _tables(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if isinstance(tree, dict):
        yield path, tree
        for name, inner in tree.items():
            yield from _tables(inner, (*path, str(name)))
    elif isinstance(tree, list):
        for inner in tree:
            yield from _tables(inner, path)


def _put(loaded: Configuration, word: str, name: str, raw: Any, where: str) -> None:
    loaded.put(word, Written(_time(f"{where}: {name}", raw), f"{name} {raw} ({where})"))


def _route(loaded: Configuration, route: dict[str, Any], where: str) -> None:
    policy = route.get("retry_policy") or {}
    whole, each = route.get("timeout", "15s"), policy.get("per_try_timeout")
    if each is None:
        _put(loaded, "gateway.timeout", "timeout", whole, where)
    else:
        _put(loaded, "gateway.deadline", "timeout", whole, where)
        _put(loaded, "gateway.timeout", "per_try_timeout", each, where)
    if policy and each is None:
        _put(loaded, "gateway.total", "timeout", whole, where)      # all tries share the route's time-out
    retries = q.count(f"{where}: num_retries", policy.get("num_retries", 1)) if policy else 0.0
    loaded.put("gateway.attempts", Written(1 + retries, f"num_retries {retries:g} ({where})"))
    on = {word.strip() for word in str(policy.get("retry_on", "")).split(",") if word.strip()}
    text = f"retry_on {', '.join(sorted(on)) or 'nothing'} ({where})"
    loaded.put("gateway.retries_posts", Written(bool(on - SAFE), text))
