"""Time-outs, retries, idle limits: each right, and wrong together."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from labkit.interactions.demos.shown import Shown, post
from labkit.loopback import serve
from labkit.loopback.serve import Answer


class _Once:
    """Idempotency keys: the first call of a key does the work, and one that comes meanwhile waits for its end.

    Whoever comes later gets the answer that was kept, be it a success or a failure.
    """

    def __init__(self, work: Callable[[], Answer]):
        self.work, self.lock = work, threading.Lock()
        self.ended: dict[str, threading.Event] = {}
        self.answers: dict[str, Answer] = {}

    def answer(self, key: str) -> Answer:
        with self.lock:
            mine = key not in self.ended
            ended = self.ended.setdefault(key, threading.Event())
        if mine:
            self.answers[key] = self.work()
            ended.set()
        ended.wait()
        return self.answers[key]


def charges(orders: int = 3) -> Shown:
    """A client that retries after 0.2 s, and a server that needs 0.5 s and charges every time it is asked."""
    def play(with_key: bool, declined: bool = False) -> dict[str, Any]:
        charged: list[str] = []

        def charge() -> Answer:
            time.sleep(0.5)
            if declined:
                return 402, {}, b"card declined"
            charged.append("")
            return 200, {}, b"charged"

        once = _Once(charge)

        def app(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
            key = request.headers.get("Idempotency-Key")
            return charge() if key is None else once.answer(key)

        with serve(app) as url:
            keys = [{"Idempotency-Key": f"order {i}"} if with_key else {} for i in range(orders)]
            answers = [post(url, 0.2, 3, headers=headers) for headers in keys]
            time.sleep(0.6)
        return {"orders": orders, "attempts": sum(n for _, n in answers),
                "answered": " ".join(str(status) for status, _ in answers if status) or "none", "charges": len(charged)}

    return Shown("A retrying client, a server that is not idempotent", "the client waits 0.2 s, the work takes 0.5 s; "
                 "each retry is a new charge, and no charge is ever seen", "an idempotency key: a retry waits for the "
                 "attempt that is at work, and gets its answer", play(False), play(True),
                 {"refused": play(True, declined=True)})


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
                return post(inner, gateway, 2)[0] or 504, {}, b""

            with serve(relay) as outer:
                served = sum(post(outer, edge)[0] == 200 for _ in range(users))
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
