"""Speed as ratios within one run: `make bench`. Nothing here is asserted; machines differ, ratios less so."""

import subprocess
import sys
import time
from functools import partial

import numpy as np

from labkit.course import Panel, slider
from labkit.metastability import Clients, Load, Service, drawings, simulate
from labkit.metastability.telling import tell

SERVICE, CLIENTS = Service(0.5, 0.01, 50), Clients(3, 3)


def seconds(work, times):
    """Least CPU time of several goes, s."""
    spent = []
    for _ in range(times):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return min(spent)


def engines():
    for name, load, duration in (("20,000 healthy requests", Load.constant(40), 500),
                                 ("80,000 collapsed attempts", Load.spike(20, 100, 20, 10), 1000)):
        fast = seconds(partial(simulate, SERVICE, CLIENTS, load, duration), 5)
        told = seconds(partial(tell, SERVICE, CLIENTS, load, duration), 2)
        print(f"{name}: fast engine {1000 * fast:.0f} ms, SimPy telling {1000 * told:.0f} ms, "
              f"ratio {told / fast:.1f} x (goal 12)")


def memory():
    """In a process of its own, whose peak nothing else has raised."""
    count = ("import resource; from labkit.metastability import *; "
             "seconds = tally(Service(.5, .01, 50), Clients(3, 3), Load.spike(20, 100, 20, 10), 125_000, 1); "
             "print(seconds['attempts'].sum(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)")
    attempts, peak = subprocess.run([sys.executable, "-c", count], capture_output=True, text=True,
                                    check=True).stdout.split()
    print(f"{int(attempts):,} collapsed attempts counted per second: peak {float(peak):.2f} GB (goal 0.3)")


def panel_steps():
    def storm(load, retries, seed):
        return simulate(SERVICE, Clients(3, retries), Load.spike(load, 100, 15, 10), 90, seed)

    panel = Panel(storm, drawings.storm, lambda run: run.summary(), load=slider(20, 2, 50), retries=slider(3, 0, 5))
    spent = []
    for step in range(60):
        begin = time.process_time()
        panel.set(load=15 + step % 12, seed=1 + step % 20)
        spent.append(1000 * (time.process_time() - begin))
    p50, p95 = np.quantile(spent, [0.5, 0.95])
    print(f"panel step, compute and draw: p50 {p50:.0f} ms (goal 50), p95 {p95:.0f} ms (goal 100)")


if __name__ == "__main__":
    engines()
    memory()
    panel_steps()
