"""What each way of shipping updates needs from the network, found by taking it away.

Five ways, two types, six networks, many seeds: the table is what came out, not what the books say.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import simpy

from labkit import ranges
from labkit.crdt.counters import PNCounter
from labkit.crdt.network import Faults, HostileNetwork, isolate, later
from labkit.crdt.operations import OpCounter, OpSet
from labkit.crdt.sets import ORSWOT
from labkit.crdt.state import Replica, Replicated

REPLICAS = ("A", "B", "C")
UPDATES = 20            # one a second, at a random replica
PERIOD = 1.0            # s between the rounds of the ways that repeat themselves
QUIET = 30.0            # s after the last update until we look; the faults go on meanwhile
FAULTS = {"none": Faults(delay=0.3), "slow": Faults(delay=3.0), "drop": Faults(0.3, drop=0.3),
          "duplicate": Faults(0.3, duplicate=0.3), "reorder": Faults(3.0, reorder=True),
          "partition": Faults(0.3, partitions=(isolate(5, 12, ["A"]),))}

Update = tuple[str, Hashable]


class Sender:
    """A replica and its way of telling the others: `made` after each update, `tick` once a period, `got` on arrival."""

    operations = False

    def __init__(self, replica: Replicated, network: HostileNetwork):
        self.replica, self.network = replica, network
        self.others = network.others(replica.replica)

    def send(self, target: Replica, payload: Any) -> None:
        self.network.send(self.replica.replica, target, payload)

    def made(self, message: Any) -> None: ...

    def tick(self) -> None: ...

    def got(self, source: Replica, payload: Any) -> None: ...


class State(Sender):
    """Send everything, again and again."""

    def tick(self) -> None:
        for other in self.others:
            self.send(other, self.replica.copy())

    def got(self, source: Replica, payload: Any) -> None:
        self.replica.merge(payload)


class Delta(State):
    """Send what is new, once."""

    def made(self, message: Any) -> None:
        delta = self.replica.delta()            # type: ignore[attr-defined]  # only types with deltas come here
        for other in self.others:
            self.send(other, delta)

    def tick(self) -> None: ...


class DeltaAcknowledged(Delta):
    """Send what is new until it is acknowledged (Almeida et al. 2018, algorithm 2, without the transitive part)."""

    def __init__(self, replica: Replicated, network: HostileNetwork):
        super().__init__(replica, network)
        self.deltas: list[Any] = []
        self.pending: dict[Replica, set[int]] = {other: set() for other in self.others}

    def made(self, message: Any) -> None:
        self.deltas.append(self.replica.delta())    # type: ignore[attr-defined]
        for other in self.others:
            self.pending[other].add(len(self.deltas) - 1)

    def tick(self) -> None:
        for other in self.others:
            for number in sorted(self.pending[other]):
                self.send(other, (number, self.deltas[number]))

    def got(self, source: Replica, payload: Any) -> None:
        number, delta = payload
        if delta is None:
            self.pending[source].discard(number)
        else:
            self.replica.merge(delta)
            self.send(source, (number, None))


class OperationSender(Sender):
    """Send what was done, once, and do what arrives, when it arrives."""

    operations = True

    def made(self, message: Any) -> None:
        for other in self.others:
            self.send(other, message)

    def got(self, source: Replica, payload: Any) -> None:
        self.replica.apply(payload)             # type: ignore[attr-defined]  # an OpCounter or an OpSet


class OperationCausal(OperationSender):
    """Over causal broadcast: numbered, sent until acknowledged, done once, and after what its sender had seen."""

    def __init__(self, replica: Replicated, network: HostileNetwork):
        super().__init__(replica, network)
        self.done: dict[Replica, int] = {}
        self.pending: dict[Replica, dict[int, Any]] = {other: {} for other in self.others}
        self.waiting: list[tuple[Replica, int, dict[Replica, int], Any]] = []

    def made(self, message: Any) -> None:
        me, past = self.replica.replica, self.done.copy()
        self.done[me] = number = self.done.get(me, 0) + 1
        for other in self.others:
            self.pending[other][number] = (me, number, past, message)

    def tick(self) -> None:
        for other in self.others:
            for packet in list(self.pending[other].values()):
                self.send(other, packet)

    def got(self, source: Replica, payload: Any) -> None:
        if isinstance(payload, int):
            self.pending[source].pop(payload, None)
            return
        self.send(source, payload[1])
        if payload[1] > self.done.get(payload[0], 0) and payload not in self.waiting:
            self.waiting.append(payload)
        while self._deliver():
            pass

    def _deliver(self) -> bool:
        for packet in self.waiting:
            sender, number, past, message = packet
            if all(self.done.get(replica, 0) >= count for replica, count in past.items()):
                self.waiting.remove(packet)
                self.done[sender] = number
                self.replica.apply(message)     # type: ignore[attr-defined]
                return True
        return False


WAYS: dict[str, type[Sender]] = {"state": State, "delta": Delta, "delta, acknowledged": DeltaAcknowledged,
                                 "op": OperationSender, "op, causal broadcast": OperationCausal}
TYPES: dict[str, tuple[Callable[[Replica], Replicated], Callable[[Replica], Replicated]]] = {
    "counter": (PNCounter, OpCounter), "set": (ORSWOT, OpSet)}


@dataclass(frozen=True)
class Convergence:
    """How a run ended: equal everywhere, or not; right (the same value a perfect network gives), or not."""

    equal: bool
    values: tuple[Any, ...]
    messages: int


def run(way: str, kind: str, faults: Faults, seed: int = 0) -> Convergence:
    """Twenty updates at random replicas, shipped one `way` ("state", "delta", "op" ...) over a network with `faults`.

    kind: "counter" or "set". Raises ValueError for an unknown way or kind.
    """
    ranges.one_of("assumptions.run: way", way, WAYS)
    ranges.one_of("assumptions.run: kind", kind, TYPES)
    env = simpy.Environment()
    network = HostileNetwork(env, REPLICAS, lambda source, target, payload: senders[target].got(source, payload),
                             faults, seed)
    make = TYPES[kind][WAYS[way].operations]
    senders: dict[Replica, Sender] = {name: WAYS[way](make(name), network) for name in REPLICAS}
    rng = random.Random(seed)
    for i in range(UPDATES):
        later(env, i + rng.random(), partial(_update, senders[rng.choice(REPLICAS)], kind, rng))
    for i in range(int((UPDATES + QUIET) / PERIOD)):
        for sender in senders.values():
            later(env, i * PERIOD, sender.tick)
    env.run(UPDATES + QUIET + 1000 * faults.delay)      # time enough for the last message to arrive
    values = tuple(sender.replica.value() for sender in senders.values())
    return Convergence(all(value == values[0] for value in values), values, len(network.log))


def _update(sender: Sender, kind: str, rng: random.Random) -> None:
    replica: Any = sender.replica
    if kind == "counter":
        sender.made(replica.increment(rng.randint(1, 9)) if rng.random() < 0.7 else replica.decrement(1))
    elif rng.random() < 0.6 or not replica.value():
        sender.made(replica.add(rng.choice("pqr")))
    else:
        sender.made(replica.remove(rng.choice(sorted(replica.value()))))


def table(kind: str, seeds: int = 20, ways: tuple[str, ...] = tuple(WAYS)) -> dict[str, dict[str, float]]:
    """For each way and each fault, the share of `seeds` runs in which all replicas ended with the same value."""
    ranges.whole("assumptions.table: seeds", seeds, 1)
    return {way: {name: sum(run(way, kind, faults, seed).equal for seed in range(seeds)) / seeds
                  for name, faults in FAULTS.items()} for way in ways}
