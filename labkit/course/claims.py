"""The ledger of claims: what the essays this course grew out of say, and what came out when it was measured."""

from __future__ import annotations

import csv
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import files

if TYPE_CHECKING:
    import pandas as pd

VERDICTS = {"holds": "#009E73", "holds when": "#0072B2", "not as stated": "#D55E00", "not checkable": "#777777"}


@dataclass(frozen=True)
class Claim:
    """One row of `data/claims.csv`: the claim in our words, where it stands, the verdict, and the finding."""

    id: str
    claim: str
    where: str
    verdict: str
    finding: str
    notebook: str


@dataclass(frozen=True)
class Card:
    """A settled claim, as shown in a notebook: one line in the flow of the text, the rest for who opens it.

    As plain text it is the claim's number and the verdict: what was measured stands in the output above it.
    """

    claim: Claim
    measured: str

    def __repr__(self) -> str:
        return f"{self.claim.id}: {self.claim.verdict}"

    def _repr_html_(self) -> str:
        c, color = self.claim, VERDICTS[self.claim.verdict]
        measured = html.escape(self.measured)
        # two dollar amounts are no formula
        return (f'<details class="mathjax_ignore" style="border-left:4px solid {color};padding:0 10px;margin:2px 0;'
                'max-width:760px"><summary style="cursor:pointer;white-space:nowrap;overflow:hidden;'
                f'text-overflow:ellipsis"><b>{c.id}</b> <b style="color:{color}">{c.verdict}</b> {measured}</summary>'
                f'<div style="padding:4px 0 6px 16px"><b>Claim</b> ({html.escape(c.where)}): {html.escape(c.claim)}<br>'
                f'<b style="color:{color}">{c.verdict.capitalize()}.</b> {html.escape(c.finding)}<br>'
                f"<b>Measured above:</b> {measured}</div></details>")


def ledger() -> dict[str, Claim]:
    """All claims by id; ValueError names a row whose verdict is not one of the four."""
    with files.data("claims.csv").open(encoding="utf-8", newline="") as file:
        claims = [Claim(**row) for row in csv.DictReader(file)]
    for claim in claims:
        if claim.verdict not in VERDICTS:
            raise ValueError(f"data/claims.csv, {claim.id}: verdict = {claim.verdict!r}: must be one of "
                             + ", ".join(VERDICTS))
    return {claim.id: claim for claim in claims}


def settle(id: str, measured: str) -> Card:
    """The card of claim `id` with what this notebook just measured; ValueError if there is no such claim."""
    claims = ledger()
    if id not in claims:
        raise ValueError(f"claim {id!r} is not in data/claims.csv; it has {', '.join(claims)}")
    return Card(claims[id], measured)


@dataclass(frozen=True)
class Cards:
    """Several settled claims that need no story: one line in the flow, a folded table of all of them."""

    cards: tuple[Card, ...]

    def __repr__(self) -> str:
        return "; ".join(f"{card.claim.id} {card.claim.verdict}" for card in self.cards)

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td><b>{c.claim.id}</b></td><td style="text-align:left">{html.escape(c.claim.claim)}</td>'
            f'<td style="text-align:left"><b style="color:{VERDICTS[c.claim.verdict]}">{c.claim.verdict}.</b> '
            f'{html.escape(c.claim.finding)} <span style="color:#777">({html.escape(c.measured)})</span></td></tr>'
            for c in self.cards)
        first, last = self.cards[0].claim.id, self.cards[-1].claim.id
        return ('<details class="mathjax_ignore" style="max-width:760px;margin:2px 0"><summary style="cursor:pointer">'
                f"{len(self.cards)} more claims of the same text, {first} to {last}</summary><table>"
                '<tr><th>claim</th><th style="text-align:left">it says</th><th style="text-align:left">we found</th>'
                f"</tr>{rows}</table></details>")


def settle_all(**measured: str) -> Cards:
    """Claims that were not measured in this notebook's story, in one folded table: `settle_all(V31="...", V32="...")`.

    measured: for each claim where its number comes from. ValueError for none, and for an id that is not in the ledger.
    """
    if not measured:
        raise ValueError("settle_all: name at least one claim, as in settle_all(V31='read')")
    return Cards(tuple(settle(id, text) for id, text in measured.items()))


def summary(notebook: str | None = None) -> pd.DataFrame:
    """The ledger as a table (one notebook's share of it), indexed by id."""
    import pandas as pd

    rows = [claim for claim in ledger().values() if notebook in (None, claim.notebook)]
    return pd.DataFrame([{"claim": c.claim, "verdict": c.verdict, "notebook": c.notebook} for c in rows],
                        index=pd.Index([c.id for c in rows], name="id"))
