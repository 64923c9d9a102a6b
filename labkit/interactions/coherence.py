"""Settings of several services that must fit together: relations between them, not equality.

Each service's file is right by itself; what is wrong lies between two of them, where no single owner looks. A relation
names the settings it is about, the condition, and what happens if it does not hold.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.interactions import readers
from labkit.interactions.readers import Default, Several
from labkit.interactions.relations import RELATIONS, Relation
from labkit.interactions.words import SECONDS, SIZES, WORDS, Off

__all__ = ["RELATIONS", "Broken", "Relation", "Findings", "Configuration", "Unknown", "amount", "check", "load"]

Values = Mapping[str, Mapping[str, Any]]            # service -> setting -> value


@dataclass(frozen=True)
class Broken:
    """A relation that does not hold, with the values as they are written in the files."""

    relation: str
    values: dict[str, Any]
    consequence: str
    source: str = ""

    def __repr__(self) -> str:
        values = ", ".join(f"{name} = {value!r}" for name, value in self.values.items())
        return f"{self.relation}: {values}: {self.consequence}"


@dataclass(frozen=True)
class Unknown:
    """A setting no relation speaks of, and the known one it looks like, if any."""

    name: str
    near: str = ""

    def __repr__(self) -> str:
        return self.name + (f" (did you mean {self.near}?)" if self.near else "")


class Findings(list[Broken]):
    """The relations that do not hold; and what was looked at, for nothing found in nothing is no good news.

    applied: names of the relations whose settings were all there.
    relations: how many there are.
    unknown: settings that no relation speaks of.
    """

    def __init__(self, broken: Iterable[Broken], applied: list[str], relations: int, unknown: list[Unknown]):
        super().__init__(broken)
        self.applied, self.relations, self.unknown = applied, relations, unknown

    @property
    def fine(self) -> bool:
        """Something was checked, all of it holds, and no setting looks misspelt."""
        return bool(self.applied) and not self and not any(one.near for one in self.unknown)

    def __repr__(self) -> str:
        looked = f"{len(self.applied)} of {self.relations} relations applied"
        head = f"nothing was checked: {looked}" if not self.applied else (
            f"{looked}, {len(self)} of them broken" if self else f"{looked}, and hold")
        lines = [head, *map(repr, self)]
        near = [one for one in self.unknown if one.near]
        far = [one for one in self.unknown if not one.near]
        if near or far:
            shown = [*near, *far][:12]
            more = len(self.unknown) - len(shown)
            lines.append("not understood: " + ", ".join(map(repr, shown)) + (f", and {more} more" if more else ""))
        return "\n".join(lines)


@dataclass
class Configuration(dict[str, dict[str, Any]]):
    """service -> setting -> value, of several services; `unknown`: names in their files that say nothing here."""

    unknown: list[Unknown] = field(default_factory=list)


def load(*paths: str | Path, kind: str | None = None) -> Configuration:
    """Settings of several services from their files, merged.

    paths: nginx.conf, haproxy.cfg, gunicorn.conf.py, Procfile, Envoy, Kubernetes or Compose YAML, Kafka .properties,
        redis.conf, rabbitmq.conf, postgresql.conf, systemd .service; or TOML, YAML, JSON in the relations' words.
    kind: of all these files, one of `readers.KINDS`, where name and content do not tell.

    Raises ValueError naming the file and the place if one cannot be read, is no table of tables, or if two files give
    one setting different values.
    """
    settings = Configuration()
    for path in map(Path, paths):
        found = readers.read(path, kind)
        settings.unknown += [Unknown(f"{path.name}: {name}", _near(name, found.known)) for name in found.unknown]
        for service, values in found.settings.items():
            for name, value in values.items():
                _put(settings, path, service, name, value)
    return settings


def _put(settings: Configuration, path: Path, service: str, name: str, value: Any) -> None:
    into = settings.setdefault(service, {})
    before = into.get(name, value)
    if isinstance(value, Default) and name in into:
        return                                      # what another file says goes before what a program does unasked
    if before != value and not isinstance(before, Default):
        raise ValueError(f"{path}: {service}.{name} = {value!r}: another file says {before!r}")
    into[name] = value


def amount(name: str, value: Any) -> Any:
    """A value as its relation wants it: a time in seconds, a size in bytes, by the kind of setting `name`.

    A setting that the relations do not know is taken for a time or a size if it is a number with a unit (m: minutes),
    and left as it is otherwise. Raises ValueError for a value its kind does not have.
    """
    if name in WORDS:
        return WORDS[name](name, value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Zµ]+)\s*", value) if isinstance(value, str) else None
    if not match:
        return value
    units = {**SIZES, **SECONDS}
    if match[2].lower() not in units:
        raise ValueError(f"{name} = {value!r}: unknown unit {match[2]!r}; must be one of {', '.join(units)}")
    return float(match[1]) * units[match[2].lower()]


def check(settings: Values, relations: tuple[Relation, ...] = RELATIONS) -> Findings:
    """Which relations do not hold, of those whose settings are all there; and how many those were.

    Raises ValueError if a setting has a value it cannot have (text where a number is needed, attempts = 0).
    """
    broken, applied = [], []
    for relation in relations:
        for values in _choices(settings, relation):
            if relation.name not in applied:
                applied.append(relation.name)
            if not _holds(relation, values):
                broken.append(Broken(relation.name, values, relation.consequence, relation.source))
                break
    return Findings(broken, applied, len(relations), _unknown(settings, relations))


def _choices(settings: Values, relation: Relation) -> Iterator[dict[str, Any]]:
    """The values a relation is about, as they are written; several where a file gives a setting several."""
    options = []
    for need in relation.needs:
        service, _, name = need.partition(".")
        if name not in settings.get(service, {}):
            return
        value = settings[service][name]
        options.append(value if isinstance(value, Several) else (value,))
    for values in itertools.product(*options):
        written = dict(zip(relation.needs, values, strict=True))
        if not any(isinstance(amount(need, value), Off) for need, value in written.items()):
            yield written


def _holds(relation: Relation, written: dict[str, Any]) -> bool:
    try:
        return bool(relation.holds(*[amount(need, value) for need, value in written.items()]))
    except TypeError:
        raise ValueError(f"{relation.name}: cannot compare {', '.join(f'{k} = {v!r}' for k, v in written.items())}"
                         ": must be numbers, or numbers with a unit") from None


def _unknown(settings: Values, relations: tuple[Relation, ...]) -> list[Unknown]:
    known = {*WORDS, *(need for relation in relations for need in relation.needs)}
    there = [f"{service}.{name}" for service, values in settings.items() for name in values]
    own = [Unknown(name, _near(name, known)) for name in there if name not in known]
    return own + (settings.unknown if isinstance(settings, Configuration) else [])


def _near(name: str, known: Iterable[str]) -> str:
    """The known name it is nearest to: letters exchanged, or another way to write the same."""
    plain = {one.replace("_", "").replace("-", "").lower(): one for one in known}
    found = difflib.get_close_matches(name.replace("_", "").replace("-", "").lower(), plain, 1, 0.85)
    return plain[found[0]] if found else ""
