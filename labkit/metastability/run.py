"""What a run, simulated or live, left behind: one row per attempt, and the curves drawn from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from labkit import ranges
from labkit.metastability.experiment import Experiment
from labkit.metastability.model import Clients, Load, Service

if TYPE_CHECKING:
    import pandas as pd
# pandas is imported where a table is made: a dozen live servers start in the time one `import pandas` takes

# How an attempt ended. OK: answered in time. LATE: completed, well or badly, after its client had left. SHED:
# refused or dropped while its client waited. DROPPED: dropped after its client had left, or never sent for want of
# a connection. WAITING: the run ended first. ERROR: answered in time, with an error.
OK, LATE, SHED, DROPPED, WAITING, ERROR = range(6)
FATES = ["ok", "late", "shed", "dropped", "waiting", "error"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


COLUMNS = ["offered", "attempts", "goodput", "late", "timed_out", "retried", "shed", "errors", "hits", "queue",
           "in_service"]


def table(counts: Mapping[str, Ints], p50: Floats, p99: Floats) -> pd.DataFrame:
    """The table of `Run.per_second` from its columns; hits are goodput, changes of `queue`, `in_service` add up."""
    import pandas as pd

    counts = {**counts, "goodput": counts["goodput"] + counts["hits"],
              "queue": np.cumsum(counts["queue"]), "in_service": np.cumsum(counts["in_service"])}
    return pd.DataFrame({**{name: counts[name] for name in COLUMNS}, "p50": p50, "p99": p99},
                        index=pd.RangeIndex(len(p50), name="second"))


def nearest_rank(second: Ints, values: Floats, q: float, seconds: int) -> Floats:
    """The q-quantile of the values that fall in each of `seconds` seconds, as the value of the nearest rank."""
    order = np.lexsort((values, second))
    count = np.bincount(second, minlength=seconds)
    first = np.cumsum(count) - count
    rank = first + np.minimum(count - 1, (q * count).astype(int))
    result = np.full(seconds, math.nan)
    result[count > 0] = values[order][rank[count > 0]]
    return result


@dataclass(frozen=True, eq=False)
class Run:
    """The record of one experiment. Times are seconds from its start; arrays have one entry per attempt.

    offered: arrival time of each request (its first try). sent, arrived, started, ended: when an attempt left
    its client, reached the server (inf: not yet), began service (inf: never) and completed or was refused there
    (inf: neither). request, number: whose attempt it is, and the how-manieth (0 is the first try). fate: index into
    `FATES`. answers: when the answer was back at a client that waited (None: at once, when the attempt ended).
    hits: when requests were answered from the cache, without an attempt. kind: the class of each request
    (None: there are no classes).
    """

    experiment: Experiment
    offered: Floats
    sent: Floats
    request: Ints
    number: Ints
    arrived: Floats
    started: Floats
    ended: Floats
    fate: Ints
    answers: Floats | None = None
    hits: Floats = field(default_factory=lambda: np.zeros(0))
    kind: Ints | None = None

    # ------------------------------------------------------------------------------------------ what was run
    @property
    def service(self) -> Service:
        return self.experiment.service

    @property
    def clients(self) -> Clients:
        return self.experiment.clients

    @property
    def load(self) -> Load:
        return self.experiment.load

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.experiment.duration)

    # ------------------------------------------------------------------------------------------ tables
    @cached_property
    def attempts(self) -> pd.DataFrame:
        """One row per attempt in the order sent; `latency` is s since the request's first try."""
        import pandas as pd

        return pd.DataFrame({
            "request": self.request, "number": self.number, "sent": self.sent, "arrived": self.arrived,
            "started": self.started, "ended": self.ended, "fate": np.array(FATES)[self.fate],
            "latency": self.ended - self.offered[self.request] if len(self.sent) else self.sent})

    @cached_property
    def answered(self) -> Floats:
        """When the client of each attempt had its answer, good or bad, s; inf where it got none (yet)."""
        if self.answers is not None:
            return self.answers
        return np.where(np.isin(self.fate, [OK, SHED, ERROR]), self.ended, math.inf)

    @cached_property
    def timed_out_at(self) -> Floats:
        """When each client gave up on its attempt, s; inf where it did not (yet)."""
        deadline = self.sent + self.clients.timeout
        gave_up = np.isin(self.fate, [LATE, DROPPED, WAITING]) & (deadline < self.duration)
        return np.where(gave_up, deadline, math.inf)

    @cached_property
    def per_second(self) -> pd.DataFrame:
        """Counts in each second of the run, indexed by its start (s).

        offered: new requests. attempts: everything sent. goodput: requests answered while their client waited.
        late: attempts completed for a client that had left. timed_out: attempts given up on. retried: retries
        sent. shed: refused or dropped. errors: answered in time, with an error. hits: requests answered from the
        cache, which are part of the goodput. queue, in_service: attempts there at the end of the second. p50, p99:
        latency of the requests that the service answered in that second, s from their first try (NaN where there
        are none).
        """
        ok = self.fate == OK
        answered = self.answered[ok]
        latency = answered - self.offered[self.request[ok]]
        quantiles = [self._quantile(answered, latency, q) for q in (0.5, 0.99)]
        by_request = {"offered": self._count(self.offered), "hits": self._count(self.hits)}
        return table({**by_request, **self.counts()}, *quantiles)

    def counts(self) -> dict[str, Ints]:
        """What is counted attempt by attempt, in each second; `queue` and `in_service` as changes."""
        refused = (self.fate == SHED) | (self.fate == DROPPED)
        left_queue = np.minimum(self.started, self.ended)[np.isfinite(self.arrived)]
        return {
            "attempts": self._count(self.sent),
            "goodput": self._count(self.answered[self.fate == OK]),
            "late": self._count(self.ended[self.fate == LATE]),
            "timed_out": self._count(self.timed_out_at),
            "retried": self._count(self.sent[self.number > 0]),
            "shed": self._count(self.ended[refused]),
            "errors": self._count(self.answered[self.fate == ERROR]),
            "queue": self._count(self.arrived) - self._count(left_queue),
            "in_service": self._count(self.started) - self._count(self.ended[np.isfinite(self.started)])}

    @cached_property
    def served_at(self) -> Floats:
        """When each request that was answered in time was, by the service or from the cache, s."""
        good = self.answered[self.fate == OK]
        return np.concatenate([good, self.hits]) if len(self.hits) else good

    # ------------------------------------------------------------------------------------------ figures
    def goodput(self, start: float, stop: float) -> float:
        """Requests per second answered in [start, stop) while their client still waited."""
        return self._rate(self.served_at, start, stop)

    def goodput_of(self, kind: int, start: float, stop: float) -> float:
        """`goodput` of the requests of one class. Raises ValueError if the load has no classes."""
        if self.kind is None:
            raise ValueError("Run.kind: the load has no classes; see Load.with_classes")
        good = self.fate == OK
        return self._rate(self.answered[good & (self.kind[self.request] == kind)], start, stop)

    def amplification(self, start: float, stop: float) -> float:
        """Attempts sent per request offered in [start, stop); NaN if nothing was offered."""
        offered = self._rate(self.offered, start, stop)
        return self._rate(self.sent, start, stop) / offered if offered else math.nan

    @property
    def disturbance(self) -> tuple[float, float]:
        """(start, stop) in s of the triggers, first to last, or the unusual load; (0, 0) if there was none."""
        triggers = self.experiment.triggers
        if triggers:
            return min(each.start for each in triggers), max(each.stop for each in triggers)
        return self.load.disturbance or (0.0, 0.0)

    @cached_property
    def recovered_at(self) -> float | None:
        """First second after the disturbance from which clients are served for good; None if they are not.

        Served: over 10 s, goodput is at least 90 % of what was offered, less one standard deviation of a Poisson
        count (open system), or of the goodput before the disturbance (closed system: stuck clients offer nothing).
        """
        window = 10
        start, stop = self.disturbance
        seconds = int(self.duration)
        good = np.convolve(self._count(self.served_at)[:seconds], np.ones(window), "valid")
        if self.clients.population:
            wanted = np.full(len(good), window * (self.goodput(start / 2, start) if start > 0 else 0.0))
        else:
            wanted = np.convolve(self._count(self.offered)[:seconds], np.ones(window), "valid")
        bad = np.flatnonzero(good < 0.9 * wanted - np.sqrt(wanted))
        first = max(math.ceil(stop), int(bad[-1]) + 1 if len(bad) else 0)
        return float(first) if first < len(good) else None

    def summary(self) -> str:
        """One line with the numbers that matter."""
        start, stop = self.disturbance
        end = max(stop, self.duration - 20, 0.0)
        offered = self._rate(self.offered, end, self.duration) if end < self.duration else math.nan
        good = self.goodput(end, self.duration) if end < self.duration else math.nan
        return (f"last {self.duration - end:.0f} s: offered {offered:.1f}/s, goodput {good:.1f}/s, "
                f"{self.amplification(end, self.duration):.1f} attempts per request; {self._outcome(stop)}")

    def _outcome(self, stop: float) -> str:
        if not stop:
            return "not healthy" if self.recovered_at is None else "healthy"
        if self.recovered_at is None:
            return f"not recovered {max(0.0, self.duration - stop):.0f} s after the trigger"
        return f"recovered {self.recovered_at - stop:.0f} s after the trigger"

    # ------------------------------------------------------------------------------------------ counting
    @property
    def _seconds(self) -> int:
        return max(1, math.ceil(self.duration))

    def _count(self, times: Floats) -> Ints:
        inside = times[times < self.duration]
        return np.bincount(inside.astype(int), minlength=self._seconds)[:self._seconds]

    def _rate(self, times: Floats, start: float, stop: float) -> float:
        ranges.number("start", start, 0)
        ranges.number("stop", stop, start, above=True)
        return float(np.count_nonzero((times >= start) & (times < stop))) / (stop - start)

    def _quantile(self, times: Floats, values: Floats, q: float) -> Floats:
        inside = times < self.duration
        return nearest_rank(times[inside].astype(int), values[inside], q, self._seconds)
