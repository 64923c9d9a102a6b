"""Ten million attempts in a third of a gigabyte: the same simulation, counted as it goes and forgotten.

The engine writes its record into columns. Here these let go of their oldest rows once an attempt is over, after
having counted it; what is left is `per_second`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from labkit.metastability.callers import GONE, Callers
from labkit.metastability.experiment import Experiment
from labkit.metastability.model import Clients, Load, Service, Trigger
from labkit.metastability.run import OK, WAITING, Floats, Ints, Run, nearest_rank, table
from labkit.metastability.simulate import Agenda, run_events
from labkit.metastability.tiers import Tier

if TYPE_CHECKING:
    import pandas as pd

PIECE = 1 << 15     # rows counted at a time


class Window:
    """A column that has let go of its first `low` rows; these read as 0. Otherwise like a list that grows."""

    def __init__(self, code: str):
        self.data: Any = array(code) if code else []
        self.low = 0
        self.append = self.data.append

    def __len__(self) -> int:
        return self.low + len(self.data)

    def __getitem__(self, row: int) -> Any:
        return self.data[row - self.low] if row >= self.low else 0

    def __setitem__(self, row: int, value: Any) -> None:
        self.data[row - self.low] = value

    def part(self, start: int, stop: int) -> Any:
        """Rows [start, stop) as an array of their own."""
        return np.array(self.data[start - self.low:stop - self.low])

    def forget(self, stop: int) -> None:
        del self.data[:stop - self.low]
        self.low = max(self.low, stop)


class LateWindow(Window):
    """A column of times that are inf until they are set: nothing is held beyond the last one set."""

    def __init__(self) -> None:
        super().__init__("d")
        self.size = 0
        self.append = self.grow

    def grow(self, value: float) -> None:
        self.size += 1

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, row: int) -> Any:
        return super().__getitem__(row) if row - self.low < len(self.data) else math.inf

    def __setitem__(self, row: int, value: Any) -> None:
        missing = row - self.low + 1 - len(self.data)
        if missing > 0:
            self.data.extend([math.inf] * missing)
        self.data[row - self.low] = value

    def part(self, start: int, stop: int) -> Any:
        held = super().part(start, stop)
        return np.concatenate([held, np.full(stop - start - len(held), math.inf)])

class ThinLine:
    """A queue of attempts in 4 bytes each, where a deque of numbers takes 40."""

    def __init__(self) -> None:
        self.data, self.head = array("i"), 0
        self.append = self.data.append

    def __len__(self) -> int:
        return len(self.data) - self.head

    def popleft(self) -> int:
        attempt = self.data[self.head]
        self.head += 1
        if self.head > PIECE and 8 * self.head > len(self.data):
            del self.data[:self.head]
            self.head = 0
        return attempt

    def pop(self) -> int:
        return self.data.pop()


def column(code: str) -> Any:
    return LateWindow() if code == "inf" else Window(code)


def tally(service: Service, clients: Clients, load: Load, duration: float, seed: int = 0,
          trigger: Trigger | Sequence[Trigger] | None = None) -> pd.DataFrame:
    """The `per_second` of `simulate` with the same arguments, to the last bit, without keeping the attempts.

    Takes about twice the time. Memory grows with the attempts that are still there (a backlog), not with those that
    were; attempts older than the oldest still there go with it. Raises ValueError like `simulate`, and for a pool,
    whose line remembers attempts that are over.
    """
    experiment = Experiment(service, clients, load, duration, trigger, seed)
    if clients.pool:
        raise ValueError("Clients.pool: tally() cannot count it; simulate() can")
    agenda = Agenda()
    users = Callers(agenda, [Tier(service, clients, trigger)], 0, load, duration, seed, None,
                    column, cast("Any", ThinLine))
    counter = _Counter(experiment, users)
    step = max(1.0, duration / 1000)

    def sweep(now: float, _: None) -> None:
        counter.sweep(final=False)
        agenda.plan(now + step, sweep, None)

    agenda.plan(step, sweep, None)
    if clients.population:
        for _ in range(clients.population):
            users.think(0.0)
        fresh = iter(list[float]())
    else:
        pieces = load.arrivals_in_pieces(duration, np.random.default_rng(seed))
        fresh = chain.from_iterable(piece.tolist() for piece in pieces)
    run_events(agenda, users, fresh, duration)
    counter.sweep(final=True)
    return counter.result()


class _Counter:
    """Counts the rows of attempts and requests that are over, oldest first, and lets the columns forget them."""

    def __init__(self, experiment: Experiment, users: Callers):
        self.experiment, self.users = experiment, users
        self.seconds = max(1, math.ceil(experiment.duration))
        self.counts: dict[str, Ints] = {}
        self.attempts = self.requests = 0           # rows counted so far
        self.recent = np.zeros((2, 0))              # when attempts were answered, and after how long: not ranked yet
        self.ranked = 0                             # seconds whose quantiles are known
        self.p50, self.p99 = np.full((2, self.seconds), math.nan)

    def sweep(self, final: bool) -> None:
        """Count what is over; at the end (`final`) everything is."""
        users = self.users
        while self.attempts < len(users.sent):
            stop = min(len(users.sent), self.attempts + PIECE)
            fate, ended = (self.rows(column, stop) for column in (users.fate, users.ended))
            going_on = np.flatnonzero(np.isin(fate, [WAITING, GONE]) | ~np.isfinite(ended))
            if not final and len(going_on):
                stop = self.attempts + int(going_on[0])
            if stop > self.attempts:
                self.count(stop)
            if len(going_on) and not final:
                break
        self.rank(self.seconds if final else int(users.sent[self.attempts]) if self.attempts < len(users.sent) else 0)
        self.forget(final)

    def rows(self, column: Any, stop: int) -> Any:
        return column.part(self.attempts, stop)

    def count(self, stop: int) -> None:
        """Count attempts up to row `stop`, as a little `Run` of their own."""
        users = self.users
        sent, fate = self.rows(users.sent, stop), self.rows(users.fate, stop).astype(int)
        request = self.rows(users.request, stop)
        low = int(request.min())
        fate[fate == GONE] = WAITING
        run = Run(self.experiment, cast("Any", users.offered).part(low, int(request.max()) + 1), sent, request - low,
                  self.rows(users.number, stop), self.rows(users.arrived, stop) if users.far else sent,
                  self.rows(users.started, stop), self.rows(users.ended, stop), fate,
                  self.rows(users.answered, stop) if users.delay else None)
        for name, counted in run.counts().items():
            self.counts[name] = self.counts.get(name, np.zeros(self.seconds, dtype=np.int64)) + counted
        ok = fate == OK
        latency = run.answered[ok] - run.offered[run.request[ok]]
        self.recent = np.concatenate([self.recent, [run.answered[ok], latency]], axis=1)
        self.attempts = stop

    def rank(self, until: int) -> None:
        """The quantiles of the seconds before `until`, in which nobody can be answered any more."""
        if until <= self.ranked:
            return
        known = self.recent[0] < until
        when, latency = self.recent[:, known & (self.recent[0] < self.experiment.duration)]
        width = until - self.ranked
        for quantiles, q in ((self.p50, 0.5), (self.p99, 0.99)):
            quantiles[self.ranked:until] = nearest_rank(when.astype(int) - self.ranked, latency, q, width)
        self.recent = self.recent[:, ~known]
        self.ranked = until

    def forget(self, final: bool) -> None:
        """Forget attempts that were counted, and requests older than any that an attempt or a waiting retry is of."""
        users = self.users
        if final or self.attempts - cast("Any", users.sent).low < max(PIECE, (len(users.sent) - self.attempts) // 8):
            return
        for column in (users.sent, users.request, users.number, users.started, users.ended, users.fate,
                       *([users.arrived] if users.far else []), *([users.answered] if users.delay else [])):
            cast("Any", column).forget(self.attempts)
        self.forget_requests()

    def forget_requests(self) -> None:
        users = self.users
        here = self.rows(users.request, len(users.sent))
        retries = [what[0] for _, _, call, what in users.agenda.heap if call == users.resend]
        low = min([len(users.offered), *retries, *([int(here.min())] if len(here) else [])])
        self.count_requests(low)
        for column in (users.offered, users.last_delay, *([users.marks] if users.marked else [])):
            cast("Any", column).forget(low)

    def count_requests(self, stop: int) -> None:
        offered = self.counts.get("offered", np.zeros(self.seconds, dtype=np.int64))
        times = cast("Any", self.users.offered).part(self.requests, stop)
        self.counts["offered"] = offered + np.bincount(times.astype(int), minlength=self.seconds)
        self.requests = stop

    def result(self) -> pd.DataFrame:
        self.count_requests(len(self.users.offered))
        hits = np.bincount(np.array(self.users.hits, dtype=float).astype(int), minlength=self.seconds)
        nothing: Floats = np.zeros(self.seconds, dtype=np.int64)
        names = ["attempts", "goodput", "late", "timed_out", "retried", "shed", "errors", "queue", "in_service"]
        counts: dict[str, Any] = {**dict.fromkeys(names, nothing), **self.counts, "hits": hits}
        return table(counts, self.p50, self.p99)
