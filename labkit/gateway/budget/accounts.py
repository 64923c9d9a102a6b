"""What the ledger answers with: accounts, holds, decisions and warnings; and what a scope and a period may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from labkit import ranges
from labkit.gateway.budget.money import dollars

PERIODS = ("request", "day", "month")


def check_scope(scope: str, period: str) -> None:
    """ValueError unless money can be capped for that scope in that period.

    scope: "global", "user:NAME", "team:NAME", "user:*" or "team:*" (everybody without a rule of their own), or
        "request" (any one request).
    period: "day" or "month"; "request" for the scope "request".
    """
    kind, _, name = scope.partition(":")
    if not (scope in ("global", "request") or (kind in ("user", "team") and name)):
        raise ValueError(f"scope = {scope!r}: must be 'global', 'request', 'user:NAME', 'team:NAME', 'user:*' or "
                         "'team:*'")
    ranges.one_of("period", period, ("request",) if scope == "request" else ("day", "month"))


def period_of(window: str) -> str:
    """The period a window is one of.

    >>> period_of("2026-11-24"), period_of("2026-11")
    ('day', 'month')
    """
    return "day" if len(window) == len("2026-11-24") else "month"


class Hold(NamedTuple):
    """What one attempt may still cost.

    amount: micro-dollars.
    age: seconds since it was made.
    """

    id: str
    request: str
    user: str
    team: str
    tier: str
    amount: int
    age: float


@dataclass(frozen=True)
class Account:
    """What one scope has spent in one window.

    window: a day, "2026-11-24", or a month, "2026-11", in UTC.
    cap: micro-dollars, None without a limit.
    spent, held: micro-dollars, >= 0.
    """

    scope: str
    window: str
    cap: int | None
    spent: int
    held: int

    @property
    def period(self) -> str:
        """"day" or "month"."""
        return period_of(self.window)

    @property
    def left(self) -> float:
        """What may still be held; inf without a limit. Below 0 only if the cap was lowered, or a price was wrong."""
        return math.inf if self.cap is None else self.cap - self.spent - self.held


@dataclass(frozen=True)
class BudgetWarning:
    """A scope has passed a level of its cap. Told once a window.

    level: per cent of the cap, 80 or 100.
    used: micro-dollars, spent and held together.
    cap: micro-dollars, > 0.
    """

    scope: str
    window: str
    level: int
    used: int
    cap: int

    def __str__(self) -> str:
        return f"{self.scope} has used {self.used / self.cap:.0%} of {dollars(self.cap)} ({self.window})"


@dataclass(frozen=True)
class Decision:
    """The answer to a reservation.

    action: "allow", "downgrade" (only the cheaper amount fits; it is what is held) or "reject".
    hold: its id, "" if rejected.
    amount: micro-dollars that are held.
    reason: the scope that is in the way and its numbers, "" if allowed.
    warnings: caps this reservation came close to.
    """

    action: str
    hold: str
    amount: int
    reason: str = ""
    warnings: tuple[BudgetWarning, ...] = ()
