"""Recordings of the experiments, made by this very code on a real system: for machines that do not have it.

`python -m labkit.consistency.real data/recorded_clusters.json` makes them anew.
"""

from __future__ import annotations

import json
import math
from typing import Any

from labkit import files
from labkit.consistency.history import Operation
from labkit.consistency.real import nemesis
from labkit.consistency.real.etcd_cluster import Observation

FILE = "recorded_clusters.json"


class Recorded:
    """Answers the experiments of one system from the recording; everything else needs the real one."""

    recorded = True

    def __init__(self, system: str, remedy: str):
        self.system, self.remedy = system, remedy
        self.answers: dict[str, Any] = json.loads(files.data(FILE).read_text(encoding="utf-8"))[system]
        self.label = (f"RECORDED, not run here: {self.answers['label']}, {self.answers['date']}. "
                      f"For the real thing: {remedy}")
        self.leader, self.followers, self.faults = 0, [1, 2], nemesis.FAULTS
        self.link_delay = 0.0

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name not in self.__dict__.get("answers", {}):
            raise AttributeError(f"{name}: this is a recording of {self.system}; for the real thing: {self.remedy}")

        def answer(*arguments: Any, **options: Any) -> Any:
            found = self.answers[name]
            if not isinstance(found, dict):
                return unpack(found)
            return unpack(next((found[value] for value in (*arguments, *options.values()) if value in found),
                               next(iter(found.values()))))

        return answer


def pack(thing: Any) -> Any:
    """What an experiment returned, as JSON."""
    if isinstance(thing, Operation):
        returned = None if thing.crashed else round(thing.returned, 3)
        return ["op", thing.process, thing.kind, list(thing.args), thing.result, round(thing.invoked, 3), returned]
    if isinstance(thing, Observation):
        return ["seen", thing.what, thing.ok, thing.value, round(thing.ms, 1)]
    if isinstance(thing, (list, tuple)):
        return ["list", *map(pack, thing)]
    return ["row", {k: round(v, 2) if isinstance(v, float) else v for k, v in thing.items()}] \
        if isinstance(thing, dict) else thing


def unpack(thing: Any) -> Any:
    """The inverse of `pack`."""
    if not isinstance(thing, list):
        return thing
    kind, *rest = thing
    if kind == "op":
        process, name, args, result, invoked, returned = rest
        return Operation(process, name, tuple(args), result, invoked, math.inf if returned is None else returned)
    if kind == "seen":
        return Observation(*rest)
    return rest[0] if kind == "row" else [unpack(item) for item in rest]
