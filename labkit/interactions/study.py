"""The 2023 study of cross-system interaction failures, as counts, and what does not follow from them.

L. Tang et al., "Fail through the Cracks: Cross-System Interaction Failures in Modern Cloud Systems", EuroSys 2023. The
counts are those of the authors' artifact (github.com/xlab-uiuc/csi-ae, commit 39da4b0, MIT licence), tallied from its
120 failures and 55 incidents.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from labkit.shares import wilson as wilson


@dataclass(frozen=True)
class Count:
    """`count` of `of`: a share with its denominator, and what it is a share of."""

    what: str
    count: int
    of: int
    group: str

    @property
    def share(self) -> float:
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.count, self.of)


COUNTS = (
    Count("data plane", 61, 120, "plane"), Count("management plane", 39, 120, "plane"),
    Count("control plane", 20, 120, "plane"),
    Count("crash (of a system, a job or a task)", 89, 120, "symptom"),
    Count("wrong result", 3, 120, "symptom"), Count("data loss", 2, 120, "symptom"),
    Count("metadata (schema, type, address)", 50, 61, "data plane: property"),
    Count("a setting ignored", 12, 30, "configuration"), Count("inconsistent context", 10, 30, "configuration"),
    Count("unexpected override", 6, 30, "configuration"), Count("mishandled value", 2, 30, "configuration"),
    Count("fixed upstream, at the interaction", 79, 115, "fix"), Count("of those, in a connector", 68, 79, "fix"),
    Count("connector, of all fixes", 68, 115, "fix"), Count("a workaround, not a fix", 46, 115, "fix"),
    Count("incidents with such a failure", 11, 55, "cloud incidents"),
)


def table() -> pd.DataFrame:
    """Every count with its share and 95 % interval, in percent."""
    rows = [(c.group, c.what, f"{c.count} of {c.of}", round(100 * c.share, 1), *(round(100 * x) for x in c.interval))
            for c in COUNTS]
    return pd.DataFrame(rows, columns=["", "what", "count", "%", "from %", "to %"]).set_index(["", "what"])
