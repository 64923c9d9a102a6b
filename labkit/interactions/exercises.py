"""The exercises of notebooks 40 to 42: each judges an answer in the terms of its lesson."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pandas as pd

from labkit.course.quiz import Exercise, close_to
from labkit.interactions import coherence
from labkit.interactions.relations import bare
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
WANTED = {"client": {"timeout", "attempts", "idle"}, "gateway": {"timeout", "attempts", "idle"},
          "server": {"timeout", "idle", "idempotent"}}


def _fits(settings: Any) -> str | None:
    if not isinstance(settings, dict) or not all(isinstance(settings.get(service), dict) for service in WANTED):
        return "a dictionary with client, gateway and server is wanted, each a dictionary of its settings"
    for service, names in WANTED.items():
        gone = names - settings[service].keys()
        if gone:
            return f"{service}.{sorted(gone)[0]} is gone: leaving a setting out does not make it fit"
    try:
        found = coherence.check(settings)
    except ValueError as error:
        return str(error)[:300]
    if found.broken:
        return f"still broken: {found[0]}"
    if found.unknown:
        return f"{next(iter(found.unknown))} is in no relation: nobody checks it"
    return _still_the_task(settings)


def _still_the_task(settings: Any) -> str | None:
    given = {name: coherence.value(name, settings[name.partition(".")[0]][name.partition(".")[2]])
             for name in ("server.timeout", "gateway.attempts", "client.timeout")}
    if given["server.timeout"] != 2 or given["gateway.attempts"] < 2:
        return "the server needs its time as given, and the gateway has to try at least twice"
    if given["client.timeout"] == float("inf"):
        return "the relations hold, but a client that waits for ever finds out about nothing"
    return None


FITS = Exercise("42.1", _fits)
JOBS = (("20m", "1h", True), ("90m", "1h", False), ("90m", "2h", True), ("20m", "10m", False), ("1s", "1d", True))


def _relation(relation: Any) -> str | None:
    if not isinstance(relation, coherence.Relation):
        return "a coherence.Relation is wanted"
    needs = {word for need in relation.needs for word in bare(need)}
    if needs != {"batch.longest", "batch.interval"}:
        return "it must need batch.longest and batch.interval, both of them and nothing else"
    if not isinstance(relation.consequence, str) or not relation.consequence.strip():
        return "say in its consequence what happens if it does not hold"
    for longest, interval, fine in JOBS:
        batch = {"batch": {"interval": interval, "longest": longest}}
        try:
            found = coherence.check(batch, (relation,))
        except Exception:                               # whatever the learner's function does
            return f"its condition cannot be asked about a job of {longest} every {interval}"
        if found.broken and fine:
            return f"a job of {longest} every {interval} is fine, and your relation calls it broken"
        if not found.broken and not fine:
            return f"a job that takes {longest} and starts every {interval} should be found"
    return None


RELATION = Exercise("42.2", _relation)
