"""The exercises of notebooks 20 to 24: each judges an answer in the terms of its lesson."""

from __future__ import annotations

from typing import Any

from labkit.consistency.distributions import DISK, SSD
from labkit.consistency.explore import Proof, explore
from labkit.consistency.history import stale_reads
from labkit.consistency.latency import exponential_mean, order_statistic
from labkit.consistency.linearizability import linearizable
from labkit.consistency.simulate import simulate
from labkit.consistency.staleness import pbs
from labkit.consistency.store import Network, Workload, round_trip
from labkit.course.quiz import Exercise, close_to

# ------------------------------------------------------------------------------------------------ 20
MAJORITY_OF_SEVEN = Exercise("20.1", close_to(
    exponential_mean(7, 4, 10), 0.005, "a majority of seven is four; there are more terms in the sum",
    "that is too slow: the first reply of seven comes after 10/7 ms, the next after 10/6 more, and so on"))


def _placement(places: Any) -> str | None:
    places = list(places)
    if len(places) != 5:
        return f"five replicas are to be placed, you have {len(places)}"
    if max(places.count(place) for place in places) > 2:
        return "one region alone holds a majority: a fire there and the store is gone"
    for client in ("virginia", "ireland"):
        third = sorted(round_trip(client, place) for place in places)[2]
        if third > 110:
            return f"the third nearest replica of a client in {client} is {third:.0f} ms away"
    return None


PLACEMENT = Exercise("20.2", _placement)


def _largest_w(w: Any) -> str | None:
    tail = order_statistic(5, w, DISK, SSD).quantile(0.999)
    if tail >= 20:
        return f"with W = {w} the 99.9th percentile is {tail:.0f} ms"
    if w < 5 and order_statistic(5, w + 1, DISK, SSD).quantile(0.999) < 20:
        return "one more acknowledgement would still fit into 20 ms"
    return None


LARGEST_W = Exercise("20.3", _largest_w)

# ------------------------------------------------------------------------------------------------ 21
UP = Exercise("21.1", close_to(
    5 * 0.99**4 * 0.01 + 0.99**5 + 10 * 0.99**3 * 0.01**2, 1e-7,
    "some outages of one or two replicas leave three of five: count them as available too",
    "with three replicas down there is no majority left"))


def _both_sides(store: Any) -> str | None:
    if store.n != 3:
        return "the question is about three replicas"
    if store.sloppy:
        return "stand-ins are not allowed here; with them R + W > N means nothing"
    if store.r != 1:
        return "a lone replica cannot answer a read that waits for more than one reply"
    if store.w != 2:
        return "the majority has two replicas: writes may wait for both of them, and for no more"
    return None


BOTH_SIDES = Exercise("21.2", _both_sides)

# ------------------------------------------------------------------------------------------------ 22
K_STALE = Exercise("22.1", close_to(
    8, 0, "too optimistic: the miss of one read is 2/3, and k writes in a row must be missed",
    "fewer versions suffice: compute 1 - (2/3)^k"))


def _cheapest(setting: Any) -> str | None:
    r, w = setting
    got = pbs(3, r, w, "LNKD-DISK", trials=200_000)
    if got.p_fresh(15) < 0.999:
        return f"R = {r}, W = {w}: only {float(got.p_fresh(15)):.2%} of the reads are fresh after 15 ms"
    cost = got.read_latency() + got.write_latency()
    best = min((pbs(3, a, b, "LNKD-DISK", trials=200_000) for a, b in ((2, 1), (1, 3), (2, 2), (3, 1))),
               key=lambda s: s.read_latency() + s.write_latency())
    if cost > 1.05 * (best.read_latency() + best.write_latency()):
        return f"fresh enough, but at {cost:.1f} ms for a read and a write together there is something cheaper"
    return None


CHEAPEST = Exercise("22.2", _cheapest)
SKEW = Exercise("22.3", close_to(
    0.1444, 0.02, "two clocks are involved: their difference has a standard deviation of 1.41 times one clock's",
    "the later write is lost when the difference of the clocks exceeds the gap: one tail of the normal, not two"))


# ------------------------------------------------------------------------------------------------ 23
def _smallest_history(history: Any) -> str | None:
    history = list(history)
    if linearizable(history).ok:
        return "this history is linearizable"
    if any(o.kind != "read" and o.kind != "write" for o in history):
        return "reads and writes only"
    written = {o.args[0] for o in history if o.kind == "write"}
    if any(o.kind == "read" and o.result not in written and o.result is not None for o in history):
        return "a read returns a value that nobody wrote: that is not what a store does"
    if stale_reads(history):
        return "a read in it is stale: it misses a write that was over. Every read must be fine by itself"
    if len(history) > 3:
        return f"right, but {len(history)} operations are more than are needed"
    return None


SMALLEST = Exercise("23.1", _smallest_history)


def _frugal(protocol: Any) -> str | None:
    for n, r, w in ((3, 2, 2), (5, 3, 3)):
        found = explore(protocol, n, r, w)
        if not isinstance(found, Proof):
            return f"N={n} R={r} W={w}: {str(found).splitlines()[0]}; print explore(your_protocol, {n}, {r}, {w})"
    from labkit.consistency.protocols import Replies

    agreed = protocol(Replies({0: 4, 1: 4}, 3, 2, 2))
    if agreed is not None:
        return "it is correct, and it still writes back when both replies agree"
    return None


FRUGAL = Exercise("23.2", _frugal)


def _lossless(store: Any) -> str | None:
    runs = [simulate(store, Network.exponential(1, 5), Workload(operations=200), 1e9, seed) for seed in range(25)]
    if store.clock_skew < 5:
        return "the clocks must be wrong by 5 ms"
    broken = sum(run.verdict.ok is False for run in runs)
    if broken:
        return f"{broken} of 25 histories are not linearizable"
    if sum(run.latency("read").mean() for run in runs) / 25 > 5:
        return "safe, but the mean read takes more than 5 ms; most reads need no write-back"
    return None


LOSSLESS = Exercise("23.3", _lossless)

# ------------------------------------------------------------------------------------------------ 24
ROUND_TRIPS = Exercise("24.1", close_to(
    240, 0.02, "a follower asks the leader first, and the leader asks a majority: two round trips",
    "two round trips to the nearest replicas are enough: those that are further away need not answer"))


def _own_history(history: Any) -> str | None:
    verdict = linearizable(history)
    if verdict.operations < 5:
        return "record at least five operations"
    if verdict.ok is not False:
        return f"the checker says: {verdict}"
    return None


CONVICTED = Exercise("24.2", _own_history)
