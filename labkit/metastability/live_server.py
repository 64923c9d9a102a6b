"""The same service for real: an HTTP server on loopback whose requests really take `base + slope * active` s.

Run by `live.start` as its own process: `python -m labkit.metastability.live_server '<json>'`. It prints its port.
Like most servers it does not notice that a client has left.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labkit.loopback import allow_open_files
from labkit.metastability.model import CoDel, Fifo, Lifo, Service, Trigger
from labkit.metastability.policies import CoDelState

QUEUES = {"Fifo": Fifo, "Lifo": Lifo, "CoDel": CoDel}
OPEN_FILES = 8192       # a collapsed server holds a socket for each attempt in its backlog


@dataclass
class Job:
    """One attempt; times on the machine's monotonic clock, s."""

    name: int
    arrived: float
    deadline: float
    reply: Callable[[int], None]
    started: float | None = None
    ended: float | None = None
    status: int = 0


class LiveService:
    """Queue and workers of one server, inside one event loop."""

    def __init__(self, service: Service, trigger: Trigger | None, seed: int):
        self.service, self.trigger = service, trigger
        self.rng = random.Random(seed)
        self.loop = asyncio.get_running_loop()
        self.queue: deque[Job] = deque()
        self.jobs: list[Job] = []
        self.active = 0
        self.begin = time.monotonic()
        self.codel = CoDelState(service.queue) if isinstance(service.queue, CoDel) else None

    def start_clock(self, begin: float) -> None:
        """Second 0 of the experiment is `begin`; a pause stops the whole event loop, as a GC pause would."""
        self.begin = begin
        if self.trigger and self.trigger.kind == "pause":
            wait = begin + self.trigger.start - time.monotonic()
            self.loop.call_later(wait, time.sleep, self.trigger.length)

    def receive(self, job: Job) -> None:
        self.jobs.append(job)
        limit = getattr(self.service.queue, "limit", None)
        if limit is not None and self.active >= self.service.workers and len(self.queue) >= limit:
            self.end(job, 503)
        else:
            self.queue.append(job)
            self.start_work()

    def start_work(self) -> None:
        while self.queue and self.active < self.service.workers:
            job = self.queue.pop() if isinstance(self.service.queue, Lifo) else self.queue.popleft()
            length = self.length()
            if self.drops(job, length):
                self.end(job, 504)
            else:
                self.active += 1
                job.started = time.monotonic()
                if self.service.times == "exponential":
                    length = self.rng.expovariate(1 / length)
                self.loop.call_later(length, self.finish, job)

    def length(self) -> float:
        """How long an attempt takes that starts now, in seconds."""
        length = self.service.base_latency + self.service.slope * (self.active + 1)
        now = time.monotonic() - self.begin
        if self.trigger and self.trigger.kind == "slowdown" and self.trigger.start <= now < self.trigger.stop:
            length *= self.trigger.factor
        return length

    def drops(self, job: Job, length: float) -> bool:
        now = time.monotonic()
        if self.service.drop == "expired" and now >= job.deadline:
            return True
        if self.service.drop == "hopeless" and now + length > job.deadline:
            return True
        return self.codel is not None and self.codel.drops(now, now - job.arrived)

    def finish(self, job: Job) -> None:
        self.active -= 1
        self.end(job, 200)
        self.start_work()

    def end(self, job: Job, status: int) -> None:
        job.ended, job.status = time.monotonic(), status
        job.reply(status)

    def log(self) -> bytes:
        return json.dumps([[j.name, j.arrived, j.started, j.ended, j.status] for j in self.jobs]).encode()


class HttpExchange(asyncio.Protocol):
    """One connection, one HTTP/1.1 request: /work, /start (set the clock) or /log (what happened).

    A plain protocol instead of streams: a collapse sends thousands of attempts, and the server's own
    overhead must not be what collapses.
    """

    def __init__(self, live: LiveService):
        self.live, self.received = live, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.received.endswith(b"\r\n\r\n"):
            return
        first, *rest = self.received.decode().split("\r\n")
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in rest)}
        path = first.split()[1]
        if path == "/work":
            self.live.receive(Job(int(headers["X-Attempt"]), time.monotonic(), float(headers["X-Deadline"]),
                                  self.reply))
        elif path == "/log":
            self.reply(200, self.live.log())
        else:
            self.live.start_clock(float(headers["X-Begin"]))
            self.reply(200)

    def reply(self, status: int, body: bytes = b"") -> None:
        if not self.transport.is_closing():         # else the client has left, and the work was for nothing
            head = b"HTTP/1.1 %d .\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            self.transport.write(head % (status, len(body)) + body)
            self.transport.close()


async def serve(config: dict[str, Any]) -> None:
    fields = dict(config["service"])
    queue = fields.pop("queue")
    service = Service(**fields, queue=QUEUES[queue.pop("kind")](**queue))
    trigger = Trigger(**config["trigger"]) if config["trigger"] else None
    live = LiveService(service, trigger, config["seed"])
    server = await live.loop.create_server(lambda: HttpExchange(live), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    allow_open_files(OPEN_FILES)
    asyncio.run(serve(json.loads(sys.argv[1])))
