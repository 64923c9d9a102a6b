"""Ten pairs of programs that are each right, and wrong together. Real clients, real servers, on loopback, in seconds.

Each demo returns what was seen without and with its cure. Nothing is drawn by chance: the failure follows from the
settings. Those that need a program say so in `NEEDS`.
"""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import socket
import sqlite3
import subprocess
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import duckdb
import polars as pl
import requests

from labkit.interactions.idempotency import Once
from labkit.interactions.shown import Shown
from labkit.loopback import Program, listening, serve
from labkit.loopback.serve import Answer


def _post(url: str, timeout: float, attempts: int = 1, **options: Any) -> tuple[int, int]:
    """The status of the first attempt that was answered in time, 0 if none was, and how many attempts there were."""
    for attempt in range(1, attempts + 1):
        try:
            return requests.post(url, timeout=timeout, **options).status_code, attempt
        except requests.exceptions.Timeout:
            pass
    return 0, attempts


# ------------------------------------------------------------------------------------------------ time
def charges(orders: int = 3) -> Shown:
    """A client that retries after 0.2 s, and a server that needs 0.5 s and charges every time it is asked."""
    def play(cured: bool, declined: bool = False) -> dict[str, Any]:
        charged: list[int] = []
        once = Once()

        def work() -> Answer:
            time.sleep(0.5)
            if declined:
                return 402, {}, b"card declined"
            charged.append(1)
            return 200, {}, b"charged"

        def app(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
            return once.answer(request.headers["Idempotency-Key"], body, work) if cured else work()

        with serve(app) as url:
            answers = [_post(url, 0.2, 3, headers={"Idempotency-Key": f"order {i}"}) for i in range(orders)]
            time.sleep(0.6)                         # what nobody waits for any more is still at work
        statuses = [status for status, _ in answers]
        return {"orders": orders, "answered 200": statuses.count(200), "answered 402": statuses.count(402),
                "attempts": sum(n for _, n in answers), "charges": len(charged)}

    return Shown("A retrying client, a server that is not idempotent", "the client waits 0.2 s, the work takes 0.5 s; "
                 "each retry is a new charge, and no charge is ever seen", "an idempotency key: a repetition waits for "
                 "the first attempt and gets its answer", play(False), play(True),
                 {"and if the card is declined": play(True, declined=True)})


def timeouts(users: int = 2) -> Shown:
    """Edge, gateway and backend, each with a time-out of its own."""
    def play(edge: float, gateway: float) -> dict[str, Any]:
        executed = []

        def backend(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
            time.sleep(0.45)
            executed.append(1)
            return 200, {}, b"done"

        with serve(backend) as inner:
            def relay(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
                return _post(inner, gateway, 2)[0] or 504, {}, b""

            with serve(relay) as outer:
                served = sum(_post(outer, edge)[0] == 200 for _ in range(users))
                time.sleep(1.0)
        return {"users": users, "served": served, "backend executions": len(executed)}

    return Shown("Three time-outs in a chain", "the gateway gives up after 0.4 s and tries again, the backend needs "
                 "0.45 s each time, the edge leaves after 0.5 s: work is done twice for nobody",
                 "edge 1.5 s > 2 x gateway 0.7 s, and gateway 0.7 s > backend 0.45 s", play(0.5, 0.4), play(1.5, 0.7))


def keep_alive(posts: int = 5) -> Shown:
    """A client that reuses a connection the server has closed."""
    def play(client_idle: float) -> dict[str, Any]:
        with serve(lambda request, body: (200, {}, b"paid"), idle=0.2) as url:
            place = urlsplit(url)
            failed = 0
            for _ in range(posts):
                line = http.client.HTTPConnection(place.hostname or "", place.port, timeout=2)
                line.request("POST", "/pay")
                line.getresponse().read()
                time.sleep(0.35)
                if client_idle < 0.35:
                    line.close()                        # http.client opens a new one for the next request
                try:
                    line.request("POST", "/pay")
                    line.getresponse().read()
                except (http.client.RemoteDisconnected, ConnectionError):
                    failed += 1
                line.close()
        return {"second POSTs": posts, "lost, outcome unknown": failed}

    return Shown("Keep-alive", "the server closes a connection after 0.2 s of quiet, the client reuses it after 0.35 s",
                 "the client's idle limit is below the server's", play(5.0), play(0.1))


# ------------------------------------------------------------------------------------------------ meaning
def headers() -> Shown:
    """A name in a header."""
    def play(encode: Callable[[str], bytes], decode: Callable[[str], str]) -> dict[str, Any]:
        seen = []

        def app(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
            seen.append(decode(request.headers["X-User"]))
            return 200, {}, b""

        with serve(app) as url:
            requests.get(url, headers={"X-User": encode("Zoë Łuk")}, timeout=5)
        return {"sent": "Zoë Łuk", "seen": seen[0]}

    return Shown("A name in a header", "the client sends UTF-8, the server reads latin-1, as HTTP's header once was",
                 "ASCII only: name*=UTF-8''Zo%C3%AB, charset in front, percent-encoded (RFC 8187)",
                 play(lambda s: s.encode(), lambda s: s),
                 play(lambda s: f"name*=UTF-8''{quote(s)}".encode(), lambda s: unquote(s.partition("''")[2])))


def big_ids() -> Shown:
    """An id that a JavaScript client reads and writes back."""
    def play(as_text: bool) -> dict[str, Any]:
        sent, back = 9007199254740993, []

        def app(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
            if request.command == "PUT":
                back.append(int(json.loads(body)["id"]))
            number = str(sent) if as_text else sent
            return 200, {"Content-Type": "application/json"}, json.dumps({"id": number}).encode()

        with serve(app) as url:
            code = (f"fetch('{url}').then(r => r.json())"
                    f".then(o => fetch('{url}', {{method: 'PUT', body: JSON.stringify(o)}}))")
            subprocess.run(["node", "-e", code], check=True, timeout=20, capture_output=True)
        return {"sent": sent, "came back": back[0]}

    return Shown("An id through JavaScript", "a JSON number is a double there; both sides answered 200 OK",
                 "the id is a text", play(False), play(True))


def redirect() -> Shown:
    """A POST that is redirected."""
    def play(status: int) -> dict[str, Any]:
        seen = []

        def app(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
            seen.append(f"{request.command} {request.path} ({len(body)} B)")
            return (status, {"Location": "/v2/pay"}, b"") if request.path == "/pay" else (200, {}, b"ok")

        with serve(app) as url:
            answer = requests.post(url + "/pay", data=b"10 EUR", timeout=5)
        return {"the server saw": " then ".join(seen), "the client saw": answer.status_code}

    return Shown("A redirected POST", "after 302 nearly every client goes on with a GET and no body, and gets 200",
                 "308 keeps method and body", play(302), play(308))


PORTABLE = ("CAST(1 AS DOUBLE) / 2", "CAST(FLOOR(1.9) AS INTEGER)", "LOWER('A') LIKE 'a'")
TERMS = ("1/2", "CAST(1.9 AS INTEGER)", "'A' LIKE 'a'", "1/0", "CAST('x' AS INTEGER)")


def dialects() -> Shown:
    """One line of SQL, three engines."""
    def play(terms: tuple[str, ...]) -> dict[str, Any]:
        def ask(engine: Callable[[str], Any], term: str) -> str:
            try:
                value = engine(f"SELECT {term}")
                return str(int(value) if isinstance(value, bool) else value)
            except Exception as e:
                return type(e).__name__

        engines: tuple[Callable[[str], Any], ...] = (
            lambda q: sqlite3.connect(":memory:").execute(q).fetchone()[0],
            lambda q: (duckdb.connect().execute(q).fetchone() or [None])[0],
            lambda q: pl.SQLContext().execute(q, eager=True).item())
        return {term: " / ".join(ask(engine, term) for engine in engines) for term in terms}

    return Shown("One SQL, three dialects: SQLite / DuckDB / Polars", "the standard leaves it open, or somebody did",
                 "say what you mean: cast, fold case and round yourself", play(TERMS), play(PORTABLE))


def members() -> Shown:
    """A file compressed in two goes, as a log that was appended to."""
    data = b"first half, " * 4, b"second half" * 4
    size = sum(map(len, data))
    packed = gzip.compress(data[0]) + gzip.compress(data[1])
    one = zlib.decompressobj(31).decompress(packed)
    return Shown("Two gzip members", "a decompressor stops at the end of the first member, without an error",
                 "a reader of gzip *files* goes on to the end", {"bytes in": size, "bytes out": len(one)},
                 {"bytes in": size, "bytes out": len(gzip.decompress(packed))})


# ------------------------------------------------------------------------------------------------ programs
def _redis(port: int, commands: list[list[bytes]]) -> list[bytes]:
    """Send commands in Redis' protocol and return one reply line each (bulk replies are not asked for)."""
    def packed(words: list[bytes]) -> bytes:
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

    with socket.create_connection(("127.0.0.1", port), 5) as line, line.makefile("rb") as replies:
        answers = []
        for start in range(0, len(commands), 200):
            part = commands[start:start + 200]
            line.sendall(b"".join(map(packed, part)))
            answers += [replies.readline().strip() for _ in part]
        return answers


def eviction(writes: int = 3000) -> Shown:
    """A cache used as a store, and a memory limit set by somebody else."""
    def play(policy: str) -> dict[str, Any]:
        def command(it: Program) -> list[str | Path | int]:
            return ["redis-server", "--port", it.port, "--bind", "127.0.0.1", "--save", "", "--maxmemory", "3mb",
                    "--maxmemory-policy", policy, "--dir", it.home]

        with Program(command, ready=listening) as server:
            answers = _redis(server.port, [[b"SET", b"job:%d" % i, b"x" * 1000] for i in range(writes)])
            there = _redis(server.port, [[b"EXISTS", b"job:%d" % i] for i in range(writes)])
        kept, acknowledged = there.count(b":1"), answers.count(b"+OK")
        return {"writes": writes, "errors": writes - acknowledged, "acknowledged and gone": acknowledged - kept}

    return Shown("A cache that must not forget", "allkeys-lru makes room by dropping what it has acknowledged",
                 "noeviction: it says no instead", play("allkeys-lru"), play("noeviction"))


def proxy() -> Shown:
    """An application that allows 10 MB and reads the header tenant_id, behind nginx."""
    def play(extra: str) -> dict[str, Any]:
        seen = []

        def app(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
            seen.append(request.headers.get("tenant_id"))
            return 200, {}, b""

        with serve(app) as url:
            def command(it: Program) -> list[str | Path]:
                kinds = ("proxy", "fastcgi", "uwsgi", "scgi")
                paths = "".join(f"{kind}_temp_path {it.home}/{kind};" for kind in kinds)
                (it.home / "nginx.conf").write_text(
                    f"daemon off; pid {it.home}/pid; error_log /dev/null; events {{}} "
                    f"http {{ access_log off; {paths} client_body_temp_path {it.home}/body; "
                    f"client_body_buffer_size 4m; {extra} "
                    f"server {{ listen 127.0.0.1:{it.port}; location / {{ proxy_pass {url}; }} }} }}")
                return ["nginx", "-c", it.home / "nginx.conf", "-p", it.home]

            with Program(command, ready=listening) as nginx:
                front = f"http://127.0.0.1:{nginx.port}/"
                upload = requests.post(front, data=b"x" * 2_000_000, timeout=10).status_code
                requests.get(front, headers={"tenant_id": "42"}, timeout=10)
        return {"2 MB upload": upload, "tenant_id the application saw": seen[-1]}

    return Shown("A proxy with limits of its own",
                 "nginx refuses bodies over 1 MB by default, and drops headers with an underscore",
                 "client_max_body_size 10m; underscores_in_headers on",
                 play(""), play("client_max_body_size 10m; underscores_in_headers on;"))


ALL: dict[str, Callable[[], Shown]] = {
    "charges": charges, "timeouts": timeouts, "keep_alive": keep_alive, "headers": headers, "big_ids": big_ids,
    "redirect": redirect, "dialects": dialects, "members": members, "eviction": eviction, "proxy": proxy}
NEEDS = {"big_ids": "node", "eviction": "redis-server", "proxy": "nginx"}


def missing(name: str) -> str:
    """The program a demo needs and this machine lacks, "" if it can be run."""
    need = NEEDS.get(name, "")
    return need if need and shutil.which(need) is None else ""
