"""Each relation broken and held by one pair of settings; what a check says of settings it cannot use."""

import pytest

from labkit.interactions import coherence, quantities
from labkit.interactions.relations import RELATIONS, WORDS

# relation -> settings that break it, settings that hold it: the values of its needs, in order, at the edge
PAIRS = {
    "client.timeout > gateway.attempts x gateway.timeout": [(3, 3, 1), (3.1, 3, 1)],
    "gateway.timeout > server.timeout": [(2, 2), (2.1, 2)],
    "client retries only what is idempotent": [(2, "no"), (2, "yes")],
    "client.idle < server.idle": [(5, 5), (4, 5)],
    "gateway.idle < server.idle": [("60s", "60s"), ("60s", "61s")],
    "gateway retries only what is idempotent": [(2, False), (1, False)],
    "client.idle < gateway.idle": [("10m", "2m"), ("1m", "2m")],
    "client.idle < edge.idle": [(60, 60), (59, 60)],
    "edge.idle < gateway.idle": [("10m", "2m"), ("1m", "2m")],
    "client.timeout > edge.attempts x edge.timeout": [(4, 2, 2, 0), (5, 2, 2, 0)],
    "edge.timeout > gateway.attempts x gateway.timeout": [(4, 2, 2), (5, 2, 2)],
    "client.deadline > client.attempts x client.timeout": [(2, 2, 1, 1), (4, 2, 1, 1)],
    "gateway.deadline > gateway.attempts x gateway.timeout": [(15, 3, 5), (16, 3, 5)],
    "server.headers_timeout > server.idle": [(60, 65), (66, 65)],
    "client.keepalive_time >= server.min_ping_interval": [("10s", "5m"), ("5m", "5m")],
    "server.stream_ping < gateway.timeout": [(60, 60), (30, 60)],
    "server.stream_ping < edge.timeout": [(60, 60), (30, 60)],
    "proxy.max_body >= server.max_body": [("1m", "10m"), ("10m", "10m")],
    "proxy passes headers with underscores if the server needs them": [("off", ["a_b"]), ("off", ["a-b"])],
    "process.open_files > 2 x process.connections": [(1024, 1024), (4096, 1024)],
    "database.statement_timeout < server.timeout": [(0, 30), ("20s", 30)],
    "cache.policy is noeviction if the cache is durable": [("allkeys-lru", True), ("allkeys-lru", False)],
    "cache.max_memory < container.memory": [("1g", "1g"), ("700m", "1g")],
    "pool.idle < cache.idle": [(300, 300), (200, 300)],
    "cache.ping_period < cache.replica_timeout": [(60, 60), (10, 60)],
    "app.instances x app.pool <= database.max_connections": [(10, 5, 5, 100, 3), (10, 5, 4, 100, 3)],
    "app.pool_lifetime < database.idle": [("30m", "30m"), ("29m", "30m")],
    "app.pool_wait < server.timeout": [(30, 30), (3, 30)],
    "database.deadlock_timeout < database.lock_timeout": [("1s", "1s"), ("1s", "2s")],
    "database.status_interval < database.sender_timeout": [(60, 60), (10, 60)],
    "database.lock_timeout < database.statement_timeout": [("30s", "30s"), ("3s", "30s")],
    "store.tombstone_grace > store.repair_interval": [("10d", "10d"), ("10d", "7d")],
    "lock.lease > holder.longest_pause + holder.work": [(10, 7, 3), (11, 7, 3)],
    "queue.visibility > worker.timeout": [(30, 30), (31, 30)],
    "queue.visibility > worker.longest_delay": [("1h", "6h"), ("7h", "6h")],
    "worker.soft_timeout < worker.timeout": [(30, 30), (25, 30)],
    "queue.retention > queue.max_receives x queue.visibility": [(300, 10, 30), (301, 10, 30)],
    "dead_letter.retention > queue.retention": [("4d", "4d"), ("14d", "4d")],
    "queue.visibility >= 6 x function.timeout": [(30, 6), (36, 6)],
    "broker.retention > consumer.max_lag": [("1d", "36h"), (-1, "36h")],
    "producer.max_message <= broker.max_message": [("2 MB", "1 MB"), ("1 MB", "1 MB")],
    "broker.max_message <= consumer.max_message": [("2 MB", "1 MB"), ("1 MB", "1 MB")],
    "broker.max_message <= broker.replica_fetch": [("2 MB", "1 MB"), ("1 MB", "1 MB")],
    "producer.codec is one the consumer reads": [("zstd", "none,gzip"), ("zstd", ["zstd"])],
    "member.heartbeat x 3 <= group.session_timeout": [(4, 10), (3, 10)],
    "consumer.max_poll_interval > consumer.processing": [("5m", "7m"), ("10m", "7m")],
    "consumer.max_poll_interval >= group.session_timeout": [(30, 45), (45, 45)],
    "producer.delivery_timeout >= producer.linger + producer.request_timeout": [(30, 1, 30), (31, 1, 30)],
    "producer.request_timeout > broker.replica_lag": [(30, 30), (31, 30)],
    "producer.transaction_timeout <= broker.transaction_timeout": [("20m", "15m"), ("15m", "15m")],
    "producer.in_flight <= 5 if idempotent": [(6, True), (6, False)],
    "group.session_timeout within the broker's": [(3, 6, 300), (6, 6, 300)],
    "broker.min_insync < broker.replication": [(3, 3), (2, 3)],
    "orchestrator.grace > orchestrator.pre_stop + server.drain": [(30, 20, 25), (46, 20, 25)],
    "orchestrator.grace > orchestrator.pre_stop": [(30, 30), (31, 30)],
    "orchestrator.pre_stop >= balancer.forgets_after": [(5, 30), (30, 30)],
    "server.drain >= server.timeout": [(20, 30), (30, 30)],
    "orchestrator.liveness_after > server.longest_pause": [(10, 10), (30, 10)],
    "orchestrator.startup_after > server.start": [(30, 30), (60, 30)],
    "supervisor.start_limit_burst x supervisor.restart_delay < supervisor.start_limit": [(5, 2, 10), (4, 2, 10)],
    "member.election_timeout >= 5 x member.heartbeat": [("400ms", "100ms"), ("500ms", "100ms")],
    "dns.ttl <= failover.deadline": [("5m", "1m"), ("1m", "1m")],
    "token.lifetime > job.longest": [("1h", "1h"), ("2h", "1h")],
    "token.leeway >= clock.max_skew": [(0, 1), (1, 1)],
    "session.lifetime >= cookie.lifetime": [("1d", "7d"), ("7d", "7d")],
    "certificate.renew_before < certificate.lifetime": [("90d", "90d"), ("30d", "90d")],
    "writer.encoding = reader.encoding": [("latin-1", "UTF-8"), ("utf8", "UTF-8")]}


def settings(relation, values):
    """The values under the words of the needs; an optional need is left out where there are fewer values."""
    needs = relation.needs
    if len(values) < len(needs):
        needs = [need for need in needs if "=" not in need]
    tables = {}
    for need, value in zip(needs, values, strict=True):
        service, _, name = need.partition("=")[0].split("|")[0].partition(".")
        tables.setdefault(service, {})[name] = value
    return tables


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
def test_a_relation_is_broken_on_one_side_of_its_edge_and_holds_on_the_other(relation):
    bad, good = (coherence.check(settings(relation, values), (relation,)) for values in PAIRS[relation.name])
    assert [broken.relation for broken in bad] == [relation.name] and not bad.unknown
    assert good.fits and good.applied == (relation.name,)
    assert relation.source != "your own" and relation.consequence


def test_every_relation_has_a_pair_and_there_are_more_than_forty():
    assert {relation.name for relation in RELATIONS} == set(PAIRS) and len(RELATIONS) >= 40


def test_silence_is_not_health():
    report = coherence.check({"client": {"time_out": 1}, "alibi": {"x": 2}})
    assert not report.fits and not report.applied and len(report) == 0
    assert "NOTHING WAS CHECKED: 0 of 67 relations applied" in repr(report)
    assert "client.time_out (is client.timeout meant?), alibi.x" in repr(report)
    assert "NOTHING WAS CHECKED" in repr(coherence.check({}))
    half = coherence.check({"gateway": {"timeout": 3}, "server": {"drain": 3}})
    assert half.lacking["gateway.timeout > server.timeout"] == ("server.timeout",) and "it lacks" in repr(half)
    typed = coherence.check({"gateway": {"idle": 5}, "server": {"idle": 6, "timout": 3}})
    assert typed.applied and not len(typed) and not typed.fits and typed.unknown == {"server.timout": "server.timeout"}


def test_programs_in_their_own_words():
    def found(**tables):
        return [broken.relation for broken in coherence.check(tables)]

    balancer = "gateway.idle < server.idle"
    assert found(alb={"idle_timeout": 60}, gunicorn={"keepalive": 2, "worker_class": "gthread"}) == [balancer]
    assert found(alb={"idle_timeout": 60}, gunicorn={"keepalive": 75, "worker_class": "gthread"}) == []
    assert found(alb={"idle_timeout": 60}, gunicorn={}) == [], "a sync worker keeps no connection"
    assert found(alb={"idle_timeout": 60}, node={"keepAliveTimeout": 5000}) == [balancer]
    assert found(alb={"idle_timeout": 60}, uvicorn={"timeout-keep-alive": 75}) == []
    assert found(alb={"idle_timeout": 60}, gunicorn={"keep-alive": 75, "worker-class": "gthread"}) == []
    assert found(alb={"idle_timeout": 60}, nginx={"keepalive_timeout": "30s"}) == ["edge.idle < gateway.idle"]
    assert found(node={"keepAliveTimeout": 65_000}) == ["server.headers_timeout > server.idle"]
    assert found(node={"keepAliveTimeout": 65_000, "headersTimeout": 0}) == []
    assert found(rabbitmq={"consumer_timeout": 1_800_000}, worker={"timeout": "1h"}) == [
        "queue.visibility > worker.timeout"]
    assert found(nginx={"client_max_body_size": "10m"}, server={"max_body": "10m"}) == []
    report = coherence.check({"gunicorn": {"keepalive": 2, "grateful_timeout": 3}})
    assert report.unknown == {"gunicorn.grateful_timeout": "graceful_timeout"}


def test_sentinels():
    def found(**tables):
        return [broken.relation for broken in coherence.check(tables)]

    for never in (0, -1, "off", "none", "never", False, "infinity"):
        assert found(client={"timeout": never}, gateway={"attempts": 3, "timeout": 2}) == []
        assert found(gateway={"timeout": 60}, server={"timeout": never}) == ["gateway.timeout > server.timeout"]
        assert found(gateway={"timeout": never}, server={"timeout": 30}) == []
    for no in ("no", "false", "off", 0, False):
        assert found(client={"attempts": 2}, server={"idempotent": no})
    assert found(proxy={"max_body": 0}, server={"max_body": "1 GB"}) == []
    assert found(proxy={"max_body": "1 GB"}, server={"max_body": -1}) == ["proxy.max_body >= server.max_body"]
    assert found(gateway={"idle": 0}, server={"idle": 5}) == [] == found(gateway={"idle": 60}, server={"idle": 0})
    assert found(gateway={"idle": -1}, server={"idle": 5}) == ["gateway.idle < server.idle"]
    assert found(broker={"retention": -1}, consumer={"max_lag": "30d"}) == []


@pytest.mark.parametrize("tables,complaint", [
    ({"gateway": {"attempts": 0}}, "gateway.attempts = 0: must be a whole number from 1"),
    ({"gateway": {"attempts": 1.5}}, "gateway.attempts = 1.5: must be a whole number"),
    ({"client": {"idle": -5}}, "client.idle = -5: must be a number from 0"),
    ({"queue": {"visibility": 1800000}}, "queue.visibility = 1800000: is more than a day, without a unit"),
    ({"client": {"idle": True}}, "client.idle = True: must be a number"),
    ({"client": {"timeout": "3 fortnights"}}, "client.timeout = '3 fortnights': unknown unit 'fortnights'"),
    ({"client": {"timeout": [1]}}, r"client.timeout = \[1\]: must be a number"),
    ({"client": {"timeout": float("nan")}}, "client.timeout = nan: must be a number"),
    ({"server": {"idempotent": "maybe"}}, "server.idempotent = 'maybe': must be one of true, yes"),
    ({"cache": {"policy": 7}}, "cache.policy = 7: must be a text"),
    ({"consumer": {"codecs": 7}}, "consumer.codecs = 7: must be a list"),
    ({"gunicorn": {"timeout": "soon"}}, "gunicorn: timeout = 'soon': must be a number")])
def test_a_value_that_cannot_be_read_is_named(tables, complaint):
    with pytest.raises(ValueError, match=complaint):
        coherence.check(tables)


def test_pauses_between_attempts_count():
    chain = {"client": {"timeout": 3.5}, "gateway": {"attempts": 3, "timeout": 1}}
    assert coherence.check(chain).fits
    chain["gateway"]["backoff"] = "250ms"
    assert [broken.relation for broken in coherence.check(chain)] == [RELATIONS[0].name]
    chain["gateway"]["deadline"] = 3
    assert RELATIONS[0].name not in [broken.relation for broken in coherence.check(chain)], "the route ends them"


def test_three_hops_in_both_directions():
    hops = {"client": {"idle": 10}, "edge": {"client_idle": 20, "idle": 30},
            "gateway": {"client_idle": 40, "idle": 50}, "server": {"idle": 60}}
    report = coherence.check(hops)
    assert report.fits and set(report.applied) == {
        "client.idle < edge.idle", "edge.idle < gateway.idle", "gateway.idle < server.idle"}
    for service, name, value, broken in (("client", "idle", 20, "client.idle < edge.idle"),
                                         ("edge", "client_idle", 10, "client.idle < edge.idle"),
                                         ("edge", "idle", 40, "edge.idle < gateway.idle"),
                                         ("gateway", "client_idle", 30, "edge.idle < gateway.idle"),
                                         ("gateway", "idle", 60, "gateway.idle < server.idle"),
                                         ("server", "idle", 50, "gateway.idle < server.idle")):
        changed = {hop: dict(table) for hop, table in hops.items()}
        changed[service][name] = value
        assert [found.relation for found in coherence.check(changed)] == [broken]


def test_quantities_by_program():
    q = quantities
    assert q.size_limit("x", "10m") == q.size_limit("x", "10Mi") == 10 * 2**20 and q.size_limit("x", "1g") == 2**30
    assert q.time_limit("x", "10m") == 600 and q.time_limit("x", "1m30s") == 90 == q.time_limit("x", "1m 30s")
    assert q.duration("x", "1.5h") == 5400 and q.duration("x", 0) == 0 and q.idle_limit("x", "0") == 0
    assert all("." in word for word in WORDS)
    assert not coherence.check({"queue": {"visibility": "1800000ms"}, "worker": {"timeout": "29m"}})
    assert coherence.check({"queue": {"visibility": "1800000ms"}, "worker": {"timeout": "31m"}})
