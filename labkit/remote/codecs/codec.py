"""What all encodings have in common, and two questions that can be asked of each."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from labkit.remote.record import Record, check


@dataclass(frozen=True)
class Codec:
    """One way to turn the record into bytes.

    name: of the format.
    year: in which it was first published.
    cannot: in one line, what of a record it does not carry.
    needs: the Python package it takes, "" for none; without it encode and decode raise ImportError.
    """

    name: str
    year: int
    cannot: str
    write: Callable[[Record], bytes] = field(repr=False)
    read: Callable[[bytes], Record] = field(repr=False)
    needs: str = ""

    @property
    def available(self) -> bool:
        """Whether the package that it needs is installed."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None

    def encode(self, record: Any) -> bytes:
        """The bytes of `record`; ValueError where it is no record, or where the format refuses it."""
        self._ready()
        return self.write(check(record))

    def decode(self, data: bytes) -> Record:
        """The record in `data`; ValueError where there is none.

        Not for the bytes of a stranger: pickle runs what they say, and thriftpy2 counts for minutes through a list that
        says it has two thousand million elements of a kind that takes no bytes.
        """
        self._ready()
        try:
            return check(self.read(bytes(data)))
        except Exception as error:      # each library has errors of its own; what they mean here is one thing
            raise ValueError(f"{self.name}: {len(data)} bytes that are no record ({error})") from error

    def _ready(self) -> None:
        if not self.available:
            raise ImportError(f"{self.name} needs the package {self.needs}: pip install 'labkit[remote]'")


@dataclass(frozen=True)
class Crossing:
    """What became of a record. kind: "same", "changed" (in silence; `what` is the field) or "refused" (the error)."""

    kind: str
    what: str = ""


def cross(codec: Codec, record: Any) -> Crossing:
    """Write a record and read it back: does it come through?"""
    sent = check(record)
    try:
        data = codec.encode(sent)
    except ValueError as error:
        return Crossing("refused", str(error))
    try:
        came = codec.decode(data)
    except ValueError as error:
        return Crossing("changed", f"cannot be read back: {error}")
    lost = [f"{name}: {before!r} became {after!r}" for name, before, after in _differences(sent, came)]
    return Crossing("changed", "; ".join(lost)) if lost else Crossing("same")


def _differences(sent: Record, came: Record) -> Iterator[tuple[str, object, object]]:
    if len(sent["orders"]) != len(came["orders"]):
        yield "orders", f"{len(sent['orders'])} orders", f"{len(came['orders'])}"
        return
    for (name, before), (_, after) in zip(leaves(sent), leaves(came), strict=True):
        if repr(before) != repr(after):         # repr tells 0.0 from -0.0
            yield name, before, after


def leaves(record: Record) -> Iterator[tuple[str, Any]]:
    """(path, value) of all that is not a list, in order: "id", "name", "balance", "orders[0].id" ..."""
    for name in ("id", "name", "balance"):
        yield name, record[name]
    for place, order in enumerate(record["orders"]):
        for name, value in order.items():
            yield f"orders[{place}].{name}", value


def bytes_of(codec: Codec, record: Any, tries: int = 40, seed: int = 0) -> list[str]:
    """For each byte of the encoded record the field it belongs to, "" where it is the format's own.

    Found out without knowing the format: give a field other values, and where the whole stays as long, see which bytes
    change. The length in front of a text is the text's. tries: values tried per field.
    """
    record, rng = check(record), random.Random(seed)
    data = codec.encode(record)
    owners = [""] * len(data)
    for name, value in leaves(record):
        for attempt in range(tries):
            try:
                other = codec.encode(_with(record, name, _other(value, rng, alike=attempt % 2 == 0)))
            except ValueError:
                continue
            if len(other) == len(data):
                for place, (before, after) in enumerate(zip(data, other, strict=True)):
                    if before != after:
                        owners[place] = name
    return owners


def _other(value: Any, rng: random.Random, alike: bool) -> Any:
    """Another value: as long as this one, letter for letter, or any."""
    if isinstance(value, str):
        size = len(value) if alike else rng.randrange(40)
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(size))
    if not alike:
        whole = isinstance(value, int)
        return rng.getrandbits(rng.randrange(1, 32)) if whole else rng.uniform(-1, 1) * 10**rng.randrange(7)
    digits = [str(rng.randrange(1, 10)) if digit.isdigit() else digit for digit in repr(value)]
    return type(value)("".join(digits))


def _with(record: Record, path: str, value: Any) -> Record:
    copy = {**record, "orders": [dict(order) for order in record["orders"]]}
    if path.startswith("orders["):
        place, name = path[len("orders["):].split("].")
        copy["orders"][int(place)][name] = value
    else:
        copy[path] = value
    return copy
