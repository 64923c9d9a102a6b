"""Speed of part 2, for `make bench`: times beside their goals, ratios where two ways do the same work."""

import time
from functools import partial

import numpy as np

from labkit.consistency import Network, Store, Workload, explore, linearizable, simulate, staleness
from labkit.consistency.frontier import frontier
from labkit.consistency.history import validate
from labkit.consistency.task import Meter, Task
from labkit.consistency.zones import zones
from tests.consistency.histories import sound, with_a_stale_read


def cpu(work, times=5):
    """Least CPU time of several goes, ms."""
    spent = []
    for _ in range(times):
        begin = time.process_time()
        work()
        spent.append(1000 * (time.process_time() - begin))
    return min(spent)


def pbs_once(seed=1):
    got = staleness.pbs(3, 1, 1, "LNKD-DISK", seed=seed)
    return got.read_latency(), got.write_latency(), got.t_visibility()


def pbs_naive(trials=1_000_000):
    rng = np.random.default_rng(1)
    draw = [staleness.quantile(d, 1 - rng.random((3, trials))) for d in
            (staleness.DISK, staleness.SSD, staleness.SSD, staleness.SSD)]
    w, a, r, s = draw
    commit, read = np.sort(w + a, axis=0)[0], np.sort(r + s, axis=0)[0]
    needed = np.where(r + s <= read, w - r, np.inf).min(axis=0) - commit
    return [np.quantile(x, 0.999) for x in (read, commit, needed)]


def run():
    fast, naive = cpu(pbs_once), cpu(pbs_naive, 2)
    print(f"PBS, a million trials: {fast:.0f} ms CPU (goal 150, aim 100), plain numpy {naive:.0f} ms, "
          f"ratio {naive / fast:.1f} x")
    for size, goal in ((2_000, 0.2), (20_000, 2)):
        for values in (None, 5):
            history = with_a_stale_read(sound(1, 5, size, ["read", "read", "write"], values))
            spent = cpu(partial(linearizable, history), 3)
            kind = "distinct values" if values is None else "five values"
            print(f"linearizable, {size:,} operations, {kind}, one stale read: {spent / 1000:.3f} s CPU (goal {goal})")
    task = Task.of(validate(sound(1, 5, 20_000, ["read", "read", "write"])), "register")
    quick, search = cpu(lambda: zones(task), 3), cpu(lambda: frontier(task, Meter(1e9, float("inf"))), 3)
    print(f"20,000 operations: zones {quick:.0f} ms, frontier {search:.0f} ms, ratio {search / quick:.1f} x")
    calls = Workload(operations=20_000)
    for name, store in (("plain", Store(3, 2, 2)), ("abd", Store(3, 2, 2, protocol="abd"))):
        spent = cpu(partial(simulate, store, Network.exponential(1, 5), calls, 1e9, 1), 3)
        print(f"simulate, {name}: {1000 * spent / 20_000:.0f} us a call")
    for name, n, quorum in (("plain", 3, 2), ("abd", 3, 2), ("abd", 5, 3)):
        print(f"explore {name}, N={n}: {cpu(partial(explore, name, n, quorum, quorum), 3):.0f} ms (goal 1000)")


if __name__ == "__main__":
    run()
