"""The fast engine: one event loop over four sources of events, in plain Python.

`telling.py` tells the same story in SimPy, ten times slower and easier to read; a test holds the two to the
same fate for every attempt.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque

import numpy as np

from labkit.metastability.experiment import Experiment
from labkit.metastability.model import Clients, CoDel, Lifo, Load, Service, Trigger
from labkit.metastability.policies import BreakerState, BudgetState, CoDelState, delay
from labkit.metastability.run import DROPPED, LATE, OK, SHED, WAITING, Run

# what can be waiting in the agenda, besides completions, time-outs and fresh arrivals
SEND, THINK, ARRIVE, RESUME = range(4)
GONE = WAITING + 1


def simulate(service: Service, clients: Clients, load: Load, duration: float,
             seed: int = 0, trigger: Trigger | None = None) -> Run:
    """Run `clients` under `load` against `service` for `duration` simulated seconds.

    seed: whole number >= 0; the same seed gives the same run on every platform. With `clients.population` N the
    load is what N idle clients would send together, so each thinks for N / rate seconds on average.
    Raises ValueError for parameters that make no sense together.
    """
    experiment = Experiment(service, clients, load, duration, trigger, seed)
    timeout, retries, workers = clients.timeout, clients.retries, service.workers
    base, slope = service.base_latency, service.slope
    limit = math.inf if isinstance(service.queue, CoDel) or service.queue.limit is None else service.queue.limit
    drop_expired, drop_hopeless = service.drop == "expired", service.drop == "hopeless"
    codel = CoDelState(service.queue) if isinstance(service.queue, CoDel) else None
    exponential = random.Random(2 * seed + 1).expovariate if service.times == "exponential" else None
    jitter = random.Random(2 * seed)
    bucket = BudgetState(clients.budget) if clients.budget else None
    credit_tries = bucket is not None and bucket.budget.credit == "first_try"
    credit_success = bucket is not None and not credit_tries
    breaker = BreakerState(clients.breaker) if clients.breaker else None
    outage = trigger if trigger and trigger.kind == "outage" else None
    pause = trigger if trigger and trigger.kind == "pause" else None
    slow = trigger if trigger and trigger.kind == "slowdown" else None

    # one row per request
    offered: list[float] = []
    last_delay: list[float] = []
    # one row per attempt, in the order sent
    sent: list[float] = []
    request: list[int] = []
    number: list[int] = []          # 0 is the first try
    started: list[float] = []
    ended: list[float] = []         # completion, or the moment it was refused or dropped
    fate: list[int] = []            # WAITING: there, and so is its client; GONE: there, but its client has left
    held: dict[int, float] = {}     # arrival of attempts that an outage kept back; the others arrive when sent

    queue: deque[int] = deque()
    take = queue.pop if isinstance(service.queue, Lifo) else queue.popleft
    completions: list[tuple[float, int]] = []
    agenda: list[tuple[float, int, int, int, int]] = []
    active = sequence = 0
    paused = False
    push, pop, inf = heapq.heappush, heapq.heappop, math.inf

    def plan(time: float, kind: int, who: int = 0, k: int = 0) -> None:
        nonlocal sequence
        sequence += 1
        push(agenda, (time, sequence, kind, who, k))

    def think(now: float) -> None:
        """A client of a closed system thinks and will then send a new request."""
        size = clients.population or 1
        wake = load.later(now, size * think_rng.expovariate(1), duration)
        if wake < inf:
            plan(wake, THINK)

    def new_request(now: float) -> None:
        offered.append(now)
        last_delay.append(0.0)
        if bucket and credit_tries:
            bucket.credit()
        send(now, len(offered) - 1, 0)

    def send(now: float, who: int, k: int) -> None:
        if breaker and not breaker.allows(now):
            finish(now)
            return
        attempt = len(sent)
        sent.append(now)
        request.append(who)
        number.append(k)
        started.append(inf)
        ended.append(inf)
        fate.append(WAITING)
        if outage and outage.start <= now < outage.stop:
            held[attempt] = outage.stop
            plan(outage.stop, ARRIVE, attempt)
        else:
            arrive(now, attempt)

    def arrive(now: float, attempt: int) -> None:
        if len(queue) >= limit and (active >= workers or paused):
            refuse(now, attempt)
        else:
            queue.append(attempt)
            if active < workers and not paused:
                serve(now)

    def serve(now: float) -> None:
        """Start queued attempts while a worker is free."""
        nonlocal active
        while queue and active < workers:
            attempt = take()
            length = base + slope * (active + 1)
            if slow and slow.start <= now < slow.stop:
                length *= slow.factor
            deadline = sent[attempt] + timeout
            if (drop_expired and now >= deadline) or (drop_hopeless and now + length > deadline) \
                    or (codel and codel.drops(now, now - held.get(attempt, sent[attempt]))):
                refuse(now, attempt)
                continue
            active += 1
            started[attempt] = now
            push(completions, (now + (exponential(1 / length) if exponential else length), attempt))

    def refuse(now: float, attempt: int) -> None:
        """The service says no: at once to a client that waits, to nobody if it has left."""
        ended[attempt] = now
        if fate[attempt] == WAITING:
            fate[attempt] = SHED
            failed(now, attempt)
        else:
            fate[attempt] = DROPPED

    def failed(now: float, attempt: int) -> None:
        """An attempt was refused or timed out: retry, if the policies let us."""
        if breaker:
            breaker.record(now, False)
        k, who = number[attempt], request[attempt]
        if k >= retries or (bucket and not bucket.spend()):
            finish(now)
        elif clients.backoff:
            last_delay[who] = wait = delay(clients.backoff, k, jitter, last_delay[who])
            plan(now + wait, SEND, who, k + 1)
        elif fate[attempt] == SHED:
            plan(now, SEND, who, k + 1)     # through the agenda: we may be inside serve()
        else:
            send(now, who, k + 1)

    def finish(now: float) -> None:
        """A request is over, well or badly; a client of a closed system goes back to thinking."""
        if clients.population:
            think(now)

    if clients.population:
        think_rng = random.Random(2 * seed + 3)
        fresh: list[float] = []
        for _ in range(clients.population):
            think(0.0)
    else:
        fresh = load.arrivals(duration, np.random.default_rng(seed)).tolist()
    fresh.append(inf)
    if pause:
        plan(pause.start, RESUME, 0)
        plan(pause.stop, RESUME, 1)

    coming = 0      # next fresh arrival
    due = 0         # oldest attempt whose client may still wait: constant time-out, so they expire in order
    while True:
        while due < len(sent) and fate[due] != WAITING:
            due += 1
        t_done = completions[0][0] if completions else inf
        t_due = sent[due] + timeout if due < len(sent) else inf
        t_plan = agenda[0][0] if agenda else inf
        t_new = fresh[coming]
        now = min(t_done, t_due, t_plan, t_new)
        if now >= duration:
            break
        if t_done == now:
            attempt = pop(completions)[1]
            active -= 1
            ended[attempt] = now
            if fate[attempt] == WAITING:
                fate[attempt] = OK
                if breaker:
                    breaker.record(now, True)
                if bucket and credit_success:
                    bucket.credit()
                finish(now)
            else:
                fate[attempt] = LATE
            if queue and not paused:
                serve(now)
        elif t_due == now:
            fate[due] = GONE
            failed(now, due)
        elif t_new == now:
            coming += 1
            new_request(now)
        else:
            _, _, kind, who, k = pop(agenda)
            if kind == SEND:
                send(now, who, k)
            elif kind == THINK:
                new_request(now)
            elif kind == ARRIVE:
                arrive(now, who)
            else:
                paused = who == 0
                if paused and pause:        # what is in service stands still, too; adding keeps the heap a heap
                    completions[:] = [(time + pause.length, attempt) for time, attempt in completions]
                else:
                    serve(now)

    arrived, fates = np.array(sent), np.array(fate, dtype=int)
    arrived[list(held)] = list(held.values())
    fates[fates == GONE] = WAITING
    return Run(experiment, offered=np.array(offered),
               sent=np.array(sent), request=np.array(request, dtype=int), number=np.array(number, dtype=int),
               arrived=arrived, started=np.array(started), ended=np.array(ended), fate=fates)
