"""What every replicated type here has in common: an owner, a copy, equality of state, and a size."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Self

Replica = str | int


def rank(replica: Replica) -> tuple[bool, Replica]:
    """A key that puts replica ids in one order everywhere: numbers first, then texts."""
    return isinstance(replica, str), replica


class Replicated:
    """One replica of a state-based type (CvRDT, Shapiro et al. 2011, section 2.2): update here, merge from anywhere.

    replica: the id of this copy, a text or a whole number; two living copies must never share one.
    replicas: all ids there are, where the group is closed; None lets anybody join.

    Raises TypeError for an id of another kind, ValueError for one outside `replicas`.
    """

    def __init__(self, replica: Replica, replicas: Collection[Replica] | None = None):
        if isinstance(replica, bool) or not isinstance(replica, Replica):
            raise TypeError(f"{type(self).__name__}.replica = {replica!r}: must be a text or a whole number")
        self.replica = replica
        self.replicas = None if replicas is None else frozenset(replicas)
        self._known(replica)

    def _known(self, replica: Replica) -> None:
        if self.replicas is not None and replica not in self.replicas:
            group = ", ".join(repr(known) for known in sorted(self.replicas, key=rank))
            raise ValueError(f"{type(self).__name__}: replica = {replica!r} is unknown: must be one of {group}")

    def _mergeable(self, other: object) -> None:
        """Refuse what must not be merged, before anything has changed."""
        if type(other) is not type(self):
            raise TypeError(f"{type(self).__name__}.merge: other is a {type(other).__name__}: "
                            f"must be a {type(self).__name__}")
        self._known(other.replica)

    def state(self) -> Any:
        """All that merging depends on, and nothing else: not the id, not what is waiting to be sent."""
        raise NotImplementedError

    def value(self) -> Any:
        """What a user of the type sees."""
        raise NotImplementedError

    def merge(self, other: Self) -> None:
        """Take in all that `other` knows; `other` stays as it is."""
        raise NotImplementedError

    def copy(self) -> Self:
        """A copy that shares nothing that can change. It keeps the id: a backup, not a new replica."""
        twin = object.__new__(type(self))
        for name, part in vars(self).items():
            setattr(twin, name, part.copy() if hasattr(part, "copy") else part)
        return twin

    def __eq__(self, other: object) -> bool:
        return bool(self.state() == other.state()) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal by state, and the state changes

    def size_bytes(self) -> int:
        """Bytes of the state as compact JSON: what a full-state message costs, and a fair unit between types."""
        return json_bytes(self.state())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.replica!r}, value={self.value()!r})"


class WithDeltas(Replicated):
    """A type that can also say only what is new (delta-state CRDT, Almeida et al. 2018, section 4)."""

    def delta(self) -> Self:
        """What was updated at this replica since the last call, as a small state of the same type."""
        raise NotImplementedError

    def merge_delta(self, delta: Self) -> None:
        """Take in a delta: a delta is a state, so this is a merge, safe in any order and any number of times.

        What a delta cannot do is replace one that never came: somebody has to send that again.
        """
        self.merge(delta)


def json_bytes(state: Any) -> int:
    """Length of a state as compact JSON in UTF-8; what JSON cannot say is written as Python would."""
    return len(json.dumps(_plain(state), separators=(",", ":"), ensure_ascii=False).encode())


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return [[_plain(key), _plain(value)] for key, value in state.items()]
    if isinstance(state, set | frozenset | list | tuple):
        return [_plain(part) for part in state]
    return state if state is None or isinstance(state, str | int | float) else repr(state)
