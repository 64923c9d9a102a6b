"""A service described in a file: TOML in, tiers and a load out, with one clear line for what is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from labkit import ranges
from labkit.metastability.model import (
    AdaptiveConcurrency,
    AdaptiveThrottle,
    Autoscaler,
    Backoff,
    Breaker,
    Cache,
    Clients,
    CoDel,
    Fifo,
    Lifo,
    Load,
    Pool,
    Priority,
    RetryBudget,
    Service,
)
from labkit.metastability.tiers import Tier

QUEUES: dict[str, type] = {"fifo": Fifo, "lifo": Lifo, "codel": CoDel, "priority": Priority}
SERVICE_PARTS: dict[str, type] = {"autoscaler": Autoscaler}
CLIENT_PARTS: dict[str, type] = {
    "backoff": Backoff, "budget": RetryBudget, "breaker": Breaker, "throttle": AdaptiveThrottle,
    "concurrency": AdaptiveConcurrency, "cache": Cache, "pool": Pool}


def read(path: str | Path) -> tuple[list[Tier], Load]:
    """Read the description of a service, or of several tiers, in TOML; ValueError with one line saying what is wrong
    and where.

    Tables [service], [clients] and [load] have the fields of `Service` and `Clients`, and `rate`; queues are written
    `queue = {kind = "fifo", limit = 80}`, other parts `budget = {ratio = 0.1}`. Several tiers are [[tier]] with
    [tier.service] and [tier.clients], the first in front. `data/my-service.toml` is a sample.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is not a text file in UTF-8") from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: is not TOML ({error})") from None
    if "tier" in tables:
        _known("", tables, ["tier", "load"])
        if not isinstance(tables["tier"], list) or not all(isinstance(table, dict) for table in tables["tier"]):
            raise ValueError("tier: must be [[tier]], once for each tier, with [tier.service] and [tier.clients]")
        parts = [(f"tier {number}: ", table) for number, table in enumerate(tables["tier"], 1)]
    else:
        _known("", tables, ["service", "clients", "load"])
        parts = [("", tables)]
    if not isinstance(tables.get("load"), dict):
        raise ValueError("[load]: this table is missing; see data/my-service.toml")
    _known("load.", tables["load"], ["rate"])
    if "rate" not in tables["load"]:
        raise ValueError("load.rate: is missing")
    return [_tier(place, table) for place, table in parts], Load.constant(tables["load"]["rate"])


def _tier(place: str, tables: Mapping[str, Any]) -> Tier:
    if place:
        _known(place, tables, ["service", "clients", "propagate_deadline"])
    for name in ("service", "clients"):
        if not isinstance(tables.get(name), dict):
            raise ValueError(f"{place}[{name}]: this table is missing; see data/my-service.toml")
    service = _with_parts(f"{place}service", tables["service"], SERVICE_PARTS)
    if "queue" in service:
        queue = _table(f"{place}service.queue", service["queue"])
        kind = queue.pop("kind", None)
        ranges.one_of(f"{place}service.queue.kind", kind, list(QUEUES))
        service["queue"] = _build(f"{place}service.queue", QUEUES[kind], queue)
    clients = _with_parts(f"{place}clients", tables["clients"], CLIENT_PARTS)
    return Tier(_build(f"{place}service", Service, service), _build(f"{place}clients", Clients, clients),
                propagate_deadline=tables.get("propagate_deadline", False))


def _with_parts(place: str, table: Mapping[str, Any], parts: Mapping[str, type]) -> dict[str, Any]:
    """The table with each part that has a table of its own made what it describes."""
    return {name: _build(f"{place}.{name}", parts[name], _table(f"{place}.{name}", value)) if name in parts else value
            for name, value in table.items()}


def _table(place: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{place} = {value!r}: must be a table such as {{ ... }}")
    return dict(value)


def _known(place: str, given: Mapping[str, Any], names: list[str]) -> None:
    for name in given:
        if name not in names:
            raise ValueError(f"{place}{name}: unknown; must be one of {', '.join(names)}")


def _build(place: str, cls: type, given: Mapping[str, Any]) -> Any:
    _known(place + ".", given, [f.name for f in fields(cls)])
    for f in fields(cls):
        if f.default is MISSING and f.name not in given:
            raise ValueError(f"{place}.{f.name}: is missing")
    return cls(**given)
