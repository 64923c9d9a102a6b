"""The ledger of a gateway: no attempt without a hold, no hold without an end, no end that can fail."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import ranges
from labkit.gateway.budget.accounts import PERIODS, Account, BudgetWarning, Decision, Hold, check_scope, period_of
from labkit.gateway.budget.money import MICRO, dollars
from labkit.gateway.budget.store import LedgerError, LedgerStore, store

if TYPE_CHECKING:
    import pandas as pd

LEVELS = (80, 100)          # per cent of a cap that are worth a warning


class Ledger:
    """Budgets in a SQLite file (or in PostgreSQL, by URL), safe for all threads and processes that open it.

    place: a path, or postgresql://...
    ttl: seconds after which an unsettled hold is charged in full, > 0; more than the longest request takes.
    clock: seconds since 1970; UTC decides when a day ends.
    synchronous: "OFF", "NORMAL" or "FULL", see `store.SQLiteStore`.

    Scopes are those of `accounts.check_scope`. Every method raises LedgerError if the file or database fails: fail
    closed.

    >>> ledger = Ledger(":memory:")
    >>> ledger.limit("team:eng", "day", 1_000)
    >>> first = ledger.reserve("ada", "eng", 600)
    >>> ledger.reserve("bob", "eng", 600).reason
    'team:eng has $0.0004 of $0.001 left today ($0.00 spent, $0.0006 held); this attempt may cost $0.0006'
    >>> ledger.settle(first.hold, 100)
    100
    >>> ledger.reserve("bob", "eng", 600).action
    'allow'
    """

    def __init__(self, place: str | Path, *, ttl: float = 300.0, clock: Callable[[], float] = time.time,
                 synchronous: str = "NORMAL"):
        ranges.number("ttl", ttl, 0, above=True)
        ranges.one_of("synchronous", synchronous, ("OFF", "NORMAL", "FULL"))
        self.place, self.ttl, self.clock = str(place), ttl, clock
        self.store: LedgerStore = store(place, synchronous)

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()

    # ------------------------------------------------------------------------------------------------ rules
    def limit(self, scope: str, period: str, cap: int | None) -> None:
        """Set, change or lift a cap; it holds for windows that are open already.

        scope, period: as `accounts.check_scope` has them, which raises ValueError for others.
        cap: micro-dollars a period, a whole number >= 0; None lifts it.
        """
        check_scope(scope, period)
        if cap is not None:
            ranges.whole("cap", cap, 0)
        with self.store.transaction():
            self.store.rows("DELETE FROM rule WHERE scope = ? AND period = ?", (scope, period))
            if cap is not None:
                self.store.rows("INSERT INTO rule VALUES (?, ?, ?)", (scope, period, cap))
            self._apply(scope, period)

    def _apply(self, scope: str, period: str) -> None:
        """Bring the open accounts of `scope` in step with the rules: one source of truth, and no counter that lags."""
        window = dict(zip(PERIODS[1:], self._windows(), strict=True)).get(period)
        if window is None:
            return
        kind, _, name = scope.partition(":")
        match = ("scope LIKE ?", f"{kind}:%") if name == "*" else ("scope = ?", scope)
        for (found,) in self.store.rows(f"SELECT scope FROM account WHERE {match[0]} AND span = ?", (match[1], window)):
            self.store.rows("UPDATE account SET cap = ?, warned = 0 WHERE scope = ? AND span = ?",
                            (self._cap(found, period), found, window))

    def _cap(self, scope: str, period: str) -> int | None:
        """The rule for a scope: its own, else the one for everybody of its kind."""
        kind = scope.partition(":")[0]
        found = dict(self.store.rows("SELECT scope, cap FROM rule WHERE period = ? AND scope IN (?, ?)",
                                     (period, scope, f"{kind}:*")))
        return found.get(scope, found.get(f"{kind}:*"))

    # ---------------------------------------------------------------------------------- reserve, settle, expire
    def reserve(self, user: str, team: str, amount: int, *, cheaper: int | None = None, request: str = "",
                tier: str = "", cheaper_tier: str = "") -> Decision:
        """Hold `amount` micro-dollars for one attempt, in every scope it touches or in none.

        amount: the most it can cost, a whole number >= 0.
        cheaper: micro-dollars a smaller model would cost at most, tried if `amount` does not fit.
        request, tier, cheaper_tier: noted for the report.

        A retry is a new attempt: reserve again.
        """
        ranges.whole("amount", amount, 0)
        if cheaper is not None:
            ranges.whole("cheaper", cheaper, 0)
        reason = ""
        with self.store.transaction():
            self._expire()
            for action, wanted, noted in (("allow", amount, tier), ("downgrade", cheaper, cheaper_tier or tier)):
                if wanted is None:
                    continue
                refused, warnings = self._hold(user, team, wanted)
                if not refused:
                    number = self._note(user, team, wanted, request, noted)
                    return Decision(action, number, wanted, reason, warnings)
                reason = reason or refused
        return Decision("reject", "", 0, reason)

    def _hold(self, user: str, team: str, amount: int) -> tuple[str, tuple[BudgetWarning, ...]]:
        """Hold in all accounts; the reason if one of them has no room, and then nothing is held."""
        cap = self._cap("request", "request")
        if cap is not None and amount > cap:
            return f"request: one attempt may cost {dollars(cap)} at most; this one may cost {dollars(amount)}", ()
        keys = self._keys(user, team)
        match, values = _match(keys)
        # the condition and the change are one statement: between looking and taking there is no gap to slip through
        found = self.store.rows(f"UPDATE account SET held = held + ? WHERE {match} "
                                "AND (cap IS NULL OR spent + held + ? <= cap) "
                                "RETURNING scope, span, cap, spent, held, warned", (amount, *values, amount))
        if len(found) < len(keys):
            taken = [row[:2] for row in found]
            if taken:
                again, those = _match(taken)
                self.store.rows(f"UPDATE account SET held = held - ? WHERE {again}", (amount, *those))
            if self._open(keys):
                return self._hold(user, team, amount)
            return self._reason(keys, amount), ()
        return "", self._warn(found)

    def _open(self, keys: list[tuple[str, str]]) -> bool:
        """Open the accounts that are missing, as on the first request of a day; whether there were any."""
        match, values = _match(keys)
        there = set(self.store.rows(f"SELECT scope, span FROM account WHERE {match}", values))
        missing = [key for key in keys if key not in there]
        for scope, window in missing:
            cap = self._cap(scope, period_of(window))
            self.store.rows("INSERT INTO account(scope, span, cap) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                            (scope, window, cap))
        return bool(missing)

    def _reason(self, keys: list[tuple[str, str]], amount: int) -> str:
        """Which scope is in the way, and its numbers; the tightest if there are several."""
        tight = min((account for account in self._accounts(keys) if account.left < amount), key=lambda a: a.left)
        when = "today" if tight.period == "day" else "this month"
        return (f"{tight.scope} has {dollars(max(0, int(tight.left)))} of {dollars(tight.cap or 0)} left {when} "
                f"({dollars(tight.spent)} spent, {dollars(tight.held)} held); this attempt may cost {dollars(amount)}")

    def _note(self, user: str, team: str, amount: int, request: str, tier: str) -> str:
        number, now = uuid.uuid4().hex, self.clock()
        self.store.rows("INSERT INTO hold(id, request, usr, team, tier, day, amount, made, expires, state, outcome) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'held', '')",
                        (number, request, user, team, tier, self._windows()[0], amount, now, now + self.ttl))
        return number

    def settle(self, hold: str, actual: int, *, prompt_tokens: int = 0, answer_tokens: int = 0,
               outcome: str = "ok") -> int:
        """Replace a hold by what the attempt cost; the micro-dollars charged.

        actual: micro-dollars, a whole number >= 0.
        prompt_tokens, answer_tokens, outcome: noted for the report.

        Never refuses: an actual cost above the hold is charged too, because the money is gone. A second call changes
        nothing and returns what the first one charged. A hold that expired meanwhile is corrected to `actual`.
        The money counts in the day and month in which it was reserved. LedgerError if there is no such hold.
        """
        ranges.whole("actual", actual, 0)
        with self.store.transaction():
            # one statement decides who settles; the new state remembers what the old one was
            found = self.store.rows("UPDATE hold SET state = CASE state WHEN 'held' THEN 'settled' ELSE 'corrected' END"
                                    ", outcome = ?, prompt_tokens = ?, answer_tokens = ? "
                                    "WHERE id = ? AND state IN ('held', 'expired') "
                                    "RETURNING usr, team, day, amount, charged, state",
                                    (outcome, prompt_tokens, answer_tokens, hold))
            if not found:
                return self._charged(hold)
            user, team, day, amount, charged, state = found[0]
            self.store.rows("UPDATE hold SET charged = ? WHERE id = ?", (actual, hold))
            self._move(user, team, day, -amount if state == "settled" else 0, actual - charged)
        return actual

    def _charged(self, hold: str) -> int:
        charged = self.store.rows("SELECT charged FROM hold WHERE id = ?", (hold,))
        if not charged:
            raise LedgerError(f"hold {hold!r} is not in the ledger")
        return int(charged[0][0])

    def _move(self, user: str, team: str, day: str, held: int, spent: int) -> None:
        match, values = _match(self._keys(user, team, (day, day[:7])))
        self.store.rows(f"UPDATE account SET held = held + ?, spent = spent + ? WHERE {match}", (held, spent, *values))

    def expire(self) -> int:
        """Charge every hold whose time is over in full: nobody said what it cost, so it cost the most it could.
        How many there were."""
        with self.store.transaction():
            return self._expire()

    def _expire(self) -> int:
        gone = self.store.rows("UPDATE hold SET state = 'expired', outcome = 'expired', charged = amount "
                               "WHERE state = 'held' AND expires <= ? RETURNING usr, team, day, amount",
                               (self.clock(),))
        for user, team, day, amount in gone:
            self._move(user, team, day, -amount, amount)
        return len(gone)

    # --------------------------------------------------------------------------------------------- reading
    def check(self) -> None:
        """LedgerError if it cannot be read."""
        self.store.rows("SELECT 1 FROM hold LIMIT 1")

    def accounts(self, user: str = "", team: str = "") -> list[Account]:
        """The open windows: of a user and a team, or of everybody."""
        if user or team:
            return self._accounts(self._keys(user, team))
        return [Account(*row) for row in self.store.rows(
            "SELECT scope, span, cap, spent, held FROM account WHERE span IN (?, ?) ORDER BY scope, span",
            self._windows())]

    def holds(self) -> list[Hold]:
        """The open holds, oldest first."""
        rows = self.store.rows("SELECT id, request, usr, team, tier, amount, made FROM hold WHERE state = 'held' "
                               "ORDER BY made")
        now = self.clock()
        return [Hold(hold, request, user, team, tier, amount, now - made)
                for hold, request, user, team, tier, amount, made in rows]

    def report(self, period: str = "", by: str = "team") -> pd.DataFrame:
        """Chargeback: requests, attempts, tokens and dollars by "team", "user" or "tier".

        period: "2026-11" for a month, "2026-11-24" for a day, "" for the current month.
        by: "team", "user" or "tier", a row each; ValueError for others.

        Expired holds are in at what was charged; what is still held is in its own column.
        """
        import pandas as pd  # here: a gateway, which makes no tables, starts without
        ranges.one_of("by", by, ("team", "user", "tier"))
        column = {"user": "usr"}.get(by, by)
        rows = self.store.rows(
            f"SELECT {column}, COUNT(DISTINCT request), COUNT(*), SUM(prompt_tokens), SUM(answer_tokens), SUM(charged),"
            " SUM(CASE WHEN state = 'held' THEN amount ELSE 0 END) FROM hold WHERE day LIKE ? "
            f"GROUP BY {column} ORDER BY SUM(charged) DESC, {column}", (f"{period or self._windows()[1]}%",))
        table = pd.DataFrame(rows, columns=[by, "requests", "attempts", "prompt_tokens", "answer_tokens", "usd",
                                            "held_usd"]).set_index(by)
        whole = ["requests", "attempts", "prompt_tokens", "answer_tokens"]
        table[whole] = table[whole].astype(int)
        table[["usd", "held_usd"]] = table[["usd", "held_usd"]].astype(float) / MICRO
        return table

    def totals(self, since: float = 0.0) -> dict[str, int]:
        """Sums over all attempts reserved since a time: attempts, prompt_tokens, answer_tokens, charged, held
        (micro-dollars), expired and its charge."""
        row = self.store.rows(
            "SELECT COUNT(*), SUM(prompt_tokens), SUM(answer_tokens), SUM(charged), "
            "SUM(CASE WHEN state = 'held' THEN amount ELSE 0 END), SUM(CASE WHEN state = 'expired' THEN 1 ELSE 0 END), "
            "SUM(CASE WHEN state = 'expired' THEN charged ELSE 0 END) FROM hold WHERE made >= ?", (since,))[0]
        names = ("attempts", "prompt_tokens", "answer_tokens", "charged", "held", "expired", "expired_charged")
        return {name: int(value or 0) for name, value in zip(names, row, strict=True)}

    # --------------------------------------------------------------------------------------------- helpers
    def _windows(self) -> tuple[str, str]:
        """The day and the month now, in UTC. A new day is a new row: there is no reset to forget, or to stampede."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        return f"{now:%Y-%m-%d}", f"{now:%Y-%m}"

    def _keys(self, user: str, team: str, windows: tuple[str, str] | None = None) -> list[tuple[str, str]]:
        return [(scope, window) for window in windows or self._windows()
                for scope in ("global", f"team:{team}", f"user:{user}")]

    def _accounts(self, keys: list[tuple[str, str]]) -> list[Account]:
        match, values = _match(keys)
        return [Account(*row) for row in self.store.rows(
            f"SELECT scope, span, cap, spent, held FROM account WHERE {match} ORDER BY scope, span", values)]

    def _warn(self, rows: list[tuple[Any, ...]]) -> tuple[BudgetWarning, ...]:
        """Warnings that are due and were not given yet in this window."""
        found = []
        for scope, window, cap, spent, held, warned in rows:
            used = spent + held
            level = max((level for level in LEVELS if cap and used * 100 >= level * cap), default=0)
            if level > warned:
                self.store.rows("UPDATE account SET warned = ? WHERE scope = ? AND span = ?", (level, scope, window))
                found.append(BudgetWarning(scope, window, level, used, cap))
        return tuple(found)


def _match(keys: list[Any]) -> tuple[str, tuple[str, ...]]:
    """A condition for these accounts, and its values."""
    return (f"(scope, span) IN (VALUES {', '.join(['(?, ?)'] * len(keys))})",
            tuple(part for key in keys for part in key))
