"""Replicas that are updated, gossip over a network that takes its time, and end up equal, or not."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import simpy

from labkit import ranges
from labkit.crdt.counters import GCounter, PNCounter
from labkit.crdt.gossip.theory import MODES
from labkit.crdt.network import Faults, HostileNetwork, Isolation, Sent, isolate, later
from labkit.crdt.registers import LWWMap, MVRegister
from labkit.crdt.sets import ORSWOT, ORSet, TwoPhaseSet
from labkit.crdt.state import Replicated
from labkit.crdt.text import Text

KINDS: dict[str, type[Replicated]] = {kind.__name__: kind for kind in
                                      (GCounter, PNCounter, TwoPhaseSet, ORSet, ORSWOT, LWWMap, MVRegister, Text)}
INTERVAL = 1.0          # s between two operations, and between two chances to gossip
PATIENCE = 60.0         # s after the last operation that are recorded second by second


class Update(NamedTuple):
    """An operation as it was done: number, time (s), replica, what, and which operations (a bit set) it had seen."""

    number: int
    time: float
    replica: str
    what: str
    key: Any
    seen: int


@dataclass
class GossipRun:
    """What happened.

    converged_at: time (s) from which all states are equal and stay so, all operations done; None if never
    divergence: (time, number of different states), once a second until a minute after the last operation; 1 is equal
    updates, messages: everything that was done and sent
    bytes_sent: of all messages, lost ones too
    due: operations that users asked for; each that was done at once, where it was asked for, is in `updates`
    """

    kind: str
    operations: int
    states: list[Any] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    messages: list[Sent] = field(default_factory=list)
    divergence: list[tuple[float, int]] = field(default_factory=list)
    converged_at: float | None = None
    bytes_sent: int = 0
    due: int = 0

    @property
    def converged(self) -> bool:
        return self.converged_at is not None

    @property
    def failed_operations(self) -> int:
        return self.due - len(self.updates)

    @property
    def values(self) -> list[Any]:
        return [state.value() for state in self.states]

    @property
    def last_operation(self) -> float:
        return self.updates[-1].time if self.updates else 0.0

    @property
    def lost_writes(self) -> list[Update]:
        """LWWMap only: writes that lost to one that had not seen them, so that no reader ever chose between the two."""
        lost = []
        for key in {update.key for update in self.updates if self.kind == "LWWMap"}:
            writes = [update for update in self.updates if update.key == key]
            entry = self.states[0].entries.get(key)
            winner = next((w for w in writes if entry and w.what == f"set {key}={entry.value}"), None)
            if winner:
                lost += [w for w in writes if w is not winner and not winner.seen >> w.number & 1]
        return sorted(lost)

    def summary(self) -> str:
        """One line with the numbers."""
        end = "never equal" if self.converged_at is None else \
            f"equal {self.converged_at - self.last_operation:.1f} s after the last operation"
        lost = f", {len(self.lost_writes)} writes lost unseen" if self.kind == "LWWMap" else ""
        peak = max((count for _, count in self.divergence), default=1)
        return (f"{self.kind}: {end}; at most {peak} different states; {self.failed_operations} operations failed; "
                f"{len(self.messages)} messages, {self.bytes_sent / 1000:.1f} kB{lost}")


def simulate(kind: str | type[Replicated], replicas: int = 4, operations: int = 30, merge_probability: float = 0.3,
             delay: float = 0.5, partition: Isolation | Sequence[Any] | None = None, seed: int = 0, mode: str = "push",
             *, fanout: int = 1, skew: float = 0.0, horizon: float = math.inf) -> GossipRun:
    """One operation a second at a random replica; each second each replica gossips with chance `merge_probability`.

    kind: a type of `labkit.crdt`, or its name in any spelling ("ORSWOT", "g_counter", "PN-Counter")
    replicas: 2 or more, named A, B, C ...      operations: 0 or more
    merge_probability: 0 to 1       delay: mean time of a message on its way (s)
    partition: (start, stop) in s cuts off the first half, (start, stop, names) cuts off those
    mode: "push" sends the state, "pull" asks for the other's, "push_pull" does both      fanout: contacts each time
    skew: standard deviation of the replicas' clocks (s), which stamp the writes of an LWWMap
    horizon: stop at that time (s). Without it gossip goes on after the last operation (final anti-entropy) until all
    states are equal, unless that cannot happen: p = 0, or a partition that never heals.

    Raises ValueError naming the parameter that is out of range.
    """
    cls = _kind(kind)
    ranges.whole("gossip.simulate: replicas", replicas, 2, 26)
    ranges.whole("gossip.simulate: operations", operations, 0)
    ranges.number("gossip.simulate: merge_probability", merge_probability, 0, 1)
    ranges.number("gossip.simulate: delay", delay, 0)
    ranges.one_of("gossip.simulate: mode", mode, MODES)
    ranges.whole("gossip.simulate: fanout", fanout, 1, replicas - 1)
    ranges.number("gossip.simulate: skew", skew, 0)
    names = [chr(ord("A") + i) for i in range(replicas)]
    cut = _cut(partition, names)
    return _Gossip(cls, names, operations, merge_probability, Faults(delay, partitions=cut), mode, fanout, skew,
                   seed).run(horizon)


def _kind(kind: str | type[Replicated]) -> type[Replicated]:
    if kind in KINDS.values():
        return KINDS[kind.__name__]             # type: ignore[union-attr]  # it is one of the classes
    plain = {name.lower(): cls for name, cls in KINDS.items()}
    spelled = str(kind).lower().replace("-", "").replace("_", "").replace(" ", "")
    if spelled not in plain:
        ranges.one_of("gossip.simulate: kind", kind, KINDS)
    return plain[spelled]


def _cut(partition: Any, names: list[str]) -> tuple[Isolation, ...]:
    if partition is None:
        return ()
    if isinstance(partition, Isolation):
        return (partition,)
    parts = tuple(partition) if isinstance(partition, Collection) and not isinstance(partition, str) else ()
    if len(parts) not in (2, 3):
        raise ValueError(f"gossip.simulate: partition = {partition!r}: must be (start, stop) or (start, stop, names)")
    return (isolate(parts[0], parts[1], parts[2] if len(parts) == 3 else names[:len(names) // 2]),)


class _Gossip:
    def __init__(self, cls: type[Replicated], names: list[str], operations: int, p: float, faults: Faults, mode: str,
                 fanout: int, skew: float, seed: int):
        self.env = simpy.Environment()
        self.network = HostileNetwork(self.env, names, self.receive, faults, seed)
        self.replicas: dict[Any, Replicated] = {name: cls(name) for name in names}
        self.seen = dict.fromkeys(names, 0)
        self.p, self.mode, self.fanout = p, mode, fanout
        self.choices, self.contacts = random.Random(2 * seed), random.Random(2 * seed + 1)
        self.clocks = {name: self.choices.gauss(0, skew) if skew else 0.0 for name in names}
        self.outcome = GossipRun(cls.__name__, operations)
        self.equal = self.env.event()

    def run(self, horizon: float) -> GossipRun:
        outcome = self.outcome
        for number in range(outcome.operations):
            later(self.env, (number + 1) * INTERVAL, self.update)
        if self.p:
            for name in self.replicas:
                self.env.process(self.gossip(name))
        self.env.process(self.watch())
        end = outcome.operations * INTERVAL
        heals = all(cut.stop < math.inf for cut in self.network.faults.partitions)
        if horizon < math.inf or not self.p or not heals:
            self.env.run(max(min(horizon, end + PATIENCE), 1e-9))
        else:
            self.env.run(self.equal)
        outcome.states, outcome.messages = list(self.replicas.values()), self.network.log
        return outcome

    # ------------------------------------------------------------------------------------------------ users
    def update(self) -> None:
        self.outcome.due += 1
        name = self.choices.choice(list(self.replicas))
        number = len(self.outcome.updates)
        what, key = do_something(self.replicas[name], number, self.env.now + self.clocks[name], self.choices)
        self.outcome.updates.append(Update(number, self.env.now, name, what, key, self.seen[name]))
        self.seen[name] |= 1 << number
        self.check()

    # ------------------------------------------------------------------------------------------------ gossip
    def gossip(self, name: str) -> Any:
        yield self.env.timeout(self.contacts.random() * INTERVAL)
        while True:
            # waiting for a success of chance p each interval, without drawing every one of them
            misses = 0 if self.p == 1 else int(math.log(1 - self.contacts.random()) / math.log1p(-self.p))
            yield self.env.timeout((misses + 1) * INTERVAL)
            for other in self.contacts.sample(self.network.others(name), self.fanout):
                if self.mode == "pull":
                    self.send(name, other, "send me yours", None)
                else:
                    self.send(name, other, self.mode, self.replicas[name])

    def send(self, source: Any, target: Any, wish: str, state: Replicated | None) -> None:
        self.outcome.bytes_sent += 8 if state is None else state.size_bytes()
        self.network.send(source, target, (wish, state and state.copy(), self.seen[source]))

    def receive(self, source: Any, target: Any, payload: Any) -> None:
        wish, state, seen = payload
        if state is not None:
            self.replicas[target].merge(state)
            self.seen[target] |= seen
            self.check()
        if wish in ("send me yours", "push_pull"):
            self.send(target, source, "", self.replicas[target])

    # ------------------------------------------------------------------------------------------------ observer
    def different(self) -> int:
        kinds: list[Replicated] = []
        for replica in self.replicas.values():
            if replica not in kinds:
                kinds.append(replica)
        return len(kinds)

    def check(self) -> None:
        """Note the moment of agreement; after it, messages bring nothing new, so it lasts."""
        outcome = self.outcome
        if len(outcome.updates) == outcome.operations and outcome.converged_at is None and self.different() == 1:
            outcome.converged_at = self.env.now
            outcome.divergence.append((self.env.now, 1))
            self.equal.succeed()

    def watch(self) -> Any:
        if not self.outcome.operations:
            self.check()
        until = self.outcome.operations * INTERVAL + PATIENCE
        while not self.outcome.converged and self.env.now <= until:
            self.outcome.divergence.append((self.env.now, self.different()))
            yield self.env.timeout(INTERVAL)


def do_something(replica: Any, number: int, clock: float, rng: random.Random) -> tuple[str, Any]:
    """A random update that suits the type; returns what it was, in words, and the key it touched."""
    if isinstance(replica, GCounter | PNCounter):
        down = isinstance(replica, PNCounter) and rng.random() < 0.3
        amount = rng.randint(1, 5)
        (replica.decrement if down else replica.increment)(amount)  # type: ignore[union-attr]
        return f"{'-' if down else '+'}{amount}", None
    if isinstance(replica, LWWMap):
        key = rng.choice("wxyz")
        replica.set(key, number, clock)
        return f"set {key}={number}", key
    if isinstance(replica, MVRegister):
        replica.set(number)
        return f"set {number}", None
    if isinstance(replica, Text):
        replica.insert(rng.randint(0, len(replica)), chr(ord("a") + number % 26))
        return f"type {chr(ord('a') + number % 26)}", None
    held = sorted(replica.value())
    if held and rng.random() < 0.4:
        item = rng.choice(held)
        replica.remove(item)
        return f"remove {item}", item
    item = rng.choice("pqrstuvw")
    replica.add(item)
    return f"add {item}", item
