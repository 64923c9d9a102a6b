"""Ten pairs of programs that are each right, and wrong together. Real clients, real servers, on loopback, in seconds.

Each demo returns what was seen without and with its cure. Nothing is drawn by chance: the failure follows from the
settings. Those that need a program say so in `NEEDS`.
"""

from labkit.interactions.demos.catalogue import ALL, NEEDS, missing
from labkit.interactions.demos.meanings import big_ids, dialects, headers, members, redirect
from labkit.interactions.demos.programs import eviction, proxy
from labkit.interactions.demos.shown import Shown
from labkit.interactions.demos.times import charges, keep_alive, timeouts

__all__ = ["ALL", "NEEDS", "Shown", "big_ids", "charges", "dialects", "eviction", "headers", "keep_alive", "members",
           "missing", "proxy", "redirect", "timeouts"]
