"""The relations between settings that this course knows, each with where it was learned, and the words they speak in.

A word is "service.setting". `gateway` is whatever stands in front of `server` (a proxy, a load balancer), `edge` what
stands in front of the gateway. Of a hop, `idle` is how long it keeps the connections it opens, `client_idle` those
that others opened to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labkit.interactions import quantities


@dataclass(frozen=True)
class Relation:
    """`holds(*values of needs)`: times in seconds, sizes in bytes, endless is `math.inf`.

    `needs`: words; "a|b" takes the first that is there, "a=0" is 0 where nobody wrote it down.
    `consequence`: what happens if it does not hold.
    `source`: documentation or post-mortem.
    `unless`: words whose presence makes it say nothing.
    """

    name: str
    needs: tuple[str, ...]
    holds: Callable[..., bool]
    consequence: str
    source: str = "your own"
    unless: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.needs, str) or not all(isinstance(need, str) and "." in need for need in self.needs):
            raise ValueError(f"needs = {self.needs!r}: must be a tuple of \"service.setting\"")
        if not callable(self.holds):
            raise ValueError(f"holds = {self.holds!r}: must be a function of the values of {', '.join(self.needs)}")


def _below(a: float, b: float) -> bool:
    return a < b or b == math.inf


def _up_to(a: float, b: float) -> bool:
    return a <= b


def _patient(outer: float, attempts: float, inner: float, pause: float, total: float = math.inf) -> bool:
    return outer == math.inf or outer > min(attempts * inner + (attempts - 1) * pause, total)


def _kept(near: float, far: float) -> bool:
    """Whether the side that sends requests lets go of a quiet connection first; 0 is a side that keeps none."""
    return near == 0 or far == 0 or near < far or far == math.inf


def _r(name: str, needs: str, holds: Callable[..., bool], consequence: str, source: str, unless: str = "") -> Relation:
    return Relation(name, tuple(needs.split()), holds, consequence, source, tuple(unless.split()))


CHAIN = (
    _r("client.timeout > gateway.attempts x gateway.timeout",
       "client.timeout gateway.attempts gateway.timeout gateway.backoff=0 gateway.deadline|gateway.total=never",
       _patient,
       "the client leaves while the gateway is still trying: its retries are work for nobody",
       "Google SRE book, ch. 22 (deadline propagation)", "edge.timeout"),
    _r("gateway.timeout > server.timeout", "gateway.timeout server.timeout", lambda g, s: _below(s, g),
       "the gateway answers 504 while the server goes on and finishes", "gunicorn documentation, timeout"),
    _r("client retries only what is idempotent", "client.attempts server.idempotent",
       lambda n, idempotent: n <= 1 or idempotent, "a time-out is retried and done twice", "RFC 9110, 9.2.2"),
    _r("client.idle < server.idle", "client.idle server.idle", _kept,
       "the client sends into a connection the server is just closing", "RFC 9112, 9.5",
       "gateway.idle gateway.client_idle edge.idle"),
    _r("gateway.idle < server.idle", "gateway.idle server.idle", _kept,
       "sporadic 502s: the gateway reuses a connection the server is just closing",
       "AWS ALB troubleshooting, HTTP 502; alphagov/notifications-admin #4826"),
    _r("gateway retries only what is idempotent", "gateway.attempts server.idempotent gateway.retries_posts=true",
       lambda n, idempotent, posts: n <= 1 or idempotent or not posts,
       "one request of the client is done twice, one hop later", "nginx, proxy_next_upstream (non_idempotent)"),
    _r("client.idle < gateway.idle", "client.idle gateway.client_idle|gateway.idle", _kept,
       "the client sends into a connection the gateway is just closing", "RFC 9112, 9.5", "edge.idle"),
    _r("client.idle < edge.idle", "client.idle edge.client_idle|edge.idle", _kept,
       "the client sends into a connection the edge is just closing", "RFC 9112, 9.5"),
    _r("edge.idle < gateway.idle", "edge.idle gateway.client_idle|gateway.idle", _kept,
       "the edge reuses a connection the gateway is just closing", "taskcluster/taskcluster #6692"),
    _r("client.timeout > edge.attempts x edge.timeout", "client.timeout edge.attempts=1 edge.timeout edge.backoff=0",
       _patient, "the client leaves while the edge is still trying", "Google SRE book, ch. 22"),
    _r("edge.timeout > gateway.attempts x gateway.timeout",
       "edge.timeout gateway.attempts gateway.timeout gateway.backoff=0 gateway.deadline|gateway.total=never",
       _patient,
       "the edge leaves while the gateway is still trying", "Google SRE book, ch. 22"),
    _r("client.deadline > client.attempts x client.timeout",
       "client.deadline client.attempts client.timeout client.backoff=0", _patient,
       "the last attempts can never be answered in time", "gRPC guide, Retry and Deadlines"),
    _r("gateway.deadline > gateway.attempts x gateway.timeout",
       "gateway.deadline gateway.attempts gateway.timeout gateway.backoff=0", _patient,
       "the route's time-out ends the retries it allows", "Envoy documentation, per_try_timeout"),
    _r("server.headers_timeout > server.idle", "server.headers_timeout server.idle",
       lambda h, i: _kept(i, h), "a kept connection is cut at its next request", "nodejs/node #27363"),
    _r("client.keepalive_time >= server.min_ping_interval", "client.keepalive_time server.min_ping_interval",
       lambda c, s: c >= s, "GOAWAY too_many_pings: the server closes all of the client's calls",
       "gRPC guide, Keepalive; grpc/grpc-go #2202"),
    _r("server.stream_ping < gateway.timeout", "server.stream_ping gateway.timeout", _below,
       "quiet streams are cut by the proxy", "nginx, WebSocket proxying"),
    _r("server.stream_ping < edge.timeout", "server.stream_ping edge.timeout", _below,
       "quiet streams are cut at the edge", "AWS ALB, connection idle timeout"),
    _r("proxy.max_body >= server.max_body", "proxy.max_body server.max_body", lambda p, s: p >= s,
       "uploads the application allows are refused with 413 before it sees them", "nginx, client_max_body_size"),
    _r("proxy passes headers with underscores if the server needs them", "proxy.underscores_in_headers server.headers",
       lambda passes, names: passes or not any("_" in name for name in names),
       "the proxy drops those headers without a word", "nginx, underscores_in_headers"),
    _r("process.open_files > 2 x process.connections", "process.open_files process.connections",
       lambda files, n: files > 2 * n, "under load, connections are refused: too many open files",
       "nginx, worker_connections"),
    _r("database.statement_timeout < server.timeout", "database.statement_timeout server.timeout", _below,
       "the request is given up and its statement goes on in the database", "PostgreSQL, statement_timeout"),
)

STORES = (
    _r("cache.policy is noeviction if the cache is durable", "cache.policy cache.durable",
       lambda policy, durable: policy == "noeviction" or not durable,
       "acknowledged writes are evicted under memory pressure, without an error", "Redis, Key eviction"),
    _r("cache.max_memory < container.memory", "cache.max_memory container.memory", lambda a, b: a < b,
       "the kernel kills the cache before it evicts anything", "Redis, memory optimization"),
    _r("pool.idle < cache.idle", "pool.idle cache.idle", _kept,
       "the pool hands out connections the cache has closed", "redis.conf, timeout"),
    _r("cache.ping_period < cache.replica_timeout", "cache.ping_period cache.replica_timeout", _below,
       "replicas are dropped whenever traffic is low", "redis.conf, repl-timeout"),
    _r("app.instances x app.pool <= database.max_connections",
       "app.instances app.pool app.overflow=0 database.max_connections database.reserved=0",
       lambda n, p, more, m, kept: n * (p + more) <= m - kept,
       "the last instances to start get no connection, at the moment of highest load",
       "PostgreSQL, superuser_reserved_connections; SQLAlchemy, max_overflow"),
    _r("app.pool_lifetime < database.idle", "app.pool_lifetime|pool.idle database.idle", _kept,
       "the pool hands out connections the database has closed", "HikariCP, maxLifetime"),
    _r("app.pool_wait < server.timeout", "app.pool_wait server.timeout", _below,
       "a request waits for a connection longer than anybody waits for the request", "HikariCP, connectionTimeout"),
    _r("database.deadlock_timeout < database.lock_timeout", "database.deadlock_timeout database.lock_timeout", _below,
       "deadlocks are reported as lock time-outs", "PostgreSQL, lock_timeout, deadlock_timeout"),
    _r("database.status_interval < database.sender_timeout", "database.status_interval database.sender_timeout",
       _below, "a healthy standby is disconnected", "PostgreSQL, wal_sender_timeout"),
    _r("database.lock_timeout < database.statement_timeout", "database.lock_timeout database.statement_timeout",
       _below, "the lock time-out can never be reached", "PostgreSQL, lock_timeout"),
    _r("store.tombstone_grace > store.repair_interval", "store.tombstone_grace store.repair_interval",
       lambda g, r: g > r, "deleted rows come back", "Apache Cassandra, gc_grace_seconds"),
    _r("lock.lease > holder.longest_pause + holder.work", "lock.lease holder.longest_pause holder.work",
       lambda lease, pause, work: lease > pause + work, "the lease runs out while its holder still writes",
       "M. Kleppmann, How to do distributed locking, 2016"),
)

QUEUES = (
    _r("queue.visibility > worker.timeout", "queue.visibility worker.timeout", lambda q, w: q > w,
       "a message that is still being worked on is handed out again", "Amazon SQS, visibility timeout"),
    _r("queue.visibility > worker.longest_delay", "queue.visibility worker.longest_delay|worker.longest_eta",
       lambda q, w: q > w, "a delayed task is handed out again and again, and done as often",
       "Celery, Redis visibility timeout; celery/celery #2599"),
    _r("worker.soft_timeout < worker.timeout", "worker.soft_timeout worker.timeout", _below,
       "the worker is killed before it may tidy up", "Celery, task_soft_time_limit"),
    _r("queue.retention > queue.max_receives x queue.visibility", "queue.retention queue.max_receives queue.visibility",
       lambda r, n, v: r > n * v, "messages expire before they reach the dead-letter queue", "Amazon SQS, dead-letter"),
    _r("dead_letter.retention > queue.retention", "dead_letter.retention queue.retention",
       lambda d, q: d > q or d == math.inf, "messages expire as soon as they arrive in the dead-letter queue",
       "Amazon SQS, dead-letter queue retention"),
    _r("queue.visibility >= 6 x function.timeout", "queue.visibility function.timeout", lambda v, f: v >= 6 * f,
       "throttled batches are handed out again", "AWS Lambda, using SQS"),
    _r("broker.retention > consumer.max_lag", "broker.retention consumer.max_lag", lambda b, c: b > c or b == math.inf,
       "a consumer that falls behind finds its messages deleted", "Apache Kafka, log.retention.ms"),
    _r("producer.max_message <= broker.max_message", "producer.max_message broker.max_message", _up_to,
       "large messages are accepted by the producer and refused by the broker", "Apache Kafka, message.max.bytes"),
    _r("broker.max_message <= consumer.max_message", "broker.max_message consumer.max_message", _up_to,
       "one large message stops the consumer for good", "librdkafka, receive.message.max.bytes"),
    _r("broker.max_message <= broker.replica_fetch", "broker.max_message broker.replica_fetch", _up_to,
       "replicas fall behind at the first large message", "Apache Kafka, replica.fetch.max.bytes"),
    _r("producer.codec is one the consumer reads", "producer.codec consumer.codecs",
       lambda codec, codecs: codec in codecs, "every message is read as garbage, or not at all",
       "Apache Kafka, compression.type"),
    _r("member.heartbeat x 3 <= group.session_timeout", "member.heartbeat group.session_timeout",
       lambda beat, timeout: 3 * beat <= timeout, "two lost heartbeats, and a healthy member is expelled",
       "Apache Kafka, heartbeat.interval.ms"),
    _r("consumer.max_poll_interval > consumer.processing", "consumer.max_poll_interval consumer.processing",
       lambda poll, longest: poll > longest, "the group takes the partition away in the middle of the work, each time",
       "Apache Kafka, max.poll.interval.ms; aio-libs/aiokafka #848"),
    _r("consumer.max_poll_interval >= group.session_timeout", "consumer.max_poll_interval group.session_timeout",
       lambda poll, session: poll >= session, "the client refuses to start", "librdkafka, max.poll.interval.ms"),
    _r("producer.delivery_timeout >= producer.linger + producer.request_timeout",
       "producer.delivery_timeout producer.linger=0 producer.request_timeout", lambda d, li, r: d >= li + r,
       "the producer refuses to start, or never retries", "Apache Kafka, delivery.timeout.ms"),
    _r("producer.request_timeout > broker.replica_lag", "producer.request_timeout broker.replica_lag",
       lambda r, lag: r > lag, "needless retries while the broker waits for a slow replica",
       "Apache Kafka, request.timeout.ms"),
    _r("producer.transaction_timeout <= broker.transaction_timeout",
       "producer.transaction_timeout broker.transaction_timeout", _up_to,
       "InvalidTransactionTimeout at the first transaction", "Apache Kafka, transaction.max.timeout.ms"),
    _r("producer.in_flight <= 5 if idempotent", "producer.in_flight producer.idempotent",
       lambda n, idempotent: n <= 5 or not idempotent, "the producer refuses to start",
       "Apache Kafka, enable.idempotence"),
    _r("group.session_timeout within the broker's", "group.session_timeout broker.min_session=0 broker.max_session",
       lambda s, low, high: low <= s <= high, "InvalidSessionTimeout: no member can join",
       "Apache Kafka, group.max.session.timeout.ms"),
    _r("broker.min_insync < broker.replication", "broker.min_insync broker.replication", lambda a, b: a < b,
       "one broker is restarted and every write with acks=all fails", "Apache Kafka, min.insync.replicas"),
)

PLATFORM = (
    _r("orchestrator.grace > orchestrator.pre_stop + server.drain",
       "orchestrator.grace orchestrator.pre_stop=0 server.drain", lambda g, p, d: g > p + d,
       "the server is killed while it drains: requests are cut off at every deployment",
       "Kubernetes, Pod termination; kubernetes/kubernetes #43576"),
    _r("orchestrator.grace > orchestrator.pre_stop", "orchestrator.grace orchestrator.pre_stop", lambda g, p: g > p,
       "the server is killed before it is told to stop", "Kubernetes, Container lifecycle hooks", "server.drain"),
    _r("orchestrator.pre_stop >= balancer.forgets_after", "orchestrator.pre_stop balancer.forgets_after",
       lambda p, b: p >= b, "requests are still sent to a server that has stopped", "Kubernetes, Pod termination"),
    _r("server.drain >= server.timeout", "server.drain server.timeout", lambda d, s: d >= s or s == math.inf,
       "requests the server allows are cut off at every deployment", "gunicorn, graceful_timeout"),
    _r("orchestrator.liveness_after > server.longest_pause", "orchestrator.liveness_after server.longest_pause",
       lambda a, b: a > b, "a busy server is restarted, and the others get its load", "Kubernetes, liveness probes"),
    _r("orchestrator.startup_after > server.start", "orchestrator.startup_after server.start", lambda a, b: a > b,
       "a slow start is killed and begins anew, for ever", "Kubernetes, startup probes"),
    _r("supervisor.start_limit_burst x supervisor.restart_delay < supervisor.start_limit",
       "supervisor.start_limit_burst supervisor.restart_delay supervisor.start_limit",
       lambda n, delay, interval: n * delay < interval or interval == 0,
       "the limit on restarts is never reached: a broken unit restarts for ever",
       "systemd.unit, StartLimitIntervalSec"),
    _r("member.election_timeout >= 5 x member.heartbeat", "member.election_timeout member.heartbeat",
       lambda e, h: e >= 5 * h, "elections without a cause", "etcd, Tuning"),
    _r("dns.ttl <= failover.deadline", "dns.ttl failover.deadline", _up_to,
       "clients go on talking to the dead address after the failover", "Amazon RDS, failover and DNS TTL"),
    _r("token.lifetime > job.longest", "token.lifetime job.longest", lambda t, j: t > j,
       "long jobs fail at the end, when the token has expired", "RFC 6749, 1.5"),
    _r("token.leeway >= clock.max_skew", "token.leeway clock.max_skew", lambda a, b: a >= b,
       "a fresh token is refused as not yet valid", "RFC 7519, 4.1.5"),
    _r("session.lifetime >= cookie.lifetime", "session.lifetime cookie.lifetime", lambda s, c: s >= c,
       "the browser shows a session the server has forgotten", "RFC 6265, 5.3"),
    _r("certificate.renew_before < certificate.lifetime", "certificate.renew_before certificate.lifetime",
       lambda r, life: r < life, "certificates are renewed without end", "cert-manager, renewBefore"),
    _r("writer.encoding = reader.encoding", "writer.encoding reader.encoding",
       lambda w, r: w.replace("-", "") == r.replace("-", ""),
       "everything but ASCII is read as other characters, without an error", "WHATWG Encoding"),
)
RELATIONS = CHAIN + STORES + QUEUES + PLATFORM

KINDS: dict[Callable[[str, Any], Any], str] = {
    quantities.attempts: "attempts",
    quantities.idle_limit: "idle client_idle headers_timeout pool_lifetime",
    quantities.flag: "idempotent retries_posts underscores_in_headers durable",
    quantities.size_limit: "max_body max_memory max_message replica_fetch memory",
    quantities.count: ("instances pool overflow max_connections reserved in_flight min_insync replication open_files "
                       "connections max_receives start_limit_burst"),
    quantities.word: "policy codec encoding",
    quantities.words: "codecs headers",
    quantities.time_limit: ("timeout deadline total lock_timeout statement_timeout sender_timeout replica_timeout "
                            "keepalive_time soft_timeout pool_wait stream_ping"),
}
# a bare number of more than a day is milliseconds that lost their unit
WITHIN_A_DAY = {"timeout", "idle", "client_idle", "visibility", "max_poll_interval", "session_timeout", "heartbeat",
                "grace", "drain", "pre_stop", "backoff", "request_timeout", "delivery_timeout", "statement_timeout",
                "keepalive_time"}
DAY = 86400.0
KIND = {name: kind for kind, names in KINDS.items() for name in names.split()}


def bare(need: str) -> tuple[str, ...]:
    """The words of a need: "a|b" -> a, b; "a=0" -> a."""
    return tuple(need.partition("=")[0].split("|"))


WORDS = tuple(dict.fromkeys(word for relation in RELATIONS for need in relation.needs for word in bare(need)))


def value(word: str, written: Any) -> Any:
    """What a setting of these relations means: seconds, bytes, a number, a flag or a text; `math.inf` for endless.

    `word`: "service.setting"; one that no relation here knows is read by what it looks like.
    `written`: as in the file.

    Raises ValueError naming the word, what is written, and what may be.
    """
    if word not in WORDS:
        return quantities.amount(word, written)
    name = word.rpartition(".")[2]
    if name in WITHIN_A_DAY and re.fullmatch(r"\d+(\.\d+)?", str(written)) and float(written) > DAY:
        raise ValueError(f"{word} = {written!r}: is more than a day, without a unit; must have one of ms, s, m, h")
    return KIND.get(name, quantities.duration)(word, written)
