"""The collapse for real: it happens, the cures work, and nothing is left behind."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from labkit.loopback import Program, ProgramError
from labkit.metastability import Cache, Clients, Fifo, Lifo, Load, RetryBudget, Service, Trigger
from labkit.metastability.live import LISTENS, Experiment, run_all, start

pytestmark = [pytest.mark.live, pytest.mark.alone]
SERVICE, CLIENTS = Service(0.1, 0.01, 10), Clients(0.8, 3)
STORM = Load.spike(20, 100, 3, 1)


def test_collapse_and_cures():
    variants = {
        "untreated": (SERVICE, CLIENTS), "queue of 60": (replace(SERVICE, queue=Fifo(60)), CLIENTS),
        "queue of 25": (replace(SERVICE, queue=Fifo(25)), CLIENTS), "lifo": (replace(SERVICE, queue=Lifo()), CLIENTS),
        "hopeless": (replace(SERVICE, drop="hopeless"), CLIENTS),
        "budget": (SERVICE, replace(CLIENTS, budget=RetryBudget(0.1)))}
    experiments = {name: Experiment(s, c, STORM, 16, seed=1) for name, (s, c) in variants.items()}
    experiments["pause"] = Experiment(SERVICE, CLIENTS, Load.constant(25), 16, Trigger.pause(3, 2.5), seed=2)
    runs = asyncio.run(run_all(experiments))
    for name, run in runs.items():
        down = name in ("untreated", "queue of 60", "pause")
        assert (run.goodput(11, 16) < 5) == down, (name, run.goodput(11, 16))
        simulated = experiments[name].simulate()
        assert (simulated.goodput(11, 16) < 5) == down, name
        assert np.all(run.ended[np.isfinite(run.ended)] < 16)
        assert len(run.per_second) == 16


def test_a_server_that_cannot_start_says_why():
    with start(Experiment(SERVICE, CLIENTS, STORM, 16)) as server:
        *python, config = server.words
    with (Program([*python, config.replace("Fifo", "Filo")]) as server,
          pytest.raises(ProgramError, match="(?s)ended with code 1; it says: .*KeyError: 'Filo'")):
        server.wait_until(LISTENS)


def test_a_closed_system_is_refused():
    with pytest.raises(ValueError, match="only open systems"):
        asyncio.run(run_all({"x": Experiment(SERVICE, Clients(1, 1, population=5), Load.constant(1), 1)}))


def test_a_cold_cache_live_and_simulated():
    """Nobody retries; the cache is lost at 4 s, and a database of 30 queries/s is left with 150."""
    service, clients = Service(0.1, 0, 3), Clients(1, 0, cache=Cache(0.9, 1000))
    experiments = {
        "inside the band": Experiment(service, clients, Load.constant(150), 14, Trigger.flush(4), seed=1),
        "below it": Experiment(service, clients, Load.constant(25), 14, Trigger.flush(4), seed=1),
        "short queue": Experiment(replace(service, queue=Fifo(20)), clients, Load.constant(150), 14, Trigger.flush(4),
                                  seed=1)}
    for name, run in asyncio.run(run_all(experiments)).items():
        for seen in (run, experiments[name].simulate()):
            before, after = seen.goodput(1, 4), seen.goodput(10, 14)
            assert before > 20 and len(seen.hits) > 50, name
            assert {"inside the band": after < 20, "below it": after > 20, "short queue": after > 45}[name], name
