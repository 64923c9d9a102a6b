"""The replicated register in virtual time: an event loop of messages, each with a delay of its own."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labkit import ranges
from labkit.consistency.history import Operation
from labkit.consistency.protocols import NOTHING, Replies, Tag
from labkit.consistency.run import Attempt, StoreRun
from labkit.consistency.store import Network, Partition, Store, Workload, check

HANDOFF = 100.0         # ms after the heal until stand-ins pass on their hints

Version = tuple[Tag, int | None]            # (tag, value)
EMPTY: Version = (NOTHING, None)


def simulate(store: Store, network: Network, workload: Workload, duration: float, seed: int,
             partition: Partition | None = None) -> StoreRun:
    """Run clients against a replicated register for `duration` ms of virtual time.

    Calls begun before `duration` are followed to their end. Messages across an active partition are lost, when sent
    or when they would arrive. The same arguments give the same run. Raises ValueError for values out of range.
    """
    check(store, network, workload, duration, partition)
    ranges.whole("seed", seed, 0)
    return _World(store, network, workload, duration, seed, partition).run()


@dataclass(eq=False)
class _Call:
    """A call under way."""

    client: int
    process: int
    kind: str
    began: float
    value: int | None = None
    tag: Tag = NOTHING
    over: bool = False


@dataclass(eq=False)
class _Replica:
    """What a replica, or a stand-in, holds."""

    version: Version = EMPTY

    def store(self, version: Version) -> None:
        self.version = max(self.version, version, key=lambda v: v[0])


class _World:
    def __init__(self, store: Store, network: Network, workload: Workload, duration: float, seed: int,
                 partition: Partition | None):
        self.store, self.network, self.workload = store, network, workload
        self.duration, self.seed, self.partition = duration, seed, partition
        self.rng = random.Random(seed)
        self.events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.count = 0
        self.now = 0.0
        self.replicas = [_Replica() for _ in range(store.n)]
        self.stand_ins = [[_Replica() for _ in range(store.n)] for _ in range(2)]       # side -> for which replica
        cut = partition.cut_off if partition else ()
        self.side = [int(i in cut) for i in range(store.n)]                             # 1: cut off
        self.offset = [self.rng.gauss(0, store.clock_skew) if store.clock_skew else 0.0
                       for _ in range(workload.clients)]
        self.process = list(range(workload.clients))
        self.values = 0
        self.calls_left = workload.operations
        self.attempts: list[Attempt] = []
        self.written: list[tuple[_Call, float]] = []        # acknowledged writes and when

    # ------------------------------------------------------------------------------------------ time and messages
    def at(self, time: float, act: Callable[..., None], *values: Any) -> None:
        self.count += 1
        heapq.heappush(self.events, (time, self.count, act, values))

    def run(self) -> StoreRun:
        for client in range(self.workload.clients):
            self.at(self.rng.random() * self.workload.think, self.next_call, client)
        if self.partition and self.store.hinted_handoff and self.partition.heal < math.inf:
            self.at(self.partition.heal + HANDOFF, self.hand_off)
        while self.events:
            self.now, _, act, values = heapq.heappop(self.events)
            act(*values)
        return StoreRun(self.store, self.network, self.workload, self.partition, self.duration, self.seed,
                   tuple(sorted(self.attempts, key=lambda a: a.invoked)), self.lost())

    def cut(self, client: int, replica: int) -> bool:
        """Is there no way between them now?"""
        return (self.partition is not None and self.partition.active(self.now)
                and self.side[client % self.store.n] != self.side[replica])

    def delay(self, client: int, replica: int, carries_value: bool) -> float:
        far = self.network.distance[client % self.store.n][replica] if self.network.distance else 0.0
        return far + (self.network.write if carries_value else self.network.other).one(self.rng)

    def ask(self, client: int, replica: int, act: Callable[[_Replica], Any], back: Callable[[int, Any], None],
            carries_value: bool) -> None:
        """A request to a replica, and its answer; either may get lost in the cut."""
        stand_in = False
        if self.cut(client, replica):
            if not self.store.sloppy:
                return
            stand_in = True

        def arrive() -> None:
            if stand_in:
                answer = act(self.stand_ins[self.side[client % self.store.n]][replica])
            elif self.cut(client, replica):
                return
            else:
                answer = act(self.replicas[replica])
            self.at(self.now + self.delay(client, replica, False), reply, answer)

        def reply(answer: Any) -> None:
            if stand_in or not self.cut(client, replica):
                back(replica, answer)

        self.at(self.now + self.delay(client, replica, carries_value), arrive)

    def hand_off(self) -> None:
        for stand_ins in self.stand_ins:
            for replica, stand_in in enumerate(stand_ins):
                if stand_in.version != EMPTY:
                    self.at(self.now + self.network.write.one(self.rng), self.replicas[replica].store, stand_in.version)

    # ------------------------------------------------------------------------------------------ clients
    def next_call(self, client: int) -> None:
        if self.calls_left <= 0 or self.now >= self.duration:
            return
        self.calls_left -= 1
        kind = "write" if self.rng.random() < self.workload.write_ratio else "read"
        call = _Call(client, self.process[client], kind, self.now)
        self.at(self.now + self.workload.timeout, self.give_up, call)
        (self.write if call.kind == "write" else self.read)(call)

    def finish(self, call: _Call, value: int | None, ok: bool = True) -> None:
        if call.over:
            return
        call.over = True
        client = call.client
        side = "minority" if self.side[client % self.store.n] else "majority"
        self.attempts.append(Attempt(call.process, call.kind, value, call.began, self.now, ok, side))
        if not ok:
            self.process[client] += self.workload.clients   # a process with an open call cannot make another
        elif call.kind == "write":
            self.written.append((call, self.now))
        self.at(self.now - self.workload.think * math.log(1.0 - self.rng.random()), self.next_call, client)

    def give_up(self, call: _Call) -> None:
        self.finish(call, call.value, ok=False)

    def write(self, call: _Call) -> None:
        self.values += 1
        call.value = self.values
        clock = call.began + self.offset[call.client]

        def spread(tag: Tag) -> None:
            call.tag = tag
            self.send(call.client, (tag, call.value), range(self.store.n), self.store.w,
                      lambda: self.finish(call, call.value))

        if self.store.writers_ask:
            def asked(replies: dict[int, Version]) -> None:
                newest = max(version[0][0] for version in replies.values())
                spread((max(newest, 0) + 1, call.process))     # a process never uses a version twice
            self.collect(call, asked)
        else:
            spread((clock, call.process))

    def read(self, call: _Call) -> None:
        def decide(replies: dict[int, Version]) -> None:
            newest = max(replies.values(), key=lambda version: version[0])
            todo = self.store.after_read(Replies({i: v[0] for i, v in replies.items()},
                                                 self.store.n, self.store.r, self.store.w))
            if todo is None or newest == EMPTY:
                self.finish(call, newest[1])
            else:
                self.send(call.client, newest, todo.to, todo.acks, lambda: self.finish(call, newest[1]))

        self.collect(call, decide, self.repair if self.store.repair == "async" else None)

    # ------------------------------------------------------------------------------------------ quorums
    def send(self, client: int, version: Version, to: Any, need: int, done: Callable[[], None]) -> None:
        """Send a version to replicas; `done` at the need-th acknowledgement."""
        acks = 0

        def back(replica: int, answer: None) -> None:
            nonlocal acks
            acks += 1
            if acks == need:
                done()

        for replica in to:
            self.ask(client, replica, lambda r: r.store(version), back, True)

    def collect(self, call: _Call, enough: Callable[[dict[int, Version]], None],
                everybody: Callable[[int, dict[int, Version]], None] | None = None) -> None:
        """Ask all replicas for their version; `enough` at the r-th reply, `everybody` once all have answered."""
        replies: dict[int, Version] = {}

        def back(replica: int, version: Version) -> None:
            replies[replica] = version
            if len(replies) == self.store.r and not call.over:
                enough(dict(replies))
            if len(replies) == self.store.n and everybody:
                everybody(call.client, replies)

        for replica in range(self.store.n):
            self.ask(call.client, replica, lambda r: r.version, back, False)

    def repair(self, client: int, replies: dict[int, Version]) -> None:
        newest = max(replies.values(), key=lambda version: version[0])
        for replica, version in replies.items():
            if version[0] < newest[0]:
                self.ask(client, replica, lambda r: r.store(newest), lambda _replica, _answer: None, True)

    # ------------------------------------------------------------------------------------------ afterwards
    def lost(self) -> tuple[Operation, ...]:
        """Acknowledged writes that the store orders before a write that was over when they began."""
        done = sorted(self.written, key=lambda pair: pair[1])
        ends = [end for _, end in done]
        newest = list(itertools.accumulate((call.tag for call, _ in done), max))
        lost = []
        for call, end in self.written:
            before = bisect_right(ends, call.began)
            if before and newest[before - 1] > call.tag:
                lost.append(Operation(call.process, "write", (call.value,), None, call.began, end))
        return tuple(lost)
