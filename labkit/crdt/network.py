"""A network that does what networks do: delay, lose, duplicate, reorder, split in two. The same for the same seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import simpy

from labkit import ranges
from labkit.crdt.state import Replica


@dataclass(frozen=True)
class Isolation:
    """From `start` to `stop` (s) nothing passes between `group` and the others; `stop` may be inf."""

    start: float
    stop: float
    group: frozenset[Replica]

    def __post_init__(self) -> None:
        ranges.number("Isolation.start", self.start, 0)
        ranges.number("Isolation.stop", self.stop, self.start, infinite=True)
        object.__setattr__(self, "group", frozenset(self.group))

    def cuts(self, time: float, one: Replica, other: Replica) -> bool:
        return self.start <= time < self.stop and (one in self.group) != (other in self.group)


@dataclass(frozen=True)
class Faults:
    """What the network may do to a message.

    delay: mean time on the way (s, >= 0), uniform between half and one and a half of it
    drop: chance that it is lost (0 to 1)
    duplicate: chance that it comes twice (0 to 1)
    reorder: messages of one link may overtake each other; the delay is then exponential
    partitions: when the network is cut; a message is lost if it is sent or would arrive then
    """

    delay: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: bool = False
    partitions: tuple[Isolation, ...] = ()

    def __post_init__(self) -> None:
        ranges.number("Faults.delay", self.delay, 0)
        ranges.number("Faults.drop", self.drop, 0, 1)
        ranges.number("Faults.duplicate", self.duplicate, 0, 1)
        ranges.instance("Faults.reorder", self.reorder, bool)
        object.__setattr__(self, "partitions", tuple(self.partitions))
        for cut in self.partitions:
            ranges.instance("Faults.partitions", cut, Isolation)


class Sent(NamedTuple):
    """A message as an observer outside saw it; times in s."""

    source: Replica
    sent: float
    target: Replica
    received: float
    lost: bool


@dataclass
class HostileNetwork:
    """Carries messages between `replicas` in the virtual time of a SimPy environment.

    `send` hands the payload to `receive(source, target, payload)` when it arrives, if it does, once or twice.
    """

    env: simpy.Environment
    replicas: Sequence[Replica]
    receive: Callable[[Replica, Replica, Any], object]
    faults: Faults = Faults()
    seed: int = 0
    log: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._last: dict[tuple[Replica, Replica], float] = {}
        for cut in self.faults.partitions:
            for replica in cut.group:
                self._check("Isolation.group", replica)

    def _check(self, name: str, replica: Replica) -> None:
        if replica not in self.replicas:
            raise ValueError(f"{name} = {replica!r}: unknown replica; must be one of "
                             + ", ".join(repr(known) for known in self.replicas))

    def send(self, source: Replica, target: Replica, payload: Any) -> None:
        """Give a message to the network now. Raises ValueError for a replica it does not know."""
        self._check("HostileNetwork.send: source", source)
        self._check("HostileNetwork.send: target", target)
        copies = 2 if self._rng.random() < self.faults.duplicate else 1
        for _ in range(copies):
            self._carry(source, target, payload)

    def _carry(self, source: Replica, target: Replica, payload: Any) -> None:
        now, arrival = self.env.now, self.env.now + self._delay()
        if not self.faults.reorder:                 # one after the other, as on a TCP connection
            arrival = self._last[source, target] = max(arrival, self._last.get((source, target), 0.0))
        lost = self._rng.random() < self.faults.drop or any(
            cut.cuts(time, source, target) for cut in self.faults.partitions for time in (now, arrival))
        self.log.append(Sent(source, now, target, arrival, lost))
        if not lost:
            later(self.env, arrival - now, lambda: self.receive(source, target, payload))

    def _delay(self) -> float:
        if not self.faults.reorder:
            return self.faults.delay * (0.5 + self._rng.random())
        return -self.faults.delay * math.log(1 - self._rng.random())

    def others(self, replica: Replica) -> list[Replica]:
        return [other for other in self.replicas if other != replica]


def later(env: simpy.Environment, delay: float, action: Callable[[], object]) -> None:
    """Call `action()` in `delay` seconds of virtual time."""
    event = env.timeout(max(delay, 0.0))
    event.callbacks.append(lambda _: action())


def isolate(start: float, stop: float, group: Collection[Replica]) -> Isolation:
    """The usual cut: `group` on its own from `start` to `stop` (s)."""
    return Isolation(start, stop, frozenset(group))
