"""The exercises of notebooks 00 and 10 to 13: each judges an answer in the terms of its lesson."""

from __future__ import annotations

from typing import Any

from labkit.course.quiz import Exercise, close_to
from labkit.metastability.model import Clients, Load, RetryBudget, Service
from labkit.metastability.simulate import simulate

SERVICE = Service(base_latency=0.5, slope=0.01, workers=50)
STORM = Load.spike(20, 100, 20, 10)

EIGHT_TIMES = Exercise("0.1", close_to(
    7 / 8, 0.01, "at that load a customer spends less than eight times the service time: 1 / (1 - load) is too small",
    "at that load a customer spends more than eight times the service time"))

HIDDEN_CAPACITY = Exercise("10.1", close_to(
    150, 0.01, "the server could still work off a backlog at a higher load than that",
    "in a collapse every request arrives 1 + retries times; at that load this is more than the server completes"))

# what the storm of notebook 10, built by hand, costs without retries: 1,067 of 3,757 requests; some end with the run
NO_RETRIES = Exercise("10.2", close_to(
    1067, 0.02, "it is more than that: an answer that comes after its client has left has `ended`, but it is not `ok`",
    "it is fewer than that: without retries each request is sent once; does something still retry?"))


def _survives(pair: Any) -> str | None:
    load, retries = pair
    runs = [simulate(SERVICE, Clients(3, retries), Load.spike(load, 100, 20, 10), 400, seed) for seed in range(5)]
    stuck = sum(run.recovered_at is None for run in runs)
    if stuck:
        return f"{stuck} of 5 seeds are still down 370 s after the spike: attempts outnumber what the server completes"
    if load * (1 + retries) < 38:
        return f"it survives, but load x (1 + retries) = {load * (1 + retries):.0f} is timid; go closer to the edge"
    return None


SURVIVES = Exercise("10.3", _survives)

TIPPING = Exercise("11.1", close_to(
    100 / 3, 0.02, "that is too cautious: count how many attempts each request makes once all of them fail",
    "at that load the retries alone keep the server busy: the budget caps them, but does not abolish them"))


def _longest_blip(seconds: Any) -> str | None:
    """Exercise 11.2: longest 2.5-fold spike that load 30/s survives in all of ten seeds."""
    def lost(length: float) -> int:
        return sum(simulate(SERVICE, Clients(3, 3), Load.spike(30, 75, 20, length), 120, seed).goodput(80, 120) < 15
                   for seed in range(10))
    if lost(seconds):
        return f"{lost(seconds)} of 10 seeds collapse for good: that spike is too long"
    if not lost(seconds + 1):
        return "every seed survives one second more as well: look for the edge"
    return None


LONGEST_BLIP = Exercise("11.2", _longest_blip)

SAFE_QUEUE = Exercise("12.1", close_to(
    120, 0.01, "a longer queue than that still finishes its last entry in time",
    "the last attempt in so long a queue finishes after its client has left"))


def _budget(ratio: Any) -> str | None:
    runs = [simulate(SERVICE, Clients(3, 3, budget=RetryBudget(ratio)), Load.spike(40, 100, 20, 10), 400, seed)
            for seed in range(3)]
    if any(run.recovered_at is None for run in runs):
        return "with that ratio the retries a budget allows are enough to keep the server down at 40/s"
    if ratio < 0.1:
        return "it recovers, but so small a budget gives up on retries that would have helped"
    return None


BUDGET = Exercise("12.2", _budget)

BACKOFF = Exercise("12.3", close_to(
    275, 0.002, "the service can carry more workers than that: while a worker waits, it sends nothing",
    "with so many workers the server gets more attempts than it completes, although each of them waits"))


def real_capacity(mu: float) -> Exercise:
    """Exercise 13.1, judged against the throughput `mu` (1/s) that was measured on this machine."""
    return Exercise("13.1", close_to(mu / 4, 0.05, "the server you measured can bear more than that",
                                     "four attempts per request at that load exceed what you measured"))




def _own_cure(run: Any) -> str | None:
    """Exercise 13.2: a live run of a 150/s spike that comes back."""
    start, stop = run.disturbance
    if run.load.rate(start) < 150 or stop - start < 1:
        return "the spike is gentler than one second at 150 requests per second"
    if run.duration < stop + 8:
        return "the run is too short to tell: leave at least eight seconds after the spike"
    base = run.load.rate(0)
    if run.goodput(run.duration - 4, run.duration) < 0.75 * base:
        return "at the end users are still not served; this treatment does not bring the service back"
    return None


OWN_CURE = Exercise("13.2", _own_cure)


SUSPECTS = {"A": "cold cache", "B": "retries", "C": "connections", "D": "slow queue"}
WORDS = {
    "retries": "retries multiply the attempts that reach the service",
    "cold cache": "before a cache is lost, only its misses reach the service",
    "slow queue": "a server slowed down by its queue completes less and less while the queue grows",
    "connections": "a server that must accept new connections completes less, but a constant less",
}


def _which_loop(named: Any) -> str | None:
    """Exercise 14.1: which of four loops each picture shows."""
    if not isinstance(named, dict) or set(named) != set(SUSPECTS):
        return 'a dict with a name for each picture is wanted: {"A": ..., "B": ..., "C": ..., "D": ...}'
    unknown = [name for name in named.values() if name not in WORDS]
    if unknown:
        return f"{unknown[0]!r} is not one of the four: " + ", ".join(WORDS)
    wrong = [letter for letter, name in named.items() if SUSPECTS[letter] != name]
    if not wrong:
        return None
    return f"{len(wrong)} of 4 do not fit. For {wrong[0]} you say: {WORDS[named[wrong[0]]]}. Is that what you see?"


WHICH_LOOP = Exercise("14.1", _which_loop)

LONGEST_PAUSE = Exercise("14.2", close_to(
    8, 0.02, "the backlog of a longer pause still lies below the queue of no return at 25/s",
    "the backlog of so long a pause lies above the queue of no return at 25/s",
    [(200, "that is the queue of no return; the pause that leaves it is wanted, in seconds")]))

THREE_TIERS = Exercise("14.3", close_to(
    50 / 27, 0.01, "count again how many attempts one request makes at the last tier: two retries are three attempts",
    "at that load the last tier sees more attempts than it completes: each tier multiplies those of the one in front",
    [(50 / 8, "two retries are three attempts, not two"), (50 / 9, "that is two tiers; there are three"),
     (50 / 7, "attempts of tiers multiply, they do not add up"),
     (27, "that is the attempts per request; the load is wanted")]))
