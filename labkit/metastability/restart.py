"""The other way out of a collapse: restart the server, which throws its queue away.

Told by SimPy, since the fast engine has no restart.
"""

from __future__ import annotations

import numpy as np
import simpy

from labkit import ranges
from labkit.metastability import theory
from labkit.metastability.experiment import Experiment
from labkit.metastability.model import Clients, Service
from labkit.metastability.run import DROPPED, SHED, Run
from labkit.metastability.telling import Customers, open_system
from labkit.metastability.telling_server import Process
from labkit.metastability.tiers import Tier


def largest_load(service: Service, clients: Clients) -> float:
    """Load (1/s) up to which a restart is enough: mu (2 - S / T) / A, if clients do not notice and wait on.

    After it the clients of the lost attempts run out of patience in the course of one time-out T, so that A times the
    load still arrives, and the queue grows by (A load - mu) T. It must stay below the safe bound mu (T - S).

    >>> round(largest_load(Service(0.5, 0.01, 50), Clients(3, 3)), 1)
    20.8
    """
    mu, full = theory.saturated_throughput(service), theory.service_time_when_full(service)
    return mu * (2 - full / clients.timeout) / theory.collapsed_amplification(clients)


def restarted(experiment: Experiment, when: float, noticed: bool = False) -> Run:
    """The run of an open-system experiment whose server loses its queue at second `when`.

    What is in service goes on, which is as long as a restart takes here. noticed: whether the connections break, so
    that the clients of the lost attempts retry at that instant; otherwise they wait for their time-out.
    """
    ranges.number("when", when, 0, experiment.duration)
    env = simpy.Environment()
    tier = Tier(experiment.service, experiment.clients, experiment.trigger)
    crowd = Customers(env, tier, 0, experiment.load, experiment.seed, None)
    for arrival in experiment.load.arrivals(experiment.duration, np.random.default_rng(experiment.seed)):
        env.process(open_system(crowd, float(arrival)))
    env.process(_lose_the_queue(crowd, when, noticed))
    env.run(until=experiment.duration)
    column = {name: np.array([getattr(attempt, name) for attempt in crowd.attempts])
              for name in ("sent", "request", "number", "arrived", "started", "ended", "fate")}
    return Run(experiment, np.array(crowd.offered), **column,
               answers=np.array([attempt.answered for attempt in crowd.attempts]))


def _lose_the_queue(crowd: Customers, when: float, noticed: bool) -> Process:
    yield crowd.env.timeout(when)
    for server in crowd.servers:
        lost = server.queue[:]
        server.queue.clear()
        for attempt in lost:
            attempt.ended = crowd.env.now
            if noticed and not attempt.client_left:
                server.reply(attempt, SHED)
            else:
                attempt.fate = DROPPED
