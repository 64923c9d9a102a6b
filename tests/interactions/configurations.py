"""Configurations of services as teams write them, each with one planted fault, and their twins without it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Planted:
    """`files`: name -> text; `broken`: the relations that do not hold; `own`: settings that stand in no file."""

    files: dict[str, str]
    twin: dict[str, str]
    broken: set[str]
    own: dict[str, dict[str, Any]] = field(default_factory=dict)


NGINX = """
user www-data;
worker_processes auto;
events { worker_connections 1024; }
http {
    include mime.types;
    sendfile on;
    log_format main '$remote_addr "$request" $status';
    keepalive_timeout 65;
    upstream shop {
        server 10.0.0.11:8000;
        server 10.0.0.12:8000 backup;
        keepalive 32;
    }
    server {
        listen 443 ssl;
        server_name shop.example;
        location / {
            proxy_pass http://shop;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 60s;
        }
    }
}
"""
GUNICORN = """
import multiprocessing
bind = "0.0.0.0:8000"
workers = multiprocessing.cpu_count() * 2 + 1
worker_class = "gthread"
threads = 8
timeout = 30
graceful_timeout = 30
keepalive = 75
accesslog = "-"
"""
COMPOSE = """
services:
  web:
    build: .
    command: gunicorn shop.wsgi:application -c gunicorn.conf.py
    stop_grace_period: 45s
    environment: { DJANGO_SETTINGS_MODULE: shop.settings }
    depends_on: [cache]
  cache:
    image: redis:7
    command: ["redis-server", "--maxmemory", "256mb", "--maxmemory-policy", "noeviction"]
    mem_limit: 512m
"""
HAPROXY = """
global
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client  1m
    timeout server  50s
    timeout http-keep-alive 10s
frontend www
    bind *:443 ssl crt /etc/ssl/shop.pem
    default_backend app
backend app
    balance leastconn
    retries 2
    server app1 10.0.0.21:8080 check
    server app2 10.0.0.22:8080 check
"""
ENVOY = """
static_resources:
  listeners:
  - name: ingress
    address: { socket_address: { address: 0.0.0.0, port_value: 8443 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          stat_prefix: ingress
          common_http_protocol_options: { idle_timeout: 900s }
          route_config:
            virtual_hosts:
            - name: pay
              domains: ["*"]
              routes:
              - match: { prefix: /pay }
                route:
                  cluster: pay
                  timeout: 15s
                  retry_policy: { retry_on: "connect-failure,refused-stream", num_retries: 2, per_try_timeout: 4s }
  clusters:
  - name: pay
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        common_http_protocol_options: { idle_timeout: 4s }
        explicit_http_config: { http_protocol_options: {} }
"""
KUBERNETES = """
apiVersion: v1
kind: Service
metadata: { name: pay }
spec: { selector: { app: pay }, ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: pay }
spec:
  replicas: 6
  selector: { matchLabels: { app: pay } }
  template:
    metadata: { labels: { app: pay } }
    spec:
      terminationGracePeriodSeconds: 60
      containers:
      - name: pay
        image: registry.example/pay:7
        command: ["uvicorn", "pay:app", "--timeout-keep-alive", "5", "--timeout-graceful-shutdown", "25"]
        lifecycle: { preStop: { exec: { command: ["sh", "-c", "sleep 20"] } } }
        livenessProbe: { httpGet: { path: /live, port: 8000 }, periodSeconds: 10, failureThreshold: 3 }
        resources: { limits: { memory: 512Mi } }
"""
BROKER = """
# server.properties
broker.id=3
listeners=PLAINTEXT://:9092
log.dirs=/var/lib/kafka
message.max.bytes=1048588
replica.fetch.max.bytes=1048588
log.retention.hours=168
min.insync.replicas=2
default.replication.factor=3
replica.lag.time.max.ms=30000
transaction.max.timeout.ms=900000
"""
CONSUMER = """
bootstrap.servers=kafka:9092
group.id=billing
session.timeout.ms=45000
heartbeat.interval.ms=15000
max.poll.interval.ms=900000
enable.auto.commit=false
"""
PRODUCER = """
bootstrap.servers=kafka:9092
acks=all
enable.idempotence=true
max.in.flight.requests.per.connection=5
linger.ms=20
request.timeout.ms=31000
delivery.timeout.ms=120000
max.request.size=1000000
transaction.timeout.ms=60000
"""
REDIS = """
bind 127.0.0.1
maxmemory 400mb
maxmemory-policy noeviction
timeout 300
repl-ping-replica-period 10
repl-timeout 60
save ""
"""
RABBITMQ = """
listeners.tcp.default = 5672
heartbeat = 60
consumer_timeout = 7200000
max_message_size = 16777216
"""
POSTGRES = """
listen_addresses = '*'
max_connections = 200                   # (change requires restart)
shared_buffers = 128MB
statement_timeout = 20s
lock_timeout = 5s
deadlock_timeout = 1s
idle_session_timeout = 10min
wal_sender_timeout = 60s
wal_receiver_status_interval = 10
"""
UNIT = """
[Unit]
Description=The shop
After=network.target
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
ExecStart=/srv/shop/bin/gunicorn shop.wsgi --workers 4 --timeout 30 --graceful-timeout 30
Restart=on-failure
RestartSec=2s
TimeoutStopSec=40
LimitNOFILE=65536
"""


def planted(name: str, text: str, old: str, new: str, *broken: str, **more: Any) -> Planted:
    """The file with `new` in the place of `old`; its twin is the file as it was."""
    assert old in text
    others = more.pop("files", {})
    return Planted({name: text.replace(old, new), **others}, {name: text, **others}, set(broken), more)


GATEWAY, GRACE = "gateway.idle < server.idle", "orchestrator.grace > orchestrator.pre_stop + server.drain"
WEB = {"nginx.conf": NGINX, "compose.yml": COMPOSE}
ALL = {
    "nginx in front of gunicorn's 2 s": planted(
        "gunicorn.conf.py", GUNICORN, "keepalive = 75\n", "", GATEWAY, files=WEB),
    "nginx gives up first": planted(
        "gunicorn.conf.py", GUNICORN, "\ntimeout = 30", "\ntimeout = 120",
        "gateway.timeout > server.timeout", "server.drain >= server.timeout", files=WEB),
    "one location gives up first": planted(
        "nginx.conf", NGINX, "        location / {", "        location /report { proxy_pass http://shop; "
        "proxy_read_timeout 20s; }\n        location / {", "gateway.timeout > server.timeout",
        files={"gunicorn.conf.py": GUNICORN}),
    "a POST is sent to the next server": planted(
        "nginx.conf", NGINX, "proxy_read_timeout 60s;", "proxy_read_timeout 60s; proxy_next_upstream error timeout "
        "non_idempotent;", "gateway retries only what is idempotent", server={"idempotent": "no"}),
    "the limit nobody wrote": planted(
        "nginx.conf", NGINX.replace("sendfile on;", "sendfile on; client_max_body_size 20m;"),
        "client_max_body_size 20m;", "", "proxy.max_body >= server.max_body", server={"max_body": "20m"}),
    "a header with an underscore": planted(
        "nginx.conf", NGINX.replace("sendfile on;", "underscores_in_headers on;"), "underscores_in_headers on;", "",
        "proxy passes headers with underscores if the server needs them", server={"headers": "tenant_id,x-id"}),
    "files for 1,024 connections": planted(
        "nginx.conf", "worker_rlimit_nofile 8192;" + NGINX, "worker_rlimit_nofile 8192;", "worker_rlimit_nofile 1024;",
        "process.open_files > 2 x process.connections"),
    "Compose kills after ten seconds": planted(
        "compose.yml", COMPOSE, "    stop_grace_period: 45s\n", "", GRACE, files={"gunicorn.conf.py": GUNICORN}),
    "Redis in too small a container": planted(
        "compose.yml", COMPOSE, "mem_limit: 512m", "mem_limit: 256m", "cache.max_memory < container.memory"),
    "jobs in a cache": planted(
        "compose.yml", COMPOSE, "noeviction", "allkeys-lru", "cache.policy is noeviction if the cache is durable",
        cache={"durable": "yes"}),
    "HAProxy in milliseconds": planted(
        "haproxy.cfg", HAPROXY, "timeout server  50s", "timeout server  50", "gateway.timeout > server.timeout",
        files={"gunicorn.conf.py": GUNICORN}),
    "HAProxy resends": planted(
        "haproxy.cfg", HAPROXY, "    retries 2\n", "    retries 2\n    retry-on conn-failure response-timeout 503\n",
        "gateway retries only what is idempotent", server={"idempotent": False}),
    "Envoy keeps what uvicorn closes": planted(
        "envoy.yaml", ENVOY, "idle_timeout: 4s", "idle_timeout: 60s", GATEWAY, files={"pay.yaml": KUBERNETES}),
    "Envoy's route ends its retries": planted(
        "envoy.yaml", ENVOY, "per_try_timeout: 4s", "per_try_timeout: 6s",
        "gateway.deadline > gateway.attempts x gateway.timeout"),
    "Envoy retries payments": planted(
        "envoy.yaml", ENVOY, '"connect-failure,refused-stream"', '"5xx,reset"',
        "gateway retries only what is idempotent", server={"idempotent": "off"}),
    "preStop eats the grace": planted(
        "pay.yaml", KUBERNETES, "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 30", GRACE),
    "a pause longer than the probe": planted(
        "pay.yaml", KUBERNETES, "failureThreshold: 3", "failureThreshold: 1",
        "orchestrator.liveness_after > server.longest_pause", server={"longest_pause": "12s"}),
    "seven minutes of work in five": planted(
        "consumer.properties", CONSUMER, "max.poll.interval.ms=900000\n", "",
        "consumer.max_poll_interval > consumer.processing", consumer={"processing": "7m"}),
    "one lost heartbeat": planted(
        "consumer.properties", CONSUMER, "heartbeat.interval.ms=15000", "heartbeat.interval.ms=20000",
        "member.heartbeat x 3 <= group.session_timeout"),
    "a large message": planted(
        "producer.properties", PRODUCER, "max.request.size=1000000", "max.request.size=5000000",
        "producer.max_message <= broker.max_message", files={"server.properties": BROKER}),
    "replicas that cannot follow": planted(
        "server.properties", BROKER, "message.max.bytes=1048588\n", "message.max.bytes=10485880\n",
        "broker.max_message <= broker.replica_fetch"),
    "all copies for every write": planted(
        "server.properties", BROKER, "min.insync.replicas=2", "min.insync.replicas=3",
        "broker.min_insync < broker.replication"),
    "no time to deliver": planted(
        "producer.properties", PRODUCER, "delivery.timeout.ms=120000", "delivery.timeout.ms=31000",
        "producer.delivery_timeout >= producer.linger + producer.request_timeout"),
    "transactions longer than allowed": planted(
        "producer.properties", PRODUCER, "transaction.timeout.ms=60000", "transaction.timeout.ms=1800000",
        "producer.transaction_timeout <= broker.transaction_timeout", files={"server.properties": BROKER}),
    "the pool keeps what Redis closes": planted(
        "redis.conf", REDIS, "timeout 300\n", "timeout 60\n", "pool.idle < cache.idle", pool={"idle": "4m"}),
    "replicas that hear too little": planted(
        "redis.conf", REDIS, "repl-timeout 60", "repl-timeout 10", "cache.ping_period < cache.replica_timeout"),
    "two hours of work in half an hour": planted(
        "rabbitmq.conf", RABBITMQ, "consumer_timeout = 7200000", "consumer_timeout = 1800000",
        "queue.visibility > worker.timeout", worker={"timeout": "1h"}),
    "a pool for each instance": planted(
        "postgresql.conf", POSTGRES, "max_connections = 200", "max_connections = 100",
        "app.instances x app.pool <= database.max_connections", app={"instances": 12, "pool": 5, "overflow": 5}),
    "a statement nobody waits for": planted(
        "postgresql.conf", POSTGRES, "statement_timeout = 20s", "statement_timeout = 0",
        "database.statement_timeout < server.timeout", files={"gunicorn.conf.py": GUNICORN}),
    "milliseconds for seconds": planted(
        "postgresql.conf", POSTGRES, "lock_timeout = 5s", "lock_timeout = 500",
        "database.deadlock_timeout < database.lock_timeout"),
    "systemd kills what drains": planted("shop.service", UNIT, "TimeoutStopSec=40", "TimeoutStopSec=20", GRACE),
    "restarts without end": planted(
        "shop.service", UNIT, "StartLimitIntervalSec=60", "StartLimitIntervalSec=10",
        "supervisor.start_limit_burst x supervisor.restart_delay < supervisor.start_limit"),
}
