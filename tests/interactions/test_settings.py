"""Each reader against its program's documentation: units, sentinels, defaults, inheritance; and bad files named."""

import math

import pytest

from labkit.interactions import coherence, settings

ENVOY = """
static_resources:
  listeners:
  - filter_chains:
    - filters:
      - typed_config:
          common_http_protocol_options: {{ idle_timeout: {client_idle} }}
          route_config:
            virtual_hosts:
            - routes:
              - match: {{ prefix: / }}
                route:
                  cluster: app
                  {route}
  clusters:
  - name: app
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        common_http_protocol_options: {{ idle_timeout: {idle} }}
"""
POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: shop }}
spec:
  replicas: 4
  template:
    spec:
      {grace}
      containers:
      - name: web
        {container}
"""


def nginx(inside, upstream="server a;"):
    return f"http {{ upstream app {{ {upstream} }} server {{ location / {{ proxy_pass http://app; {inside} }} }} }}"


def envoy(route="timeout: 3s", client_idle="60s", idle="30s"):
    return ENVOY.format(route=route, client_idle=client_idle, idle=idle)


def pod(container="image: x", grace=""):
    return POD.format(container=container, grace=grace)


MIB = 2**20
TABLE = [  # kind, text, word, value
    ("nginx", nginx("client_max_body_size 10m;"), "proxy.max_body", 10 * MIB),
    ("nginx", nginx("client_max_body_size 0;"), "proxy.max_body", math.inf),
    ("nginx", nginx("client_max_body_size 2g;"), "proxy.max_body", 2048 * MIB),
    ("nginx", nginx(""), "proxy.max_body", MIB),
    ("nginx", nginx("proxy_read_timeout 10m;"), "gateway.timeout", 600),
    ("nginx", nginx("proxy_read_timeout 1m30s;"), "gateway.timeout", 90),
    ("nginx", nginx("proxy_read_timeout 500ms;"), "gateway.timeout", 0.5),
    ("nginx", nginx("proxy_read_timeout 90;"), "gateway.timeout", 90),
    ("nginx", nginx("proxy_read_timeout 1M;"), "gateway.timeout", 30 * 86400),
    ("nginx", nginx(""), "gateway.timeout", 60),
    ("nginx", nginx("keepalive_timeout 75s 60s;"), "gateway.client_idle", 75),
    ("nginx", nginx("keepalive_timeout 0;"), "gateway.client_idle", 0),
    ("nginx", nginx(""), "gateway.idle", 0),
    ("nginx", nginx("", "server a; keepalive 8;"), "gateway.idle", 0),
    ("nginx", nginx("proxy_http_version 1.1;", "server a; keepalive 8;"), "gateway.idle", 60),
    ("nginx", nginx("proxy_http_version 1.1;", "server a; keepalive 8; keepalive_timeout 5s;"), "gateway.idle", 5),
    ("nginx", nginx("", "server a; server b; server c;"), "gateway.attempts", 3),
    ("nginx", nginx("proxy_next_upstream_tries 2;", "server a; server b; server c;"), "gateway.attempts", 2),
    ("nginx", nginx("proxy_next_upstream off;", "server a; server b;"), "gateway.attempts", 1),
    ("nginx", nginx("proxy_next_upstream error timeout;"), "gateway.retries_posts", False),
    ("nginx", nginx("proxy_next_upstream error non_idempotent;"), "gateway.retries_posts", True),
    ("nginx", nginx("proxy_next_upstream_timeout 0;"), "gateway.deadline", math.inf),
    ("nginx", nginx("underscores_in_headers on;"), "proxy.underscores_in_headers", True),
    ("nginx", "worker_rlimit_nofile 1024; events { worker_connections 512; }", "process.open_files", 1024),
    ("nginx", "# a { comment\nhttp { proxy_read_timeout 3s; # }\nserver { location / { proxy_pass 'http://x;y'; } } }",
     "gateway.timeout", 3),
    ("haproxy", "defaults\n timeout server 30s\nbackend b\n server a 10.0.0.1", "gateway.timeout", 30),
    ("haproxy", "defaults\n timeout server 30000\nbackend b\n server a 10.0.0.1", "gateway.timeout", 30),
    ("haproxy", "defaults\n timeout server 9s\nbackend b\n timeout server 1m", "gateway.timeout", 60),
    ("haproxy", "frontend f\n timeout http-keep-alive 10s", "gateway.client_idle", 10),
    ("haproxy", "backend b\n retries 2", "gateway.attempts", 1),
    ("haproxy", "backend b\n retries 2\n retry-on response-timeout 503", "gateway.attempts", 3),
    ("haproxy", "backend b\n retry-on all-retryable-errors", "gateway.retries_posts", True),
    ("haproxy", "backend b\n retry-on 503\n http-request disable-l7-retry if METH_POST", "gateway.retries_posts",
     False),
    ("haproxy", "backend b\n server a 10.0.0.1 pool-purge-delay 7s", "gateway.idle", 7),
    ("gunicorn", "timeout = 0", "server.timeout", math.inf),
    ("gunicorn", "worker_class = 'gthread'", "server.idle", 2),
    ("gunicorn", "worker_class = 'gthread'\nkeepalive = 75", "server.idle", 75),
    ("gunicorn", "keepalive = 75", "server.idle", 0),
    ("gunicorn", "threads = 4\nkeepalive = 75", "server.idle", 75),
    ("gunicorn", "import os\nbind = os.environ['B']", "server.drain", 30),
    ("command", "gunicorn app:app -k uvicorn.workers.UvicornWorker --keep-alive 7 -t 90", "server.timeout", 90),
    ("command", "gunicorn app:app -k uvicorn.workers.UvicornWorker --keep-alive=7", "server.idle", 7),
    ("command", "exec uvicorn app:app --host 0.0.0.0", "server.idle", 5),
    ("command", "uvicorn app:app --timeout-keep-alive 75 --reload", "server.idle", 75),
    ("command", "python -m uvicorn app:app --timeout-graceful-shutdown 20", "server.drain", 20),
    ("command", "uvicorn app:app", "server.drain", math.inf),
    ("envoy", envoy(), "gateway.timeout", 3),
    ("envoy", envoy("timeout: 0s"), "gateway.timeout", math.inf),
    ("envoy", envoy("prefix_rewrite: /x"), "gateway.timeout", 15),
    ("envoy", envoy("retry_policy: { retry_on: 5xx }"), "gateway.attempts", 2),
    ("envoy", envoy("retry_policy: { retry_on: 5xx, num_retries: 3, per_try_timeout: 0.25s }"),
     "gateway.timeout", 0.25),
    ("envoy", envoy("retry_policy: { retry_on: 5xx, num_retries: 3, per_try_timeout: 0.25s }"),
     "gateway.deadline", 15),
    ("envoy", envoy("retry_policy: { retry_on: 'connect-failure, refused-stream' }"), "gateway.retries_posts", False),
    ("envoy", envoy("retry_policy: { retry_on: reset }"), "gateway.retries_posts", True),
    ("envoy", envoy(idle="0s"), "gateway.idle", math.inf), ("envoy", envoy(), "gateway.client_idle", 60),
    ("kafka", "group.id=g\nmax.poll.interval.ms=600000", "consumer.max_poll_interval", 600),
    ("kafka", "group.id=g", "consumer.max_poll_interval", 300), ("kafka", "group.id=g", "group.session_timeout", 45),
    ("kafka", "acks=all\nlinger.ms: 5", "producer.linger", 0.005),
    ("kafka", "broker.id=1\nlog.retention.ms=-1", "broker.retention", math.inf),
    ("kafka", "log.retention.hours=168\nlog.retention.ms=3600000", "broker.retention", 3600),
    ("kafka", "broker.id=1\nmessage.max.bytes=1048588", "broker.max_message", 1048588),
    ("kafka", "message.max.bytes=1000000", "producer.max_message", 1e6),
    ("kafka", "! a remark\n# another\ncompression.type=ZSTD", "producer.codec", "zstd"),
    ("redis", "maxmemory 1k", "cache.max_memory", 1000), ("redis", "maxmemory 1kb", "cache.max_memory", 1024),
    ("redis", "maxmemory 2gb", "cache.max_memory", 2**31), ("redis", "maxmemory 0", "cache.max_memory", math.inf),
    ("redis", "timeout 0", "cache.idle", math.inf), ("redis", "timeout 300", "cache.idle", 300),
    ("redis", "maxmemory-policy allkeys-lru # note", "cache.policy", "allkeys-lru"),
    ("rabbitmq", "consumer_timeout = 3600000", "queue.visibility", 3600), ("rabbitmq", "", "queue.visibility", 1800),
    ("rabbitmq", "heartbeat = 60", "queue.heartbeat", 60),
    ("postgresql", "statement_timeout = 30000", "database.statement_timeout", 30),
    ("postgresql", "statement_timeout = '30s'", "database.statement_timeout", 30),
    ("postgresql", "statement_timeout 5min", "database.statement_timeout", 300),
    ("postgresql", "statement_timeout = 0", "database.statement_timeout", math.inf),
    ("postgresql", "wal_receiver_status_interval = 10 # s", "database.status_interval", 10),
    ("postgresql", "max_connections = 200", "database.reserved", 3),
    ("kubernetes", pod(), "orchestrator.grace", 30), ("kubernetes", pod(), "app.instances", 4),
    ("kubernetes", pod(grace="terminationGracePeriodSeconds: 0"), "orchestrator.grace", 0),
    ("kubernetes", pod("lifecycle: { preStop: { sleep: { seconds: 20 } } }"), "orchestrator.pre_stop", 20),
    ("kubernetes", pod("lifecycle: { preStop: { exec: { command: [sh, -c, 'sleep 15 && x'] } } }"),
     "orchestrator.pre_stop", 15),
    ("kubernetes", pod("resources: { limits: { memory: 512Mi } }"), "container.memory", 512 * MIB),
    ("kubernetes", pod("resources: { limits: { memory: 512M } }"), "container.memory", 512e6),
    ("kubernetes", pod("resources: { limits: { memory: 512000m } }"), "container.memory", 512),
    ("kubernetes", pod("livenessProbe: { periodSeconds: 5 }"), "orchestrator.liveness_after", 15),
    ("kubernetes", pod("args: ['gunicorn', 'a:a', '-t', '45']"), "server.timeout", 45),
    ("compose", "services: { web: { command: uvicorn a:a } }", "orchestrator.grace", 10),
    ("compose", "services: { web: { command: uvicorn a:a, stop_grace_period: 1m30s } }", "orchestrator.grace", 90),
    ("compose", "services: { r: { mem_limit: 512m, command: redis-server --maxmemory 1gb } }",
     "container.memory", 512 * MIB),
    ("compose", "services: { r: { command: [redis-server, --maxmemory-policy, allkeys-lru] } }",
     "cache.policy", "allkeys-lru"),
    ("compose", "services: { db: { command: postgres -c max_connections=50 } }", "database.max_connections", 50),
    ("systemd", "[Service]\nExecStart=/usr/bin/gunicorn a:a --timeout 60", "server.timeout", 60),
    ("systemd", "[Service]\nTimeoutStopSec=5min 20s", "orchestrator.grace", 320),
    ("systemd", "[Service]\nTimeoutStopSec=infinity", "orchestrator.grace", math.inf),
    ("systemd", "[Service]\nType=simple", "orchestrator.grace", 90),
    ("systemd", "[Service]\nRestart=always", "supervisor.restart_delay", 0.1)]


def value(loaded, word):
    service, _, name = word.partition(".")
    written = loaded[service][name]
    assert not isinstance(written, settings.Several), written
    return written.value


@pytest.mark.parametrize("kind,text,word,expected", TABLE)
def test_a_reader_says_what_its_programs_documentation_says(kind, text, word, expected):
    assert value(settings.read_text(text, kind), word) == pytest.approx(expected)


def test_two_places_with_two_values_are_both_checked():
    text = ("http { server { location / { proxy_pass http://a; proxy_read_timeout 60s; } "
            "location /slow { proxy_pass http://a; proxy_read_timeout 5s; } } }")
    read = settings.read_text(text, "nginx", "nginx.conf")
    assert [each.value for each in read["gateway"]["timeout"]] == [60, 5]
    server = settings.Configuration({"server": {"timeout": 30}})
    assert "proxy_read_timeout 5s (nginx.conf)" in repr(coherence.check(coherence.load(read, server))[0])


def test_a_default_is_in_force_where_another_place_says_something_else():
    text = ("http { server { location /slow { proxy_pass http://a; proxy_read_timeout 5m; } "
            "location / { proxy_pass http://a; } } }")
    read = settings.read_text(text, "nginx", "nginx.conf")
    assert [each.value for each in read["gateway"]["timeout"]] == [300, 60]
    assert "60s (default of nginx.conf)" in repr(read["gateway"]["timeout"][1])


def test_an_inherited_value_that_is_overruled_everywhere_is_not_one():
    text = "http { proxy_read_timeout 1s; server { location / { proxy_pass http://a; proxy_read_timeout 60s; } } }"
    assert value(settings.read_text(text, "nginx"), "gateway.timeout") == 60


@pytest.mark.parametrize("kind,text,meant", [
    ("nginx", "http { server { keepalive_timout 5; } }", "keepalive_timeout"),
    ("haproxy", "frontend f\n timeout clients 5s", "timeout client"), ("gunicorn", "keep_alive = 5", "keepalive"),
    ("kafka", "group.id=g\nmax.poll.intervall.ms=5", "max.poll.interval.ms"),
    ("redis", "maxmemory-polcy x", "maxmemory-policy"),
    ("postgresql", "max_connection = 5", "max_connections"), ("rabbitmq", "consumer_timeouts = 5", "consumer_timeout")])
def test_a_misspelt_setting_is_named_with_its_neighbour(kind, text, meant):
    read = settings.read_text(text, kind, "the file")
    assert meant in read.unread.values()
    found = coherence.check(read)
    assert not found.fits and f"is {meant} meant?" in repr(found)


# names of the documentation that are no misspelt other ones, nearest first
REAL = [("nginx", "http {{ server {{ {} 5s; }} }}", ["fastcgi_send_timeout", "keepalive_time", "proxy_send_timeout"]),
        ("kafka", "broker.id=1\n{}=5", ["replica.fetch.min.bytes", "log.retention.bytes"]),
        ("kafka", "group.id=g\n{}=5", ["fetch.min.bytes", "message.copy.max.bytes", "max.poll.records"]),
        ("haproxy", "defaults\n {} 5s", ["timeout client-fin", "timeout connect", "timeout queue"]),
        ("postgresql", "{} = 5", ["wal_receiver_timeout", "transaction_timeout", "max_wal_senders"]),
        ("redis", "{} 5", ["maxmemory-samples", "tcp-keepalive", "maxclients"]),
        ("systemd", "[Service]\n{}=5", ["TimeoutStartSec", "WatchdogSec", "LimitNPROC"])]


@pytest.mark.parametrize("kind,text,names", REAL)
def test_another_setting_is_not_taken_for_a_misspelt_one(kind, text, names):
    for name in names:
        assert set(settings.read_text(text.format(name), kind).unread.values()) == {""}, name


@pytest.mark.parametrize("kind,text,word", [
    ("gunicorn", "timeout = int(os.environ['T'])", "server.timeout"),
    ("compose", "services: { web: { build: ., stop_grace_period: '${GRACE}' } }", "orchestrator.grace"),
    ("command", "gunicorn a:a -t $T", "server.timeout"),
    ("haproxy", "backend b\n timeout server ${T}", "gateway.timeout")])
def test_what_only_the_running_program_knows_is_not_guessed(kind, text, word):
    read = settings.read_text(text, kind)
    service, _, name = word.partition(".")
    assert name not in read.get(service, {}) and any("$" in each for each in read.unread)


@pytest.mark.parametrize("kind,spec", [
    ("Pod", "{ terminationGracePeriodSeconds: 7, containers: [{}] }"),
    ("CronJob", "{ jobTemplate: { spec: { template: { spec: "
     "{ terminationGracePeriodSeconds: 7, containers: [{}] } } } } }"),
    ("StatefulSet", "{ template: { spec: { terminationGracePeriodSeconds: 7, containers: [{}] } } }")])
def test_every_kind_that_has_pods_is_read(kind, spec):
    text = f"apiVersion: v1\nkind: {kind}\nmetadata: {{ name: x }}\nspec: {spec}"
    assert value(settings.read_text(text, "kubernetes"), "orchestrator.grace") == 7
    listed = "apiVersion: v1\nkind: List\nitems:\n- " + text.replace("\n", "\n  ")
    assert value(settings.read_text(listed, "kubernetes"), "orchestrator.grace") == 7


def test_properties_may_be_empty_and_go_on_in_the_next_line():
    read = settings.read_text("group.id=g\nsasl.jaas.config=\nssl.protocols=a,\\\n  b\n", "kafka")
    assert set(read.unread) == {"kafka: group.id", "kafka: sasl.jaas.config", "kafka: ssl.protocols"}


def test_a_setting_of_no_relation_is_counted_and_not_called_misspelt():
    text = "http { sendfile on; server { location / { proxy_pass http://a; proxy_send_timeout 3s; } } }"
    read = settings.read_text(text, "nginx")
    assert set(read.unread.values()) == {""} and len(read.unread) == 2
    assert "2 more settings of the files are in no relation" in repr(coherence.check(read))


@pytest.mark.parametrize("kind,text,complaint", [
    ("nginx", "http { server {", "nginx, line 1: the file ends inside 'server'"),
    ("nginx", "http { a b }", "nginx, line 1: a b: a semicolon"),
    ("nginx", "}", "line 1: }: a semicolon or an opening"),
    ("nginx", nginx("client_max_body_size 10x;"), "nginx: client_max_body_size = '10x': unknown unit 'x'"),
    ("haproxy", "timeout client 5s", "line 1: 'timeout': must stand in a section"),
    ("haproxy", "backend b\n timeout server soon", "timeout server = 'soon': must be a number"),
    ("gunicorn", "timeout = (", "gunicorn, line 1: "), ("gunicorn", "timeout = 'x'", "gunicorn: timeout = 'x'"),
    ("kafka", "group.id", "kafka, line 1: 'group.id': must be a name and a value"),
    ("redis", "maxmemory 5 apples", "redis: maxmemory = '5 apples': unknown unit 'apples'"),
    ("postgresql", "statement_timeout = 5m", "unknown unit 'm'; must be one of us, ms, s, min, h, d"),
    ("envoy", "- 1", "envoy: must be a YAML mapping"), ("envoy", "a: [", "envoy: "),
    ("compose", "", "compose: must be"),
    ("systemd", "TimeoutStopSec=5", "systemd: "), ("toml", "", "kind = 'toml': must be one of nginx"),
    ("command", "gunicorn 'a", "No closing quotation")])
def test_a_bad_file_is_named_with_the_place(kind, text, complaint):
    with pytest.raises(ValueError, match=complaint.replace("(", r"\(").replace("}", r"\}")):
        settings.read_text(text, kind)


@pytest.mark.parametrize("name,text,kind", [
    ("nginx.conf", "", "nginx"), ("shop.conf", "server {\n}", "nginx"), ("haproxy.cfg", "", "haproxy"),
    ("x.cfg", "defaults\n mode http", "haproxy"), ("gunicorn.conf.py", "", "gunicorn"), ("redis.conf", "", "redis"),
    ("rabbitmq.conf", "", "rabbitmq"), ("postgresql.conf", "", "postgresql"), ("consumer.properties", "", "kafka"),
    ("web.service", "", "systemd"), ("d.yaml", "apiVersion: v1", "kubernetes"),
    ("compose.yml", "services:", "compose"),
    ("envoy.yaml", "static_resources:", "envoy"), ("own.yaml", "client: {}", ""), ("own.toml", "", ""),
    ("start.sh", "uvicorn a:a", "command"), ("nginx-deployment.yaml", "apiVersion: v1", "kubernetes")])
def test_a_file_is_known_by_its_name_or_its_text(name, text, kind):
    assert settings.kind_of(name, text) == kind


def test_what_was_written_counts_more_than_a_default_and_a_clash_is_named(tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("timeout = 90\nworker_class = 'gthread'\nkeepalive = 5")
    (tmp_path / "compose.yml").write_text("services: { web: { command: gunicorn a:a -c gunicorn.conf.py } }")
    for names in (("gunicorn.conf.py", "compose.yml"), ("compose.yml", "gunicorn.conf.py")):
        read = coherence.load(*(tmp_path / name for name in names))
        assert value(read, "server.timeout") == 90 and value(read, "server.idle") == 5
    (tmp_path / "own.toml").write_text("[server]\ntimeout = 30")
    with pytest.raises(ValueError, match="own.toml: server.timeout = 30: another file says timeout 90"):
        coherence.load(tmp_path / "gunicorn.conf.py", tmp_path / "own.toml")
    edge = settings.read_text("frontend f\n timeout http-keep-alive 90s\nbackend b\n timeout server 30s",
                              "haproxy", gateway="edge")
    read = coherence.load(edge, settings.read_text(nginx("keepalive_timeout 65s;"), "nginx"))
    assert value(read, "edge.timeout") == 30 and value(read, "gateway.timeout") == 60
