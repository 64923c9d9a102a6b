"""Settings of several services that must fit together: relations between them, not equality.

Each service's file is right by itself; what is wrong lies between two of them, where no single owner looks. A relation
names the settings it is about, the condition, and what happens if it does not hold.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Settings = Mapping[str, Mapping[str, Any]]          # service -> setting -> value
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0,
         "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True)
class Relation:
    """`holds(*values of needs)`; `needs` are "service.setting". Values are in seconds and bytes."""

    name: str
    needs: tuple[str, ...]
    holds: Callable[..., bool]
    consequence: str


@dataclass(frozen=True)
class Broken:
    """A relation that does not hold, with the values as they are written in the files."""

    relation: str
    values: dict[str, Any]
    consequence: str

    def __repr__(self) -> str:
        values = ", ".join(f"{name} = {value!r}" for name, value in self.values.items())
        return f"{self.relation}: {values}: {self.consequence}"


RELATIONS = (
    Relation("client.timeout > gateway.attempts x gateway.timeout",
             ("client.timeout", "gateway.attempts", "gateway.timeout"), lambda c, n, t: c > n * t,
             "the client leaves while the gateway is still trying: its retries are work for nobody"),
    Relation("gateway.timeout > server.timeout", ("gateway.timeout", "server.timeout"), lambda g, s: g > s,
             "the gateway answers 504 while the server goes on and finishes"),
    Relation("client retries only what is idempotent", ("client.attempts", "server.idempotent"),
             lambda n, idempotent: n <= 1 or idempotent, "a time-out is retried and done twice"),
    Relation("client.idle < server.idle", ("client.idle", "server.idle"), lambda c, s: c < s,
             "the client sends into a connection the server is just closing"),
    Relation("gateway.idle < server.idle", ("gateway.idle", "server.idle"), lambda g, s: g < s,
             "sporadic 502s: the gateway reuses a connection the server is just closing"),
    Relation("proxy.max_body >= server.max_body", ("proxy.max_body", "server.max_body"), lambda p, s: p >= s,
             "uploads the application allows are refused with 413 before it sees them"),
    Relation("proxy passes headers with underscores if the server needs them",
             ("proxy.underscores_in_headers", "server.headers"),
             lambda passes, names: passes or not any("_" in name for name in names),
             "the proxy drops those headers without a word"),
    Relation("cache.policy is noeviction if the cache is durable", ("cache.policy", "cache.durable"),
             lambda policy, durable: policy == "noeviction" or not durable,
             "acknowledged writes are evicted under memory pressure, without an error"),
    Relation("queue.visibility > worker.timeout", ("queue.visibility", "worker.timeout"), lambda q, w: q > w,
             "a message that is still being worked on is handed out again"),
    Relation("broker.retention > consumer.max_lag", ("broker.retention", "consumer.max_lag"), lambda b, c: b > c,
             "a consumer that falls behind finds its messages deleted"),
    Relation("producer.max_message <= broker.max_message", ("producer.max_message", "broker.max_message"),
             lambda p, b: p <= b, "large messages are accepted by the producer and refused by the broker"),
    Relation("broker.max_message <= consumer.max_message", ("broker.max_message", "consumer.max_message"),
             lambda b, c: b <= c, "one large message stops the consumer for good"),
    Relation("producer.codec is one the consumer reads", ("producer.codec", "consumer.codecs"),
             lambda codec, codecs: codec in codecs, "every message is read as garbage, or not at all"),
    Relation("app.instances x app.pool <= database.max_connections",
             ("app.instances", "app.pool", "database.max_connections"), lambda n, p, m: n * p <= m,
             "the last instances to start get no connection, at the moment of highest load"),
    Relation("lock.lease > holder.longest_pause + holder.work", ("lock.lease", "holder.longest_pause", "holder.work"),
             lambda lease, pause, work: lease > pause + work, "the lease runs out while its holder still writes"),
    Relation("member.heartbeat x 3 <= group.session_timeout", ("member.heartbeat", "group.session_timeout"),
             lambda beat, timeout: 3 * beat <= timeout, "two lost heartbeats, and a healthy member is expelled"),
    Relation("orchestrator.grace > server.drain", ("orchestrator.grace", "server.drain"), lambda g, d: g > d,
             "the server is killed while it drains: requests are cut off at every deployment"),
    Relation("dns.ttl <= failover.deadline", ("dns.ttl", "failover.deadline"), lambda ttl, deadline: ttl <= deadline,
             "clients go on talking to the dead address after the failover"),
    Relation("token.lifetime > job.longest", ("token.lifetime", "job.longest"), lambda t, j: t > j,
             "long jobs fail at the end, when the token has expired"),
    Relation("writer.encoding = reader.encoding", ("writer.encoding", "reader.encoding"),
             lambda w, r: str(w).lower().replace("-", "") == str(r).lower().replace("-", ""),
             "everything but ASCII is read as other characters, without an error"),
)


def load(*paths: str | Path) -> dict[str, dict[str, Any]]:
    """Settings of several services from TOML, YAML or JSON files, merged.

    Raises ValueError naming the file and the place if one cannot be read, is no table of tables, or if two files give
    one setting different values.
    """
    settings: dict[str, dict[str, Any]] = {}
    for path in map(Path, paths):
        for service, values in _read(path).items():
            if not isinstance(values, dict):
                raise ValueError(f"{path}: {service} = {values!r}: must be a table of settings")
            for name, value in values.items():
                if settings.setdefault(service, {}).setdefault(name, value) != value:
                    raise ValueError(f"{path}: {service}.{name} = {value!r}: another file says "
                                     f"{settings[service][name]!r}")
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            found: Any = tomllib.loads(text)
        elif path.suffix in (".yaml", ".yml"):
            import yaml
            found = yaml.safe_load(text)
        elif path.suffix == ".json":
            found = json.loads(text)
        else:
            raise ValueError("must end in .toml, .yaml, .yml or .json")
    except OSError as e:
        raise ValueError(f"{path}: {e.strerror}") from None
    except Exception as e:                      # each parser has its own error, all of them say where
        raise ValueError(f"{path}: {' '.join(str(e).split())}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: must be a table of services, this is a {type(found).__name__}")
    return found


def amount(name: str, value: Any) -> Any:
    """A number, or text with a unit ("500ms", "2 MB"), as seconds or bytes; what is no amount is left as it is.

    Raises ValueError for a number with a unit nobody knows.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*", value) if isinstance(value, str) else None
    if not match:
        return value
    if match[2].lower() not in UNITS:
        raise ValueError(f"{name} = {value!r}: unknown unit {match[2]!r}; must be one of {', '.join(UNITS)}")
    return float(match[1]) * UNITS[match[2].lower()]


def check(settings: Settings, relations: tuple[Relation, ...] = RELATIONS) -> list[Broken]:
    """The relations that do not hold, of those whose settings are all there.

    Raises ValueError if a setting has a value its relation cannot use (text where a number is needed).
    """
    return [broken for relation in relations if (broken := _check(settings, relation)) is not None]


def _check(settings: Settings, relation: Relation) -> Broken | None:
    written = {}
    for need in relation.needs:
        service, _, name = need.partition(".")
        if name not in settings.get(service, {}):
            return None
        written[need] = settings[service][name]
    values = [amount(need, value) for need, value in written.items()]
    try:
        fine = relation.holds(*values)
    except TypeError:
        raise ValueError(f"{relation.name}: cannot compare {', '.join(f'{k} = {v!r}' for k, v in written.items())}"
                         ": must be numbers, or numbers with a unit") from None
    return None if fine else Broken(relation.name, written, relation.consequence)
