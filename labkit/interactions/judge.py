"""What became of a table: the same, a type changed, something silently lost; an error is judged elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.interactions.cases import Case
from labkit.interactions.engines import Table
from labkit.interactions.values import NULL, Plain, kept, same, show

VERDICTS = ("same", "type_changed", "silent_loss", "read_error", "refused")


@dataclass(frozen=True)
class Cell:
    """One case through one writer and one reader.

    verdict: one of VERDICTS    why: what changed first, or the error
    went, came: the values of the table before and after, in the common form (None if nothing came)
    wrote, reads: the two lines of code    head, size: the first bytes of the file, and how many there are
    """

    medium: str
    writer: str
    reader: str
    case: str
    verdict: str
    why: str
    wrote: str
    reads: str
    went: tuple[list[str], list[list[Plain]]]
    came: Any = None
    head: bytes = b""
    size: int = 0

    @property
    def key(self) -> str:
        """A name for the cell that lasts from version to version."""
        return f"{self.medium}: {self.writer} -> {self.reader}: {self.case}"

    def __str__(self) -> str:
        came = "nothing" if self.came is None else _rows(self.came)
        return (f"{self.key}: {self.verdict.replace('_', ' ')}" + (f" ({self.why})" if self.why else "")
                + f"\n  wrote   {self.wrote}\n  read    {self.reads}\n  went in {_rows(self.went)}\n  came out {came}"
                f"\n  {self.size:,} bytes: {self.head[:64]!r}")


def _rows(table: Table) -> str:
    names, columns = table
    return "; ".join(f"{name}: {', '.join(show(value, 30) for value in column) or 'no rows'}"
                     for name, column in zip(names, columns, strict=False)) or "no columns"


def judge(case: Case, came: Table) -> tuple[str, str]:
    """The verdict on what a reader made of the case, and why."""
    names, columns = came
    if list(names) != case.names:
        return "silent_loss", f"columns {case.names} became {list(names)}"
    worst, why = "same", ""
    for went, got in zip(case.expected, columns, strict=True):
        verdict, reason = _column(went, got)
        if VERDICTS.index(verdict) > VERDICTS.index(worst):
            worst, why = verdict, reason
    return worst, why


def _column(went: list[Plain], came: list[Plain]) -> tuple[str, str]:
    if len(went) != len(came):
        return "silent_loss", f"{len(went)} rows became {len(came)}"
    # a NULL may come back as NaN or as an empty text, where the column has none of its own
    nans = any(value[:2] == ("float", "nan") for value in went)
    texts = any(value[0] in ("text", "bytes") for value in went)
    stands_for_null = {("float", "nan"): not nans, ("text", ""): not texts}
    worst, why = "same", ""
    for one, other in zip(went, came, strict=True):
        if same(one, other):
            continue
        if not (stands_for_null.get(other[:2], False) if one == NULL else kept(one, other)):
            return "silent_loss", f"{show(one)} became {show(other)}"
        worst, why = "type_changed", why or f"{show(one)} became {show(other)}"
    return worst, why
