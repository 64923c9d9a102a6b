"""The exercises of notebooks 40 to 42: each judges an answer in the terms of its lesson."""

from __future__ import annotations

from typing import Any

import pandas as pd

from labkit.course.quiz import Exercise, close_to
from labkit.interactions import coherence, matrix
from labkit.interactions.study import wilson

# ------------------------------------------------------------------------------------------------ 40
UPPER = Exercise("40.1", close_to(
    100 * wilson(11, 55)[1], 0.02, "too low: with 55 incidents the share is known to about twelve points either way",
    "too high: use Wilson's interval for 11 of 55"))


def _silent_name(name: Any) -> str | None:
    if not isinstance(name, str) or not name:
        return "a text is wanted"
    try:
        came = name.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        return f"that fails loudly: {type(error).__name__}"
    return None if came != name else "that comes through unchanged: ASCII is the same in both"


SILENT_NAME = Exercise("40.2", _silent_name)


def _denominator(answer: Any) -> str | None:
    if abs(float(answer) - 100 * 68 / 115) < 0.6:
        return None
    if abs(float(answer) - 100 * 68 / 79) < 0.6:
        return "that is the share of the upstream fixes; the question is about all 115"
    return "68 fixes went into a connector; divide by all fixes"


DENOMINATOR = Exercise("40.3", _denominator)


# ------------------------------------------------------------------------------------------------ 41
def _smallest(frame: Any) -> str | None:
    if not isinstance(frame, pd.DataFrame) or frame.size != 2:
        return "a DataFrame with one column and two rows is wanted"
    found = matrix.run(table=frame, media=["parquet"]).select(writer="pandas", reader="pandas")
    if any(cell.verdict == "silent_loss" for cell in found.cells):
        return None
    return "pandas reads back what pandas wrote: which integers does a double not hold, and what makes it one?"


SMALLEST = Exercise("41.1", _smallest)


def _survivor(medium: Any) -> str | None:
    if medium not in ("parquet", "arrow", "csv", "json", "sqlite", "avro", "msgpack", "xlsx"):
        return "name one of the eight media"
    return {"avro": None, "msgpack": None}.get(medium, "look at the smallest share of silent losses, not of errors")


SURVIVOR = Exercise("41.2", _survivor)


# ------------------------------------------------------------------------------------------------ 42
def _fits(settings: Any) -> str | None:
    broken = coherence.check(settings)
    if broken:
        return f"still broken: {broken[0]}"
    wanted = {"client": {"timeout", "attempts", "idle"}, "gateway": {"timeout", "attempts", "idle"},
              "server": {"timeout", "idle", "idempotent"}}
    for service, names in wanted.items():
        gone = names - set(settings.get(service, {}))
        if gone:
            return f"{service}.{sorted(gone)[0]} is gone: leaving a setting out does not make it fit"
    if settings["server"]["timeout"] != 2 or settings["gateway"]["attempts"] < 2:
        return "the server needs its 2 s, and the gateway has to try at least twice"
    return None


FITS = Exercise("42.1", _fits)


def _relation(relation: Any) -> str | None:
    if not isinstance(relation, coherence.Relation):
        return "a coherence.Relation is wanted"
    bad = {"batch": {"interval": "1h", "longest": "90m"}}
    good = {"batch": {"interval": "1h", "longest": "20m"}}
    if coherence.check(good, (relation,)):
        return "a job of 20 minutes every hour is fine, and your relation calls it broken"
    if not coherence.check(bad, (relation,)):
        return "a job that takes 90 minutes and starts every hour should be found"
    return None


RELATION = Exercise("42.2", _relation)
