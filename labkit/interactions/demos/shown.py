"""What a demo shows, and the call that all of them make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import requests


@dataclass(frozen=True)
class Shown:
    """What was seen, name to value.

    reason: why it fails.
    cure: what was changed.
    also: the cured version in another situation, if that is worth a look, by its name.
    """

    title: str
    reason: str
    cure: str
    broken: dict[str, Any]
    cured: dict[str, Any]
    also: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __repr__(self) -> str:
        def line(seen: dict[str, Any]) -> str:
            return ", ".join(f"{name}: {value}" for name, value in seen.items())

        return (f"{self.title}\n  broken  {line(self.broken)}\n  why     {self.reason}\n"
                f"  cured   {line(self.cured)}  ({self.cure})"
                + "".join(f"\n  {name:7s} {line(seen)}" for name, seen in self.also.items()))


def post(url: str, timeout: float, attempts: int = 1, **options: Any) -> tuple[int | None, int]:
    """The status of the first attempt that is answered in time, if one is, and how many there were."""
    for attempt in range(1, attempts + 1):
        try:
            return requests.post(url, timeout=timeout, **options).status_code, attempt
        except requests.exceptions.Timeout:
            pass
    return None, attempts
