"""Cross-system interaction failures: two systems that are each right, and wrong together."""

from labkit.interactions import (
    allowlist,
    cases,
    coherence,
    contracts,
    demos,
    matrix,
    promises,
    refusals,
    samples,
    settings,
    study,
    systems,
)

__all__ = ["allowlist", "cases", "coherence", "contracts", "demos", "matrix", "promises", "refusals", "samples",
           "settings", "study", "systems"]
