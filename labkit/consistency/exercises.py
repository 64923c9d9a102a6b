"""The exercises of notebooks 20 to 24: each judges an answer in the terms of its lesson."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

from labkit.consistency import real
from labkit.consistency.distributions import DISK, SSD
from labkit.consistency.explore import Counterexample, explore
from labkit.consistency.history import Operation, stale_reads
from labkit.consistency.latency import exponential_mean, order_statistic
from labkit.consistency.linearizability import linearizable
from labkit.consistency.models import canonical
from labkit.consistency.protocols import Replies, WriteBack
from labkit.consistency.real.standin import Pair, StandIn
from labkit.consistency.simulate import simulate
from labkit.consistency.staleness import pbs
from labkit.consistency.store import EC2_ROUND_TRIPS, Network, Partition, Store, Workload, round_trip
from labkit.course.quiz import Exercise, close_to


def _whole(value: Any) -> int | None:
    """A whole number, also if it comes as 3.0; None for everything else."""
    try:
        number = float(value) if not isinstance(value, bool | str) else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() else None


def _items(value: Any) -> list[Any]:
    """What a list, tuple or array holds; nothing for everything else."""
    if isinstance(value, str | bytes | dict) or not hasattr(value, "__len__") or not hasattr(value, "__iter__"):
        return []
    return list(value)


def _takes(value: Any, count: int) -> bool:
    """Whether it is a function that can be called with so many arguments."""
    try:
        inspect.signature(value).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


# ------------------------------------------------------------------------------------------------ 20
MAJORITY_OF_SEVEN = Exercise("20.1", close_to(
    exponential_mean(7, 4, 10), 0.005, "too fast; how many of seven are a majority, and is there a term for each?",
    "too slow: the first reply of seven comes after 10/7 ms on average, the next after 10/6 more, and so on", (
        (exponential_mean(5, 3, 10), "that is the majority of five; here there are seven replicas"),
        (exponential_mean(7, 3, 10), "that is the third reply; three of seven are no majority"),
        (40, "that is four replicas asked one after the other; here all seven are asked at once"),
        (10, "that is one average round trip; which of the seven replies decides?"))))

REGIONS = sorted({region for pair in EC2_ROUND_TRIPS for region in pair})


def _placement(places: Any) -> str | None:
    names = [place.strip().lower() for place in _items(places) if isinstance(place, str)]
    if not names or len(names) != len(_items(places)):
        return f"a list of five names is wanted, of {', '.join(REGIONS)}"
    strange = [name for name in names if name not in REGIONS]
    if strange:
        return f"{strange[0]!r} is not in EC2_ROUND_TRIPS; it has {', '.join(REGIONS)}"
    if len(names) != 5:
        return f"five replicas are to be placed, you have {len(names)}"
    if max(names.count(name) for name in names) > 2:
        return "one region alone holds a majority: a fire there and the store is gone"
    for client in ("virginia", "ireland"):
        known = {client} | {other for pair in EC2_ROUND_TRIPS if client in pair for other in pair}
        if unknown := set(names) - known:
            return f"the source has no figure between {client} and {min(unknown)}; choose another region"
        third = sorted(round_trip(client, name) for name in names)[2]
        if third > 110:
            return f"the third nearest replica of a client in {client} is {third:.0f} ms away"
    return None


PLACEMENT = Exercise("20.2", _placement)


def _largest_w(answer: Any) -> str | None:
    w = _whole(answer)
    if w is None or not 1 <= w <= 5:
        return "a whole number of acknowledgements is wanted, from 1 to 5"
    tail = order_statistic(5, w, DISK, SSD).quantile(0.999)
    if tail >= 20:
        return f"with W = {w} the 99.9th percentile is {tail:.0f} ms"
    if w < 5 and order_statistic(5, w + 1, DISK, SSD).quantile(0.999) < 20:
        return f"W = {w} takes {tail:.1f} ms at the 99.9th percentile, and a larger one still stays below 20 ms"
    return None


LARGEST_W = Exercise("20.3", _largest_w)

# ------------------------------------------------------------------------------------------------ 21
UP_3_OF_5 = sum(math.comb(5, k) * 0.99**k * 0.01**(5 - k) for k in (3, 4, 5))
UP_MISTAKES = (
    (1 - UP_3_OF_5, "that is the probability that there is no majority"),
    (0.99**5, "that is the probability that all five are up; fewer are enough"),
    (0.99**5 + 5 * 0.99**4 * 0.01, "that is four or five up; how many are a majority?"),
    (10 * 0.99**3 * 0.01**2, "that is exactly three up; with four or five there is a majority as well"),
    (0.99**3, "that is three particular replicas; any three of the five will do"),
    (0.99, "that is one replica"))


def _up(answer: Any) -> str | None:
    complaint = close_to(UP_3_OF_5, 6e-8, "low", "high")(answer)
    if complaint not in ("low", "high"):
        return complaint
    value = float(answer)
    for wrong, why in UP_MISTAKES:
        if abs(value - wrong) <= 1e-5 * wrong:
            return why
    if not 0 <= value <= 1:
        return "a probability is wanted, a number from 0 to 1"
    if abs(value - UP_3_OF_5) < 1e-6:
        return "close, but the nines are at stake here: give at least seven digits"
    return f"too {complaint}; in which cases are three or more of the five up, and how likely is each?"


UP = Exercise("21.1", _up)
TORN = Partition((2,), 1000, 3000)


def _both_sides(store: Any) -> str | None:
    if not isinstance(store, Store):
        return "a Store is wanted, as in Store(3, 2, 2)"
    if store.n != 3:
        return f"the question is about three replicas; yours has {store.n}"
    if store.sloppy:
        return "stand-ins are not allowed here; with them R + W > N means nothing"
    run = simulate(store, Network.exponential(5), Workload(clients=6, think=50, timeout=500), 5000, 1, TORN)
    for side, kind in (("minority", "read"), ("majority", "read"), ("majority", "write")):
        if run.availability(side, kind) < 1:
            return f"{run.availability(side, kind):.0%} of the {kind}s on the {side} side are answered during the cut"
    if store.w < 2:
        return f"all that is asked for is answered, but W = {store.w} is not as large as it can be"
    return None


BOTH_SIDES = Exercise("21.2", _both_sides)


# ------------------------------------------------------------------------------------------------ 22
def _k_stale(answer: Any) -> str | None:
    k = _whole(answer)
    if k is None or k < 1:
        return "a whole number of versions is wanted, at least 1"
    within = 1 - (2 / 3) ** min(k, 10_000)
    if within < 0.95:
        return f"with {k} only {within:.1%} of the reads are within them"
    return None if 1 - (2 / 3) ** min(k - 1, 10_000) < 0.95 else f"{within:.1%} are within {k}; fewer are enough"


K_STALE = Exercise("22.1", _k_stale)


def _cheapest(setting: Any) -> str | None:
    r, w = numbers if len(numbers := [_whole(value) for value in _items(setting)]) == 2 else (None, None)
    if r is None or w is None or not (1 <= r <= 3 and 1 <= w <= 3):
        return "a pair (R, W) is wanted, each a whole number from 1 to 3"
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
_PHI = NormalDist().cdf
SKEW = Exercise("22.3", close_to(
    _PHI(-6 / (4 * 2**0.5)), 0.032, "too small; by how much do two clocks differ, each of which is off?",
    "too large; in which direction must the clocks be off for your write to be lost, and by how much?", (
        (_PHI(-6 / 4), "two clocks are involved: their difference has a larger standard deviation than one clock"),
        (2 * _PHI(-6 / (4 * 2**0.5)), "your write is lost when its clock is behind: one tail of the normal, not two"),
        (2 * _PHI(-6 / 4), "that is both tails, of one clock; two clocks are involved, and one direction"),
        (1 - _PHI(-6 / (4 * 2**0.5)), "that is the probability that it is kept"),
        (100 * _PHI(-6 / (4 * 2**0.5)), "a probability is wanted, a number from 0 to 1, not per cent"))))


# ------------------------------------------------------------------------------------------------ 23
def _smallest_history(answer: Any) -> str | None:
    history = _items(answer)
    if not history or not all(isinstance(o, Operation) for o in history):
        return "a list of Operation is wanted"
    if any(o.kind != "read" and o.kind != "write" for o in history):
        return "reads and writes only"
    try:
        verdict = linearizable(history)
        if verdict.ok:
            return "one order explains this history: it is linearizable"
        for read in (o for o in history if o.kind == "read" and o.result is not None):
            begun = [o.invoked for o in history if o.kind == "write" and canonical(o.args[0]) == canonical(read.result)]
            if not begun:
                return "a read returns a value that nobody wrote: that is not what a store does"
            if min(begun) > read.returned:
                return "a read returns a value before its write has begun: that is not what a store does"
        stale = stale_reads(history)
    except ValueError as error:
        return str(error).removeprefix("stale_reads: ")
    if stale:
        return "a read in it is stale: it misses a write that was over. Every read must be fine by itself"
    if len(history) > 3:
        return f"right, but {len(history)} operations are more than are needed"
    return None


SMALLEST = Exercise("23.1", _smallest_history)


class _NoProtocol(ValueError):
    """What a protocol function did that none may do."""


def _guarded(protocol: Callable[[Replies], Any], needless: list[Replies]) -> Callable[[Replies], WriteBack | None]:
    """The protocol, with what it returns looked at; `needless` gets replies that agree, and were written back."""
    def guarded(replies: Replies) -> WriteBack | None:
        try:
            todo = protocol(replies)
        except Exception as error:
            raise _NoProtocol(f"your function fails on {replies}: {error}") from error
        if todo is None:
            return None
        if not isinstance(todo, WriteBack) or not set(todo.to) <= set(range(replies.n)):
            raise _NoProtocol(f"on {replies} your function returns {todo!r}; None or a WriteBack to some of the "
                              f"replicas 0 to {replies.n - 1} is wanted")
        if todo.acks > len(set(todo.to)):
            raise _NoProtocol(f"on {replies} it waits for {todo.acks} acknowledgements and asks {len(set(todo.to))} "
                              "replicas: such a read never returns")
        if not replies.behind:
            needless.append(replies)
        return todo

    return guarded


def _frugal(protocol: Any) -> str | None:
    if not _takes(protocol, 1):
        return "a function of the replies is wanted, like write_back_always above"
    needless: list[Replies] = []
    guarded = _guarded(protocol, needless)
    try:
        for n, r, w in ((3, 2, 2), (5, 3, 3)):
            found = explore(guarded, n, r, w)
            if isinstance(found, Counterexample):
                first = str(found).splitlines()[0]
                return f"N={n} R={r} W={w}: {first}; print explore(your_protocol, {n}, {r}, {w})"
            guarded(Replies(dict.fromkeys(range(r), 4), n, r, w))
            if needless:
                return f"no violation, but with N={n} it still writes back when all replies agree"
    except _NoProtocol as error:
        return str(error)
    return None


FRUGAL = Exercise("23.2", _frugal)


def _lossless(store: Any) -> str | None:
    if not isinstance(store, Store):
        return "a Store is wanted, as in Store(3, 2, 2, clock_skew=5)"
    if store.n != 3:
        return f"the question is about three replicas; yours has {store.n}"
    if store.clock_skew < 5:
        return "the clocks must be off by 5 ms: clock_skew=5"
    runs = [simulate(store, Network.exponential(1, 5), Workload(operations=200), 1e9, seed) for seed in range(25)]
    broken = sum(run.verdict.ok is False for run in runs)
    if broken:
        return f"{broken} of 25 histories are not linearizable"
    mean = sum(run.latency("read").mean() for run in runs) / 25
    if mean > 5:
        return f"no violation in 25 histories, but the mean read takes {mean:.1f} ms"
    return None


LOSSLESS = Exercise("23.3", _lossless)

# ------------------------------------------------------------------------------------------------ 24
ROUND_TRIPS = Exercise("24.1", close_to(
    240, 0.02, "too fast; whom does the follower ask, and whom does that one ask before it answers?",
    "too slow; which of the replies need not be waited for?", (
        (60, "that is one message, one way; a question and its answer are two"),
        (120, "that is one round trip; the leader has to ask, too, whether it still is the leader"),
        (600, "that is a round trip to each node, one after the other; the leader asks all at once"))))


def _clients_at_work(attack: Callable[[Any, Any], Any]) -> Sequence[Operation]:
    """What clients at a leader and at a follower saw, links of 50 ms: of a real cluster where there is one."""
    with real.etcd(nodes=3, link_delay=50) as cluster:
        if not cluster.recorded:
            attack(cluster.client(cluster.leader), cluster.client(cluster.followers[0]))
            return cluster.history
    pair = Pair(50)
    attack(StandIn(pair, "at the leader", False), StandIn(pair, "at the follower", True))
    return pair.history


def _convicted(attack: Any) -> str | None:
    if not _takes(attack, 2):
        return "a function of two clients is wanted, one at the leader and one at a follower"
    try:
        history = _clients_at_work(attack)
    except Exception as error:
        return f"your function stopped, and said: {error}"
    if not history:
        return "your function called neither of its clients"
    verdict = linearizable(history)
    return None if verdict.ok is False else f"the checker finds nothing wrong with what your clients saw: {verdict}"


CONVICTED = Exercise("24.2", _convicted)
