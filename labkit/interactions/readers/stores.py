"""Kafka and librdkafka, Redis, RabbitMQ, PostgreSQL: what keeps things, and for how long."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.interactions.readers.found import Found, Table, as_is, bare, hours, milliseconds, minutes, translate

# kafka.apache.org/documentation, librdkafka CONFIGURATION.md: the unit is in the name
_BROKER: Table = {
    "log.retention.ms": ("broker.retention", milliseconds), "log.retention.minutes": ("broker.retention", minutes),
    "log.retention.hours": ("broker.retention", hours), "retention.ms": ("broker.retention", milliseconds),
    "message.max.bytes": ("broker.max_message", as_is), "max.message.bytes": ("broker.max_message", as_is),
    "default.replication.factor": ("broker.replicas", as_is), "min.insync.replicas": ("broker.min_in_sync", as_is),
    "group.min.session.timeout.ms": ("broker.min_session_timeout", milliseconds),
    "group.max.session.timeout.ms": ("broker.max_session_timeout", milliseconds)}
_CLIENT: Table = {
    "max.request.size": ("producer.max_message", as_is), "message.max.bytes": ("producer.max_message", as_is),
    "compression.type": ("producer.codec", as_is), "compression.codec": ("producer.codec", as_is),
    "acks": ("producer.acks", as_is), "request.required.acks": ("producer.acks", as_is),
    "enable.idempotence": ("producer.idempotent", as_is),
    "max.in.flight.requests.per.connection": ("producer.in_flight", as_is),
    "delivery.timeout.ms": ("producer.delivery_timeout", milliseconds),
    "message.timeout.ms": ("producer.delivery_timeout", milliseconds),
    "request.timeout.ms": ("producer.request_timeout", milliseconds), "linger.ms": ("producer.linger", milliseconds),
    "max.partition.fetch.bytes": ("consumer.max_message", as_is),
    "fetch.message.max.bytes": ("consumer.max_message", as_is),
    "max.poll.interval.ms": ("consumer.max_poll_interval", milliseconds),
    "session.timeout.ms": ("group.session_timeout", milliseconds),
    "heartbeat.interval.ms": ("member.heartbeat", milliseconds)}
_KAFKA_OTHERS = ("bootstrap.servers", "group.id", "client.id", "broker.id", "log.dirs", "retries", "max.poll.records")


def kafka(text: str) -> Found:
    """A .properties file: of a client if it names bootstrap.servers (or metadata.broker.list), else of a broker."""
    pairs = list(_properties(text))
    client = any(name in ("bootstrap.servers", "metadata.broker.list", "group.id") for name, _ in pairs)
    table = dict(_CLIENT) if client or not any(name in _BROKER for name, _ in pairs) else dict(_BROKER)
    names = [name for name, _ in pairs]
    # the finer unit wins, as the broker's documentation says
    if "log.retention.ms" in names:
        pairs = [pair for pair in pairs if pair[0] not in ("log.retention.minutes", "log.retention.hours")]
    elif "log.retention.minutes" in names:
        pairs = [pair for pair in pairs if pair[0] != "log.retention.hours"]
    return translate(pairs, table, _KAFKA_OTHERS)


def _properties(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        line = line.strip()
        if line and line[0] not in "#!":
            name, _, value = line.replace(":", "=", 1).partition("=") if "=" not in line else line.partition("=")
            yield name.strip(), value.strip()


# redis.io, the commented redis.conf: seconds; 0 is never; 1k is 1,000 and 1kb is 1,024
def _redis_size(value: str) -> str:
    text = value.lower()
    return text[:-1] + "ib" if text.endswith(("kb", "mb", "gb")) else text + "b" if text[-1:] in "kmg" else text


def _redis_idle(value: str) -> str:
    return "never" if value == "0" else value


_REDIS: Table = {"maxmemory-policy": ("cache.policy", as_is), "timeout": ("cache.idle", _redis_idle),
                 "maxmemory": ("cache.max_memory", _redis_size)}


def redis(text: str) -> Found:
    pairs = [tuple(line.split(None, 1)) for line in map(str.strip, text.splitlines())
             if line and not line.startswith("#") and " " in line]
    found = translate([(name.lower(), value.strip().strip('"')) for name, value in pairs], _REDIS,
                      ("appendonly", "save", "maxclients", "tcp-keepalive"))
    return found.defaults({"cache.policy": "noeviction", "cache.idle": "never"})


# rabbitmq.com/docs/configure: consumer_timeout in milliseconds, heartbeat in seconds, sizes in bytes
_RABBITMQ: Table = {"consumer_timeout": ("queue.visibility", milliseconds),
                    "max_message_size": ("broker.max_message", as_is)}


def rabbitmq(text: str) -> Found:
    pairs = [(name.strip(), value.strip()) for line in text.splitlines() if not line.strip().startswith("#")
             for name, equals, value in [line.partition("=")] if equals]
    return translate(pairs, _RABBITMQ, ("heartbeat", "channel_max", "vm_memory_high_watermark.relative")
                     ).defaults({"queue.visibility": "1800000ms"})


# postgresql.org/docs: a bare time limit is in milliseconds; 0 switches a limit off
def _postgres_idle(value: str) -> str:
    return "never" if value == "0" else str(milliseconds(value))


_POSTGRES: Table = {
    "max_connections": ("database.max_connections", as_is),
    "statement_timeout": ("database.statement_timeout", milliseconds),
    "superuser_reserved_connections": ("database.reserved_connections", as_is),
    "idle_session_timeout": ("database.idle", _postgres_idle)}


def postgresql(text: str) -> Found:
    pairs = []
    for line in text.splitlines():
        name, _, value = line.partition("#")[0].strip().replace("=", " ", 1).partition(" ")
        if name and value:
            pairs.append((name.lower(), value.strip().strip("'")))
    return translate(pairs, _POSTGRES, ("shared_buffers", "listen_addresses", "idle_in_transaction_session_timeout",
                                        "wal_keep_size")
                     ).defaults({"database.max_connections": "100", "database.reserved_connections": "3"})


__all__ = ["bare", "kafka", "postgresql", "rabbitmq", "redis"]
