"""What a demo returns: what was seen, why, and what was seen with its cure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Shown:
    """broken, cured: what was seen, name to value; `reason`: why, `cure`: what was changed; `also`: further runs."""

    title: str
    reason: str
    cure: str
    broken: dict[str, Any]
    cured: dict[str, Any]
    also: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __repr__(self) -> str:
        def line(seen: dict[str, Any]) -> str:
            return ", ".join(f"{name}: {value}" for name, value in seen.items())

        return "\n".join([self.title, f"  broken  {line(self.broken)}", f"  why     {self.reason}",
                          f"  cured   {line(self.cured)}  ({self.cure})",
                          *(f"  {name}\n          {line(seen)}" for name, seen in self.also.items())])
