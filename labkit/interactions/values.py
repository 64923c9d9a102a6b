"""One form for the values of every library, and three verdicts on a pair of them: the same, kept, or changed.

The verdict is conservative. Where something else came out from which the value that went in can be read back exactly
(5 as 5.0, a date as its ISO text, a timestamp with another zone but the same instant), it is "kept": only the type
changed. "Changed" is left for what is lost.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

Plain = tuple[Any, ...]         # (kind, what): comparable, printable, the same from every library
NULL: Plain = ("null",)
EPOCH = dt.datetime(1970, 1, 1)
DAY = 86_400 * 10**9            # ns
MICRO = dt.timedelta(microseconds=1)
UNITS = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}


@dataclass(frozen=True)
class Instant:
    """A timestamp to the nanosecond, which no Python type holds: ns since 1970, and the zone's name or None."""

    ns: int
    zone: str | None = None


class Mapping(list[tuple[Any, Any]]):
    """A map value as a list of pairs: its keys need not be texts, and their order may matter."""


def zone_name(zone: Any) -> str | None:
    if zone is None:
        return None
    name = getattr(zone, "key", None) or getattr(zone, "zone", None) or str(zone)
    return "UTC" if name.upper() in ("UTC", "ETC/UTC", "UTC+00:00", "+00:00", "TZUTC()") else str(name)


def plain(x: Any) -> Plain:
    """The value in the common form; what no rule knows becomes ("other", its type, its text)."""
    for kinds, rule in _RULES:
        if isinstance(x, kinds):
            return rule(x)
    return _by_shape(x)


def _float(x: float) -> Plain:
    return ("float", "nan" if math.isnan(x) else repr(float(x)))


def _datetime(x: dt.datetime) -> Plain:
    naive = x if x.tzinfo is None else x.astimezone(dt.UTC).replace(tzinfo=None)
    return ("timestamp", (naive - EPOCH) // MICRO * 1000 + getattr(x, "nanosecond", 0), zone_name(x.tzinfo))


def _datetime64(x: np.datetime64) -> Plain:
    if np.isnat(x):
        return NULL
    unit = np.datetime_data(x.dtype)[0]
    return ("timestamp", int(x.astype("int64")) * (DAY if unit == "D" else UNITS[unit]), None)


def _duration(x: dt.timedelta) -> Plain:
    return ("duration", (x.days * 86_400 + x.seconds) * 10**9 + x.microseconds * 1000 + getattr(x, "nanoseconds", 0))


def _dict(x: dict[Any, Any]) -> Plain:
    if x and not all(isinstance(key, str) for key in x):
        return ("map", tuple((plain(key), plain(value)) for key, value in x.items()))
    return ("struct", tuple(sorted((key, plain(value)) for key, value in x.items())))


# in this order: a bool is an int, a pandas Timestamp is a datetime, a datetime is a date
_RULES: list[tuple[Any, Callable[[Any], Plain]]] = [
    (type(None), lambda x: NULL),
    (Instant, lambda x: ("timestamp", x.ns, x.zone)),
    ((bool, np.bool_), lambda x: ("bool", bool(x))),
    (np.timedelta64, lambda x: NULL if np.isnat(x) else ("duration", int(x.astype("timedelta64[ns]").astype("int64")))),
    ((int, np.integer), lambda x: ("int", int(x))),
    (np.float32, lambda x: ("float32", "nan" if math.isnan(x) else repr(float(x)))),
    ((float, np.floating), _float),
    (Decimal, lambda x: NULL if x.is_nan() else ("decimal", format(x, "f"))),
    (str, lambda x: ("text", str(x))),
    ((bytes, bytearray, memoryview), lambda x: ("bytes", bytes(x))),
    (uuid.UUID, lambda x: ("uuid", str(x))),
    (np.datetime64, _datetime64),
    (dt.datetime, lambda x: NULL if x != x else _datetime(x)),         # NaT is a datetime that is not equal to itself
    (dt.date, lambda x: ("date", x.toordinal())),
    (dt.time, lambda x: ("time", ((x.hour * 60 + x.minute) * 60 + x.second) * 10**9 + x.microsecond * 1000)),
    (dt.timedelta, lambda x: NULL if x != x else _duration(x)),
    (Mapping, lambda x: ("map", tuple((plain(key), plain(value)) for key, value in x))),
    (dict, _dict),
    ((list, tuple), lambda x: ("list", tuple(plain(item) for item in x))),
]


def _by_shape(x: Any) -> Plain:
    """Types of libraries that need not be installed, told by what they can do."""
    if type(x).__name__ in ("NAType", "NaTType"):
        return NULL
    if hasattr(x, "to_unix_nano"):                          # msgpack.Timestamp
        return ("timestamp", x.to_unix_nano(), "UTC")
    if hasattr(x, "to_list") or isinstance(x, np.ndarray):
        return plain(list(x))
    return ("other", type(x).__name__, str(x))


# ------------------------------------------------------------------------------------------------ verdicts
def number(p: Plain) -> Decimal | None:
    """The number that a plain value is, exactly; None if it is none, or not finite."""
    if p[0] in ("int", "bool", "decimal"):
        return Decimal(p[1])
    if p[0] in ("float", "float32") and p[1] not in ("nan", "inf", "-inf"):
        return Decimal(float(p[1]))
    return None


def same(went: Plain, came: Plain) -> bool:
    """Equal, type included; the order of a map's entries does not count."""
    if went[0] == came[0] == "map":
        return sorted(went[1], key=repr) == sorted(came[1], key=repr)
    return went == came


def kept(went: Plain, came: Plain) -> bool:
    """Whether the value that went in can be read back exactly from what came out, whatever its type now is."""
    if same(went, came):
        return True
    if NULL in (went, came):
        return went == NULL and came[0] in ("float", "float32") and came[1] == "nan"
    rule: Any
    try:
        rule = _KEPT.get((went[0], came[0])) or _KEPT.get((went[0], "*")) or _KEPT.get(("*", came[0]))
        return bool(rule and rule(went, came))
    except (ValueError, InvalidOperation, OverflowError, TypeError):
        return False


def _numbers(went: Plain, came: Plain) -> bool:
    if went[1] == "-0.0" and not came[0].startswith("float"):
        return False
    one, other = number(went), number(came)
    return bool(one is not None and one == other)


def _floats(went: Plain, came: Plain) -> bool:
    if "nan" in (went[1], came[1]):
        return bool(went[1] == came[1])
    if went[0] == "float32":
        return bool(np.float32(float(went[1])) == np.float32(float(came[1])))
    return bool(went[1] == came[1])


def _epoch(count: Callable[[Plain], int], units: tuple[int, ...]) -> Callable[[Plain, Plain], bool]:
    """A moment kept as a number of some unit since 1970 (or since midnight)."""
    def rule(went: Plain, came: Plain) -> bool:
        value = Decimal(str(came[1]))                       # 86400.000001 s is meant as it is written
        return bool(any(value * unit == count(went) for unit in units))
    return rule


def days(p: Plain) -> int:
    """ns from 1970 to the start of a date."""
    return int((p[1] - EPOCH.toordinal()) * DAY)


def _written(went: Plain, came: Plain) -> bool:
    """Text from which the value can be read back."""
    text = came[1]
    if went[0] == "timestamp":
        return bool(_iso(text) == went[1])
    reader = _READERS.get(went[0])
    return bool(reader and reader(text, went[1]))


def _iso(text: str) -> int | None:
    """ns since 1970 of an ISO timestamp with up to nine digits after the point, and a zone if it has one."""
    clocked = r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?"
    match = re.fullmatch(clocked, text)
    if not match:
        return days(("date", dt.date.fromisoformat(text).toordinal()))
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "UTC") else zone
    whole = dt.datetime.fromisoformat(f"{day}T{clock}{zone}").astimezone(dt.UTC).replace(tzinfo=None)
    return (whole - EPOCH) // MICRO * 1000 + int((fraction or "0").ljust(9, "0"))


def _span(text: str) -> int | None:
    """ns of a duration, ISO (P1DT2S) or Python style (1 day, 0:00:02)."""
    iso = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?", text)
    python = re.fullmatch(r"(?:(\d+) days?,? ?)?(\d+):(\d+):([\d.]+)", text)
    match = iso or python
    if not match:
        return None
    day, hour, minute, second = (Decimal(part or 0) for part in match.groups())
    return int((day * 86_400 + hour * 3600 + minute * 60 + second) * 10**9)


_READERS: dict[str, Callable[[str, Any], bool]] = {
    "int": lambda text, n: Decimal(text) == n,
    "decimal": lambda text, n: Decimal(text) == Decimal(n),
    "float": lambda text, n: text.lower() == "nan" if n == "nan" else repr(float(text)) == n,
    "float32": lambda text, n: bool(np.float32(float(text)) == np.float32(float(n))),
    "bool": lambda text, b: text.lower() in (("true", "1") if b else ("false", "0")),
    "date": lambda text, n: dt.date.fromisoformat(text[:10]).toordinal() == n and not text[10:].strip("T 0:.Z+"),
    "time": lambda text, n: plain(dt.time.fromisoformat(text))[1] == n,
    "duration": lambda text, n: _span(text) == n,
    "uuid": lambda text, u: uuid.UUID(text) == uuid.UUID(u),
    "bytes": lambda text, b: base64.b64decode(text, validate=True) == b,
    "list": lambda text, items: kept(("list", items), plain(json.loads(text))),
    "struct": lambda text, items: kept(("struct", items), plain(json.loads(text))),
    "map": lambda text, items: kept(("map", items), plain(json.loads(text))),
}


def _retyped(went: Plain, came: Plain) -> bool:
    """A text that a reader took for something else is kept only if that would be written the same way again."""
    if came[0] == "date":
        again = dt.date.fromordinal(came[1]).isoformat()
    elif came[0] == "timestamp":
        again = str(np.datetime64(came[1], "ns"))[:len(went[1])].replace("T", " ")
        return bool(again == went[1].replace("T", " ") and came[1] % DAY == 0)
    else:
        again = str(came[1])
    return bool(again.lower() == went[1].lower())


def _lists(went: Plain, came: Plain) -> bool:
    return len(went[1]) == len(came[1]) and all(map(kept, went[1], came[1]))


def _structs(went: Plain, came: Plain) -> bool:
    one, other = dict(went[1]), dict(came[1])
    return one.keys() == other.keys() and all(kept(one[key], other[key]) for key in one)


def _maps(went: Plain, came: Plain) -> bool:
    """A map as a struct, a list of pairs or a list of {key, value}; keys may have become texts."""
    if came[0] == "struct":
        entries = [(("text", key), value) for key, value in came[1]]
    elif came[0] == "list":
        entries = [item[1] if item[0] == "list" else (dict(item[1])["key"], dict(item[1])["value"]) for item in came[1]]
    else:
        entries = list(came[1])

    def by_key(pairs: Any) -> list[tuple[str, Plain]]:
        return sorted((str(key[1]), value) for key, value in pairs)

    mine, theirs = by_key(went[1]), by_key(entries)
    return [key for key, _ in mine] == [key for key, _ in theirs] and all(
        kept(one, other) for (_, one), (_, other) in zip(mine, theirs, strict=True))


_NUMBERS = ("int", "bool", "float", "float32", "decimal")
_KEPT: dict[tuple[str, str], Callable[[Plain, Plain], bool]] = {
    **{(a, b): _numbers for a in _NUMBERS for b in _NUMBERS},
    **{(a, b): _floats for a in ("float", "float32") for b in ("float", "float32")},
    ("date", "timestamp"): lambda went, came: came[1] == days(went),
    ("timestamp", "timestamp"): lambda went, came: went[1] == came[1],
    **{("timestamp", b): _epoch(lambda p: int(p[1]), (1, 1000, 10**6, 10**9)) for b in ("int", "float")},
    **{("date", b): _epoch(days, (1, 1000, 10**6, 10**9, DAY)) for b in ("int", "float")},
    **{("time", b): _epoch(lambda p: int(p[1]), (1, 1000, 10**6)) for b in ("int", "float")},
    **{("duration", b): _epoch(lambda p: int(p[1]), (1, 1000, 10**6, 10**9)) for b in ("int", "float")},
    ("time", "duration"): lambda went, came: went[1] == came[1],
    ("uuid", "bytes"): lambda went, came: uuid.UUID(went[1]).bytes == came[1],
    **{("text", b): _retyped for b in ("bool", "int", "float", "decimal", "date", "timestamp")},
    ("list", "list"): _lists, ("struct", "struct"): _structs,
    **{("map", b): _maps for b in ("map", "struct", "list")},
    ("*", "text"): _written,
}


def show(p: Plain, max_length: int = 60) -> str:
    """A plain value for people: int 5, text 'x', timestamp 2024-01-01T00:00:00."""
    if p == NULL:
        return "NULL"
    if p[0] == "timestamp":
        far = abs(p[1]) > 9.2e18                            # what 64 bits of ns cannot hold
        text = str(np.datetime64(p[1] // 1000, "us") if far else np.datetime64(p[1], "ns"))
        return f"timestamp {text.rstrip('0').rstrip('.') if '.' in text else text}" + (f" {p[2]}" if p[2] else "")
    if p[0] == "date":
        return f"date {dt.date.fromordinal(p[1])}"
    if p[0] in ("list", "map", "struct"):
        return f"{p[0]} {str(p[1])[:max_length]}"
    body = repr(p[1]) if p[0] in ("text", "bytes") else str(p[-1])
    return f"{p[0]} {body if len(body) <= max_length else body[:max_length - 3] + '...'}"
