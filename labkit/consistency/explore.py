"""A small scope, exhausted: every order in which the messages of a few calls can arrive.

One write (or two) and two reads, B after A, on n replicas. A reply, once given, waits until its reader uses it, and a
reader may use any r of those given so far: exact, since a message may take arbitrarily long. Replicas are alike, so
states that differ by their names are one (Clarke, Grumberg & Peled, "Model Checking", 1999, chapter 14).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import TypeVar

from labkit import ranges
from labkit.consistency.history import Operation
from labkit.consistency.linearizability import linearizable
from labkit.consistency.protocols import PROTOCOLS, WRITERS_ASK, AfterRead, Replies, WriteBack

# A version is 4 x number + writer: it compares like (number, writer), and 0 is "never written".
IDLE, ASKING, SPREADING, DONE = range(4)
NONE, SENT = 0, 1               # of a message; an ask that was answered is ANSWERED + version, a spread one STORED
STORED = ANSWERED = 2

Item = TypeVar("Item")
Messages = tuple[tuple[int, int], ...]          # per call: (its ask, its spread) at one replica
Replica = tuple[int, Messages]                  # (version, messages)
Client = tuple[int, int, int, int]              # (phase, version, acknowledgements it needs, calls over before its)
State = tuple[tuple[Replica, ...], tuple[Client, ...]]


@dataclass(frozen=True)
class Move:
    """One step: `what` is "calls", "answers", "stores", "repairs" or "returns"; value: version number or result."""

    what: str
    call: str
    replica: int | None
    value: int
    used: tuple[int, ...] = ()

    def __str__(self) -> str:
        name = f"replica {self.replica}"
        kind = "write" if self.call.startswith("w") else "read"
        return {"calls": f"{kind} {self.call} begins", "answers": f"{name} answers {self.call}: {self.value}",
                "stores": f"{name} stores {self.value} for {self.call}",
                "repairs": f"{self.call} has seen {self.value} and writes it back",
                "returns": f"{kind} {self.call} returns" + (f" {self.value}" if kind == "read" else "")}[self.what]


@dataclass(frozen=True)
class NoViolation:
    """No order violates linearizability, in this scope: these calls, this many replicas, clocks that are right.

    states: how many were visited; seconds: how long it took. Of more calls, keys or wrong clocks it says nothing.
    """

    states: int
    seconds: float

    def __repr__(self) -> str:
        return f"no violation in this scope: {self.states:,} states"


@dataclass(frozen=True)
class Counterexample:
    """A shortest violating order: its steps, and the history its clients saw (0 is the initial value)."""

    n: int
    moves: tuple[Move, ...]
    history: tuple[Operation, ...]
    states: int
    seconds: float

    @property
    def steps(self) -> list[str]:
        return [str(move) for move in self.moves]

    def __repr__(self) -> str:
        lines = [f"{i:3}. {step}" for i, step in enumerate(self.steps, 1)]
        return "\n".join([f"VIOLATION in {len(lines)} steps ({self.states:,} states visited)", *lines])


def explore(protocol: str | AfterRead, n: int, r: int, w: int, writers: int = 1,
            writers_ask: bool | None = None) -> NoViolation | Counterexample:
    """Search every delivery order for a history that is not linearizable; a counterexample has the fewest steps.

    protocol: "plain", "blocking", "abd", "abd_fast", or a function of your own like those in `protocols`. n: 1 to 5
    replicas; r, w: 1 to n. writers: 1 or 2 concurrent writes. writers_ask: do writers read r replicas for the newest
    version first (default: in the ABD protocols)? If not, versions are perfect clocks: in order of the calls.
    """
    if isinstance(protocol, str):
        ranges.one_of("protocol", protocol, PROTOCOLS)
        writers_ask = protocol in WRITERS_ASK if writers_ask is None else writers_ask
        protocol = PROTOCOLS[protocol]
    ranges.whole("n", n, 1, 5)
    ranges.whole("r", r, 1, n)
    ranges.whole("w", w, 1, n)
    ranges.whole("writers", writers, 1, 2)
    return _Explorer(protocol, n, r, w, writers, bool(writers_ask)).run()


class _Explorer:
    def __init__(self, after_read: AfterRead, n: int, r: int, w: int, writers: int, writers_ask: bool):
        self.after_read, self.n, self.r, self.w, self.writers_ask = after_read, n, r, w, writers_ask
        self.writers = writers
        self.names = [f"w{i}" for i in range(1, writers + 1)] + ["A", "B"]

    def run(self) -> NoViolation | Counterexample:
        begin = time.perf_counter()
        size = len(self.names)
        start: State = (((0, ((NONE, NONE),) * size),) * self.n, ((IDLE, 0, 0, 0),) * size)
        came_from: dict[State, State | None] = {start: None}
        level = [start]
        while level:
            following = []
            for state in level:
                for move, plain in self.moves(state):
                    new = _canonical(plain)
                    if new in came_from:
                        continue
                    came_from[new] = state
                    if move.what == "returns" and not _linearizable(new[1], self.writers):
                        return self.counterexample(came_from, new, time.perf_counter() - begin)
                    following.append(new)
            level = following
        return NoViolation(len(came_from), time.perf_counter() - begin)

    def counterexample(self, came_from: dict[State, State | None], end: State, seconds: float) -> Counterexample:
        """Walk the path again with the replicas' names kept."""
        path: list[State] = []
        at: State | None = end
        while at is not None:
            path.append(at)
            at = came_from[at]
        state, moves = path[-1], []
        for wanted in path[-2::-1]:
            move, state = next((m, s) for m, s in self.moves(state) if _canonical(s) == wanted)
            moves.append(move)
        return Counterexample(self.n, tuple(moves), tuple(_history(end[1], self.writers)), len(came_from), seconds)

    # ------------------------------------------------------------------------------------------ one step
    def moves(self, state: State) -> Iterator[tuple[Move, State]]:
        """All that can happen next."""
        replicas, clients = state
        for c, (phase, _, need, _) in enumerate(clients):
            if phase == IDLE and (self.names[c] != "B" or clients[c - 1][0] == DONE):
                yield self.begin(state, c)
            elif phase == ASKING:
                yield from self.decide(state, c)
            elif phase == SPREADING and sum(messages[c][1] == STORED for _, messages in replicas) >= need:
                yield self.finish(state, c)
        for i, (version, messages) in enumerate(replicas):
            for c, (ask, spread) in enumerate(messages):
                if ask == SENT:
                    new = _set(messages, c, (ANSWERED + version, spread))
                    yield (Move("answers", self.names[c], i, version % 4),
                           (_set(replicas, i, (version, new)), clients))
                if spread == SENT:
                    sent = clients[c][1]
                    new = _set(messages, c, (ask, NONE if clients[c][0] == DONE else STORED))
                    yield (Move("stores", self.names[c], i, sent % 4),
                           (_set(replicas, i, (max(version, sent), new)), clients))

    def begin(self, state: State, c: int) -> tuple[Move, State]:
        replicas, clients = state
        over = sum(1 << i for i, client in enumerate(clients) if client[0] == DONE)
        if c < self.writers and not self.writers_ask:
            number = 1 + sum(client[0] != IDLE for client in clients[:self.writers])
            client, sent = (SPREADING, 4 * number + c + 1, self.w, over), (NONE, SENT)
        else:
            client, sent = (ASKING, 0, 0, over), (SENT, NONE)
        replicas = tuple((version, _set(messages, c, sent)) for version, messages in replicas)
        return Move("calls", self.names[c], None, 0), (replicas, _set(clients, c, client))

    def decide(self, state: State, c: int) -> Iterator[tuple[Move, State]]:
        """The client goes on with any r of the answers given so far."""
        replicas, clients = state
        answered = [i for i, (_, messages) in enumerate(replicas) if messages[c][0] >= ANSWERED]
        quiet = tuple((version, _set(messages, c, (NONE, NONE))) for version, messages in replicas)
        for used in combinations(answered, self.r):
            tags = {i: replicas[i][1][c][0] - ANSWERED for i in used}
            newest = max(tags.values())
            if c < self.writers:
                version = 4 * (newest // 4 + 1) + c + 1
                yield self.spread((quiet, clients), c, version, WriteBack(tuple(range(self.n)), self.w), used)
                continue
            todo = self.after_read(Replies(tags, self.n, self.r, self.w))
            if todo is None or not newest:
                seen = (ASKING, newest, 0, clients[c][3])
                yield self.finish((quiet, _set(clients, c, seen)), c, used)
            else:
                yield self.spread((quiet, clients), c, newest, todo, used)

    def spread(self, state: State, c: int, version: int, todo: WriteBack, used: tuple[int, ...]) -> tuple[Move, State]:
        replicas = tuple((v, _set(messages, c, (NONE, SENT))) if i in todo.to else (v, messages)
                         for i, (v, messages) in enumerate(state[0]))
        client = (SPREADING, version, todo.acks, state[1][c][3])
        return Move("repairs", self.names[c], None, version % 4, used), (replicas, _set(state[1], c, client))

    def finish(self, state: State, c: int, used: tuple[int, ...] = ()) -> tuple[Move, State]:
        """The call returns; its messages on the way still arrive, its acknowledgements no longer matter."""
        replicas = tuple((v, _set(messages, c, (NONE, SENT if messages[c][1] == SENT else NONE)))
                         for v, messages in state[0])
        _, version, _, over = state[1][c]
        clients = _set(state[1], c, (DONE, version, 0, over))
        return Move("returns", self.names[c], None, version % 4, used), (replicas, clients)


def _set(row: tuple[Item, ...], i: int, value: Item) -> tuple[Item, ...]:
    return (*row[:i], value, *row[i + 1:])


def _canonical(state: State) -> State:
    return tuple(sorted(state[0])), state[1]


def _history(clients: tuple[Client, ...], writers: int) -> list[Operation]:
    """What the clients have seen. All that matters about time is who was over when a call began."""
    names = [f"w{i}" for i in range(1, writers + 1)] + ["A", "B"]
    stages = sorted({over for phase, _, _, over in clients if phase != IDLE}, key=int.bit_count)
    history = []
    for c, (phase, version, _, over) in enumerate(clients):
        if phase == IDLE:
            continue
        begin = float(stages.index(over))
        later = [i for i, others in enumerate(stages) if others >> c & 1]
        end = math.inf if phase != DONE else (later[0] if later else len(stages)) - 0.5
        if c < writers:
            history.append(Operation(names[c], "write", (c + 1,), None, begin, end))
        else:
            history.append(Operation(names[c], "read", (), version % 4 or None, begin, end))
    return history


@cache
def _linearizable(clients: tuple[Client, ...], writers: int) -> bool:
    return linearizable(_history(clients, writers)).ok is not False
