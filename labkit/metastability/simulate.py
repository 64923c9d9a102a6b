"""The fast engine: one event loop over three sources of events, in plain Python.

`callers.py` has the clients and `server.py` the servers that it drives. `telling.py` tells the same story in SimPy,
ten times slower and easier to read; a test holds the two to the same fate for every attempt.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from labkit.metastability.callers import GONE, Callers
from labkit.metastability.experiment import Experiment
from labkit.metastability.model import Clients, Load, Service, Trigger
from labkit.metastability.run import WAITING, Run
from labkit.metastability.tiers import Tier, experiments

LATER = 1 << 60     # order numbers from here on are not completions; see Agenda


class Agenda:
    """All that is planned, as a heap of (time, order, what to call, with what). At one moment completions come first,
    in the order of their starts, and everything else in the order in which it was planned."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Callable[[float, Any], None], Any]] = []
        self.starts, self.count = itertools.count(), LATER
        self.plan(math.inf, lambda now, what: None, None)       # so that it is never empty

    def plan(self, time: float, call: Callable[[float, Any], None], what: Any) -> None:
        self.count += 1
        heappush(self.heap, (time, self.count, call, what))


def simulate(service: Service, clients: Clients, load: Load, duration: float, seed: int = 0,
             trigger: Trigger | Sequence[Trigger] | None = None) -> Run:
    """Run `clients` under `load` against `service` for `duration` simulated seconds.

    seed: whole number >= 0; the same seed gives the same run on every platform. With `clients.population` N the
    load is what N idle clients would send together, so each thinks for N / rate seconds on average.
    trigger: what goes wrong, one or several. Raises ValueError for parameters that make no sense together.
    """
    experiment = Experiment(service, clients, load, duration, trigger, seed)
    callers = _play([Tier(service, clients, trigger)], load, duration, seed)
    return _record(experiment, callers[0])


def simulate_tiers(tiers: Sequence[Tier], load: Load, duration: float, seed: int = 0) -> tuple[Run, ...]:
    """Run users under `load` against the first tier, which calls the second, and so on; one `Run` per tier.

    The requests of a later tier's run are the calls that the tier in front made. Raises ValueError like `simulate`.
    """
    each = experiments(tiers, load, duration, seed)
    callers = _play(list(tiers), load, duration, seed)
    return tuple(_record(experiment, caller) for experiment, caller in zip(each, callers, strict=True))


def _play(tiers: list[Tier], load: Load, duration: float, seed: int) -> list[Callers]:
    """Set the scene and let everything happen."""
    agenda = Agenda()
    callers: list[Callers] = []
    for number in range(len(tiers)):
        front = callers[-1] if callers else None
        caller = Callers(agenda, tiers, number, load, duration, seed, front)
        for server in front.servers if front else ():
            server.onward = caller
        callers.append(caller)
    users = callers[0]
    if users.clients.population:
        fresh: list[float] = []
        for _ in range(users.clients.population):
            users.think(0.0)
    else:
        fresh = load.arrivals(duration, np.random.default_rng(seed)).tolist()
    run_events(agenda, users, iter(fresh), duration)
    return callers


def run_events(agenda: Agenda, users: Callers, fresh: Iterator[float], duration: float) -> None:
    """The event loop, over the times of new requests in order, time-outs, and what is planned. Of what happens at one
    moment, completions come first, then time-outs, then new requests."""
    heap, pop, inf = agenda.heap, heappop, math.inf
    sent, fate, timeout, expire, new_request = users.sent, users.fate, users.timeout, users.expire, users.new_request
    t_new = next(fresh, inf)
    due = 0         # oldest attempt whose user may still wait: constant time-out, so they expire in order
    while True:
        while due < len(sent) and fate[due] != WAITING:
            due += 1
        t_due = sent[due] + timeout if due < len(sent) else inf
        now, order, call, what = heap[0]
        if now <= t_due and now <= t_new and (order < LATER or (now < t_due and now < t_new)):
            if now >= duration:
                return
            pop(heap)
            call(now, what)
        elif t_due <= t_new:
            if t_due >= duration:
                return
            expire(t_due, due)
        else:
            if t_new >= duration:
                return
            new_request(t_new)
            t_new = next(fresh, inf)


def _record(experiment: Experiment, caller: Callers) -> Run:
    fate = np.array(caller.fate, dtype=int)
    fate[fate == GONE] = WAITING
    sent = np.array(caller.sent)
    return Run(
        experiment, offered=np.array(caller.offered), sent=sent, request=np.array(caller.request, dtype=int),
        number=np.array(caller.number, dtype=int), arrived=np.array(caller.arrived) if caller.far else sent,
        started=np.array(caller.started), ended=np.array(caller.ended), fate=fate,
        answers=np.array(caller.answered) if caller.delay else None, hits=np.array(caller.hits),
        kind=np.array([marks.kind for marks in caller.marks], dtype=int) if caller.kinds else None)
