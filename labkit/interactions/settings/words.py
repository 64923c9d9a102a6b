"""What a configuration file says, in the words of the relations: where it stands, and what nobody asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Read = Callable[[str, Any], Any]                                # setting and what is written -> what it means
Names = Mapping[str, tuple[str, Read]]                          # a program's name -> relations' words, how it is read
Pairs = Iterable[tuple[str, Any]]
ALIKE = 0.92            # replica.fetch.min.bytes is no misspelt replica.fetch.max.bytes (0.91)


@dataclass(frozen=True)
class Written:
    """`value`: in seconds, bytes, numbers, flags or small letters; `text`: as in the file; `default`: not written."""

    value: Any
    text: str
    default: bool = False

    def __repr__(self) -> str:
        return self.text


class Several(tuple[Written, ...]):
    """Different values of one setting in one file, such as the time-outs of two locations."""


class Configuration(dict[str, dict[str, Any]]):
    """Service -> setting -> value; `unread`: settings no relation asks for -> the known name they resemble, or ""."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        super().__init__({service: dict(table) for service, table in (tables or {}).items()})
        self.unread: dict[str, str] = dict(getattr(tables, "unread", {}))

    def put(self, words: str, written: Written) -> None:
        """Add a value for each of the words; what was written replaces a default, a second value stands beside."""
        for name in words.split():
            service, _, setting = name.partition(".")
            table = self.setdefault(service, {})
            there = table.get(setting, ())
            there = there if isinstance(there, Several) else (there,) if isinstance(there, Written) else ()
            if written.default and there:
                continue
            kept = [each for each in there if not each.default]
            if written.value not in [each.value for each in kept]:
                kept.append(written)
            table[setting] = kept[0] if len(kept) == 1 else Several(kept)

    def take(self, other: Configuration) -> None:
        """Add all of another's values."""
        for service, table in other.items():
            for setting, value in table.items():
                for written in value if isinstance(value, Several) else (value,):
                    self.put(f"{service}.{setting}", written)
        self.unread |= other.unread

    def pairs(self, names: Names, pairs: Pairs, where: str, defaults: Mapping[str, Any] | None = None) -> None:
        """Translate name-value pairs of a program.

        `names`: the program's names; others are noted as unread.
        `pairs`: name and value as written.
        `where`: the file, for messages.
        `defaults`: values the program takes where nobody wrote one, by the program's names.

        Raises ValueError naming file, setting and value if a value cannot be read.
        """
        said = dict(pairs)
        for name, raw in said.items():
            if name in names:
                self.say(*names[name], name, raw, where)
            else:
                self.unread[f"{where}: {name}"] = neighbour(name, names)
        for name, raw in (defaults or {}).items():
            if name not in said:
                self.say(*names[name], name, raw, where, True)

    def say(self, words: str, read: Read, name: str, raw: Any, where: str, default: bool = False) -> None:
        """Read one value and put it; one that only the running program knows ("${REPLICAS}") is noted as unread."""
        if later(raw):
            self.unread[f"{where}: {name} {raw}"] = ""
            return
        source = f"default of {where}" if default else where
        self.put(words, Written(read(f"{where}: {name}", raw), f"{name} {raw} ({source})", default))


def later(raw: Any) -> bool:
    """Whether a value is known only when the program starts: it has a variable in it."""
    return isinstance(raw, str) and "$" in raw


def neighbour(name: str, known: Iterable[str], alike: float = ALIKE) -> str:
    """The known name that `name` resembles most, "" if there is none.

    >>> neighbour("keepalive_timout", ["keepalive_timeout", "proxy_read_timeout"])
    'keepalive_timeout'
    """
    return next(iter(difflib.get_close_matches(name, list(known), 1, alike)), "")
