"""The exercises of notebooks 40 to 42: each judges an answer in the terms of its lesson."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from labkit.course.quiz import Exercise, close_to
from labkit.interactions import coherence, words
from labkit.shares import wilson


# ------------------------------------------------------------------------------------------------ 40
def _in_percent(judge: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    """The judge of a percentage, which tells a fraction from a wrong answer."""
    def judged(answer: Any) -> str | None:
        if isinstance(answer, float) and 0 < answer < 1:
            return f"in percent, please: {answer:.3g} is a fraction"
        return judge(answer)

    return judged


UPPER = Exercise("40.1", _in_percent(close_to(
    100 * wilson(7, 38)[1], 0.02, "too low: a sample of 38 allows a good deal more than the 18 % that were seen",
    "too high: use Wilson's interval for 7 of 38")))


def _silent_text(text: Any) -> str | None:
    if not isinstance(text, str) or not text:
        return "a text is wanted"
    if "Ã" in text:
        return "that is the pair of the page: find another first character"
    beyond = [character for character in text if ord(character) > 255]
    if beyond:
        return f"{beyond[0]} is not in Latin-1: the writer refuses it, or puts a question mark in its place"
    try:
        came = text.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        return f"that fails loudly: {type(error).__name__}"
    return None if came != text else "that comes through unchanged: ASCII is the same in both"


SILENT_TEXT = Exercise("40.2", _silent_text)


def _denominator(answer: Any) -> str | None:
    if abs(float(answer) - 100 * 50 / 120) < 0.6:
        return None
    if abs(float(answer) - 100 * 50 / 61) < 0.6:
        return "that is the share of the data-plane failures; the question is about all 120"
    return "50 failures are about metadata; divide by all failures"


DENOMINATOR = Exercise("40.3", _in_percent(_denominator))


# ------------------------------------------------------------------------------------------------ 41
def _texts(frame: Any) -> str | None:
    if not isinstance(frame, pd.DataFrame) or frame.shape != (2, 1):
        return "a DataFrame with one column and two rows is wanted"
    went = frame.iloc[:, 0].tolist()
    for value in went:
        if not isinstance(value, str) or not any(map(str.isalpha, value)):
            return f"{value!r} is not a text with a letter in it"
    try:
        came = pd.read_json(io.StringIO(frame.to_json(orient="records", lines=True)), lines=True).iloc[:, 0].tolist()
    except (ValueError, OverflowError) as error:
        return f"that is loud: {type(error).__name__}"
    if came == went:
        return "pandas reads back what pandas wrote: which texts with a letter look like numbers?"
    return None


TEXTS = Exercise("41.1", _texts)


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
    parsed = {f"{service}.{name}": coherence.amount(f"{service}.{name}", settings[service][name])
              for service, names in wanted.items() for name in names}
    if parsed["server.timeout"] != 2 or not 2 <= parsed["gateway.attempts"] < math.inf:
        return "the server needs its 2 s, and the gateway has to try at least twice"
    if any(isinstance(value, words.Off) or value == math.inf for value in parsed.values()):
        return "a limit that is switched off does not fit, it only is not looked at"
    return None


FITS = Exercise("42.1", _fits)


_JOBS = (("20m", "1h", True), ("90m", "1h", False), ("90m", "3h", True), ("20m", "10m", False))


def _relation(relation: Any) -> str | None:
    if not isinstance(relation, coherence.Relation):
        return "a coherence.Relation is wanted"
    for longest, interval, fits in _JOBS:
        report = coherence.check({"batch": {"interval": interval, "longest": longest}}, (relation,))
        if not report.applied:
            return f"it needs {', '.join(relation.needs)}, and is asked about batch.longest and batch.interval"
        if bool(report) == fits:
            return (f"a job of {longest} every {interval} "
                    + ("is fine, and your relation calls it broken" if fits else "should be found"))
    return None


RELATION = Exercise("42.2", _relation)
