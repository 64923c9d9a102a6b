"""One hostile crowd against one budget, in virtual time: bursts, hang-ups, errors that were billed, crashes.

The truth is what the engine billed; a design only knows what it was told.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from labkit import ranges
from labkit.gateway.budget.designs import CAP, DESIGNS, Design
from labkit.gateway.budget.money import price

PROMPT, ANSWER, MOST = 0.20, 0.60, 512          # $ per million tokens of each; the longest answer
DAY = 86_400.0


@dataclass(frozen=True)
class Crowd:
    """The attackers.

    requests in bursts of `burst`, all within 0.2 s, every 30 s. cancels, errors, crashes: the shares of clients that
    hang up, of attempts that fail after they were billed (and are tried again, twice at most), and of gateway
    handlers that die before they settle; each in [0, 1]. retries: 0 to 2. max_tokens: what each asks for, and so what
    has to be held; the answers are about 190 tokens, 512 at most.
    """

    requests: int = 600
    burst: int = 60
    cancels: float = 0.15
    errors: float = 0.10
    crashes: float = 0.02
    retries: int = 2
    max_tokens: int = MOST

    def __post_init__(self) -> None:
        ranges.whole("Crowd.requests", self.requests, 1)
        ranges.whole("Crowd.burst", self.burst, 1)
        ranges.whole("Crowd.retries", self.retries, 0, 2)
        ranges.whole("Crowd.max_tokens", self.max_tokens, 1)
        for name in ("cancels", "errors", "crashes"):
            ranges.number(f"Crowd.{name}", getattr(self, name), 0, 1)


@dataclass(frozen=True)
class Outcome:
    """What came of an attack, in micro-dollars. believed: spent, by the design's own book. stuck: still held long
    after everything ended. possible: what somebody who knows every cost beforehand could have spent within the cap.
    admitted, rejected: requests. fair: how many requests that somebody could have admitted."""

    cap: int
    billed: int
    believed: int
    stuck: int
    possible: int
    admitted: int
    rejected: int
    fair: int

    @property
    def overspend(self) -> float:
        """billed / cap; above 1 the budget did not hold."""
        return self.billed / self.cap


@dataclass(frozen=True)
class _Caller:
    at: float
    costs: tuple[int, ...]      # of each attempt, billed whatever happens
    max_cost: int
    seconds: float
    cancelled: bool
    crashed: bool


def _callers(crowd: Crowd, rng: random.Random) -> list[_Caller]:
    return sorted((_caller(crowd, rng, number // crowd.burst * 30 + rng.random() * 0.2)
                   for number in range(crowd.requests)), key=lambda caller: caller.at)


def _caller(crowd: Crowd, rng: random.Random, at: float) -> _Caller:
    prompt, answer = rng.randint(50, 400), min(MOST, crowd.max_tokens, int(rng.lognormvariate(5.0, 0.7)))
    failed = 0
    while failed < crowd.retries and rng.random() < crowd.errors:
        failed += 1
    cancelled, crashed = rng.random() < crowd.cancels, rng.random() < crowd.crashes
    last = int(answer * rng.random()) if cancelled else answer
    costs = [price(prompt, answer, PROMPT, ANSWER)] * failed + [price(prompt, last, PROMPT, ANSWER)]
    max_cost = price(prompt, crowd.max_tokens, PROMPT, ANSWER)
    return _Caller(at, tuple(costs), max_cost, rng.uniform(2, 20), cancelled, crashed)


def attack(design: Callable[[int], Design], crowd: Crowd = Crowd(), cap: int = CAP, seed: int = 0) -> Outcome:
    """Let `crowd` loose on a new `design(cap)`. Same seed, same crowd, for every design."""
    ranges.whole("cap", cap, 1)
    callers = _callers(crowd, random.Random(seed))
    run = _Run(design(cap), callers)
    possible = fair = 0
    for caller in callers:
        if possible + sum(caller.costs) <= cap:
            possible, fair = possible + sum(caller.costs), fair + 1
    return Outcome(cap, run.billed, run.budget.spent, run.budget.held, possible, run.admitted, run.rejected, fair)


class _Run:
    """The events of one attack, in order of time."""

    def __init__(self, budget: Design, callers: list[_Caller]):
        self.budget, self.billed, self.admitted, self.rejected = budget, 0, 0, 0
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.count = 0
        for caller in callers:
            self.at(caller.at, lambda now, caller=caller: self.arrive(caller, now))  # type: ignore[misc]
        now = 0.0
        while self.events:
            now, _, event = heapq.heappop(self.events)
            event(now)
        if hasattr(budget, "sweep"):
            budget.sweep(now + DAY / 2)

    def at(self, when: float, event: Callable[[float], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, event))

    def arrive(self, caller: _Caller, now: float) -> None:
        ticket = self.budget.admit(caller.max_cost * self.budget.attempts, now)
        if ticket is None:
            self.rejected += 1
            return
        self.admitted += 1
        if self.budget.each_attempt:
            self.attempt(caller, 0, ticket, now)
        else:
            self.billed += sum(caller.costs)
            # with one hold a request, the gateway that retried only sees the usage of the answer it got
            seen = sum(caller.costs) if self.budget.attempts > 1 else caller.costs[-1]
            self.at(now + caller.seconds, lambda now: self.end(caller, ticket, seen, now))

    def attempt(self, caller: _Caller, number: int, ticket: Any, now: float) -> None:
        cost = caller.costs[number]
        self.billed += cost

        def done(now: float) -> None:
            self.end(caller, ticket, cost, now)
            if number + 1 < len(caller.costs) and not caller.crashed:
                again = self.budget.admit(caller.max_cost, now)
                if again is not None:
                    self.attempt(caller, number + 1, again, now)

        self.at(now + caller.seconds, done)

    def end(self, caller: _Caller, ticket: Any, cost: int, now: float) -> None:
        if not caller.crashed:
            self.budget.settle(ticket, cost, not caller.cancelled, now)


def table(crowd: Crowd = Crowd(), cap: int = CAP, seeds: int = 20) -> pd.DataFrame:
    """Every design against the same crowds: admitted, billed / cap (mean and worst), drift of the book, stuck holds."""
    rows = []
    for name, design in DESIGNS.items():
        found = [attack(design, crowd, cap, seed) for seed in range(seeds)]
        mean = pd.DataFrame([vars(one) | {"overspend": one.overspend} for one in found]).mean()
        rows.append((name, mean.admitted, mean.overspend, max(one.overspend for one in found),
                     mean.believed - mean.billed, mean.stuck))
    return pd.DataFrame(rows, columns=["design", "admitted", "billed/cap", "worst seed", "book - bill", "stuck"]
                        ).set_index("design")
