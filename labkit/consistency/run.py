"""What a simulated run left behind: every attempt, the history it makes, and the figures drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from labkit import ranges
from labkit.consistency import history as histories
from labkit.consistency.history import Operation
from labkit.consistency.linearizability import Verdict, linearizable
from labkit.consistency.store import Network, Partition, Store, Workload

SIDES = ("majority", "minority")


@dataclass(frozen=True)
class Attempt:
    """One call. process: its client as the history counts them (a client whose call failed goes on as a new process).

    value: written or read (None: nothing written yet). invoked, ended: ms. ok: answered in time. side: where its
    client sits.
    """

    process: int
    kind: str
    value: int | None
    invoked: float
    ended: float
    ok: bool
    side: str


@dataclass(frozen=True, eq=False)
class StoreRun:
    """The record of one experiment; times in ms.

    lost_writes: acknowledged writes that the store puts before a write that was over when they began. A replica that
    has the older value refuses the newer one, or goes back from it: somebody's clock was wrong.
    """

    store: Store
    network: Network
    workload: Workload
    partition: Partition | None
    duration: float
    seed: int
    attempts: tuple[Attempt, ...]
    lost_writes: tuple[Operation, ...]

    @cached_property
    def history(self) -> list[Operation]:
        """What the clients saw. A failed write may have happened, so it is there as a call that never returned."""
        return [_operation(a) for a in self.attempts if a.ok or a.kind == "write"]

    @cached_property
    def verdict(self) -> Verdict:
        """Is the history linearizable?"""
        return linearizable(self.history)

    @cached_property
    def stale_reads(self) -> list[Operation]:
        """Reads that missed the last completed write, see `history.stale_reads`."""
        return histories.stale_reads(self.history)

    def latency(self, kind: str, side: str | None = None) -> npt.NDArray[np.float64]:
        """Latencies of the successful reads or writes, ms, in order of their calls; failures are not among them."""
        return np.array([a.ended - a.invoked for a in self._select(kind, side) if a.ok])

    def failed_latency(self, kind: str, side: str | None = None) -> npt.NDArray[np.float64]:
        """How long clients waited for the calls that failed, ms."""
        return np.array([a.ended - a.invoked for a in self._select(kind, side) if not a.ok])

    def availability(self, side: str | None = None, kind: str | None = None) -> float:
        """Successful share of the calls made while the partition lasted (of all calls, if there was none).

        side: "majority" or "minority", None for both. NaN if there were no such calls.
        """
        calls = [a for a in self._select(kind, side) if not self.partition or self.partition.active(a.invoked)]
        return sum(a.ok for a in calls) / len(calls) if calls else math.nan

    @property
    def recovery(self) -> float:
        """ms from the heal to the end of the last failed call or stale read that began after it; 0 if there is none.

        NaN without a partition that heals.
        """
        if not self.partition or self.partition.heal == math.inf:
            return math.nan
        heal = self.partition.heal
        bad = [o.returned for o in self.stale_reads if o.invoked >= heal]
        bad += [a.ended for a in self.attempts if not a.ok and a.invoked >= heal]
        return max(bad, default=heal) - heal

    def summary(self) -> str:
        """One line with the numbers that matter."""
        reads, writes = self.latency("read"), self.latency("write")
        text = [f"{len(self.attempts)} calls, {sum(not a.ok for a in self.attempts)} failed",
                f"read {_mean(reads)}, write {_mean(writes)}", f"{len(self.stale_reads)} stale reads",
                f"{len(self.lost_writes)} lost writes"]
        return "; ".join(text)

    def _select(self, kind: str | None, side: str | None) -> list[Attempt]:
        if kind is not None:
            ranges.one_of("kind", kind, ("read", "write"))
        if side is not None:
            ranges.one_of("side", side, SIDES)
        return [a for a in self.attempts if kind in (None, a.kind) and side in (None, a.side)]


def _operation(attempt: Attempt) -> Operation:
    returned = attempt.ended if attempt.ok else math.inf
    if attempt.kind == "write":
        return Operation(attempt.process, "write", (attempt.value,), None, attempt.invoked, returned)
    return Operation(attempt.process, "read", (), attempt.value, attempt.invoked, returned)


def _mean(latencies: npt.NDArray[np.float64]) -> str:
    return f"{latencies.mean():.1f} ms" if len(latencies) else "none"
