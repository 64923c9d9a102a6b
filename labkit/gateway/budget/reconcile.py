"""Three books that should say the same: the ledger, the engine's counters, and the invoice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from labkit.gateway.budget.ledger import Ledger
from labkit.gateway.budget.money import MICRO

if TYPE_CHECKING:
    import pandas as pd


def reconcile(ledger: Ledger, engine_metrics: Mapping[str, float] | None = None, invoice: float | None = None,
              since: float = 0.0) -> pd.DataFrame:
    """Hold the ledger against the engine and the invoice; a row per quantity: ledger, other, difference, note.

    engine_metrics: what the engine's counters grew by (`engine.metrics().since(before)`), or all of them for an engine
    that served nobody else; the tokens are compared. invoice: dollars; the money is compared. since: only attempts
    reserved after this time (s since 1970). The note says how much of a difference is explained: holds that expired
    are charged in full although nobody counted their tokens.
    """
    import pandas as pd  # here: a gateway, which makes no tables, starts without
    own = ledger.totals(since)
    rows: list[tuple[str, float, float, float, str]] = []

    def compare(what: str, ours: float, other: float, note: str) -> None:
        rows.append((what, ours, other, ours - other, note if ours != other else "agrees"))

    if engine_metrics is not None:
        lost = f"{own['expired']} expired holds have no token count" if own["expired"] else "unexplained"
        for what in ("prompt", "generation"):
            ours = own["prompt_tokens" if what == "prompt" else "answer_tokens"]
            compare(f"{what} tokens", ours, engine_metrics.get(f"vllm:{what}_tokens_total", 0.0), lost)
    if invoice is not None:
        gap = own["charged"] / MICRO - invoice
        if gap < 0:
            note = "the invoice is higher: somebody spends past the gateway, or a price is wrong"
        elif gap <= own["expired_charged"] / MICRO:
            note = f"explained: {own['expired']} expired holds, charged in full"
        else:
            note = "the ledger is higher by more than its expired holds: check the prices"
        compare("dollars", own["charged"] / MICRO, invoice, note)
    if own["held"]:
        rows.append(("dollars held", own["held"] / MICRO, float("nan"), float("nan"), "attempts still running"))
    return pd.DataFrame(rows, columns=["quantity", "ledger", "other", "difference", "note"]).set_index("quantity")
