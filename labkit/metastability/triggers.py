"""What goes wrong, other than load: slowdowns, outages, pauses, errors and lost caches. Parameters only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from labkit import ranges

KINDS = ["slowdown", "outage", "pause", "errors", "flush"]


@dataclass(frozen=True)
class Trigger:
    """Something that goes wrong for a while, other than load, from `start` for `length` seconds.

    kind "slowdown": service takes `factor` times as long. "pause": the whole server stands still (a GC pause):
    nothing starts, what is in service ends `length` later. "outage": the network holds back what is sent and
    delivers it all when it ends, as TCP does on reconnect. "errors": `rate` of the attempts that start fail.
    "flush": the cache is empty at `start`. shard: the only one it hits (None: all of them).
    """

    kind: Literal["slowdown", "outage", "pause", "errors", "flush"]
    start: float
    length: float
    factor: float = 1.0
    rate: float = 0.0
    shard: int | None = None

    def __post_init__(self) -> None:
        ranges.one_of("Trigger.kind", self.kind, KINDS)
        ranges.number("Trigger.start", self.start, 0)
        ranges.number("Trigger.length", self.length, 0)
        ranges.number("Trigger.factor", self.factor, 1)
        ranges.number("Trigger.rate", self.rate, 0, 1)
        if self.shard is not None:
            ranges.whole("Trigger.shard", self.shard, 0)

    @classmethod
    def slowdown(cls, start: float, length: float, factor: float, shard: int | None = None) -> Trigger:
        """Service started in this time takes `factor` >= 1 times as long."""
        return cls("slowdown", start, length, factor, shard=shard)

    @classmethod
    def outage(cls, start: float, length: float, shard: int | None = None) -> Trigger:
        """Attempts sent in this time all arrive when it ends (Bronson et al., HotOS 2021, section 2.1)."""
        return cls("outage", start, length, shard=shard)

    @classmethod
    def pause(cls, start: float, length: float, shard: int | None = None) -> Trigger:
        """The server does nothing in this time and then goes on where it was."""
        return cls("pause", start, length, shard=shard)

    @classmethod
    def errors(cls, start: float, length: float, rate: float, shard: int | None = None) -> Trigger:
        """Of the attempts that start in this time, a share of `rate` ends in an error: a bad replica among several,
        or a rolling restart. Comes on top of `Service.error_rate`, and takes as long as its errors."""
        return cls("errors", start, length, rate=rate, shard=shard)

    @classmethod
    def flush(cls, start: float) -> Trigger:
        """All that the cache of the clients holds is gone at `start`: it was restarted."""
        return cls("flush", start, 0.0)

    @property
    def stop(self) -> float:
        return self.start + self.length

    def hits(self, time: float) -> bool:
        """Whether it is going on at `time`."""
        return self.start <= time < self.stop


def as_triggers(trigger: Trigger | Sequence[Trigger] | None) -> tuple[Trigger, ...]:
    """One, several or none as a tuple; TypeError or ValueError for anything else."""
    triggers = () if trigger is None else (trigger,) if isinstance(trigger, Trigger) else tuple(trigger)
    for each in triggers:
        ranges.instance("trigger", each, Trigger)
    return triggers


def of_kind(triggers: Sequence[Trigger], kind: str, shard: int | None = None) -> tuple[Trigger, ...]:
    """Those of one kind that hit a shard (None: any), by their start."""
    mine = [each for each in triggers if each.kind == kind and (shard is None or each.shard in (None, shard))]
    return tuple(sorted(mine, key=lambda each: each.start))


def apart(pauses: Sequence[Trigger]) -> list[tuple[float, float]]:
    """(start, length) in s of the pauses, by start, those that overlap made one.

    >>> apart([Trigger.pause(1, 2), Trigger.pause(2, 4), Trigger.pause(8, 1)])
    [(1, 5), (8, 1)]
    """
    merged: list[tuple[float, float]] = []
    for pause in pauses:
        start, length = pause.start, pause.length
        if merged and start <= merged[-1][0] + merged[-1][1]:
            first, before = merged.pop()
            start, length = first, max(before, pause.stop - first)
        merged.append((start, length))
    return merged
