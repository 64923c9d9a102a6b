"""One table whoever computes it; seeds of their own; nothing left behind."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from labkit import sweep as sweeping
from labkit.metastability import Clients, Load, Service, simulate
from labkit.sweep import sweep


def stuck(load, retries, seed):
    run = simulate(Service(0.5, 0.01, 50), Clients(3, retries), Load.spike(load, 100, 10, 5), 40, seed)
    return {"goodput": run.goodput(30, 40), "attempts": len(run.sent)}


GRID = {"load": [10, 20, 30], "retries": [0, 3]}


def test_one_row_a_cell_in_the_order_of_the_grid():
    table = sweep(stuck, GRID)
    assert list(table) == ["load", "retries", "goodput", "attempts"]
    assert table.load.tolist() == [10, 10, 20, 20, 30, 30] and table.retries.tolist() == [0, 3] * 3
    cells = sweep(stuck, [{"load": 30, "retries": 3}, {"load": 10, "retries": 0}])
    assert cells.load.tolist() == [30, 10]


@pytest.fixture
def on_all_cores(monkeypatch):
    """Processes from the first cell on, however quick it is."""
    monkeypatch.setattr(sweeping, "PAYS_AFTER", 0.0)
    monkeypatch.setattr(sweeping, "TRIED_FOR", -1.0)
    monkeypatch.setattr(sweeping, "_cores", lambda: 2)


def test_the_same_table_whoever_computes_it(on_all_cores, monkeypatch):
    processes = sweep(stuck, GRID, seed=5)
    with ThreadPoolExecutor(3) as pool:
        threads = sweep(stuck, GRID, pool, seed=5)
        assert pool.submit(int).result() == 0, "a pool that was handed in stays open"
    monkeypatch.setattr(sweeping, "TRIED_FOR", 1e9)
    here = sweep(stuck, GRID, seed=5)
    assert processes.equals(here) and threads.equals(here)
    assert not sweep(stuck, GRID, seed=6).equals(here)


def test_over_dask():
    """The way from a laptop to a cluster: the same call with another executor."""
    distributed = pytest.importorskip("distributed", reason="pip install distributed")
    with distributed.Client(processes=False, n_workers=1, dashboard_address=None) as client:    # in this process
        assert sweep(stuck, GRID, client.get_executor(), seed=5).equals(sweep(stuck, GRID, seed=5))


def test_each_cell_has_a_seed_of_its_own_which_does_not_depend_on_its_neighbours():
    def drawn(x, seed):
        return np.random.default_rng(seed).random()

    first = sweep(drawn, {"x": range(50)}, seed=1).value
    assert first.nunique() == 50
    assert sweep(drawn, {"x": range(20)}, seed=1).value.tolist() == first[:20].tolist()
    assert sweep(lambda x: x, {"x": [1]}).value.tolist() == [1], "a function without a seed gets none"
    assert sweep(drawn, {"x": [0], "seed": [3, 3]}).value.nunique() == 1, "a grid may set the seeds itself"


def test_what_a_cell_raises_is_raised_and_names_the_cell(on_all_cores):
    def fails(x):
        return 1 / (x - 3)

    with pytest.raises(ZeroDivisionError) as caught:
        sweep(fails, {"x": range(10)})
    assert "{'x': 3}" in "".join(caught.value.__notes__)
    assert not _own_workers(), "no process stays after an error"


def _own_workers():
    return [child for child in psutil.Process().children(recursive=True)
            if "loky" in " ".join(child.cmdline()) and "resource_tracker" not in " ".join(child.cmdline())]


@pytest.mark.parametrize("grid, complaint", [
    ({"load": "abc"}, r"grid\['load'\] = 'abc': must be a sequence"),
    ({"load": 3}, r"grid\['load'\] = 3: must be a sequence"),
    ([1, 2], "grid = 1: must be of type Mapping"),
    ({"value": [1]}, "grid: 'value' is also the name of an answer"),
])
def test_bad_grids(grid, complaint):
    with pytest.raises(ValueError, match=complaint):
        sweep(lambda **cell: 1, grid)


def test_bad_seed_and_empty_grid():
    with pytest.raises(ValueError, match="seed = -1: must be a whole number >= 0"):
        sweep(stuck, GRID, seed=-1)
    assert len(sweep(stuck, {"load": [], "retries": [1]})) == 0


BUSY = """
from labkit import sweep as sweeping
sweeping.PAYS_AFTER, sweeping.TRIED_FOR, sweeping._cores = 0.0, -1.0, lambda: 2
def slow(x):
    if x:
        print("begun", flush=True)
        time.sleep(600)
sweeping.sweep(slow, {"x": [0, 1, 2, 3]})
"""


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_and_a_crash_leave_no_process(blow):
    program = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True, env={**os.environ, "LABKIT_PROGRESS": "off"})
    assert program.stdout is not None and program.stdout.read(5) == "begun"
    children = psutil.Process(program.pid).children(recursive=True)
    assert children
    program.send_signal(blow)
    program.wait(60)
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert not alive, [child.cmdline() for child in alive]
