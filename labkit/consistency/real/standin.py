"""A leader and a follower in virtual time, for exercises on machines without etcd: the same calls, and as stale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labkit.consistency.history import Operation

LOCAL = 0.5         # ms of a call that asks nobody
BREATH = 0.1        # ms between two calls: calls that touch would count as concurrent


@dataclass
class Pair:
    """Two nodes `delay` ms apart, one way, a register, and one caller: each call ends before the next begins."""

    delay: float = 50.0
    now: float = 0.0
    history: list[Operation] = field(default_factory=list)
    commits: list[tuple[float, Any]] = field(default_factory=lambda: [(0.0, None)])

    def at(self, time: float) -> Any:
        """The value committed by then."""
        return next(value for when, value in reversed(self.commits) if when <= time)


class StandIn:
    """A client of the leader or of the follower of a `Pair`: `write`, `read` and `cas` as a `Client` has them."""

    def __init__(self, pair: Pair, name: str, follower: bool):
        self.pair, self.name, self.follower = pair, name, follower
        self.away = pair.delay if follower else 0.0             # from the leader

    def write(self, value: int) -> int:
        """Commits once the leader has heard from another node."""
        self._record("write", (value,), None, self._commit(value))
        return value

    def cas(self, expected: int, new: int) -> bool:
        """Set `new` if the value is `expected`; was it?"""
        same = bool(self.pair.at(self.pair.now + self.away) == expected)
        end = self._commit(new) if same else self.pair.now + 2 * (self.pair.delay + self.away)
        self._record("cas", (expected, new), same, end)
        return same

    def read(self, reads: str = "linearizable") -> int | None:
        """What the leader has made sure of; "serializable": what this node has heard of."""
        now = self.pair.now
        if reads == "serializable":
            value, end = self.pair.at(now - self.away), now + LOCAL
        else:
            value, end = self.pair.at(now + self.away), now + 2 * (self.pair.delay + self.away)
        self._record("read", (), value, end)
        return None if value is None else int(value)

    def _commit(self, value: int) -> float:
        done = self.pair.now + self.away + 2 * self.pair.delay
        self.pair.commits.append((done, value))
        return done + self.away

    def _record(self, kind: str, args: tuple[int, ...], result: Any, end: float) -> None:
        self.pair.history.append(Operation(self.name, kind, args, result, self.pair.now, end))
        self.pair.now = end + BREATH
