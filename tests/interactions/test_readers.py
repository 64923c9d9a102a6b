"""Configuration files as people have them: what the readers make of them, and what the relations find."""

import math

import pytest

from labkit.interactions import coherence, readers
from labkit.interactions.words import Off

NGINX = """
# edge
user www-data;
http {
    keepalive_timeout 75s 60s;
    upstream app { server 10.0.0.5:8000; server 10.0.0.6:8000; keepalive 32; keepalive_timeout 60s; }
    server {
        listen 443 ssl;
        server_name "shop.example";
        client_max_body_size 10m;
        underscores_in_headers on;
        location /api/ { proxy_pass http://app; proxy_read_timeout 1m30s; proxy_next_upstream_tries 2; }
    }
}
"""
GUNICORN = "bind = '0.0.0.0:8000'\nworkers = 4\ntimeout = 40\nkeepalive = 75\ngraceful_timeout = 20\n"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 3
  template:
    spec:
      terminationGracePeriodSeconds: 60
      containers:
        - name: shop
          image: shop:1
          command: [gunicorn, "shop:app", --timeout, "40", --keep-alive, "75", --graceful-timeout=30]
          lifecycle: {preStop: {exec: {command: [/bin/sh, -c, sleep 15]}}}
          livenessProbe: {httpGet: {path: /live, port: 8000}, periodSeconds: 10, failureThreshold: 6}
          startupProbe: {httpGet: {path: /live, port: 8000}, periodSeconds: 5, failureThreshold: 30}
          resources: {limits: {memory: 512Mi}}
"""
ENVOY = """
static_resources:
  listeners:
    - filter_chains:
        - filters:
            - typed_config:
                common_http_protocol_options: {idle_timeout: 90s}
                route_config:
                  virtual_hosts:
                    - routes:
                        - route:
                            cluster: shop
                            timeout: 15s
                            retry_policy: {num_retries: 2, per_try_timeout: 4s}
  clusters:
    - name: shop
      connect_timeout: 0.25s
      common_http_protocol_options: {idle_timeout: 50s}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5000      # ms
    timeout client  50s
    timeout server  50000
    timeout http-keep-alive 65s
    retries 2
"""
PRODUCER = """
bootstrap.servers=kafka:9092
acks=all
enable.idempotence=true
max.in.flight.requests.per.connection=5
delivery.timeout.ms=120000
request.timeout.ms=30000
linger.ms=5
max.request.size=1000000
compression.type=zstd
"""
CONSUMER = """
bootstrap.servers = kafka:9092
group.id = billing
max.poll.interval.ms = 300000
session.timeout.ms = 45000
heartbeat.interval.ms = 3000
max.partition.fetch.bytes = 1048576
"""
BROKER = """
broker.id=1
log.retention.hours=168
message.max.bytes=1048576
default.replication.factor=3
min.insync.replicas=2
group.min.session.timeout.ms=6000
group.max.session.timeout.ms=1800000
"""
REDIS = "# cache\nmaxmemory 400mb\nmaxmemory-policy noeviction\ntimeout 300\nappendonly yes\n"
RABBITMQ = "heartbeat = 60\nconsumer_timeout = 1800000\nmax_message_size = 16777216\n"
POSTGRES = ("max_connections = 100  # (change requires restart)\nstatement_timeout = 30000\n"
            "idle_session_timeout = '10min'\n")
COMPOSE = """
services:
  web:
    image: shop
    command: uvicorn shop:app --timeout-keep-alive 75 --timeout-graceful-shutdown 20
    stop_grace_period: 30s
    deploy: {replicas: 4, resources: {limits: {memory: 512M}}}
  db: {image: postgres}
"""
UNIT = """
[Unit]
Description=shop
[Service]
ExecStart=/usr/bin/uvicorn shop:app \\
    --timeout-keep-alive 75 --timeout-graceful-shutdown 25
TimeoutStopSec=30
TimeoutStartSec=2min
WatchdogSec=20s
"""
OWN = "[client]\ntimeout = 200\nattempts = 1\nidle = 30\n[server]\nidempotent = true\nmax_body = '10m'\n" \
      "longest_pause = 15\nstart = '90s'\n"
JOBS = "[consumer]\nlongest_processing = '4m'\nmax_lag = '5d'\ncodecs = ['zstd']\n" \
       "[worker]\ntimeout = '20m'\n[task]\nlongest_delay = '25m'\n"
POOL = "[app]\npool = 20\npool_lifetime = '5m'\npool_idle = '4m'\npool_timeout = 3\ninstances = 4\n"

# files that fit; then, for each planted fault, the file, what was there, what stands there now, and who says so
FRONT = {"nginx.conf": NGINX, "gunicorn.conf.py": GUNICORN, "own.toml": OWN}
CLUSTER = {"shop.yaml": DEPLOYMENT, "own.toml": OWN}
MESH = {"envoy.yaml": ENVOY, "Procfile": "web: gunicorn shop:app --timeout 3 --keep-alive 55\n", "own.toml": OWN}
STREAM = {"producer.properties": PRODUCER, "server.properties": BROKER, "jobs.toml": JOBS}
READING = {"consumer.properties": CONSUMER, "server.properties": BROKER, "jobs.toml": JOBS}
STORES = {"redis.conf": REDIS, "rabbitmq.conf": RABBITMQ, "postgresql.conf": POSTGRES, "jobs.toml": JOBS,
 "pool.toml": POOL,
          "own.toml": "[cache]\ndurable = true\n[client]\nidle = 200\n[orchestrator]\nmemory = '512Mi'\n"}
COMPOSED = {"compose.yaml": COMPOSE, "own.toml": "[app]\npool = 20\n[database]\nmax_connections = 100\n"}
SERVICE = {"shop.service": UNIT, "own.toml": OWN}
BALANCED = {"haproxy.cfg": HAPROXY, "gunicorn.conf.py": GUNICORN,
            "own.json": '{"client": {"timeout": 160, "idle": 60}, "server": {"idempotent": true}}'}
SETS = {"front": FRONT, "cluster": CLUSTER, "mesh": MESH, "stream": STREAM, "reading": READING, "stores": STORES,
        "composed": COMPOSED, "service": SERVICE, "balanced": BALANCED}
FAULTS = [
    ("front", "nginx.conf", "proxy_read_timeout 1m30s", "proxy_read_timeout 30", "gateway.timeout > server.timeout"),
    ("front", "nginx.conf", "proxy_read_timeout 1m30s; ", "", "gateway.timeout > server.timeout", ("timeout = 40",
     "timeout = 90")),
    ("front", "nginx.conf", "keepalive_timeout 60s;", "keepalive_timeout 2m;", "gateway.idle < server.idle"),
    ("front", "gunicorn.conf.py", "keepalive = 75\n", "", "gateway.idle < server.idle"),
    ("front", "nginx.conf", "client_max_body_size 10m;", "client_max_body_size 9m;",
     "proxy.max_body >= server.max_body"),
    ("front", "nginx.conf", "        client_max_body_size 10m;\n", "", "proxy.max_body >= server.max_body"),
    ("front", "own.toml", "idempotent = true", "idempotent = 'no'", "gateway retries only what is idempotent"),
    ("front", "own.toml", "timeout = 200", "timeout = '2m'", "client.timeout > gateway.attempts x gateway.timeout"),
    ("front", "own.toml", "idle = 30", "idle = 80", "client.idle < gateway.client_idle"),
    ("front", "gunicorn.conf.py", "timeout = 40", "timeout = 0", "gateway.timeout > server.timeout"),
    ("cluster", "shop.yaml", "sleep 15", "sleep 40", "orchestrator.grace > orchestrator.prestop + server.drain"),
    ("cluster", "shop.yaml", "      terminationGracePeriodSeconds: 60\n", "", "orchestrator.grace > server.drain"),
    ("cluster", "shop.yaml", "failureThreshold: 6", "failureThreshold: 1",
     "orchestrator.liveness_limit > server.longest_pause"),
    ("cluster", "shop.yaml", "periodSeconds: 5, ", "periodSeconds: 2, ", "orchestrator.startup_limit > server.start"),
    ("mesh", "envoy.yaml", "num_retries: 2", "num_retries: 4",
     "gateway.total_timeout >= gateway.attempts x gateway.timeout"),
    ("mesh", "envoy.yaml", "per_try_timeout: 4s", "per_try_timeout: 2s", "gateway.timeout > server.timeout"),
    ("mesh", "Procfile", "--keep-alive 55", "--keep-alive=5", "gateway.idle < server.idle"),
    ("stream", "producer.properties", "acks=all", "acks=1",
     "producer.acks is all if more than one replica must have it"),
    ("stream", "producer.properties", "delivery.timeout.ms=120000", "delivery.timeout.ms=30000",
     "producer.delivery_timeout >= linger + request_timeout"),
    ("stream", "producer.properties", "connection=5", "connection=10", "producer.in_flight <= 5 if it is idempotent"),
    ("stream", "producer.properties", "max.request.size=1000000", "max.request.size=5000000",
     "producer.max_message <= broker.max_message"),
    ("stream", "producer.properties", "compression.type=zstd", "compression.type=lz4",
     "producer.codec is one the consumer reads"),
    ("stream", "server.properties", "min.insync.replicas=2", "min.insync.replicas=3",
     "broker.min_in_sync < broker.replicas"),
    ("stream", "server.properties", "log.retention.hours=168", "log.retention.hours=72",
     "broker.retention > consumer.max_lag"),
    ("reading", "consumer.properties", "max.poll.interval.ms = 300000", "max.poll.interval.ms = 60000",
     "consumer.max_poll_interval > consumer.longest_processing"),
    ("reading", "consumer.properties", "heartbeat.interval.ms = 3000", "heartbeat.interval.ms = 20000",
     "member.heartbeat x 3 <= group.session_timeout"),
    ("reading", "consumer.properties", "session.timeout.ms = 45000", "session.timeout.ms = 3600000",
     "group.session_timeout is one the broker allows"),
    ("reading", "server.properties", "message.max.bytes=1048576", "message.max.bytes=10485760",
     "broker.max_message <= consumer.max_message"),
    ("stores", "redis.conf", "noeviction", "allkeys-lru", "cache.policy is noeviction if the cache is durable"),
    ("stores", "redis.conf", "maxmemory 400mb", "maxmemory 1gb", "cache.max_memory < orchestrator.memory"),
    ("stores", "redis.conf", "timeout 300", "timeout 60", "client.idle < cache.idle"),
    ("stores", "rabbitmq.conf", "consumer_timeout = 1800000", "consumer_timeout = 900000",
     "queue.visibility > worker.timeout"),
    ("stores", "rabbitmq.conf", "consumer_timeout = 1800000", "consumer_timeout = 1320000",
     "queue.visibility > task.longest_delay"),
    ("stores", "postgresql.conf", "max_connections = 100", "max_connections = 70",
     "app.instances x app.pool <= database.max_connections"),
    ("stores", "postgresql.conf", "'10min'", "60000", "app.pool_idle < database.idle"),
    ("composed", "compose.yaml", "stop_grace_period: 30s", "", "orchestrator.grace > server.drain"),
    ("composed", "compose.yaml", "replicas: 4", "replicas: 8", "app.instances x app.pool <= database.max_connections"),
    ("service", "shop.service", "TimeoutStopSec=30", "TimeoutStopSec=20", "orchestrator.grace > server.drain"),
    ("service", "shop.service", "WatchdogSec=20s", "WatchdogSec=10s", "orchestrator.watchdog > server.longest_pause"),
    ("service", "shop.service", "TimeoutStartSec=2min", "TimeoutStartSec=60",
     "orchestrator.startup_limit > server.start"),
    ("balanced", "haproxy.cfg", "timeout server  50000", "timeout server  30000", "gateway.timeout > server.timeout"),
    ("balanced", "haproxy.cfg", "retries 2", "retries 3", "client.timeout > gateway.attempts x gateway.timeout"),
    ("balanced", "haproxy.cfg", "http-keep-alive 65s", "http-keep-alive 60000", "client.idle < gateway.client_idle"),
]


def checked(folder, files):
    paths = []
    for name, text in files.items():
        (folder / name).write_text(text)
        paths.append(folder / name)
    return coherence.check(coherence.load(*paths))


@pytest.mark.parametrize("name", SETS)
def test_files_that_fit_are_looked_at_and_fit(tmp_path, name):
    report = checked(tmp_path, SETS[name])
    assert list(report) == [] and len(report.applied) >= 2 and report.fine, report


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0]}-{fault[4][:40].replace(' ', '_')}")
def test_each_planted_fault_is_found(tmp_path, fault):
    name, file, before, after, relation, *more = fault
    files = dict(SETS[name])
    assert before in files[file], "the planted place is gone"
    files[file] = files[file].replace(before, after)
    for old, new in more:
        files["gunicorn.conf.py"] = files["gunicorn.conf.py"].replace(old, new)
    assert relation in [broken.relation for broken in checked(tmp_path, files)]


def test_there_are_enough_files():
    assert sum(map(len, SETS.values())) >= 20 and len(FAULTS) >= 40
    assert len({kind for kind in readers.KINDS}) >= 12


def parsed(name, text, word):
    """The value in seconds or bytes."""
    service, _, setting = word.partition(".")
    return coherence.amount(word, readers.KINDS[name](text).settings[service][setting])


class TestUnits:
    """Each program's own, by its documentation."""

    @pytest.mark.parametrize(("kind", "text", "word", "value"), [
        ("nginx", "keepalive_timeout 10m;", "gateway.client_idle", 600),
        ("nginx", "client_max_body_size 10m;", "proxy.max_body", 10 * 2**20),
        ("nginx", "client_max_body_size 1g;", "proxy.max_body", 2**30),
        ("nginx", "client_max_body_size 0;", "proxy.max_body", math.inf),
        ("nginx", "proxy_read_timeout 1m30s;", "gateway.timeout", 90),
        ("nginx", "proxy_read_timeout 300;", "gateway.timeout", 300),
        ("nginx", "proxy_next_upstream_tries 0;", "gateway.attempts", math.inf),
        ("nginx", "large_client_header_buffers 4 16k;", "proxy.max_header", 16 * 1024),
        ("haproxy", "timeout server 30000", "gateway.timeout", 30),
        ("haproxy", "timeout server 30s", "gateway.timeout", 30),
        ("haproxy", "retries 3", "gateway.attempts", 4),
        ("gunicorn", "timeout = 0", "server.timeout", math.inf),
        ("gunicorn", "", "server.idle", 2), ("gunicorn", "graceful_timeout = 5.5", "server.drain", 5.5),
        ("command", "uvicorn app:app", "server.idle", 5),
        ("command", "exec /usr/bin/gunicorn -t 9 app", "server.timeout", 9),
        ("kafka", "log.retention.minutes=90\nlog.retention.hours=1", "broker.retention", 5400),
        ("kafka", "log.retention.ms=-1", "broker.retention", math.inf),
        ("kafka", "group.id: x\nlinger.ms: 5", "producer.linger", 0.005),
        ("redis", "maxmemory 2gb", "cache.max_memory", 2 * 2**30),
        ("redis", "maxmemory 2g", "cache.max_memory", 2e9), ("redis", "maxmemory 100", "cache.max_memory", 100),
        ("redis", "timeout 0", "cache.idle", math.inf), ("redis", "", "cache.idle", math.inf),
        ("rabbitmq", "consumer_timeout = 1800000", "queue.visibility", 1800),
        ("postgresql", "statement_timeout = 500", "database.statement_timeout", 0.5),
        ("postgresql", "statement_timeout = 0", "database.statement_timeout", math.inf),
        ("postgresql", "statement_timeout = '2min'", "database.statement_timeout", 120),
        ("postgresql", "idle_session_timeout 0", "database.idle", math.inf),
        ("systemd", "[Service]\nTimeoutStopSec=1min 30s", "orchestrator.grace", 90),
        ("systemd", "[Service]\nRestart=always", "orchestrator.grace", 90),
        ("compose", "services: {a: {image: x, mem_limit: 1g}}", "orchestrator.memory", 2**30),
    ])
    def test_of_a_program(self, kind, text, word, value):
        assert parsed(kind, text, word) == pytest.approx(value)

    @pytest.mark.parametrize(("memory", "size"), [("512Mi", 512 * 2**20), ("1Gi", 2**30), ("500M", 5e8), ("1G", 1e9)])
    def test_of_kubernetes(self, memory, size):
        assert parsed("kubernetes", DEPLOYMENT.replace("512Mi", memory), "orchestrator.memory") == size

    @pytest.mark.parametrize("word", ["client.timeout", "proxy.max_body", "broker.retention", "client.attempts"])
    @pytest.mark.parametrize("none", [-1, "-1", "off", "unlimited"])
    def test_no_limit(self, word, none):
        assert coherence.amount(word, none) == math.inf

    def test_connections_that_are_not_kept_and_those_kept_for_ever(self):
        assert isinstance(coherence.amount("server.idle", 0), Off) and coherence.amount("server.idle", -1) == math.inf
        assert coherence.check({"client": {"idle": 60}, "server": {"idle": "off"}}).applied == []
        assert list(coherence.check({"client": {"idle": 60}, "server": {"idle": "never"}})) == []

    @pytest.mark.parametrize("written", ["off", "no", "false", False, 0])
    def test_false_is_not_true(self, written):
        values = {"client": {"attempts": 3}, "server": {"idempotent": written}}
        assert [one.relation for one in coherence.check(values)] == ["client retries only what is idempotent"]


class TestReport:
    def test_nothing_that_applies_is_not_fine(self):
        for nothing in ({}, {"alb": {"idle_timeout": 60}}, {"gateway": {"timeout": 3}}):
            report = coherence.check(nothing)
            assert list(report) == [] and not report.fine
            assert repr(report).startswith(f"nothing was checked: 0 of {len(coherence.RELATIONS)} relations applied")

    def test_a_misspelt_setting_is_named_with_its_neighbour(self):
        report = coherence.check({"gateway": {"time_out": 1, "idle": 5}, "server": {"idle": 9}, "alb": {"wibble": 3}})
        assert "not understood: gateway.time_out (did you mean gateway.timeout?), alb.wibble" in repr(report)
        assert report.applied == ["gateway.idle < server.idle"] and not report.fine

    def test_a_misspelt_directive_is_named_too(self, tmp_path):
        (tmp_path / "nginx.conf").write_text(NGINX.replace("proxy_read_timeout", "proxy_read_timout"))
        report = coherence.check(coherence.load(tmp_path / "nginx.conf"))
        assert "nginx.conf: proxy_read_timout (did you mean proxy_read_timeout?)" in repr(report)

    def test_what_applied_and_holds_is_counted(self):
        report = coherence.check({"gateway": {"idle": 5}, "server": {"idle": 9}})
        assert report.fine and repr(report) == f"1 of {len(coherence.RELATIONS)} relations applied, and hold"

    def test_two_places_with_two_values_are_both_looked_at(self, tmp_path):
        (tmp_path / "nginx.conf").write_text("location /a { proxy_pass http://a; proxy_read_timeout 90; }"
                                             "location /b { proxy_pass http://a; proxy_read_timeout 5; }")
        (tmp_path / "gunicorn.conf.py").write_text(GUNICORN)
        report = coherence.check(coherence.load(tmp_path / "nginx.conf", tmp_path / "gunicorn.conf.py"))
        assert "gateway.timeout = '5', server.timeout = '40'" in repr(report)

    def test_a_default_says_that_it_is_one(self, tmp_path):
        (tmp_path / "nginx.conf").write_text("location / { proxy_pass http://a; }")
        (tmp_path / "own.toml").write_text("[server]\nmax_body = '5 MB'\n")
        report = coherence.check(coherence.load(tmp_path / "nginx.conf", tmp_path / "own.toml"))
        assert "proxy.max_body = 1m (default)" in repr(report)


class TestBadInput:
    @pytest.mark.parametrize(("word", "value", "said"), [
        ("client.attempts", 0, "client.attempts = 0: must be a whole number >= 1"), ("client.attempts", 1.5, "1.5"),
        ("client.idle", -5, "client.idle = -5: must be a time"), ("client.timeout", "soon", "client.timeout = 'soon'"),
        ("client.timeout", "3 fortnights", "unknown unit 'fortnights'; must be one of ns"),
        ("client.timeout", True, "client.timeout = True"), ("client.timeout", float("nan"), "nan"),
        ("server.idempotent", "perhaps", "server.idempotent = 'perhaps': must be true or false"),
        ("server.drain", -1, "server.drain = -1: must be a time >= 0"), ("cache.policy", 3, "must be a text"),
        ("consumer.codecs", 3, "must be a list of texts"), ("proxy.max_body", "1 tonne", "unknown unit 'tonne'"),
    ])
    def test_a_value_its_kind_does_not_have(self, word, value, said):
        with pytest.raises(ValueError) as refused:
            coherence.amount(word, value)
        assert said in str(refused.value)

    @pytest.mark.parametrize(("name", "text", "said"), [
        ("nginx.conf", "http { server {", "nginx.conf: the block server is not closed"), ("nginx.conf", "}",
         "a } without"),
        ("nginx.conf", "proxy_next_upstream_tries many;", "proxy_next_upstream_tries 'many'"),
        ("gunicorn.conf.py", "timeout = = 3", "gunicorn.conf.py: line 1"), ("haproxy.cfg", "retries many",
         "retries 'many'"),
        ("shop.yaml", "a: [", "shop.yaml: "), ("what.conf", "x = 1",
         "cannot tell what this is; say kind=, one of nginx"),
        ("a.toml", "x = 1", "a.toml: x = 1: must be a table of settings"), ("b.yaml", "- 1",
         "must be a table of services"),
    ])
    def test_a_file_that_cannot_be_read(self, tmp_path, name, text, said):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError) as refused:
            coherence.load(tmp_path / name)
        assert said in str(refused.value) and name in str(refused.value)

    def test_a_kind_that_is_none(self, tmp_path):
        with pytest.raises(ValueError, match="kind = 'apache': must be one of 'nginx'"):
            readers.read(tmp_path / "x", "apache")

    def test_what_is_computed_is_not_run(self, tmp_path):
        (tmp_path / "gunicorn.conf.py").write_text("import os\ntimeout = int(os.environ['T'])\nkeepalive = 9\n")
        found = readers.read(tmp_path / "gunicorn.conf.py")
        assert found.settings["server"]["idle"] == "9" and "timeout" not in found.settings["server"]
        assert found.unknown == ["timeout"]
