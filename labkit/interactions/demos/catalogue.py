"""All demos by name, and the programs that some of them need."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from labkit.interactions.demos.meanings import big_ids, dialects, headers, members, redirect
from labkit.interactions.demos.programs import eviction, proxy
from labkit.interactions.demos.shown import Shown
from labkit.interactions.demos.times import charges, keep_alive, timeouts

ALL: dict[str, Callable[[], Shown]] = {
    "charges": charges, "timeouts": timeouts, "keep_alive": keep_alive, "headers": headers, "big_ids": big_ids,
    "redirect": redirect, "dialects": dialects, "members": members, "eviction": eviction, "proxy": proxy}
NEEDS = {"big_ids": "node", "eviction": "redis-server", "proxy": "nginx"}


def missing(name: str) -> str:
    """The program a demo needs and this machine lacks, "" if it can be run."""
    need = NEEDS.get(name, "")
    return need if need and shutil.which(need) is None else ""
