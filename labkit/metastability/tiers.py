"""Tiers: a service whose attempts, while they hold a worker, call the service behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labkit import ranges
from labkit.metastability.experiment import Experiment
from labkit.metastability.model import Clients, Load, Service, Trigger
from labkit.metastability.triggers import as_triggers


@dataclass(frozen=True)
class Tier:
    """One service and those who call it: users, or the tier in front.

    An attempt of the tier in front does its own work, then calls the next tier, and holds its worker until that
    call is answered or given up on; then it is answered, with an error if the call failed. An attempt whose client
    has left goes on calling. `clients`: how the callers wait and retry; `population` only in the first tier.
    trigger: what goes wrong in this tier, one or several (None: nothing).
    propagate_deadline: each call carries the deadline of whoever asked for it: past it no attempt is sent, and the
    service drops at dequeue what is past it.
    """

    service: Service
    clients: Clients
    trigger: Trigger | Sequence[Trigger] | None = None
    propagate_deadline: bool = False

    def __post_init__(self) -> None:
        ranges.instance("Tier.service", self.service, Service)
        ranges.instance("Tier.clients", self.clients, Clients)
        ranges.instance("Tier.propagate_deadline", self.propagate_deadline, bool)
        for trigger in as_triggers(self.trigger):
            if trigger.kind == "flush" and self.clients.cache is None:
                raise ValueError("Trigger.flush: the clients have no cache")
            if trigger.shard is not None:
                ranges.whole("Trigger.shard", trigger.shard, 0, self.service.shards - 1)


def experiments(tiers: Sequence[Tier], load: Load, duration: float, seed: int) -> list[Experiment]:
    """What each tier's `Run` says was run: its own service and clients, the users' load, the triggers of all tiers.

    Raises ValueError for no tier, for a closed system behind the first, and for what `Experiment` refuses.
    """
    if not tiers:
        raise ValueError("tiers: must be one or more")
    for tier in tiers[1:]:
        if tier.clients.population:
            raise ValueError("Clients.population: only the users of the first tier can be a closed system")
    triggers = tuple(each for tier in tiers for each in as_triggers(tier.trigger))
    return [Experiment(tier.service, tier.clients, load, duration, triggers or None, seed) for tier in tiers]
