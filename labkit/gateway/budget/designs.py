"""Ways to enforce a budget, from the usual one to the ledger, behind one interface, so that one attack fits them all.

Money is whole micro-dollars and time is handed in, as in a simulation. A ticket is what `admit` hands out: None is no.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from labkit.gateway.budget.ledger import Ledger

CAP = 20_000                # micro-dollars: about a hundred requests of the attack
TTL = 120.0                 # seconds


class Design(Protocol):
    """What the gateway asks of a budget.

    each_attempt: whether a retry asks again. attempts: for how many attempts `admit` is told to hold at once.
    spent: what the design believes was spent. held: what it believes is still running.
    """

    each_attempt: bool
    attempts: int

    @property
    def spent(self) -> int: ...

    @property
    def held(self) -> int: ...

    def admit(self, max_cost: int, now: float) -> Any:
        """May an attempt that costs `max_cost` at most start? A ticket, or None."""

    def settle(self, ticket: Any, actual: int, finished: bool, now: float) -> None:
        """The attempt cost `actual`; `finished` is False if the client hung up or the engine failed."""


class Counter:
    """Common to the designs that keep two numbers in memory."""

    each_attempt, attempts = False, 1

    def __init__(self, cap: int = CAP):
        self.cap, self.spent, self.held = cap, 0, 0


class RecordAfter(Counter):
    """The essay's enforcer: over budget means a cheaper model, and the spend is written down after a success."""

    def admit(self, max_cost: int, now: float) -> Any:
        return max_cost                                     # "downgrade" still runs

    def settle(self, ticket: Any, actual: int, finished: bool, now: float) -> None:
        if finished:
            self.spent += actual


class PostHoc(RecordAfter):
    """Stop once the money is gone: LiteLLM before 1.84 (2026), Envoy AI Gateway today."""

    def admit(self, max_cost: int, now: float) -> Any:
        return max_cost if self.spent < self.cap else None


class CheckThenAct(RecordAfter):
    """Stop if the estimate does not fit; between the look and the record everybody else looks too."""

    def admit(self, max_cost: int, now: float) -> Any:
        return max_cost if self.spent + max_cost <= self.cap else None


class ReserveRelease(Counter):
    """Hold the estimate first. Whoever fails or hangs up gets the money back, although the engine worked for it."""

    def admit(self, max_cost: int, now: float) -> Any:
        if self.spent + self.held + max_cost > self.cap:
            return None
        self.held += max_cost
        return max_cost

    def settle(self, ticket: Any, actual: int, finished: bool, now: float) -> None:
        self.held -= ticket
        self.spent += actual if finished else 0


class ReserveSettle(ReserveRelease):
    """A hang-up pays for what was generated. One hold a request: failed attempts before the last go uncounted."""

    def settle(self, ticket: Any, actual: int, finished: bool, now: float) -> None:
        self.held -= ticket
        self.spent += actual


class ReserveAll(Counter):
    """Hold three worst cases, for the retries that may come, and charge a hold that nobody settled in time."""

    attempts = 3

    def __init__(self, cap: int = CAP):
        super().__init__(cap)
        self.holds: dict[int, tuple[int, float]] = {}

    def admit(self, max_cost: int, now: float) -> Any:
        self.sweep(now)
        if self.spent + self.held + max_cost > self.cap:
            return None
        number = len(self.holds)
        self.holds[number] = (max_cost, now + TTL)
        self.held += max_cost
        return number

    def settle(self, ticket: Any, actual: int, finished: bool, now: float) -> None:
        max_cost, _ = self.holds[ticket]
        if max_cost:
            self.holds[ticket] = (0, 0)
            self.held -= max_cost
            self.spent += actual

    def sweep(self, now: float) -> None:
        """Holds past their time are charged in full."""
        for number, (max_cost, expires) in self.holds.items():
            if max_cost and expires <= now:
                self.holds[number] = (0, 0)
                self.held -= max_cost
                self.spent += max_cost


class WithLedger:
    """The real `Ledger`: a hold an attempt, settled by id, charged in full when its time is over."""

    each_attempt, attempts = True, 1

    def __init__(self, cap: int = CAP):
        self.now = 0.0
        self.ledger = Ledger(":memory:", ttl=TTL, clock=lambda: self.now)
        self.ledger.limit("global", "day", cap)

    def admit(self, max_cost: int, now: float) -> Any:
        self.now = now
        return self.ledger.reserve("u", "t", max_cost).hold or None

    def settle(self, ticket: Any, actual: int, finished: bool, now: float) -> None:
        self.now = now
        self.ledger.settle(ticket, actual)

    def sweep(self, now: float) -> None:
        """As the gateway's timer does."""
        self.now = now
        self.ledger.expire()

    @property
    def spent(self) -> int:
        return self.ledger.totals()["charged"]

    @property
    def held(self) -> int:
        return self.ledger.totals()["held"]


DESIGNS: dict[str, Callable[[int], Design]] = {
    "record after (essay)": RecordAfter, "stop when spent": PostHoc, "check, then act": CheckThenAct,
    "reserve, release": ReserveRelease, "reserve, settle": ReserveSettle, "reserve three": ReserveAll,
    "ledger": WithLedger}

__all__ = ["CAP", "DESIGNS", "CheckThenAct", "Design", "PostHoc", "RecordAfter", "ReserveAll",
           "ReserveRelease", "ReserveSettle", "WithLedger"]
