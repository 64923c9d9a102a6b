"""The exercises of notebooks 00 and 10 to 13: each judges an answer in the terms of its lesson."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from labkit import ranges
from labkit.course.quiz import Exercise, close_to, kind
from labkit.metastability.live import LiveRun
from labkit.metastability.model import Clients, CoDel, Fifo, Load, RetryBudget, Service
from labkit.metastability.run import Run
from labkit.metastability.simulate import simulate

Judge = Callable[[Any], str | None]
SERVICE = Service(base_latency=0.5, slope=0.01, workers=50)
STORM = Load.spike(20, 100, 20, 10)


def _within(low: float, high: float, outside: str, judge: Judge) -> Judge:
    """`judge`, but a number outside [low, high] cannot be meant, and is told so."""
    def judged(value: Any) -> str | None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return outside if number and not math.isnan(value) and not low <= value <= high else judge(value)
    return judged


def _number(value: Any) -> str | None:
    """What is wrong with a value where a finite number is wanted."""
    if isinstance(value, bool | str | complex) or not hasattr(value, "__float__") or getattr(value, "shape", None):
        return f"a number is wanted, without a unit; this is {kind(value)}"
    return None if math.isfinite(value) else f"a number is wanted; this is {value}"


# ------------------------------------------------------------------------------------------------ 00, 10
EIGHT_TIMES = Exercise("0.1", _within(
    0, 1, "a load is a share of the worker's time, between 0 and 1: from 1 on, the queue grows without end",
    close_to(7 / 8, 0.01,
             "at that load a customer spends less than eight times the service time: 1 / (1 - load) is too small",
             "at that load a customer spends more than eight times the service time")))

HIDDEN_CAPACITY = Exercise("10.1", _within(0, math.inf, "a load is a number of queries per second, 0 or more", close_to(
    150, 0.01, "the server could still work off a backlog at a higher load than that",
    "in a collapse every request arrives 1 + retries times; at that load this is more than the server completes")))

# what the storm of notebook 10, built by hand, costs without retries: 1,067 of 3,757 requests; some end with the run
NO_RETRIES = Exercise("10.2", _within(0, math.inf, "no fewer than none can be lost", close_to(
    1067, 0.02, "it is more than that: an answer that comes after its client has left has `ended`, but it is not `ok`",
    "it is fewer than that: without retries each request is sent once; does something still retry?")))

EDGE = 42       # attempts/s: with one retry, two or three there are pairs from here on that are back in time


def _survives(pair: Any) -> str | None:
    load, retries = pair
    if isinstance(retries, float) and retries.is_integer():
        retries = int(retries)                      # as an array of numbers has it
    ranges.number("load", load, 0, 100)
    ranges.whole("retries", retries, 0, 20)
    if retries == 0:
        return "without retries nothing feeds a collapse, so there is nothing to survive: give each client at least one"
    attempts = load * (1 + retries)
    runs = [simulate(SERVICE, Clients(3, int(retries)), Load.spike(load, 100, 20, 10), 400, seed) for seed in range(5)]
    stuck = sum(run.recovered_at is None for run in runs)
    if stuck and attempts > 50:
        return f"{stuck} of 5 seeds are still down 370 s after the spike, and for good: attempts outnumber completions"
    if stuck:
        return (f"{stuck} of 5 seeds are still down 370 s after the spike: {attempts:g} attempts a second are fewer "
                "than the server completes, but by so little that the way back takes longer than the run")
    if attempts < EDGE:
        return f"it survives, but load x (1 + retries) = {attempts:g} is timid; go closer to the edge"
    return None


SURVIVES = Exercise("10.3", _survives, "a pair (load, retries)")

# ------------------------------------------------------------------------------------------------ 11
TIPPING = Exercise("11.1", _within(0, math.inf, "a load is a number of requests per second, 0 or more", close_to(
    100 / 3, 0.02, "that is too cautious: count how many attempts each request makes once all of them fail",
    "at that load first tries and retries together are more than the server completes: the budget caps the retries, "
    "but does not abolish them")))


def _longest_blip(seconds: Any) -> str | None:
    """Exercise 11.2: longest 2.5-fold spike that load 30/s survives in all of ten seeds."""
    def lost(length: float) -> int:
        return sum(simulate(SERVICE, Clients(3, 3), Load.spike(30, 75, 20, length), 120, seed).goodput(80, 120) < 15
                   for seed in range(10))
    if wrong := _number(seconds):
        return wrong
    if seconds != int(seconds) or not 0 <= seconds <= 60:
        return "a whole number of seconds is wanted, between 0 and 60"
    if lost(seconds):
        return f"{lost(seconds)} of 10 seeds collapse for good: that spike is too long"
    if not lost(seconds + 1):
        return "every seed survives one second more as well: look for the edge"
    return None


LONGEST_BLIP = Exercise("11.2", _longest_blip)

# ------------------------------------------------------------------------------------------------ 12
SAFE_QUEUE = Exercise("12.1", _within(0, math.inf, "a queue has 0 places or more", close_to(
    120, 0.004, "a longer queue than that still finishes its last entry in time",
    "the last attempt in so long a queue finishes after its client has left")))


def _budget(ratio: Any) -> str | None:
    """Exercise 12.2: by formula 40 (1 + r) <= 50; simulated at the edge, r = 0.2 is what a few minutes show."""
    if wrong := _number(ratio):
        return wrong
    RetryBudget(float(ratio))
    if ratio > 0.25 + 1e-9:
        return (f"at 40/s such a budget allows {40 * (1 + ratio):g} attempts a second, more than the server completes: "
                "a collapse lasts")
    if ratio < 0.2 - 1e-9:
        return "it recovers with that ratio, but also with one larger by 0.05: near the edge give a run many minutes"
    return None


BUDGET = Exercise("12.2", _budget)

# 275 send just what the server completes, and one worker fewer leaves something to drain a collapse with
BACKOFF = Exercise("12.3", _within(0, math.inf, "a number of workers is wanted, 0 or more", close_to(
    274.5, 0.002, "the service can carry more workers than that: while a worker waits, it sends nothing",
    "with so many workers the server gets more attempts than it completes, although each of them waits")))

# ------------------------------------------------------------------------------------------------ 13
FAST = Service(0.005, 0.0005, 10)
FAST_PATIENCE = 0.04
LESSON = Service(0.1, 0.01, 10)


def real_queue(mu: float) -> Exercise:
    """Exercise 13.1: the safe queue of the fast server, with the throughput `mu` (1/s) measured on this machine.

    An attempt in a full server takes places / mu (Little), so the last of K waits K / mu and then takes 10 / mu.
    """
    ranges.number("mu", mu, 0, above=True)
    places = FAST.workers
    bound, by_formula = mu * FAST_PATIENCE - places, 1000 * FAST_PATIENCE - places
    mistakes = [(mu * FAST_PATIENCE, "its last entry gets to the front in time, but then it has to be served as well"),
                (mu * (FAST_PATIENCE - 0.01), "the server you measured takes longer than 10 ms for an attempt, too: "
                                              "places / throughput"),
                (by_formula, "that is the bound of the formula's server, not of yours"),
                (mu / 4, "that is the hidden capacity, a load; asked for is a number of attempts that wait")]

    def judge(value: Any) -> str | None:
        if wrong := _number(value):
            return wrong
        if value < 0:
            return "a queue has 0 places or more"
        if -1.05 <= value - bound <= 0.5:          # whole places, rounded down or to the nearest
            return None
        for wrong_number, why in mistakes:
            if abs(value - wrong_number) <= 1:
                return why
        return ("a longer queue than that still finishes its last entry in time, on the server you measured"
                if value < bound else "the last attempt in so long a queue finishes after its client has left, on the "
                                      "server you measured")
    return Exercise("13.1", judge)


def _own_cure(run: Any) -> str | None:
    """Exercise 13.2: a live run of a 150/s spike on the lesson's server that comes back, thanks to its treatment."""
    if isinstance(run, dict):
        return 'run_all gives a dict of runs by name; hand over one of them, such as runs["mine"]'
    if not isinstance(run, Run):
        return f"a live run is wanted; this is {kind(run)}"
    if not isinstance(run, LiveRun):
        return "this run is simulated; `await run_all(...)` makes real ones"
    service, clients, (start, stop) = run.service, run.clients, run.disturbance
    if replace(service, queue=Fifo(), drop="never") != LESSON or clients.timeout != 0.8 or run.experiment.trigger:
        return "the server and the patience of this lesson are given: Service(0.1, 0.01, 10, ...), Clients(0.8, ...)"
    if run.load.times is not None or run.load.rate(start) < 150 or stop - start < 1 - 1e-9:
        return "the spike is gentler than one second at 150 requests per second"
    if run.duration < stop + 8:
        return "the run is too short to tell: leave at least eight seconds after the spike"
    base = run.load.rate(0)
    levers = [service.queue != Fifo(), service.drop != "never", clients.retries != 3, clients.backoff is not None,
              clients.budget is not None, clients.breaker is not None]
    if sum(levers) < 2 and not isinstance(service.queue, CoDel):
        return "the table above has that treatment, or one of its kind: combine two, or take one it does not have"
    untreated = simulate(LESSON, Clients(0.8, 3), run.load, run.duration, run.experiment.seed)
    if untreated.goodput(run.duration - 4, run.duration) > 0.25 * base:
        return f"at {base:g} requests per second the server comes back untreated, too: there is nothing to cure"
    if run.goodput(run.duration - 4, run.duration) < 0.75 * base:
        return "at the end users are still not served; this treatment does not bring the service back"
    return None


OWN_CURE = Exercise("13.2", _own_cure, "a live run")


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
    named = {letter: name.strip().lower() if isinstance(name, str) else name for letter, name in named.items()}
    unknown = [name for name in named.values() if not isinstance(name, str) or name not in WORDS]
    if unknown:
        return f"{unknown[0]!r} is not one of the four: " + ", ".join(WORDS)
    wrong = [letter for letter, name in named.items() if SUSPECTS[letter] != name]
    if not wrong:
        return None
    return f"{len(wrong)} of 4 do not fit. For {wrong[0]} you say: {WORDS[named[wrong[0]]]}. Is that what you see?"


WHICH_LOOP = Exercise("14.1", _which_loop)

LONGEST_PAUSE = Exercise("14.2", _within(0, math.inf, "a pause takes 0 seconds or more", close_to(
    8, 0.02, "the backlog of a longer pause still lies below the queue of no return at 25/s",
    "the backlog of so long a pause lies above the queue of no return at 25/s",
    [(200, "that is the queue of no return; the pause that leaves it is wanted, in seconds")])))

THREE_TIERS = Exercise("14.3", _within(0, math.inf, "a load is a number of requests per second, 0 or more", close_to(
    50 / 27, 0.03, "count again how many attempts one request makes at the last tier: two retries are three attempts",
    "at that load the last tier sees more attempts than it completes: each tier multiplies those of the one in front",
    [(50 / 8, "two retries are three attempts, not two"), (50 / 9, "that is two tiers; there are three"),
     (50 / 7, "attempts of tiers multiply, they do not add up"),
     (27, "that is the attempts per request; the load is wanted")])))
