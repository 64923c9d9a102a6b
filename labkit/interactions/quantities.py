"""Times, sizes, counts and flags as configuration files write them, with the units and the sentinels of each program.

Times are seconds and sizes bytes, as float; "for ever" and "unlimited" are infinite, "off" is what the caller says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

Units = Mapping[str, float]
TIMES: Units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0,
                "d": 86400.0, "w": 604800.0}
SIZES: Units = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "ki": 2**10, "mi": 2**20, "gi": 2**30,
                "kib": 2**10, "mib": 2**20, "gib": 2**30, "k": 2**10, "m": 2**20, "g": 2**30}
BINARY: Units = {"b": 1.0} | {name + tail: 2.0**power for name, power in (("k", 10), ("m", 20), ("g", 30), ("t", 40))
                              for tail in ("", "b")}
ENDLESS = ("never", "none", "null", "infinite", "infinity", "unlimited", "forever", "for ever", "-1", "off", "no",
           "false", "disabled")
YES, NO = ("true", "yes", "on", "1", "enabled"), ("false", "no", "off", "0", "disabled")
PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Zµ]*)")


def quantity(name: str, value: Any, units: Units, bare: float = 1.0) -> float:
    """A number, or text such as "500ms", "1m30s" or "10 MB", in seconds or bytes.

    `units`: the program's units, each in seconds or bytes; a unit is looked up as written, then in small letters.
    `bare`: what a number without a unit counts, in seconds or bytes.

    Raises ValueError naming `name`, the value, and the units that may be used.

    >>> quantity("keepalive_timeout", "1m30s", TIMES), quantity("maxmemory", "2gb", BINARY)
    (90.0, 2147483648.0)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{name} = {value!r}: must be a number, or a number with one of {', '.join(units)}")
    text = str(value).strip()
    parts = PART.findall(text)
    if not parts or PART.sub("", text).strip():
        raise ValueError(f"{name} = {value!r}: must be a number from 0, or one with one of {', '.join(units)}")
    return sum(float(number) * (_unit(name, value, unit, units) if unit else bare) for number, unit in parts)


def _unit(name: str, value: Any, unit: str, units: Units) -> float:
    found = units.get(unit, units.get(unit.lower()))
    if found is None:
        raise ValueError(f"{name} = {value!r}: unknown unit {unit!r}; must be one of {', '.join(units)}")
    return found


def _endless(value: Any) -> bool:
    return value is None or value is False or str(value).strip().lower() in ENDLESS or value == math.inf


def time_limit(name: str, value: Any) -> float:
    """Seconds somebody waits at most; 0, -1 and "off" mean for ever."""
    return math.inf if _endless(value) else quantity(name, value, TIMES) or math.inf


def idle_limit(name: str, value: Any) -> float:
    """Seconds a quiet connection is kept; 0 and "off" mean that it is not kept, -1 and "never" that it is for ever."""
    text = str(value).strip().lower()
    if value is False or text in NO:
        return 0.0
    return math.inf if _endless(value) else quantity(name, value, TIMES)


def duration(name: str, value: Any) -> float:
    """Seconds; -1 and "never" are for ever, 0 is no time."""
    return math.inf if _endless(value) else quantity(name, value, TIMES)


def size_limit(name: str, value: Any) -> float:
    """Bytes; 0, -1 and "unlimited" mean any size."""
    return math.inf if _endless(value) else quantity(name, value, SIZES) or math.inf


def count(name: str, value: Any) -> float:
    """A whole number from 0; -1 and "unlimited" mean any number."""
    if _endless(value) and value is not False:
        return math.inf
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"\d+(\.0+)?", text):
        raise ValueError(f"{name} = {value!r}: must be a whole number from 0, or -1 for any number")
    return float(text)


def attempts(name: str, value: Any) -> float:
    """How often something is tried: a whole number from 1, since the first try counts; -1: without end."""
    found = count(name, value)
    if found < 1:
        raise ValueError(f"{name} = {value!r}: must be a whole number from 1: the first try counts")
    return found


def flag(name: str, value: Any) -> bool:
    """True or False, also as "yes", "no", "on", "off", "1", "0".

    Raises ValueError for anything else.
    """
    text = str(value).strip().lower()
    if text not in YES + NO:
        raise ValueError(f"{name} = {value!r}: must be one of {', '.join(YES + NO)}")
    return text in YES


def word(name: str, value: Any) -> str:
    """A text, in small letters."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} = {value!r}: must be a text")
    return value.strip().lower()


def words(name: str, value: Any) -> tuple[str, ...]:
    """Several texts, as a list or separated by commas."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} = {value!r}: must be a list of texts")
    return tuple(str(each).strip().lower() for each in value)


def amount(name: str, value: Any) -> Any:
    """What a setting of your own relation is: a quantity in seconds or bytes if it looks like one, else as written.

    Raises ValueError for a number with a unit nobody knows. A unit that may be both ("m") is a time here.
    """
    if not isinstance(value, str) or not PART.match(value.strip()):
        return value
    return quantity(name, value, {**TIMES, **SIZES, **TIMES})
