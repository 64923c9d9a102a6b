"""The failure for real: a server in its own process and retrying asyncio clients, on loopback.

Takes the same parameters as `simulate` and gives the same `Run`, so the two can be laid side by side.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from labkit.loopback import Program, allow_open_files
from labkit.metastability.belongings import CacheState, Marking
from labkit.metastability.experiment import Experiment
from labkit.metastability.live_server import OPEN_FILES
from labkit.metastability.model import Clients, Priority, Service, Trigger
from labkit.metastability.policies import BreakerState, BudgetState, delay
from labkit.metastability.run import DROPPED, LATE, OK, SHED, WAITING, Run

LISTENS = r"^(\d+)$"


def start(experiment: Experiment) -> Program:
    """The server of one experiment, as a context manager: a process that is gone when we are; see `Program`.

    It listens when it has printed its port: `program.wait_until(LISTENS)`.
    """
    service = asdict(experiment.service)
    service["queue"]["kind"] = type(experiment.service.queue).__name__
    only = _plain(experiment)
    trigger = asdict(only) if only and only.kind != "flush" else None       # the cache is with the clients
    config = {"service": service, "trigger": trigger, "seed": experiment.seed}
    return Program([sys.executable, "-m", "labkit.metastability.live_server", json.dumps(config)])


@dataclass(frozen=True, eq=False)
class LiveRun(Run):
    """A `Run` that happened: real requests to a real server. Its times are s since the clients began."""


def _plain(experiment: Experiment) -> Trigger | None:
    """The one trigger of an experiment that can be run for real. ValueError for what only a simulation can do."""
    service, clients, triggers = experiment.service, experiment.clients, experiment.triggers
    plain = Service(service.base_latency, service.slope, service.workers, service.queue, service.drop, service.times)
    callers = Clients(clients.timeout, clients.retries, clients.backoff, clients.budget, clients.breaker,
                      clients.population, cache=clients.cache)
    if service != plain or clients != callers or len(triggers) > 1 or isinstance(service.queue, Priority) \
            or any(each.kind == "errors" for each in triggers):
        raise ValueError("the live experiment knows Fifo, Lifo and CoDel queues, retries with backoff, budget and "
                         "breaker, a cache, and one slowdown, outage, pause or flush; simulate the rest")
    return triggers[0] if triggers else None


class HttpCall(asyncio.Protocol):
    """One HTTP/1.1 request to 127.0.0.1 as a client sees it: `answer` becomes (status, body), or (0, b"") when
    the client hangs up, or (503, b"") when the connection breaks."""

    def __init__(self, path: str, **headers: object):
        lines = [f"GET {path} HTTP/1.1", "Host: lab", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
        self.message = "\r\n".join([*lines, "", ""]).encode()
        self.received = b""
        self.answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    async def send(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            line = socket.create_connection(("127.0.0.1", port))     # instant on loopback, and cheap
            await loop.create_connection(lambda: self, sock=line)
        except OSError:
            self.settle(503)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.message)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, error: Exception | None) -> None:
        head, _, body = self.received.partition(b"\r\n\r\n")
        self.settle(int(head.split()[1]) if head else 503, body)

    def hang_up(self, status: int = 0) -> None:
        """The client has waited long enough. What the server does about it is the server's affair."""
        self.settle(status)
        if self.transport:
            self.transport.abort()

    def settle(self, status: int, body: bytes = b"") -> None:
        if not self.answer.done():
            self.answer.set_result((status, body))


async def fetch(port: int, path: str, **headers: object) -> bytes:
    """The body of one answer; RuntimeError unless its status is 200."""
    call = HttpCall(path, **headers)
    await call.send(port)
    status, body = await call.answer
    if status != 200:
        raise RuntimeError(f"the live server on port {port} answered {path} with {status}: it has probably ended")
    return body


class LiveClients:
    """The clients of one experiment, inside the caller's event loop. Times are s since `begin`."""

    def __init__(self, experiment: Experiment, port: int, begin: float):
        self.experiment, self.clients, self.port, self.begin = experiment, experiment.clients, port, begin
        self.jitter = random.Random(2 * experiment.seed)
        self.bucket = BudgetState(self.clients.budget) if self.clients.budget else None
        self.breaker = BreakerState(self.clients.breaker) if self.clients.breaker else None
        trigger = _plain(experiment)
        self.outage = trigger if trigger and trigger.kind == "outage" else None
        self.flush_at = trigger.start if trigger and trigger.kind == "flush" else math.inf
        self.marking = Marking(self.clients, 1, (), str(experiment.seed))
        self.cache = CacheState(self.clients.cache) if self.clients.cache else None
        self.hits: list[float] = []                     # when the cache had the answer
        self.offered: list[float] = []
        self.sent: list[float] = []
        self.request: list[int] = []
        self.number: list[int] = []
        self.answer: list[tuple[float, int]] = []       # (when, status) as the client saw it; status 0: gave up
        self.tasks: set[asyncio.Task[Any]] = set()

    def now(self) -> float:
        return time.monotonic() - self.begin

    def spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def arrive(self) -> None:
        """Send the requests of the load at their times."""
        arrivals = self.experiment.load.arrivals(self.experiment.duration, np.random.default_rng(self.experiment.seed))
        if self.cache and self.flush_at < math.inf:
            asyncio.get_running_loop().call_later(self.flush_at - self.now(), self.cache.flush)
        for arrival in arrivals:
            wait = arrival - self.now()
            if wait > 0:
                await asyncio.sleep(wait)
            self.spawn(self.ask())
        await asyncio.sleep(max(0.0, self.experiment.duration - self.now()))

    async def ask(self) -> None:
        """One client wants one answer: try, wait for the answer or the time-out, try again."""
        self.offered.append(self.now())
        who = len(self.offered) - 1
        marks = self.marking.draw()
        if self.cache and self.cache.holds(marks.key):
            self.hits.append(self.now())
            return
        if self.bucket and self.bucket.budget.credit == "first_try":
            self.bucket.credit()
        k, waited = 0, 0.0
        while self.breaker is None or self.breaker.allows(self.now()):
            status = await self.attempt(who, k)
            if self.breaker:
                self.breaker.record(self.now(), status == 200)
            if status == 200:
                if self.cache:
                    self.cache.store(marks.key)
                if self.bucket and self.bucket.budget.credit == "success":
                    self.bucket.credit()
                return
            if k >= self.clients.retries or (self.bucket and not self.bucket.spend()):
                return
            if self.clients.backoff:
                waited = delay(self.clients.backoff, k, self.jitter, waited)
                await asyncio.sleep(waited)
            k += 1

    async def attempt(self, who: int, k: int) -> int:
        """Send one attempt and wait at most the time-out; the status, 0 for none."""
        index, sent = len(self.sent), self.now()
        self.sent.append(sent)
        self.request.append(who)
        self.number.append(k)
        self.answer.append((math.inf, 0))
        call = HttpCall("/work", X_Attempt=index, X_Deadline=self.begin + sent + self.clients.timeout)
        outage = self.outage if self.outage and self.outage.start <= sent < self.outage.stop else None
        if outage:
            self.spawn(self.send_later(call, outage.stop))
        else:
            await call.send(self.port)
        give_up = call.settle if outage else call.hang_up
        timer = asyncio.get_running_loop().call_later(sent + self.clients.timeout - self.now(), give_up, 0)
        status, _ = await call.answer
        timer.cancel()
        if status:
            self.answer[index] = (self.now(), status)
        return status

    async def send_later(self, call: HttpCall, stop: float) -> None:
        """The network keeps what is sent in an outage and delivers it afterwards, wanted or not."""
        await asyncio.sleep(stop - self.now())
        await call.send(self.port)

    async def leave(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def run(self, log: list[list[Any]]) -> LiveRun:
        """Client's and server's records put together."""
        count = len(self.sent)
        answered, status = np.array(self.answer).reshape(count, 2).T
        arrived, started, ended, served = np.array(self.sent), *np.full((2, count), math.inf), np.zeros(count)
        for name, came, began, finished, code in log:
            arrived[name] = came - self.begin
            started[name] = math.inf if began is None else began - self.begin
            ended[name] = math.inf if finished is None else finished - self.begin
            served[name] = code
        fate = np.full(count, WAITING)
        fate[served == 200] = LATE
        fate[(served == 503) | (served == 504)] = DROPPED
        fate[(status == 503) | (status == 504)] = SHED
        fate[status == 200] = OK
        ended = np.where(np.isfinite(answered), answered, ended)
        e = self.experiment
        # the record ends with the experiment, like that of a simulation
        fate[ended >= e.duration] = WAITING
        ended[ended >= e.duration] = math.inf
        started[started >= e.duration] = math.inf
        inside = np.array(self.sent) < e.duration
        columns = {"sent": np.array(self.sent), "request": np.array(self.request, dtype=int),
                   "number": np.array(self.number, dtype=int), "arrived": arrived, "started": started,
                   "ended": ended, "fate": fate}
        return LiveRun(e, np.array(self.offered), hits=np.array([hit for hit in self.hits if hit < e.duration]),
                       **{name: column[inside] for name, column in columns.items()})


async def run_all(experiments: Mapping[str, Experiment]) -> dict[str, LiveRun]:
    """Run all experiments at the same time, each against its own server; the runs by name.

    Takes the longest `duration` plus about 2 s. In a notebook: `runs = await run_all(...)`. All servers listen
    before any client starts: starting one in mid-run stalls the loop, and a stall is a trigger.
    Raises ValueError for a closed system, which has no live version here.
    """
    for name, experiment in experiments.items():
        if experiment.clients.population:
            raise ValueError(f"{name}: Clients.population: the live experiment knows only open systems")
    allow_open_files(OPEN_FILES)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(start(experiment)) for name, experiment in experiments.items()}
        for server in servers.values():
            await asyncio.to_thread(server.wait_until, LISTENS)
        begin = time.monotonic() + 0.2
        crowds = {name: LiveClients(each, servers[name].port, begin) for name, each in experiments.items()}
        try:
            for crowd in crowds.values():
                await fetch(crowd.port, "/start", X_Begin=begin)
            await asyncio.gather(*(crowd.arrive() for crowd in crowds.values()))
            runs = {}
            for name, crowd in crowds.items():
                runs[name] = crowd.run(json.loads(await fetch(crowd.port, "/log")))
            return runs
        finally:
            await asyncio.gather(*(crowd.leave() for crowd in crowds.values()))
