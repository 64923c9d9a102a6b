"""Relations between settings of different owners, each with what happens if it does not hold, and who says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """`holds(*values of needs)`; `needs` are "service.setting". Times are in seconds, sizes in bytes, no limit is inf.

    consequence: what one sees if it does not hold.
    source: documentation or post-mortem that says so.
    """

    name: str
    needs: tuple[str, ...]
    holds: Callable[..., bool]
    consequence: str
    source: str = ""


def _r(name: str, needs: str, holds: Callable[..., bool], consequence: str, source: str) -> Relation:
    return Relation(name, tuple(needs.split()), holds, consequence, source)


def over(limit: float, other: float) -> bool:
    """Whether `limit` is larger. No limit is larger than anything, even than no limit: who never leaves is not late."""
    return limit > other or limit == math.inf


def under(other: float, limit: float) -> bool:
    return over(limit, other)


def _encoding(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


SRE = "Beyer et al., Site Reliability Engineering, 2016"
NGINX, ENVOY, KAFKA = "nginx documentation", "Envoy documentation", "Apache Kafka documentation"
AWS_IDLE = "AWS, Application Load Balancer, 'Idle timeout': the application's must be larger"
KUBE = "Kubernetes documentation, 'Pod Lifecycle'"

RELATIONS = (
    # ---------------------------------------------------------------------------------------- how long, how often
    _r("client.timeout > gateway.attempts x gateway.timeout", "client.timeout gateway.attempts gateway.timeout",
       lambda c, n, t: over(c, n * t),
       "the client leaves while the gateway is still trying: its retries are work for nobody",
       f"{SRE}, chapter 22, 'Deadline propagation'"),
    _r("gateway.timeout > server.timeout", "gateway.timeout server.timeout", lambda g, s: over(g, s),
       "the gateway answers 504 while the server goes on and finishes", f"{SRE}, chapter 22"),
    _r("client retries only what is idempotent", "client.attempts server.idempotent",
       lambda n, idempotent: n <= 1 or idempotent, "a time-out is retried and done twice", "RFC 9110, section 9.2.2"),
    _r("client.idle < server.idle", "client.idle server.idle", lambda c, s: under(c, s),
       "the client sends into a connection the server is just closing", "RFC 9112, section 9.5"),
    _r("gateway.idle < server.idle", "gateway.idle server.idle", lambda g, s: under(g, s),
       "sporadic 502s: the gateway reuses a connection the server is just closing", AWS_IDLE),
    _r("gateway retries only what is idempotent", "gateway.attempts server.idempotent",
       lambda n, idempotent: n <= 1 or idempotent, "the gateway repeats what the server has already done",
       f"{NGINX}, proxy_next_upstream: non_idempotent"),
    _r("client.timeout > attempts x timeout and the back-off between them",
       "client.timeout gateway.attempts gateway.timeout gateway.backoff",
       lambda c, n, t, b: over(c, n * t + ((n - 1) * b if b else 0)),
       "the pauses between the gateway's attempts use up what the client had planned for them",
       "AWS Builders' Library, 'Timeouts, retries, and backoff with jitter'"),
    _r("gateway.total_timeout >= gateway.attempts x gateway.timeout",
       "gateway.total_timeout gateway.attempts gateway.timeout", lambda total, n, t: total >= n * t,
       "the last attempts never happen: the route's own limit ends them",
       f"{ENVOY}, route timeout and per_try_timeout"),
    _r("client.deadline > client.attempts x client.timeout", "client.deadline client.attempts client.timeout",
       lambda d, n, t: over(d, n * t), "the deadline ends the call before its last attempt", f"{SRE}, chapter 22"),
    _r("gateway.connect_timeout <= gateway.timeout", "gateway.connect_timeout gateway.timeout", lambda c, t: c <= t,
       "a dead server costs as long as a slow one, and no attempt is left for another",
       f"{NGINX}, proxy_connect_timeout"),
    _r("balancer.idle > server.timeout", "balancer.idle server.timeout", lambda b, s: over(b, s),
       "the balancer ends slow answers with 504 although the server is at work", AWS_IDLE),
    _r("app.pool_timeout < server.timeout", "app.pool_timeout server.timeout", lambda p, s: under(p, s),
       "the request is over before the wait for a connection is: no error says what was missing",
       "HikariCP README, connectionTimeout"),
    _r("database.statement_timeout <= server.timeout", "database.statement_timeout server.timeout", lambda d, s: d <= s,
       "the database goes on with queries whose request is gone", "PostgreSQL documentation, statement_timeout"),
    # ---------------------------------------------------------------------------------------- quiet connections
    _r("client.idle < gateway.client_idle", "client.idle gateway.client_idle", lambda c, g: under(c, g),
       "the client sends into a connection the gateway is just closing", "RFC 9112, section 9.5"),
    _r("balancer.idle < gateway.client_idle", "balancer.idle gateway.client_idle", lambda b, g: under(b, g),
       "sporadic 502s at the balancer: the gateway closes first", AWS_IDLE),
    _r("balancer.idle < server.idle", "balancer.idle server.idle", lambda b, s: under(b, s),
       "sporadic 502s at the balancer: the server closes first", AWS_IDLE),
    _r("server.headers_timeout > server.idle", "server.headers_timeout server.idle", lambda h, i: over(h, i),
       "a connection kept for the next request dies of the limit for its headers: sporadic resets",
       "Node.js, issue 27363: headersTimeout and keepAliveTimeout"),
    _r("client.ping_interval >= server.min_ping_interval", "client.ping_interval server.min_ping_interval",
       lambda p, m: p >= m, "the server closes with GOAWAY, too_many_pings",
       "gRPC documentation, 'Keepalive', proposal A8"),
    _r("app.pool_idle < database.idle", "app.pool_idle database.idle", lambda p, d: under(p, d),
       "the pool hands out connections the database has closed", "HikariCP README, idleTimeout and maxLifetime"),
    _r("app.pool_lifetime < database.idle", "app.pool_lifetime database.idle", lambda p, d: under(p, d),
       "the pool keeps connections longer than the database or a firewall does", "HikariCP README, maxLifetime"),
    _r("client.idle < cache.idle", "client.idle cache.idle", lambda c, s: under(c, s),
       "the first command after a pause fails: the cache has closed the connection", "Redis documentation, timeout"),
    # ---------------------------------------------------------------------------------------- how much
    _r("proxy.max_body >= server.max_body", "proxy.max_body server.max_body", lambda p, s: p >= s,
       "uploads the application allows are refused with 413 before it sees them", f"{NGINX}, client_max_body_size"),
    _r("proxy.max_header >= client.headers_size", "proxy.max_header client.headers_size", lambda p, c: p >= c,
       "requests with large cookies or tokens get 400 or 431", f"{NGINX}, large_client_header_buffers"),
    _r("proxy passes headers with underscores if the server needs them",
       "proxy.underscores_in_headers server.headers", lambda passes, names: passes or not any("_" in n for n in names),
       "the proxy drops those headers without a word", f"{NGINX}, underscores_in_headers"),
    _r("producer.max_message <= broker.max_message", "producer.max_message broker.max_message", lambda p, b: p <= b,
       "large messages are accepted by the producer and refused by the broker", f"{KAFKA}, message.max.bytes"),
    _r("broker.max_message <= consumer.max_message", "broker.max_message consumer.max_message", lambda b, c: b <= c,
       "one large message stops the consumer, or is fetched alone each time", f"{KAFKA}, max.partition.fetch.bytes"),
    _r("app.instances x app.pool <= database.max_connections", "app.instances app.pool database.max_connections",
       lambda n, p, m: n * p <= m, "the last instances to start get no connection, at the moment of highest load",
       "PostgreSQL documentation, max_connections"),
    _r("app.instances x app.pool <= database.max_connections - reserved",
       "app.instances app.pool database.max_connections database.reserved_connections",
       lambda n, p, m, r: n * p <= m - r, "the pool takes all that is not kept back for the superuser, and fails there",
       "PostgreSQL documentation, superuser_reserved_connections"),
    _r("cache.max_memory < orchestrator.memory", "cache.max_memory orchestrator.memory", lambda c, o: under(c, o),
       "the kernel kills the cache before the cache begins to evict", "Redis documentation, maxmemory"),
    _r("server.memory < orchestrator.memory", "server.memory orchestrator.memory", lambda s, o: under(s, o),
       "the container is killed at a size its heap is allowed to reach",
       "Kubernetes documentation, 'Resource Management'"),
    # ---------------------------------------------------------------------------------------- what is kept or lost
    _r("cache.policy is noeviction if the cache is durable", "cache.policy cache.durable",
       lambda policy, durable: policy == "noeviction" or not durable,
       "acknowledged writes are evicted under memory pressure, without an error",
       "Redis documentation, 'Key eviction'"),
    _r("queue.visibility > worker.timeout", "queue.visibility worker.timeout", lambda q, w: over(q, w),
       "a message that is still being worked on is handed out again", "AWS SQS documentation, 'Visibility timeout'"),
    _r("queue.visibility > task.longest_delay", "queue.visibility task.longest_delay", lambda q, d: over(q, d),
       "a task that is planned for later is handed out again, and again",
       "Celery documentation, Redis, visibility_timeout"),
    _r("broker.retention > consumer.max_lag", "broker.retention consumer.max_lag", lambda b, c: over(b, c),
       "a consumer that falls behind finds its messages deleted", f"{KAFKA}, log.retention.ms"),
    _r("producer.codec is one the consumer reads", "producer.codec consumer.codecs",
       lambda codec, known: codec in known,
       "every message is read as garbage, or not at all", f"{KAFKA}, compression.type"),
    _r("consumer.max_poll_interval > consumer.longest_processing",
       "consumer.max_poll_interval consumer.longest_processing", lambda p, w: over(p, w),
       "the consumer is thought dead while it works: its partitions move, and the work is done twice",
       f"{KAFKA}, max.poll.interval.ms"),
    _r("member.heartbeat x 3 <= group.session_timeout", "member.heartbeat group.session_timeout",
       lambda beat, timeout: 3 * beat <= timeout, "two lost heartbeats, and a healthy member is expelled",
       f"{KAFKA}, heartbeat.interval.ms: no more than a third"),
    _r("group.session_timeout is one the broker allows",
       "group.session_timeout broker.min_session_timeout broker.max_session_timeout",
       lambda t, low, high: low <= t <= high, "the consumer cannot join at all: InvalidSessionTimeout",
       f"{KAFKA}, group.min.session.timeout.ms"),
    _r("producer.delivery_timeout >= linger + request_timeout",
       "producer.delivery_timeout producer.linger producer.request_timeout", lambda d, linger, r: d >= linger + r,
       "the producer does not start, or gives up during its first attempt", f"{KAFKA}, delivery.timeout.ms"),
    _r("producer.in_flight <= 5 if it is idempotent", "producer.in_flight producer.idempotent",
       lambda n, idempotent: n <= 5 or not idempotent, "order is not kept across retries",
       f"{KAFKA}, enable.idempotence"),
    _r("broker.min_in_sync < broker.replicas", "broker.min_in_sync broker.replicas", lambda m, n: m < n or n == 1,
       "one broker that restarts stops all writes", f"{KAFKA}, min.insync.replicas"),
    _r("producer.acks is all if more than one replica must have it", "producer.acks broker.min_in_sync",
       lambda acks, m: m <= 1 or acks in ("all", "-1"), "acknowledged messages are lost with one broker all the same",
       f"{KAFKA}, acks"),
    _r("database.wal_kept > replica.longest_outage", "database.wal_kept replica.longest_outage",
       lambda w, o: over(w, o),
       "a replica that was away cannot catch up and must be built anew", "PostgreSQL documentation, wal_keep_size"),
    # ---------------------------------------------------------------------------------------- who holds what, how long
    _r("lock.lease > holder.longest_pause + holder.work", "lock.lease holder.longest_pause holder.work",
       lambda lease, pause, work: over(lease, pause + work), "the lease runs out while its holder still writes",
       "Kleppmann, 'How to do distributed locking', 2016"),
    _r("lock.renewal x 3 <= lock.lease", "lock.renewal lock.lease", lambda r, lease: 3 * r <= lease,
       "two late renewals, and another takes the lock", "Kubernetes client-go, leaderelection"),
    _r("orchestrator.grace > server.drain", "orchestrator.grace server.drain", lambda g, d: over(g, d),
       "the server is killed while it drains: requests are cut off at every deployment", KUBE),
    _r("orchestrator.grace > orchestrator.prestop + server.drain",
       "orchestrator.grace orchestrator.prestop server.drain", lambda g, p, d: over(g, p + d),
       "the hook uses up the grace: the server is killed while it drains", f"{KUBE}: the hook counts"),
    _r("orchestrator.prestop >= balancer.deregistration", "orchestrator.prestop balancer.deregistration",
       lambda p, b: p >= b, "the balancer still sends to a server that has stopped listening", KUBE),
    _r("orchestrator.liveness_limit > server.longest_pause", "orchestrator.liveness_limit server.longest_pause",
       lambda limit, pause: over(limit, pause), "a long pause is taken for death: the server is restarted under load",
       "Kubernetes documentation, 'Liveness, Readiness, and Startup Probes'"),
    _r("orchestrator.startup_limit > server.start", "orchestrator.startup_limit server.start",
       lambda limit, s: over(limit, s),
       "the server is killed before it is up, each time",
       "Kubernetes documentation, 'Liveness, Readiness, and Startup Probes'"),
    _r("orchestrator.watchdog > server.longest_pause", "orchestrator.watchdog server.longest_pause",
       lambda w, p: over(w, p),
       "systemd takes a pause for death and aborts the service", "systemd.service, WatchdogSec"),
    _r("dns.ttl <= failover.deadline", "dns.ttl failover.deadline", lambda ttl, deadline: ttl <= deadline,
       "clients go on talking to the dead address after the failover", "RFC 1035, section 3.2.1"),
    _r("client.dns_cache <= failover.deadline", "client.dns_cache failover.deadline", lambda c, d: c <= d,
       "clients keep the dead address longer than DNS does", "Java, networkaddress.cache.ttl"),
    _r("token.lifetime > job.longest", "token.lifetime job.longest", lambda t, j: over(t, j),
       "long jobs fail at the end, when the token has expired", "RFC 6749, section 4.2.2, expires_in"),
    _r("token.leeway >= clock.max_skew", "token.leeway clock.max_skew", lambda leeway, skew: leeway >= skew,
       "fresh tokens are refused: not valid yet", "RFC 7519, section 4.1.5"),
    _r("cdn.ttl < url.lifetime", "cdn.ttl url.lifetime", lambda c, u: under(c, u),
       "pages from the cache carry links that have expired", "RFC 9111, section 4.2"),
    _r("certificate.renew_before < certificate.lifetime", "certificate.renew_before certificate.lifetime",
       lambda r, life: under(r, life), "the certificate is renewed for ever, until the authority's limit",
       "cert-manager documentation, renewBefore"),
    _r("writer.encoding = reader.encoding", "writer.encoding reader.encoding",
       lambda w, r: _encoding(w) == _encoding(r), "everything but ASCII is read as other characters, without an error",
       "RFC 3629"),
)
