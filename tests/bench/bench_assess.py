"""How often `assess` says what long simulations say. `python -m tests.bench.bench_assess [services] [seed]`.

The services are random; the judge knows nothing of `assess`: three other seeds, its own triggers, runs several times as
long. Every disagreement is printed, so that it can be looked at.
"""

import math
import random
import sys

import numpy as np

from labkit.metastability import (
    Backoff,
    Breaker,
    Clients,
    CoDel,
    Fifo,
    Lifo,
    Load,
    RetryBudget,
    Service,
    Trigger,
    assess,
    simulate,
)
from labkit.metastability.run import OK
from labkit.sweep import sweep

SEEDS = range(100, 103)


def service(seed):
    """A random service, its clients and a load (1/s): any queue, any policy, any time scale."""
    r = random.Random(seed)
    scale = 10 ** r.uniform(-2, 0)                                   # seconds an attempt takes alone
    workers = r.choice([1, 1, 2, 5, 10, 25, 50, 100])
    slope = r.choice([0, 0, r.uniform(0, 1) * scale / workers])
    full = scale + slope * workers
    timeout = full * r.choice([0.8, 1.5, 2, 3, 4, 5, 10, 30]) * r.uniform(0.9, 1.1)
    queue = r.choice([Fifo(), Fifo(), Fifo(), Fifo(), Fifo(), Fifo(r.randint(0, 4 * workers)), Lifo(),
                      Lifo(r.randint(0, 4 * workers)), CoDel(timeout / r.uniform(3, 30), timeout / r.uniform(1, 5))])
    drop = r.choice(["never", "never", "never", "expired", "hopeless"])
    server = Service(scale, slope, workers, queue, drop, r.choice(["constant", "constant", "constant", "exponential"]))
    backoff = r.choice([None, None, Backoff(timeout * r.uniform(0.03, 1), 2, None,
                                            r.choice(["none", "full", "equal"]))])
    budget = r.choice([None, None, None, RetryBudget(r.uniform(0.02, 0.4), r.choice([10, 50]),
                                                     r.choice(["first_try", "success"]))])
    breaker = r.choice([None, None, None, None, Breaker(r.uniform(0.2, 0.8), timeout * r.uniform(1, 3),
                                                        timeout * r.uniform(1, 5))])
    clients = Clients(timeout, r.choice([0, 1, 2, 3, 3, 5]), backoff, budget, breaker)
    load = r.choice([r.uniform(0.05, 0.95), r.uniform(0.05, 0.95), r.uniform(0.9, 1.2)])
    return server, clients, load * workers / full


def served(run, start, stop):
    """Share of the requests offered in [start, stop) that were answered in time."""
    answered = np.zeros(len(run.offered), dtype=bool)
    answered[run.request[run.fate == OK]] = True
    there = (run.offered >= start) & (run.offered < stop)
    return float(answered[there].mean()) if there.any() else math.nan


def judged(server, clients, rate):
    """What three long runs each say: overloaded if most are down undisturbed, healthy if most come back from every
    trigger; a run that is still catching up is given more time."""
    mu = server.workers / (server.base_latency + server.slope * server.workers)
    patience = clients.timeout * (1 + clients.retries) * 2
    spare = max(1e-3, 1 - rate / mu)
    long = max(5_000 / rate, 80 * clients.timeout, 8 * patience, min(60_000, 6 / spare**2) / rate)
    calm = [served(simulate(server, clients, Load.constant(rate), long, seed), long / 2, long - min(patience, long / 4))
            for seed in SEEDS]
    if np.median(calm) < 0.9:
        return "overloaded", calm, []
    length = max(4 * clients.timeout, 40 / mu)
    start = long / 10
    after = {}
    for name, load, trigger in (("spike", Load.spike(rate, 4 * mu, start, length), None),
                                ("slowdown", Load.constant(rate), Trigger.slowdown(start, length, 10)),
                                ("outage", Load.constant(rate), Trigger.outage(start, length))):
        after[name] = [share_after(server, clients, load, trigger, start + length, long, seed) for seed in SEEDS]
    healthy = all(np.median(shares) >= 0.9 for shares in after.values())
    return "healthy" if healthy else "vulnerable", calm, sum(after.values(), [])


def share_after(server, clients, load, trigger, stop, long, seed):
    """Share served in the last third of a run that ends `long` s after the trigger, or later if it is catching up."""
    patience = clients.timeout * (1 + clients.retries) * 2
    for longer in (1, 4, 16):
        end = stop + long * longer
        run = simulate(server, clients, load, end, seed, trigger)
        share = served(run, end - long / 3, end - min(patience, long / 6))
        earlier, now = (np.count_nonzero((run.arrived <= at) & (run.ended > at))
                        for at in (end - long * longer / 2, end - 0.01))
        if share >= 0.9 or now > 0.9 * earlier:
            break
    return share


def compare(number):
    world = service(number)
    found = assess(*world)
    state, calm, after = judged(*world)
    return {"assess": found.state, "judged": state, "calm": float(np.median(calm)),
            "after": float(np.median(after)) if after else math.nan,
            "came back": sum(share >= 0.9 for share in after)}


def main(services=400, first=0):
    table = sweep(compare, {"number": range(first, first + services)}, title="services")
    differ = table[table["assess"] != table.judged]
    print(f"assess and long simulation agree on {len(table) - len(differ)} of {len(table)} random services "
          f"({1 - len(differ) / len(table):.1%})")
    print(table.groupby(["judged", "assess"]).size().to_string())
    for _, row in differ.iterrows():
        server, clients, rate = service(int(row.number))
        print(f"\n#{row.number:.0f} assess {row['assess']}, judged {row.judged}: undisturbed {row.calm:.2f}, "
              f"after {row.after:.2f}, {row['came back']:.0f} of 9 came back\n  {server}\n  {clients}\n  {rate:.4g}/s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
