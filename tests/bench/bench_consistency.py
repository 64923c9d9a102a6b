"""Speed of part 2, for `make bench`: times beside their goals, ratios where two ways do the same work."""

import time
import tracemalloc
from functools import partial

import numpy as np

from labkit.consistency import Network, Operation, Store, Workload, explore, linearizable, simulate, staleness
from labkit.consistency.frontier import frontier
from labkit.consistency.history import validate
from labkit.consistency.meter import Meter
from labkit.consistency.models import MODELS
from labkit.consistency.task import Task, finish
from labkit.consistency.zones import zones
from tests.consistency.histories import sequential, sound, with_a_stale_read

SIZES = (1_000, 10_000, 100_000, 1_000_000)


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


BUDGET = 120        # s a history


def checker_curves():
    """Time and memory of the checker over the size of the history; the history itself is not counted."""
    makers = {"one client, five values": lambda n: sequential(1, n, 5),
              "one client, distinct": lambda n: sequential(1, n),
              "five clients, five values": lambda n: sound(1, 5, n, ["read", "read", "write"], 5),
              "five clients, cas, 1 % time out": lambda n: sound(1, 5, n, ["read", "cas", "write"], 5, 0.01)}
    print(f"{'linearizable':34}" + "".join(f"{n:>24,}" for n in SIZES))
    for name, make in makers.items():
        cells = []
        for n in SIZES[:4 if "time out" not in name else 3]:
            history = make(n)
            tracemalloc.start()
            verdict = linearizable(history, budget_s=BUDGET)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()                              # the tracing makes it several times as long
            spent = cpu(partial(linearizable, history, budget_s=BUDGET), 1) / 1000
            assert verdict.ok is not False, (name, n, verdict)
            cells.append(f"{'' if verdict.ok else 'unknown':>9}{spent:7.2f} s {peak / 1e6:7.1f} MB")
        print(f"{name:34}" + "".join(f"{cell:>24}" for cell in cells))


def checker_limits():
    """Is the budget kept? And fifty clients of a key-value store."""
    forty = [Operation(i, "cas", (i % 7, 3 * i % 7), True, 0, 100) for i in range(40)]
    hard = {"40 concurrent cas": [*forty, Operation(99, "write", (1,), None, 0, 100),
                                  Operation(97, "write", (9,), None, 0, 1), Operation(98, "read", (), 9, 101, 102)],
            "10,000 concurrent writes and reads": [Operation(i, "write", (i % 7,), None, 0, 100) for i in range(10_000)]
            + [Operation(10_000 + i, "read", (), i % 7, i / 100, 101) for i in range(10_000)],
            "50 clients, cas, 20,000 operations": sound(1, 50, 20_000, ["read", "cas", "write"], 5),
            "a million, one client": sequential(1, 1_000_000, 5)}
    for name, history in hard.items():
        for budget in (0.5, 2):
            begin = time.monotonic()
            verdict = linearizable(history, budget_s=budget)
            spent = time.monotonic() - begin
            print(f"budget {budget} s, {name}: {str(verdict.ok):5} after {spent:.2f} s ({spent / budget:.0%})")
    for kinds in (["get", "append"], ["get", "put", "append"]):
        took = [cpu(partial(linearizable, make(sound(seed, 50, 2_000, kinds, keys=10, crashes=0.002)), "kv"), 1) / 1000
                for seed in range(10) for make in (list, with_a_stale_read)]
        print(f"kv, 50 clients, 2,000 operations, {', '.join(kinds)}: {np.median(took):.2f} s CPU, "
              f"at most {max(took):.2f} (goal 1)")


def run():
    checker_curves()
    checker_limits()
    fast, naive = cpu(pbs_once), cpu(pbs_naive, 2)
    print(f"PBS, a million trials: {fast:.0f} ms CPU (goal 150, aim 100), plain numpy {naive:.0f} ms, "
          f"ratio {naive / fast:.1f} x")
    for size, goal in ((2_000, 0.2), (20_000, 2)):
        for values in (None, 5):
            history = with_a_stale_read(sound(1, 5, size, ["read", "read", "write"], values))
            spent = cpu(partial(linearizable, history), 3)
            kind = "distinct values" if values is None else "five values"
            print(f"linearizable, {size:,} operations, {kind}, one stale read: {spent / 1000:.3f} s CPU (goal {goal})")
    task = Task.of(validate(sound(1, 5, 20_000, ["read", "read", "write"])), MODELS["register"], None)
    quick, search = cpu(lambda: zones(task, Meter()), 3), cpu(lambda: finish(frontier(task, Meter())), 3)
    print(f"20,000 operations: zones {quick:.0f} ms, frontier {search:.0f} ms, ratio {search / quick:.1f} x")
    calls = Workload(operations=20_000)
    for name, store in (("plain", Store(3, 2, 2)), ("abd", Store(3, 2, 2, protocol="abd"))):
        spent = cpu(partial(simulate, store, Network.exponential(1, 5), calls, 1e9, 1), 3)
        print(f"simulate, {name}: {1000 * spent / 20_000:.0f} us a call")
    for name, n, quorum in (("plain", 3, 2), ("abd", 3, 2), ("abd", 5, 3)):
        print(f"explore {name}, N={n}: {cpu(partial(explore, name, n, quorum, quorum), 3):.0f} ms (goal 1000)")


if __name__ == "__main__":
    run()
