"""Programs whose file is one setting a line: Kafka, Redis, RabbitMQ, PostgreSQL, each with its own units.

Source: Kafka, Configuration (milliseconds and bytes, as the name says; -1 is for ever); librdkafka, CONFIGURATION.md;
redis.conf (1k is 1000 bytes, 1kb is 1024; timeout 0 is never); RabbitMQ, rabbitmq.conf and Consumers (consumer_timeout
in milliseconds); PostgreSQL, 19.1 Setting Parameters (each parameter has a base unit; kB is 1024 bytes).
"""

from __future__ import annotations

import math
import re
from typing import Any

from labkit.interactions import quantities as q
from labkit.interactions.settings.words import Configuration, Names, Pairs, Read

REDIS_SIZES = {"b": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "kb": 2**10, "mb": 2**20, "gb": 2**30}
POSTGRES_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def _whole(unit: float, endless: tuple[str, ...] = (), units: q.Units | None = None) -> Read:
    """Reads a number whose bare value counts `unit` seconds or bytes; the texts of `endless` mean no limit."""
    def read(name: str, raw: Any) -> float:
        text = str(raw).strip().strip("'\"")
        return math.inf if text.lower() in endless else q.quantity(name, text, units or {}, unit)

    return read


MS, SECONDS, BYTES = _whole(1e-3), _whole(1.0), _whole(1.0)
KAFKA: Names = {
    "max.poll.interval.ms": ("consumer.max_poll_interval", MS), "session.timeout.ms": ("group.session_timeout", MS),
    "heartbeat.interval.ms": ("member.heartbeat", MS), "transaction.timeout.ms": ("producer.transaction_timeout", MS),
    "delivery.timeout.ms": ("producer.delivery_timeout", _whole(1e-3, ("0",))),
    "linger.ms": ("producer.linger", MS), "request.timeout.ms": ("producer.request_timeout", MS),
    "max.request.size": ("producer.max_message", BYTES), "compression.type": ("producer.codec", q.word),
    "compression.codec": ("producer.codec", q.word), "enable.idempotence": ("producer.idempotent", q.flag),
    "max.in.flight.requests.per.connection": ("producer.in_flight", q.count),
    "max.in.flight": ("producer.in_flight", q.count), "receive.message.max.bytes": ("consumer.max_message", BYTES),
    "max.partition.fetch.bytes": ("consumer.partition_fetch", BYTES), "fetch.max.bytes": ("consumer.fetch", BYTES),
}
LIBRDKAFKA: Names = {"message.max.bytes": ("producer.max_message", BYTES),
                     "message.timeout.ms": ("producer.delivery_timeout", _whole(1e-3, ("0",)))}
KAFKA_BROKER: Names = {
    "message.max.bytes": ("broker.max_message", BYTES), "replica.fetch.max.bytes": ("broker.replica_fetch", BYTES),
    "log.retention.ms": ("broker.retention", _whole(1e-3, ("-1",))),
    "log.retention.minutes": ("broker.retention", _whole(60.0, ("-1",))),
    "log.retention.hours": ("broker.retention", _whole(3600.0, ("-1",))),
    "replica.lag.time.max.ms": ("broker.replica_lag", MS), "group.min.session.timeout.ms": ("broker.min_session", MS),
    "group.max.session.timeout.ms": ("broker.max_session", MS), "min.insync.replicas": ("broker.min_insync", q.count),
    "default.replication.factor": ("broker.replication", q.count),
    "transaction.max.timeout.ms": ("broker.transaction_timeout", MS), "connections.max.idle.ms": ("broker.idle", MS),
}
OF_A_BROKER = ("broker.id", "node.id", "process.roles", "log.dirs", "zookeeper.connect")
CONSUMER_DEFAULTS = {"max.poll.interval.ms": 300_000, "session.timeout.ms": 45_000, "heartbeat.interval.ms": 3_000}
REDIS: Names = {
    "maxmemory": ("cache.max_memory", _whole(1.0, ("0",), REDIS_SIZES)), "maxmemory-policy": ("cache.policy", q.word),
    "timeout": ("cache.idle", _whole(1.0, ("0",))), "repl-timeout": ("cache.replica_timeout", SECONDS),
    "repl-ping-replica-period": ("cache.ping_period", SECONDS),
    "repl-ping-slave-period": ("cache.ping_period", SECONDS),
}
RABBITMQ: Names = {
    "consumer_timeout": ("queue.visibility", _whole(1e-3, ("infinity", "undefined", "false"))),
    "max_message_size": ("broker.max_message", BYTES), "heartbeat": ("queue.heartbeat", SECONDS),
    "channel_max": ("queue.channels", q.count),
}


def _time(bare: float) -> Read:
    return _whole(bare, ("0", "-1"), POSTGRES_TIMES)


POSTGRESQL: Names = {
    "max_connections": ("database.max_connections", q.count),
    "superuser_reserved_connections": ("database.reserved", q.count),
    "statement_timeout": ("database.statement_timeout", _time(1e-3)),
    "lock_timeout": ("database.lock_timeout", _time(1e-3)),
    "deadlock_timeout": ("database.deadlock_timeout", _time(1e-3)),
    "idle_session_timeout": ("database.idle", _time(1e-3)),
    "wal_sender_timeout": ("database.sender_timeout", _time(1e-3)),
    "wal_receiver_status_interval": ("database.status_interval", _time(1.0)),
}


def kafka(loaded: Configuration, pairs: Pairs, where: str) -> None:
    """A broker's, a producer's or a consumer's properties, told apart by the names only one of them has."""
    said = {name.replace("_", "."): value for name, value in pairs}
    if any(name in said for name in OF_A_BROKER) or any(name.startswith("log.retention") for name in said):
        # of the three names of the retention the finest unit counts
        for finer, coarser in (("ms", "minutes"), ("ms", "hours"), ("minutes", "hours")):
            if f"log.retention.{finer}" in said:
                said.pop(f"log.retention.{coarser}", None)
        loaded.pairs(KAFKA_BROKER, said.items(), where)
        return
    consumes = "group.id" in said
    names = {**KAFKA, **LIBRDKAFKA}
    if consumes and "acks" not in said:
        names.pop("request.timeout.ms")
    loaded.pairs(names, said.items(), where, CONSUMER_DEFAULTS if consumes else None)


def redis(loaded: Configuration, pairs: Pairs, where: str) -> None:
    """redis.conf, or redis-server's flags without the dashes."""
    loaded.pairs(REDIS, ((name.replace("_", "-"), value) for name, value in pairs), where)


def rabbitmq(loaded: Configuration, pairs: Pairs, where: str) -> None:
    """rabbitmq.conf; its bare times are milliseconds, except heartbeat's seconds."""
    loaded.pairs(RABBITMQ, pairs, where, {"consumer_timeout": 1_800_000})


def postgresql(loaded: Configuration, pairs: Pairs, where: str) -> None:
    """postgresql.conf; each parameter has its own base unit."""
    defaults = {"superuser_reserved_connections": 3, "deadlock_timeout": "1s"}
    said = [(name.lower(), str(value).strip("'")) for name, value in pairs]
    loaded.pairs(POSTGRESQL, said, where, defaults)


def split(text: str, where: str, between: str) -> list[tuple[str, str]]:
    """Name and value of each line.

    `between`: a regular expression for what stands between them, "=" or blanks.

    Raises ValueError naming the line that is only a name.
    """
    found = []
    for number, line in enumerate(text.replace("\\\n", " ").splitlines(), 1):
        line = re.sub(r"(^|\s)#.*|^!.*", "", line).strip()
        if not line or line.startswith("["):
            continue
        name, *values = re.split(between, line, maxsplit=1)
        if not values:
            raise ValueError(f"{where}, line {number}: {line!r}: must be a name and a value")
        found.append((name.strip(), values[0].strip().strip('"')))
    return found
