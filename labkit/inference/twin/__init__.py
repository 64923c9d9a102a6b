"""The twin: vLLM's scheduler and memory over a model of time, in virtual time or as a server (`server`)."""

from labkit.inference.twin.scheduler import Request
from labkit.inference.twin.simulate import (
    Result,
    Speed,
    burst,
    duration,
    from_roofline,
    measured,
    poisson,
    simulate,
    tokens,
)

__all__ = ["Request", "Result", "Speed", "burst", "duration", "from_roofline", "measured", "poisson", "simulate",
           "tokens"]
