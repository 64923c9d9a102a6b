"""Settings, the study's counts, the demos, the exercises."""

import threading
import tomllib
from pathlib import Path

import pandas as pd
import psutil
import pytest

from labkit import course, files
from labkit.interactions import coherence, demos, exercises, promises, samples, study, words
from labkit.interactions.demos.times import _Once
from labkit.loopback import serve

EXAMPLES = tomllib.loads(files.data("incoherent.toml").read_text())


def cured(example):
    broken, cure = example["broken"], example["coherent"]
    return {service: broken.get(service, {}) | cure.get(service, {}) for service in broken.keys() | cure.keys()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_planted_incoherences_are_found_and_their_twins_are_clean(name):
    found = coherence.check(EXAMPLES[name]["broken"])
    assert found and all(broken.consequence in repr(broken) for broken in found)
    assert coherence.check(cured(EXAMPLES[name])) == []


# for each relation its settings in the order of `needs`: values that break it, and values that fit
BREAKS = {
    "client.timeout > gateway.attempts x gateway.timeout": ((3, 3, 1), (3.1, 3, 1)),
    "gateway.timeout > server.timeout": ((1, 1), (1.1, 1)),
    "client retries only what is idempotent": ((2, False), (2, True)),
    "client.idle < server.idle": ((60, 60), (59, 60)), "gateway.idle < server.idle": ((60, "1m"), (59, "1m")),
    "gateway retries only what is idempotent": ((2, "no"), (1, "no")),
    "client.timeout > attempts x timeout and the back-off between them": ((7, 3, 2, "500ms"), (7.1, 3, 2, "500ms")),
    "gateway.total_timeout >= gateway.attempts x gateway.timeout": ((5, 3, 2), (6, 3, 2)),
    "client.deadline > client.attempts x client.timeout": ((6, 3, 2), (7, 3, 2)),
    "gateway.connect_timeout <= gateway.timeout": ((61, 60), (1, 60)),
    "balancer.idle > server.timeout": ((60, 120), (130, 120)), "app.pool_timeout < server.timeout": ((30, 10), (3, 10)),
    "database.statement_timeout <= server.timeout": ((0, 30), (30, 30)),
    "client.idle < gateway.client_idle": ((80, 75), (60, 75)),
    "balancer.idle < gateway.client_idle": ((75, 75), (60, 75)),
    "balancer.idle < server.idle": ((60, 5), (60, 65)), "server.headers_timeout > server.idle": ((60, 65), (66, 65)),
    "client.ping_interval >= server.min_ping_interval": ((30, 300), (300, 300)),
    "app.pool_idle < database.idle": ((600, 600), (300, 600)),
    "app.pool_lifetime < database.idle": ((1800, 600), (500, 600)),
    "client.idle < cache.idle": ((300, 300), (60, 300)), "proxy.max_body >= server.max_body": (("1m", "10m"), (0,
    "10m")),
    "proxy.max_header >= client.headers_size": (("8k", "12k"), ("16k", "12k")),
    "proxy passes headers with underscores if the server needs them": (("off", ["a_b"]), ("off", ["a-b"])),
    "producer.max_message <= broker.max_message": ((2e6, 1e6), (1e6, 1e6)),
    "broker.max_message <= consumer.max_message": ((2e6, 1e6), (1e6, 1e6)),
    "app.instances x app.pool <= database.max_connections": ((11, 10, 100), (10, 10, 100)),
    "app.instances x app.pool <= database.max_connections - reserved": ((10, 10, 100, 3), (9, 10, 100, 3)),
    "cache.max_memory < orchestrator.memory": (("1Gi", "1Gi"), ("700Mi", "1Gi")),
    "server.memory < orchestrator.memory": ((0, "1Gi"), ("700Mi", "1Gi")),
    "cache.policy is noeviction if the cache is durable": (("allkeys-lru", True), ("allkeys-lru", "no")),
    "queue.visibility > worker.timeout": ((30, 30), (31, 30)),
    "queue.visibility > task.longest_delay": (("1h", "2h"), ("3h", "2h")),
    "broker.retention > consumer.max_lag": (("1d", "36h"), (-1, "36h")),
    "producer.codec is one the consumer reads": (("zstd", ["gzip"]), ("gzip", ["gzip"])),
    "consumer.max_poll_interval > consumer.longest_processing": (("5m", "6m"), ("7m", "6m")),
    "member.heartbeat x 3 <= group.session_timeout": ((4, 10), (3, 10)),
    "group.session_timeout is one the broker allows": ((5, 6, 300), (10, 6, 300)),
    "producer.delivery_timeout >= linger + request_timeout": ((30, 1, 30), (31, 1, 30)),
    "producer.in_flight <= 5 if it is idempotent": ((6, True), (6, False)),
    "broker.min_in_sync < broker.replicas": ((3, 3), (1, 1)),
    "producer.acks is all if more than one replica must have it": (("1", 2), ("all", 2)),
    "database.wal_kept > replica.longest_outage": (("1h", "2h"), (-1, "2h")),
    "lock.lease > holder.longest_pause + holder.work": ((10, 5, 5), (11, 5, 5)),
    "lock.renewal x 3 <= lock.lease": ((5, 10), (3, 10)), "orchestrator.grace > server.drain": ((30, 30), (31, 30)),
    "orchestrator.grace > orchestrator.prestop + server.drain": ((30, 15, 20), (40, 15, 20)),
    "orchestrator.prestop >= balancer.deregistration": ((5, 10), (10, 10)),
    "orchestrator.liveness_limit > server.longest_pause": ((30, 45), (60, 45)),
    "orchestrator.startup_limit > server.start": ((60, 90), (120, 90)),
    "orchestrator.watchdog > server.longest_pause": ((10, 15), ("infinity", 15)),
    "dns.ttl <= failover.deadline": ((300, 60), (30, 60)),
    "client.dns_cache <= failover.deadline": ((-1, 60), (30, 60)), "token.lifetime > job.longest": (("1h",
    "2h"), ("3h", "2h")),
    "token.leeway >= clock.max_skew": ((0, 2), (5, 2)), "cdn.ttl < url.lifetime": (("1d", "1h"), ("10m", "1h")),
    "certificate.renew_before < certificate.lifetime": (("90d", "90d"), ("30d", "90d")),
    "writer.encoding = reader.encoding": (("UTF-8", "latin-1"), ("UTF-8", "utf8")),
}


def only(relation, values):
    settings = {}
    for need, value in zip(relation.needs, values, strict=True):
        service, _, name = need.partition(".")
        settings.setdefault(service, {})[name] = value
    return coherence.check(settings, (relation,))


@pytest.mark.parametrize("relation", coherence.RELATIONS, ids=lambda relation: relation.name.replace(" ", "_"))
def test_each_relation_is_broken_and_kept_by_what_it_says(relation):
    broken, fine = BREAKS[relation.name]
    assert len(only(relation, broken)) == 1 and relation.source and relation.consequence
    assert list(only(relation, fine)) == [] and only(relation, fine).applied == [relation.name]


def test_there_are_enough_relations_and_examples():
    names = [relation.name for relation in coherence.RELATIONS]
    assert len(names) == len(set(names)) >= 40 and len(EXAMPLES) >= 12
    assert {need for relation in coherence.RELATIONS for need in relation.needs} == set(words.WORDS)


def test_who_never_leaves_is_not_late():
    for name in ("client.timeout > gateway.attempts x gateway.timeout", "gateway.timeout > server.timeout"):
        relation = next(one for one in coherence.RELATIONS if one.name == name)
        assert list(only(relation, (0,) + (1,) * (len(relation.needs) - 1))) == []
    assert coherence.check({"gateway": {"timeout": 60}, "server": {"timeout": 0}})


def test_units():
    assert coherence.amount("x", "500ms") == 0.5 and coherence.amount("x", "2 MB") == 2e6
    assert coherence.amount("x", 3) == 3 and coherence.amount("x", "noeviction") == "noeviction"
    with pytest.raises(ValueError, match="x = '3 fortnights': unknown unit 'fortnights'; must be one of b, k"):
        coherence.amount("x", "3 fortnights")


def test_files_are_read_and_bad_ones_named(tmp_path):
    toml, yaml, jsons = tmp_path / "a.toml", tmp_path / "b.yaml", tmp_path / "c.json"
    toml.write_text("[client]\ntimeout = 1\nattempts = 3\n")
    yaml.write_text("gateway:\n  timeout: 400ms\n  attempts: 2\n")
    jsons.write_text('{"server": {"idempotent": false}}')
    settings = coherence.load(toml, yaml, jsons)
    assert settings["gateway"]["timeout"] == "400ms"
    assert [broken.relation for broken in coherence.check(settings)] == [
        "client retries only what is idempotent", "gateway retries only what is idempotent"]
    bad = (("[client", "x.toml", "x.toml: "), ("a = 1", "y.toml", "a = 1: must be a table of settings"),
           ("{", "z.json", "z.json: "), ("- 1", "l.yaml", "must be a table of services, this is a list"),
           ("", "w.ini", "cannot tell what this is"), ("[client]\ntimeout = 2", "d.toml", "another file says 1"))
    for text, name, message in bad:
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            coherence.load(toml, tmp_path / name)
    with pytest.raises(ValueError, match="No such file"):
        coherence.load(tmp_path / "nowhere.toml")
    with pytest.raises(ValueError, match="gateway.timeout = 'soon': must be a time"):
        coherence.check({"gateway": {"timeout": "soon"}, "server": {"timeout": 1}})


def test_the_study_is_reproduced():
    counts = {count.what: count for count in study.COUNTS}
    assert [counts[f"{plane} plane"].count for plane in ("data", "management", "control")] == [61, 39, 20]
    assert counts["crash (of a system, a job or a task)"].count == 89
    assert (counts["fixed upstream, at the interaction"].count, counts["of those, in a connector"].count) == (79, 68)
    incidents = counts["incidents with such a failure"]
    assert incidents.share == 0.2 and [round(100 * x) for x in incidents.interval] == [12, 32]
    assert len(study.table()) == len(study.COUNTS)
    for count in study.COUNTS:
        low, high = count.interval
        assert 0 <= low < count.share < high <= 1
    with pytest.raises(ValueError, match="wilson: count = 9"):
        study.wilson(9, 5)


EXPECTED = {
    "charges": lambda b, c: b["charges"] == 3 * b["orders"] and b["answered"] == "none"
    and c["charges"] == c["orders"] and c["answered"] == "200 200 200",
    "timeouts": lambda b, c: b["served"] == 0 and b["backend executions"] == 2 * b["users"]
    and c["served"] == c["users"] == c["backend executions"],
    "keep_alive": lambda b, c: b["lost, outcome unknown"] == b["second POSTs"] and c["lost, outcome unknown"] == 0,
    "headers": lambda b, c: b["seen"] != b["sent"] and "Ã" in b["seen"] and c["seen"] == c["sent"],
    "big_ids": lambda b, c: b["came back"] == b["sent"] - 1 and c["came back"] == c["sent"],
    "redirect": lambda b, c: b["the server saw"].endswith("GET /v2/pay (0 B)")
    and c["the server saw"].endswith("POST /v2/pay (6 B)"),
    "dialects": lambda b, c: all(len(set(v.split(" / "))) > 1 for v in b.values())
    and all(len(set(v.split(" / "))) == 1 for v in c.values()),
    "members": lambda b, c: b["bytes out"] < b["bytes in"] and c["bytes out"] == c["bytes in"],
    "eviction": lambda b, c: b["errors"] == 0 and b["acknowledged and gone"] > 500 and c["errors"] > 500
    and c["acknowledged and gone"] == 0,
    "proxy": lambda b, c: b["2 MB upload"] == 413 and b["tenant_id the application saw"] is None
    and c["2 MB upload"] == 200 and c["tenant_id the application saw"] == "42"}


@pytest.mark.live
@pytest.mark.parametrize("name", demos.ALL)
def test_each_demo_fails_for_its_reason_and_its_cure_cures_it(name):
    if demos.missing(name):
        pytest.skip(f"no {demos.missing(name)}: apt-get install {demos.missing(name)}")
    me = psutil.Process()
    before, threads = set(me.children(recursive=True)), threading.active_count()
    shown = demos.ALL[name]()
    assert EXPECTED[name](shown.broken, shown.cured), shown
    assert shown.reason in repr(shown) and shown.cure in repr(shown)
    assert set(me.children(recursive=True)) <= before, "a program was left running"
    assert threading.active_count() <= threads + 3
    listening = [line.laddr.ip for line in me.net_connections(kind="inet") if line.status == "LISTEN"]
    assert set(listening) <= {"127.0.0.1"}


@pytest.mark.live
def test_a_declined_card_is_declined_once_and_each_retry_hears_of_it():
    refused = demos.charges().also["refused"]
    assert refused["charges"] == 0 and refused["answered"] == "402 402 402" and refused["attempts"] == 9


class TestOnce:
    """The keys of the demo, without sockets: nobody is told of a charge that has not happened."""

    def at_work(self):
        """An operation that waits to be let go, and how often it was done."""
        go, done = threading.Event(), []

        def work():
            go.wait()
            done.append(1)
            return 402, {}, b"declined"
        return _Once(work), go, done

    def test_one_that_comes_meanwhile_hears_nothing_before_the_end(self):
        once, go, done = self.at_work()
        heard = []
        threads = [threading.Thread(target=lambda: heard.append(once.answer("k"))) for _ in range(5)]
        for thread in threads:
            thread.start()
        assert heard == [] and done == []
        go.set()
        for thread in threads:
            thread.join()
        assert heard == [(402, {}, b"declined")] * 5 and done == [1]

    def test_a_failure_is_kept_and_another_key_is_another_order(self):
        once, go, done = self.at_work()
        go.set()
        assert [once.answer("k")[0], once.answer("k")[0], once.answer("other")[0]] == [402] * 3 and done == [1, 1]


def test_promises_are_held_where_a_tool_can_see_them():
    said = promises.messages()
    assert said["as agreed"] == said["cents for euros"] == said["dollars called euros"] == ""
    assert all(said[name] for name in said if name not in ("as agreed", "cents for euros", "dollars called euros"))
    sent = pd.DataFrame({"id": ["9007199254740993", "2"], "zip": ["00731", "04102"], "amount": [1.5, 2.0]})
    assert promises.table(sent) == []
    found = promises.table(sent.assign(id=[9007199254740992, 2], zip=[731, 4102], amount=[-1.0, 2.0]))
    assert {line.partition(":")[0] for line in found} == {"id", "zip", "amount"}


def test_a_service_that_lies_from_fifty_on_is_caught_at_fifty():
    assert promises.catch(promises.service(honest=False)).startswith("GET /orders/50: ")
    assert promises.catch(promises.service(honest=True)) == ""


def test_nothing_listens_after_the_block_even_if_it_raises():
    seen = []
    with pytest.raises(KeyError), serve(lambda request, body: (200, {}, b"")) as url:
        seen.append(int(url.rpartition(":")[2]))
        raise KeyError
    assert not [line for line in psutil.Process().net_connections(kind="inet")
                if line.status == "LISTEN" and line.laddr.port in seen]


def test_no_dice_in_the_part():
    for file in Path(coherence.__file__).parent.glob("*.py"):
        if file.name not in ("samples.py", "matrix.py"):        # learners' data; the seed of Hypothesis
            assert "import random" not in file.read_text() and "np.random" not in file.read_text(), file
    orders = samples.orders(2000, 0.5, 0.25, 0)
    assert 0.4 < sum(not o.name.isascii() for o in orders) / 2000 < 0.6 and all(o.seconds < 1 for o in orders)
    assert samples.orders(50, seed=3) == samples.orders(50, seed=3)
    with pytest.raises(ValueError, match="samples.orders: accents = 2"):
        samples.orders(accents=2)


@pytest.mark.parametrize("exercise,answer,complaint", [
    (exercises.UPPER, 20, "too low"), (exercises.UPPER, 45, "too high"), (exercises.UPPER, 0.334, "in percent"),
    (exercises.SILENT_TEXT, "Ann", "unchanged"), (exercises.SILENT_TEXT, "ZoÃ«", "the pair of the page"),
    (exercises.SILENT_TEXT, "Zoë", "fails loudly: UnicodeDecodeError"), (exercises.SILENT_TEXT, "Łukasz", "Ł is not"),
    (exercises.DENOMINATOR, 82, "data-plane failures"), (exercises.DENOMINATOR, 0.417, "in percent"),
    (exercises.DENOMINATOR, 50, "divide by all failures"),
    (exercises.TEXTS, pd.DataFrame({"v": ["ten", "1e5"]}), "which texts with a letter look like numbers"),
    (exercises.TEXTS, pd.DataFrame({"v": ["00731", "04102"]}), "'00731' is not a text with a letter"),
    (exercises.TEXTS, 7, "a DataFrame with one column"), (exercises.SURVIVOR, "csv", "smallest share"),
    (exercises.FITS, {"client": {"timeout": 1}, "gateway": {"timeout": 1, "attempts": 2}}, "still broken"),
    (exercises.FITS, {"client": {"timeout": 1}}, "client.attempts is gone"),
    (exercises.RELATION, coherence.Relation("x", ("batch.interval",), lambda i: True, ""), "should be found")])
def test_wrong_answers_are_told_what_is_wrong(exercise, answer, complaint):
    verdict = course.check(exercise, answer)
    assert not verdict and complaint in repr(verdict)


FITTING = {"client": {"timeout": 10, "attempts": 1, "idle": 30}, "gateway": {"timeout": 3, "attempts": 2, "idle": 40},
           "server": {"timeout": 2, "idle": 60, "idempotent": True}}


def changed(**values):
    """FITTING with other settings: server_idle=5."""
    copy = {service: dict(settings) for service, settings in FITTING.items()}
    for name, value in values.items():
        service, _, setting = name.partition("_")
        copy[service][setting] = value
    return copy


class TestFits:
    @pytest.mark.parametrize("answer", [
        FITTING, changed(server_timeout="2s", gateway_timeout="2500ms"), changed(client_attempts=3),
        changed(gateway_attempts=3, server_idempotent="yes")])
    def test_right(self, answer):
        assert course.check(exercises.FITS, answer)

    @pytest.mark.parametrize(("answer", "said"), [
        (changed(server_idempotent=False), "gateway retries only what is idempotent"),
        (changed(server_idempotent="no"), "gateway retries only what is idempotent"),
        (changed(client_attempts=0), "client.attempts = 0: must be a whole number >= 1"),
        (changed(client_idle=-5), "client.idle = -5"), (changed(client_timeout=0), "a limit that is switched off"),
        (changed(server_idle="off"), "a limit that is switched off"), (changed(gateway_attempts=1), "at least twice"),
        (changed(gateway_timeout=1), "still broken"), (changed(server_timeout=1), "needs its 2 s"), ([], "is wanted"),
    ])
    def test_wrong(self, answer, said):
        verdict = course.check(exercises.FITS, answer)
        assert not verdict and said in repr(verdict)


class TestBatch:
    def relation(self, holds, *needs):
        return coherence.Relation("mine", needs, holds, "they overlap")

    def test_right(self):
        both = ("batch.longest", "batch.interval")
        assert course.check(exercises.RELATION, self.relation(lambda a, b: a < b, *both))
        assert course.check(exercises.RELATION, self.relation(lambda a, b: a <= b, *both))
        assert course.check(exercises.RELATION, self.relation(lambda b, a: b - a > 0, *reversed(both)))

    @pytest.mark.parametrize(("holds", "needs", "said"), [
        (lambda a: a < 3600, ("batch.longest",), "90m every 3h is fine"),
        (lambda a, b: a > b, ("batch.longest", "batch.interval"), "20m every 1h is fine"),
        (lambda a, b: True, ("batch.longest", "batch.interval"), "90m every 1h should be found"),
        (lambda a, b: a < b, ("batch.longest", "batch.period"), "is asked about batch.longest and batch.interval"),
    ])
    def test_wrong(self, holds, needs, said):
        verdict = course.check(exercises.RELATION, self.relation(holds, *needs))
        assert not verdict and said in repr(verdict)
