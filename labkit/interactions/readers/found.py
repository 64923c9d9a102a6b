"""What a reader of configuration files hands on: settings in the words of the relations, and what it did not know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Convert = Callable[[str], Any]
Table = Mapping[str, tuple[str, Convert]]       # the program's name -> our word, and how to read its value


class Default(str):
    """A value that stands in no file: the program's own."""

    def __repr__(self) -> str:
        return f"{str(self)} (default)"


class Several(tuple[Any, ...]):
    """Values that one file gives one setting in different places."""

    def __repr__(self) -> str:
        return " or ".join(map(repr, self))


@dataclass
class Found:
    """What a file says.

    settings: service -> setting -> value, as it is written there.
    unknown: names in the file that are none of `known`.
    known: names of the program that this reader has heard of, translated or not.
    """

    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    known: tuple[str, ...] = ()

    def put(self, word: str, value: Any) -> None:
        """Add a value; a second, different one for the same setting is kept beside the first."""
        service, _, name = word.partition(".")
        into = self.settings.setdefault(service, {})
        before = into.get(name)
        if before is None or isinstance(before, Default):
            into[name] = value
        elif isinstance(before, Several):
            into[name] = Several(dict.fromkeys([*before, value]))
        elif before != value:
            into[name] = Several((before, value))

    def defaults(self, words: Mapping[str, str]) -> Found:
        """Fill in what the program does where the file says nothing."""
        for word, value in words.items():
            service, _, name = word.partition(".")
            self.settings.setdefault(service, {}).setdefault(name, Default(value))
        return self


def translate(pairs: Iterable[tuple[str, str]], table: Table, known: Iterable[str] = ()) -> Found:
    """(name, value) pairs of a file by a table; a name that is not in it is kept as unknown."""
    found = Found(known=tuple({*table, *known}))
    for name, value in pairs:
        if name in table:
            word, convert = table[name]
            found.put(word, _converted(name, value, convert))
        elif name not in found.known and name not in found.unknown:
            found.unknown.append(name)
    return found


def _converted(name: str, value: str, convert: Convert) -> Any:
    try:
        return convert(value)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{name} {value!r}: {error}") from None


# ------------------------------------------------------------------------------------------------ units of programs
def as_is(value: str) -> str:
    return value


def bare(unit: str) -> Convert:
    """A bare number counts in `unit`; 0, -1 and what has a unit of its own are left as they are."""
    def convert(value: str) -> Any:
        text = value.strip()
        return text if text in ("0", "-1") or not text.lstrip("-").replace(".", "", 1).isdigit() else f"{text}{unit}"
    return convert


milliseconds, minutes, hours = bare("ms"), bare("min"), bare("h")


def plus_one(value: str) -> int:
    """Retries become attempts."""
    return int(value) + 1
