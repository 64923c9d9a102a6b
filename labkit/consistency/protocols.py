"""What a reader does with the replies it got: the one function in which the protocols of this part differ.

The simulator and the exhaustive explorer both run these very functions, and a learner's own just as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tag = Any               # versions that can be compared; a larger one is newer
NOTHING: Tag = (float("-inf"), -1)      # the version of a replica that was never written


@dataclass(frozen=True)
class Replies:
    """The first r replies to a read: replica -> version, in a system of n replicas whose writers wait for w."""

    tags: dict[int, Tag]
    n: int
    r: int
    w: int

    @property
    def newest(self) -> Tag:
        return max(self.tags.values())

    @property
    def behind(self) -> tuple[int, ...]:
        """The replicas that answered with an older version than the newest."""
        newest = self.newest
        return tuple(replica for replica, tag in self.tags.items() if tag != newest)


@dataclass(frozen=True)
class WriteBack:
    """Before the read returns: send the newest version to these replicas and wait for that many acknowledgements."""

    to: tuple[int, ...]
    acks: int


AfterRead = Callable[[Replies], WriteBack | None]      # None: return at once


def plain(replies: Replies) -> WriteBack | None:
    """Return the newest version seen."""
    return None


def blocking_repair(replies: Replies) -> WriteBack | None:
    """Bring the replicas that answered up to date first (Cassandra's read_repair = BLOCKING, CASSANDRA-14635)."""
    return WriteBack(replies.behind, len(replies.behind)) if replies.behind else None


def abd(replies: Replies) -> WriteBack | None:
    """Make sure that w replicas have it first (Attiya, Bar-Noy & Dolev, "Sharing Memory Robustly", JACM 1995)."""
    return WriteBack(tuple(range(replies.n)), replies.w)


def abd_fast(replies: Replies) -> WriteBack | None:
    """The same, but skip the write-back if all replies agree. Is that safe? It depends on r: explore it."""
    return abd(replies) if replies.behind else None


PROTOCOLS: dict[str, AfterRead] = {"plain": plain, "blocking": blocking_repair, "abd": abd, "abd_fast": abd_fast}
WRITERS_ASK = ("abd", "abd_fast")       # their writers read a quorum for the newest version before they write
