"""Redis and nginx with the settings that somebody else chose."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import requests

from labkit.interactions.demos.shown import Shown
from labkit.loopback import Program, listening, serve
from labkit.loopback.serve import Answer


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
