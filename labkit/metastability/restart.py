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
from labkit.metastability.telling import Process, World, open_system


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
    world = World(env, experiment.service, experiment.clients, experiment.load, experiment.duration, experiment.seed,
                  experiment.trigger)
    for arrival in experiment.load.arrivals(experiment.duration, np.random.default_rng(experiment.seed)):
        env.process(open_system(world, float(arrival)))
    env.process(_lose_the_queue(world, when, noticed))
    env.run(until=experiment.duration)
    column = {name: np.array([getattr(attempt, name) for attempt in world.attempts])
              for name in ("sent", "request", "number", "arrived", "started", "ended", "fate")}
    return Run(experiment, np.array(world.offered), **column)


def _lose_the_queue(world: World, when: float, noticed: bool) -> Process:
    yield world.env.timeout(when)
    lost = world.server.queue[:]
    world.server.queue.clear()
    for attempt in lost:
        attempt.ended, attempt.fate = world.env.now, DROPPED
        if noticed and not attempt.client_left:
            attempt.fate = SHED
            attempt.answer.succeed(False)
