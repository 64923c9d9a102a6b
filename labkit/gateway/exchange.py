"""One request on its way through the gateway, and what became of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from labkit.gateway.keys import Caller
from labkit.gateway.resilience import Deadline
from labkit.gateway.schema import Chat
from labkit.gateway.telemetry import Span

NOBODY = Caller("", "", "", 0.0, "")


@dataclass
class Exchange:
    """One request and what became of it. Times: s of `time.perf_counter`; money: micro-dollars."""

    id: str
    started: float = field(default_factory=time.perf_counter)
    since_1970: float = field(default_factory=time.time)
    caller: Caller = NOBODY
    chat: Chat | None = None
    body: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    deadline: Deadline = field(default_factory=lambda: Deadline(60))
    tier: str = ""
    served: str = ""            # what the engine calls it
    outcome: str = "internal_error"
    status: int = 500
    message: str = ""
    degraded: str = ""
    evidence: bool = False      # whether a cascade wants log-probabilities
    attempts: int = 0
    cost: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    answer_tokens: int = 0
    answer: list[str] = field(default_factory=list)
    away: float = 0.0           # at the engine and in the queue
    first: float = 0.0
    last: float = 0.0
    pieces: int = 0
    begun: bool = False         # whether the caller has seen anything of the answer
    steps: list[Span] = field(default_factory=list)

    @property
    def may_choose(self) -> bool:
        """Whether the caller left the choice of the model to us."""
        return self.chat is not None and self.chat.model == "auto"

    @property
    def charged(self) -> str:
        """What it has cost, for an error message."""
        return f"${self.cost / 1e6:.6f} was charged" if self.cost else "nothing was charged"

    def moment(self, at: float) -> float:
        """A `perf_counter` time in s since 1970."""
        return self.since_1970 + at - self.started

    def step(self, name: str, begun: float, **facts: Any) -> None:
        """Note a part that ends now."""
        self.steps.append(Span(name, self.moment(begun), self.moment(time.perf_counter()), **facts))
