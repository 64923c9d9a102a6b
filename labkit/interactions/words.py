"""The words that relations are made of: what kind of value each setting has, and what "off" means there.

A file of one's own says `gateway.timeout = "400ms"`; the readers of real configuration files translate into the same
words. A time is in seconds, a size in bytes, once it is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0,
           "hr": 3600.0, "d": 86400.0, "w": 604800.0}
# binary where a program or Kubernetes says so; nginx, Redis and Java mean 1,024 by a bare k
SIZES = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9,
         "ki": 2**10, "mi": 2**20, "gi": 2**30, "kib": 2**10, "mib": 2**20, "gib": 2**30}
NO = ("off", "no", "none", "false", "disabled", "never", "unlimited", "infinite", "infinity", "inf")
YES = ("on", "yes", "true", "enabled")


@dataclass(frozen=True)
class Off:
    """A feature that is switched off: relations about it do not apply. What it says in the file."""

    written: object


def seconds(name: str, value: Any) -> float:
    """A time limit, s. 0, -1 and "off" mean that there is none: infinity."""
    found = _amount(name, value, SECONDS, "a time, s (or with a unit: 500ms, 1m30s)")
    return math.inf if found in (0, -1, None) else found


def idle(name: str, value: Any) -> float | Off:
    """How long a quiet connection is kept, s. 0 and "off": connections are not kept. -1 and "never": for ever."""
    if isinstance(value, str) and value.strip().lower() in ("never", "infinite", "infinity", "inf", "unlimited"):
        return math.inf
    found = _amount(name, value, SECONDS, "a time, s (or with a unit), 0 where connections are not kept")
    return Off(value) if found in (0, None) else math.inf if found == -1 else found


def size(name: str, value: Any) -> float:
    """A size, bytes. 0, -1 and "off" mean that there is no limit: infinity."""
    found = _amount(name, value, SIZES, "a size, bytes (or with a unit: 10m, 2 MB, 1Gi)")
    return math.inf if found in (0, -1, None) else found


def span(name: str, value: Any) -> float:
    """How long something takes or waits, s: 0 is 0."""
    found = _amount(name, value, SECONDS, "a time >= 0, s (or with a unit)")
    if found is None or found < 0:
        raise ValueError(f"{name} = {value!r}: must be a time >= 0, s (or with a unit)")
    return found


def count(name: str, value: Any) -> float:
    """A whole number from 1 on; -1 and "unlimited": infinity."""
    if isinstance(value, str) and value.strip().lower() in NO:
        return math.inf
    found = int(value) if isinstance(value, str) and re.fullmatch(r"\s*-?\d+\s*", value) else value
    if found == -1 and not isinstance(found, bool):
        return math.inf
    if isinstance(found, bool) or not isinstance(found, int | float) or found != found // 1 or found < 1:
        raise ValueError(f"{name} = {value!r}: must be a whole number >= 1, or unlimited")
    return found


def flag(name: str, value: Any) -> bool:
    """True or false, also as people write them: "off", "no", "false" are not true."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in YES or text == "1":
        return True
    if text in NO or text == "0":
        return False
    raise ValueError(f"{name} = {value!r}: must be true or false (on, off, yes, no)")


def text(name: str, value: Any) -> str:
    """A word."""
    if not isinstance(value, str):
        raise ValueError(f"{name} = {value!r}: must be a text")
    return value.strip()


def texts(name: str, value: Any) -> list[str]:
    """Several words."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list | tuple | set) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"{name} = {value!r}: must be a list of texts")
    return list(found)


def _amount(name: str, value: Any, units: dict[str, Any], wanted: str) -> float | None:
    """A number, from a number or a text with units; None for a word that means no; ValueError for all else."""
    if isinstance(value, bool) or value is None:
        if value:
            raise ValueError(f"{name} = {value!r}: must be {wanted}")
        return None
    if isinstance(value, int | float):
        if math.isnan(value) or (value < 0 and value != -1):
            raise ValueError(f"{name} = {value!r}: must be {wanted}, or -1 or off for none")
        return value
    written = str(value).strip().lower()
    if written in NO:
        return None
    if re.fullmatch(r"-?\d+(\.\d+)?", written):
        return _amount(name, float(written), units, wanted)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-zµ]+)\s*", written)
    if not parts or "".join(number + unit for number, unit in parts) != written.replace(" ", ""):
        raise ValueError(f"{name} = {value!r}: must be {wanted}, or off")
    for _, unit in parts:
        if unit not in units:
            raise ValueError(f"{name} = {value!r}: unknown unit {unit!r}; must be one of {', '.join(units)}")
    return float(sum(float(number) * units[unit] for number, unit in parts))


Kind = Callable[[str, Any], Any]

# every setting that a relation speaks of
WORDS: dict[str, Kind] = {
    "client.timeout": seconds, "client.attempts": count, "client.deadline": seconds, "client.idle": idle,
    "client.ping_interval": span, "client.dns_cache": seconds, "client.headers_size": size,
    "balancer.idle": idle, "balancer.deregistration": span,
    "gateway.timeout": seconds, "gateway.attempts": count, "gateway.backoff": span, "gateway.idle": idle,
    "gateway.client_idle": idle, "gateway.connect_timeout": seconds, "gateway.total_timeout": seconds,
    "proxy.max_body": size, "proxy.max_header": size, "proxy.underscores_in_headers": flag,
    "server.timeout": seconds, "server.idempotent": flag, "server.idle": idle, "server.max_body": size,
    "server.headers": texts, "server.headers_timeout": seconds, "server.drain": span, "server.start": span,
    "server.longest_pause": span, "server.min_ping_interval": span, "server.memory": size,
    "cache.policy": text, "cache.durable": flag, "cache.idle": idle, "cache.max_memory": size,
    "queue.visibility": seconds, "worker.timeout": seconds, "task.longest_delay": span,
    "broker.retention": seconds, "broker.max_message": size, "broker.replicas": count, "broker.min_in_sync": count,
    "broker.min_session_timeout": span, "broker.max_session_timeout": seconds,
    "producer.max_message": size, "producer.codec": text, "producer.acks": text, "producer.idempotent": flag,
    "producer.in_flight": count, "producer.delivery_timeout": seconds, "producer.request_timeout": seconds,
    "producer.linger": span,
    "consumer.max_message": size, "consumer.codecs": texts, "consumer.max_lag": span,
    "consumer.max_poll_interval": seconds, "consumer.longest_processing": span,
    "group.session_timeout": seconds, "member.heartbeat": span,
    "app.instances": count, "app.pool": count, "app.pool_timeout": seconds, "app.pool_lifetime": seconds,
    "app.pool_idle": idle,
    "database.max_connections": count, "database.reserved_connections": span, "database.statement_timeout": seconds,
    "database.idle": idle, "database.wal_kept": seconds, "replica.longest_outage": span,
    "lock.lease": seconds, "lock.renewal": span, "holder.longest_pause": span, "holder.work": span,
    "orchestrator.grace": span, "orchestrator.prestop": span, "orchestrator.liveness_limit": seconds,
    "orchestrator.startup_limit": seconds, "orchestrator.watchdog": seconds, "orchestrator.memory": size,
    "dns.ttl": span, "failover.deadline": span, "token.lifetime": seconds, "token.leeway": span, "job.longest": span,
    "clock.max_skew": span, "url.lifetime": seconds, "cdn.ttl": span, "certificate.lifetime": seconds,
    "certificate.renew_before": span, "writer.encoding": text, "reader.encoding": text,
}
