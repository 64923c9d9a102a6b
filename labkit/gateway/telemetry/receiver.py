"""A stand-in for a Langfuse server on loopback: takes what the SDK sends, keeps it in SQLite, answers the SDK's reads.

What it speaks, as SDK 5.0.4 does it: spans as OTLP over HTTP (protobuf, gzip) to /api/public/otel/v1/traces, scores as
JSON to /api/public/scores, and reads of observations. It stores; it has no pages to look at, no prompts, no datasets.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hmac
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlparse

if TYPE_CHECKING:
    import pandas as pd


TABLES = """
PRAGMA journal_mode=WAL;
CREATE TABLE IF NOT EXISTS observation(
    id TEXT PRIMARY KEY, trace_id TEXT, parent_id TEXT, name TEXT, type TEXT, start_ns INTEGER, end_ns INTEGER,
    first_token TEXT, level TEXT, message TEXT, user TEXT, session TEXT, tags TEXT, model TEXT, input TEXT, output TEXT,
    usage TEXT, cost TEXT, metadata TEXT);
CREATE INDEX IF NOT EXISTS of_trace ON observation(trace_id);
CREATE TABLE IF NOT EXISTS score(id TEXT PRIMARY KEY, trace_id TEXT, observation_id TEXT, name TEXT, value,
    comment TEXT, at TEXT);
CREATE VIEW IF NOT EXISTS generation AS SELECT trace_id, name, user, model, input, output, level, message,
    (end_ns - start_ns) / 1e9 AS seconds, json_extract(usage, '$.input') AS prompt_tokens,
    json_extract(usage, '$.output') AS answer_tokens, json_extract(cost, '$.total') AS usd,
    json_extract(metadata, '$.team') AS team, json_extract(metadata, '$.tier') AS tier
    FROM observation WHERE type = 'GENERATION';
"""
LARGEST = 20_000_000        # bytes of one request, unpacked


class LocalReceiver:
    """A receiver on a free port of 127.0.0.1, for a `with` block.

    path: the SQLite file, ":memory:" for none. environment: the variables that point the Langfuse SDK here.
    fault: a status (401, 503 ...) to answer with instead, "hang" to take the request and never answer, or None.
    received: how many requests came.
    """

    def __init__(self, path: str | Path = ":memory:"):
        self.db = sqlite3.connect(path, check_same_thread=False)
        self.db.executescript(TABLES)
        self.lock, self.received = threading.Lock(), 0
        self.fault: int | str | None = None
        # a public key of its own: the SDK keeps one client for each public key, whatever the address
        self.public, self.secret = f"pk-lf-{secrets.token_hex(4)}", f"sk-lf-{secrets.token_hex(8)}"
        self._over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def __enter__(self) -> LocalReceiver:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and close the file."""
        self._over.set()
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            self.db.close()

    @property
    def environment(self) -> dict[str, str]:
        """LANGFUSE_BASE_URL, LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY for this receiver."""
        return {"LANGFUSE_BASE_URL": f"http://127.0.0.1:{self.server.server_address[1]}",
                "LANGFUSE_PUBLIC_KEY": self.public, "LANGFUSE_SECRET_KEY": self.secret}

    def query(self, sql: str, values: tuple[Any, ...] = ()) -> pd.DataFrame:
        """SQL over the tables `observation` and `score` and the view `generation`."""
        import pandas as pd  # here: a gateway, which makes no tables, starts without

        with self.lock:
            return pd.read_sql_query(sql, self.db, params=values)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class OtlpHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.respond(b"")

            def do_POST(self) -> None:
                self.respond(self.rfile.read(int(self.headers.get("content-length") or 0)))

            def respond(self, body: bytes) -> None:
                code, answer, kind = receiver._answer(self.command, self.path, dict(self.headers.items()), body)
                with contextlib.suppress(OSError):      # the client has left
                    self.send_response(code)
                    self.send_header("content-type", kind)
                    self.send_header("content-length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

        return OtlpHandler

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, str]:
        self.received += 1
        if self.fault == "hang":
            self._over.wait()
        if isinstance(self.fault, int):
            return self.fault, b'{"message": "a fault put here on purpose"}', "application/json"
        lower = {name.lower(): value for name, value in headers.items()}
        expected = "Basic " + base64.b64encode(f"{self.public}:{self.secret}".encode()).decode()
        if not hmac.compare_digest(lower.get("authorization", ""), expected):
            return 401, b'{"message": "Invalid credentials"}', "application/json"
        if lower.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        url = urlparse(target)
        try:
            return self._route(method, url.path, parse_qs(url.query), body[:LARGEST])
        except Exception as error:                      # a request we do not understand must not hang the SDK
            return 400, json.dumps({"message": repr(error)}).encode(), "application/json"

    def _route(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes, str]:
        reply: Any
        if method == "POST" and path == "/api/public/otel/v1/traces":
            self._spans(body)
            return 200, b"", "application/x-protobuf"
        if method == "POST" and path == "/api/public/scores":
            found = json.loads(body)
            self._scores(found if isinstance(found, list) else [found])
            reply = {"message": "accepted"}
        elif path == "/api/public/projects":
            reply = {"data": [{"id": "local", "name": "local", "metadata": {},
                               "organization": {"id": "local", "name": "local"}}]}
        elif path == "/api/public/v2/observations":
            reply = {"data": self._read(query), "meta": {}}
        else:
            return 404, b'{"message": "this stand-in does not do that"}', "application/json"
        return 202 if method == "POST" else 200, json.dumps(reply).encode(), "application/json"

    def _spans(self, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
        rows = [_row(span) for group in ExportTraceServiceRequest.FromString(body).resource_spans
                for scope in group.scope_spans for span in scope.spans]
        with self.lock, self.db:
            self.db.executemany(f"INSERT OR REPLACE INTO observation VALUES({', '.join('?' * 19)})", rows)

    def _scores(self, scores: list[dict[str, Any]]) -> None:
        rows = [(score["id"], score.get("traceId"), score.get("observationId"), score["name"], score["value"],
                 score.get("comment"), score.get("timestamp")) for score in scores]
        with self.lock, self.db:
            self.db.executemany("INSERT OR REPLACE INTO score VALUES(?, ?, ?, ?, ?, ?, ?)", rows)

    def _read(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        columns = {"traceId": "trace_id", "userId": "user", "name": "name", "type": "type"}
        wanted = [(column, query[name][0]) for name, column in columns.items() if name in query]
        where = " AND ".join(["1", *(f"{column} = ?" for column, _ in wanted)])
        found = self.query(f"SELECT * FROM observation WHERE {where} ORDER BY start_ns LIMIT ?",
                           (*(value for _, value in wanted), int(query.get("limit", ["50"])[0])))
        return [_shown(row) for row in found.where(found.notna(), None).to_dict("records")]


def _value(value: Any) -> Any:
    """A plain value from OTLP's AnyValue."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


def _row(span: Any) -> tuple[Any, ...]:
    found = {each.key: _value(each.value) for each in span.attributes}
    own = "langfuse.observation."
    metadata = {name.removeprefix(f"{own}metadata."): value for name, value in found.items()
                if name.startswith(f"{own}metadata.")}
    cost = json.loads(found.get(f"{own}cost_details") or "null")
    if cost and "total" not in cost:
        cost["total"] = sum(cost.values())
    level = found.get(f"{own}level") or ("ERROR" if span.status.code == 2 else "DEFAULT")
    return (span.span_id.hex(), span.trace_id.hex(), span.parent_span_id.hex() or None, span.name,
            (found.get(f"{own}type") or "span").upper(), span.start_time_unix_nano, span.end_time_unix_nano,
            found.get(f"{own}completion_start_time"), level, found.get(f"{own}status_message") or span.status.message,
            found.get("user.id"), found.get("session.id"), json.dumps(found.get("langfuse.trace.tags") or []),
            found.get(f"{own}model.name"), found.get(f"{own}input"), found.get(f"{own}output"),
            found.get(f"{own}usage_details"), json.dumps(cost), json.dumps(metadata))


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    """An observation as the Langfuse API shows it."""
    def moment(ns: float) -> str:
        return datetime.fromtimestamp(ns / 1e9, UTC).isoformat()

    return {"id": row["id"], "traceId": row["trace_id"], "projectId": "local", "parentObservationId": row["parent_id"],
            "type": row["type"], "name": row["name"], "startTime": moment(row["start_ns"]),
            "endTime": moment(row["end_ns"]), "level": row["level"], "statusMessage": row["message"],
            "userId": row["user"], "sessionId": row["session"], "environment": "default", "model": row["model"],
            "input": row["input"], "output": row["output"], "metadata": json.loads(row["metadata"]),
            "usageDetails": json.loads(row["usage"] or "{}"), "costDetails": json.loads(row["cost"]) or {}}


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a block, and put back what was there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
