"""What travels through this topic: a service, its clients and their load, for how long, with which trigger and seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import ranges
from labkit.metastability.model import Clients, Load, Priority, Service, Trigger
from labkit.metastability.triggers import as_triggers

if TYPE_CHECKING:
    from labkit.metastability.run import Run


@dataclass(frozen=True)
class Experiment:
    """What to run: simulated fast, told by SimPy, or live.

    duration: s, of virtual time, or of real time when live; > 0.
    trigger: what goes wrong, if anything: one, or a sequence of them.
    seed: whole number >= 0.
    Raises ValueError or TypeError for what makes no sense, alone or together.
    """

    service: Service
    clients: Clients
    load: Load
    duration: float
    trigger: Trigger | Sequence[Trigger] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        ranges.instance("service", self.service, Service)
        ranges.instance("clients", self.clients, Clients)
        ranges.instance("load", self.load, Load)
        ranges.instance("trigger", self.trigger, (Trigger, tuple, list, type(None)))
        ranges.number("duration", self.duration, 0, above=True)
        ranges.whole("seed", self.seed, 0)
        if self.clients.population and self.load.times is not None:
            raise ValueError("Clients.population: N serial clients make their own arrivals; Load.trace fixes them")
        if self.clients.retries == math.inf and self.service.refuses and self.clients.backoff is None:
            raise ValueError("Clients.retries = inf without a backoff: a service that refuses would be asked again "
                             "at the same instant for ever; give a Backoff or a whole number of retries")

        self._fits_together()

    def _fits_together(self) -> None:
        if isinstance(self.service.queue, Priority) and not self.load.classes:
            raise ValueError("Service.queue = Priority: the load has no classes; see Load.with_classes")
        if self.clients.population and self.load.classes:
            raise ValueError("Load.classes: an open system's; N serial clients are all alike")

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """All that goes wrong."""
        return as_triggers(self.trigger)

    def simulate(self) -> Run:
        """Its fast simulation."""
        from labkit.metastability.simulate import simulate  # which takes its parameters apart again

        return simulate(self.service, self.clients, self.load, self.duration, self.seed, self.trigger)
