"""The collapse for real: it happens, the cures work, and nothing is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from labkit.metastability import Clients, Fifo, Lifo, Load, RetryBudget, Service, Trigger
from labkit.metastability.live import Experiment, Server, run_all

pytestmark = pytest.mark.live
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


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().split()[2] != "Z"


def test_the_server_is_gone_after_the_context_and_after_an_error():
    experiment = Experiment(SERVICE, CLIENTS, STORM, 60)
    with pytest.raises(KeyboardInterrupt), Server(experiment) as server:
        server.ready()
        raise KeyboardInterrupt
    assert server.process.poll() is not None


@pytest.mark.skipif(not os.path.exists("/proc"), reason="looks at /proc, which this system does not have")
def test_the_server_is_gone_after_its_owner_was_killed():
    code = ("from tests.metastability.test_live import *\nimport time\n"
            "server = Server(Experiment(SERVICE, CLIENTS, STORM, 60)).__enter__()\nserver.ready()\n"
            "print(server.process.pid, flush=True)\ntime.sleep(60)")
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(owner.stdout.readline())
    assert alive(pid)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)        # waiting for another process to end: there is no event to wait on
    assert not alive(pid)


def test_a_closed_system_is_refused():
    with pytest.raises(ValueError, match="only open systems"):
        asyncio.run(run_all({"x": Experiment(SERVICE, Clients(1, 1, population=5), Load.constant(1), 1)}))
