"""The same bytes, read as something else."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import quote, unquote

import duckdb
import polars as pl
import requests

from labkit.interactions.demos.shown import Shown
from labkit.loopback import serve
from labkit.loopback.serve import Answer


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
                 "ASCII only: percent-encoded, and decoded by agreement", play(lambda s: s.encode(), lambda s: s),
                 play(lambda s: quote(s).encode(), unquote))


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


PORTABLE = ("CAST(1 AS DOUBLE) / 2", "CASE WHEN LOWER('A') = LOWER('a') THEN 'alike' END")
TERMS = ("1/2", "CAST(1.9 AS INTEGER)", "'A' LIKE 'a'", "1/0", "CAST('x' AS INTEGER)")


def dialects() -> Shown:
    """One line of SQL, three engines."""
    def play(terms: tuple[str, ...]) -> dict[str, Any]:
        def ask(engine: Callable[[str], Any], term: str) -> str:
            try:
                return str(engine(f"SELECT {term}"))
            except Exception as e:
                return type(e).__name__

        engines: tuple[Callable[[str], Any], ...] = (
            lambda q: sqlite3.connect(":memory:").execute(q).fetchone()[0],
            lambda q: (duckdb.connect().execute(q).fetchone() or [None])[0],
            lambda q: pl.SQLContext().execute(q, eager=True).item())
        return {term: " / ".join(ask(engine, term) for engine in engines) for term in terms}

    return Shown("One SQL, three dialects: SQLite / DuckDB / Polars", "the standard leaves it open, or somebody did",
                 "say what you mean: cast, fold case yourself", play(TERMS), play(PORTABLE))


def members() -> Shown:
    """A file compressed in two goes, as a log that was appended to."""
    data = b"first half, " * 4, b"second half" * 4
    size = sum(map(len, data))
    packed = gzip.compress(data[0]) + gzip.compress(data[1])
    one = zlib.decompressobj(31).decompress(packed)
    return Shown("Two gzip members", "a decompressor stops at the end of the first member, without an error",
                 "a reader of gzip *files* goes on to the end", {"bytes in": size, "bytes out": len(one)},
                 {"bytes in": size, "bytes out": len(gzip.decompress(packed))})
