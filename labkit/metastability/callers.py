"""The clients of the fast engine: their requests, attempts, time-outs and retries. `simulate` drives them."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labkit.metastability.adaptive import Guards
from labkit.metastability.belongings import PLAIN, CacheState, Marking, Marks, PoolState
from labkit.metastability.model import Load
from labkit.metastability.policies import BudgetState, delay
from labkit.metastability.run import DROPPED, ERROR, LATE, OK, SHED, WAITING
from labkit.metastability.server import Server
from labkit.metastability.tiers import Tier
from labkit.metastability.triggers import as_triggers, of_kind

if TYPE_CHECKING:
    from labkit.metastability.simulate import Agenda

GONE = -1       # the fate of an attempt that is still there while its client has left


def whole(code: str) -> list[Any]:
    """A column that keeps every row; `code` is the type that it holds, in the letters of the module `array`, or "inf"
    for numbers that are inf until they are set."""
    return []


class Callers:
    """The clients of one tier and the record of what they did. `upstream`: those whose attempts they are.

    column, line: make the columns of the record and the queues of the servers; `tally` has some that forget.
    """

    # so many attributes in a plain instance would cost a tenth of the speed
    __slots__ = ("agenda", "tier", "load", "duration", "seed", "service", "clients", "upstream", "propagate",
                 "timeout", "retries", "backoff", "delay", "offered", "last_delay", "marks", "parent", "until",
                 "hits", "sent", "request", "number", "started", "ended", "fate", "arrived", "answered", "buckets",
                 "credit_tries", "jitter", "guards", "kinds", "held_back", "marking", "marked", "cache", "pools",
                 "lines", "connected", "fresh", "connect_cost", "outages", "there", "back", "far", "good", "pleased",
                 "thoughts", "servers", "server")

    def __init__(self, agenda: Agenda, tiers: list[Tier], tier: int, load: Load, duration: float, seed: int,
                 upstream: Callers | None, column: Callable[[str], list[Any]] = whole,
                 line: Callable[[], deque[int]] = deque):
        mine = tiers[tier]
        self.agenda, self.tier, self.load, self.duration, self.seed = agenda, tier, load, duration, seed
        self.service, self.clients, self.upstream = mine.service, mine.clients, upstream
        self.propagate = mine.propagate_deadline and upstream is not None
        clients, service = self.clients, self.service
        triggers = as_triggers(mine.trigger)
        name = f"{seed} {tier}"
        self.timeout, self.retries, self.backoff = clients.timeout, clients.retries, clients.backoff
        self.delay = service.network_delay

        # one row per request
        self.offered: list[float] = column("d")
        self.last_delay: list[float] = column("d")
        self.marks: list[Marks] = column("")
        self.parent: list[int] = column("i")
        self.until: list[float] = column("d")       # the deadline of whoever asked for it
        self.hits: list[float] = []                 # when the cache had the answer
        # one row per attempt, in the order sent
        self.sent: list[float] = column("d")
        self.request: list[int] = column("i")
        self.number: list[int] = column("i")        # 0 is the first try
        self.started: list[float] = column("inf")
        self.ended: list[float] = column("inf")     # completion, or the moment it was refused or dropped
        self.fate: list[int] = column("b")          # WAITING: there, and so is its client
        self.arrived: list[float] = column("inf")   # filled only where attempts do not arrive when they are sent,
        self.answered: list[float] = column("inf")  # and where answers do not

        budget = clients.budget
        count = clients.processes if budget and budget.per == "client" else 1
        self.buckets = [BudgetState(budget) for _ in range(count)] if budget else []
        self.credit_tries = bool(budget and budget.credit == "first_try")
        self.jitter = random.Random(2 * seed if not tier else f"jitter {name}")
        self.guards = Guards(clients, service.shards, name) \
            if clients.breaker or clients.throttle or clients.concurrency else None
        self.kinds = load.classes if not tier else ()
        self.held_back = self.propagate or self.guards is not None
        self.marking = Marking(clients, service.shards, self.kinds, name)
        self.marked = not self.marking.plain
        self.cache = CacheState(clients.cache) if clients.cache else None
        for flush in of_kind(triggers, "flush") if self.cache else ():
            agenda.plan(flush.start, self.flush, None)
        self.pools = [PoolState(clients.pool) for _ in range(clients.processes)] if clients.pool else []
        self.lines: list[deque[int]] = [deque() for _ in self.pools]
        self.connected: set[int] = set()
        self.fresh: set[int] = set()        # attempts on a connection that the server has yet to accept
        self.connect_cost = clients.pool.connect if clients.pool else 0.0
        self.outages = [of_kind(triggers, "outage", shard) for shard in range(service.shards)]
        self.there = random.Random(f"there {name}").expovariate
        self.back = random.Random(f"back {name}").expovariate
        self.far = bool(self.delay or self.pools or any(self.outages))
        self.good = 0
        self.pleased = bool(self.guards or self.pools or self.cache or service.autoscaler
                            or (self.buckets and not self.credit_tries))
        if clients.population and not tier:
            self.thoughts = random.Random(2 * seed + 3)
        self.servers = [Server(agenda, self, triggers, shard, line) for shard in range(service.shards)]
        self.server = self.servers[0]

    def marks_of(self, attempt: int) -> Marks:
        return self.marks[self.request[attempt]] if self.marked else PLAIN

    def arrived_at(self, attempt: int) -> float:
        return self.arrived[attempt] if self.far else self.sent[attempt]

    # ------------------------------------------------------------------------------------------ requests
    def think(self, now: float) -> None:
        """A client of a closed system thinks and will then send a new request."""
        size = self.clients.population or 1
        wake = self.load.later(now, size * self.thoughts.expovariate(1), self.duration)
        if wake < math.inf:
            self.agenda.plan(wake, self.new_request, None)

    def new_request(self, now: float, parent: int | None = None) -> None:
        who = len(self.offered)
        self.offered.append(now)
        self.last_delay.append(0.0)
        if self.upstream and parent is not None:
            self.parent.append(parent)
            self.until.append(self.upstream.deadline(parent))
        if self.marked:
            marks = self.marking.draw()
            self.marks.append(marks)
            if self.cache and self.cache.holds(marks.key):
                self.hits.append(now)
                self.finish(now, who, OK)
                return
        if self.credit_tries:
            self.bucket(who).credit()
        self.send(now, who, 0)

    def deadline(self, attempt: int) -> float:
        """Until when somebody waits for the outcome of an attempt."""
        own = self.sent[attempt] + self.timeout
        return min(own, self.until[self.request[attempt]]) if self.propagate else own

    def bucket(self, who: int) -> BudgetState:
        return self.buckets[self.marks[who].process if len(self.buckets) > 1 else 0]

    def finish(self, now: float, who: int, outcome: int) -> None:
        """A request is over, well or badly: whoever asked goes on."""
        if self.upstream:
            parent = self.parent[who]
            self.upstream.servers[self.upstream.marks_of(parent).shard].done(now, parent, outcome)
        elif self.clients.population:
            self.think(now)

    # ------------------------------------------------------------------------------------------ attempts
    def send(self, now: float, who: int, k: int) -> None:
        if self.held_back and not self.may_send(now, who):
            self.finish(now, who, ERROR)
            return
        attempt = len(self.sent)
        self.sent.append(now)
        self.request.append(who)
        self.number.append(k)
        self.started.append(math.inf)
        self.ended.append(math.inf)
        self.fate.append(WAITING)
        if self.upstream and self.timeout < math.inf:       # the clients of the first tier are in the loop's care
            self.agenda.plan(now + self.timeout, self.expire, attempt)
        if self.far:
            self.depart(now, attempt)
        elif self.marked:
            self.servers[self.marks[who].shard].arrive(now, attempt)
        else:
            self.server.arrive(now, attempt)

    def may_send(self, now: float, who: int) -> bool:
        """Whether the user still waits, and the policies of the client let a call pass."""
        if self.propagate and now >= self.until[who]:
            return False
        marks = self.marks[who] if self.marked else PLAIN
        return self.guards is None or self.guards.allow(now, marks.process, marks.shard)

    def resend(self, now: float, retry: tuple[int, int]) -> None:
        self.send(now, *retry)

    def expire(self, now: float, attempt: int) -> None:
        """The time-out is over; a client that still waits gives up."""
        if self.fate[attempt] != WAITING:
            return
        self.fate[attempt] = GONE
        if self.pools and attempt not in self.connected:
            self.fate[attempt], self.ended[attempt] = DROPPED, now      # it never got a connection
        self.failed(now, attempt, answered=False)

    def reply(self, now: float, attempt: int, outcome: int) -> None:
        """The service is done with an attempt; its answer sets out, if anybody waits for it."""
        if self.delay and self.fate[attempt] == WAITING:
            wait = self.back(1 / self.delay) if self.service.network_times == "exponential" else self.delay
            self.agenda.plan(now + wait, self.came_back, (attempt, outcome))
        else:
            self.answer(now, attempt, outcome)

    def came_back(self, now: float, what: tuple[int, int]) -> None:
        attempt, outcome = what
        if self.fate[attempt] == WAITING:
            self.answered[attempt] = now
        self.answer(now, attempt, outcome)

    def answer(self, now: float, attempt: int, outcome: int) -> None:
        """An answer is at its client's, who may have left."""
        fate = self.fate
        if fate[attempt] != WAITING:
            fate[attempt] = DROPPED if outcome == SHED else LATE
            return
        fate[attempt] = outcome
        if outcome != OK:
            self.failed(now, attempt, answered=True)
            return
        who = self.request[attempt]
        if self.pleased:
            self.succeeded(now, attempt, who)
        self.finish(now, who, OK)

    def succeeded(self, now: float, attempt: int, who: int) -> None:
        self.good += 1
        marks = self.marks[who] if self.marked else PLAIN
        if self.guards:
            self.guards.record(now, marks.process, marks.shard, True)
        if self.pools:
            self.release(now, attempt, marks.process, usable=True)
        if self.buckets and not self.credit_tries:
            self.bucket(who).credit()
        if self.cache:
            self.cache.store(marks.key)

    def failed(self, now: float, attempt: int, answered: bool) -> None:
        """An attempt was refused, went wrong or timed out: retry, if the policies let us."""
        if self.guards:
            marks = self.marks_of(attempt)
            self.guards.record(now, marks.process, marks.shard, False)
        if self.pools:
            self.release(now, attempt, self.marks_of(attempt).process, usable=answered)
        k, who = self.number[attempt], self.request[attempt]
        if k >= self.retries or (self.buckets and not self.bucket(who).spend()):
            self.finish(now, who, ERROR)
        elif self.backoff:
            self.last_delay[who] = wait = delay(self.backoff, k, self.jitter, self.last_delay[who])
            self.agenda.plan(now + wait, self.resend, (who, k + 1))
        elif answered:
            self.agenda.plan(now, self.resend, (who, k + 1))    # through the agenda: we may be inside serve()
        else:
            self.send(now, who, k + 1)

    # ------------------------------------------------------------------------------------------ the way there
    def depart(self, now: float, attempt: int) -> None:
        """An attempt sets out, on a connection if it needs one."""
        self.arrived.append(math.inf)
        if self.delay:
            self.answered.append(math.inf)
        if self.pools:
            process = self.marks_of(attempt).process
            if self.lines[process] or not self.pools[process].free:
                self.lines[process].append(attempt)
                return
            self.connect(process, attempt)
        self.travel(now, attempt)

    def travel(self, now: float, attempt: int) -> None:
        for outage in self.outages[self.marks_of(attempt).shard]:
            if outage.hits(now):
                self.agenda.plan(outage.stop, self.travel, attempt)
                return
        if self.delay:
            wait = self.there(1 / self.delay) if self.service.network_times == "exponential" else self.delay
            self.agenda.plan(now + wait, self.land, attempt)
        else:
            self.land(now, attempt)

    def land(self, now: float, attempt: int) -> None:
        self.arrived[attempt] = now
        self.servers[self.marks_of(attempt).shard].arrive(now, attempt)

    def connect(self, process: int, attempt: int) -> None:
        self.connected.add(attempt)
        if self.pools[process].take():
            self.fresh.add(attempt)

    def release(self, now: float, attempt: int, process: int, usable: bool) -> None:
        """A client is done with its connection, which others may be waiting for."""
        if attempt in self.connected:
            self.connected.discard(attempt)
            self.pools[process].give_back(usable)
            if self.lines[process]:
                self.agenda.plan(now, self.hand_out, process)

    def hand_out(self, now: float, process: int) -> None:
        line = self.lines[process]
        while line and self.pools[process].free:
            attempt = line.popleft()
            if self.fate[attempt] == WAITING:
                self.connect(process, attempt)
                self.travel(now, attempt)
                return

    def flush(self, now: float, _: None) -> None:
        assert self.cache
        self.cache.flush()
