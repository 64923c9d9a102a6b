"""Settings of several services that must fit together: relations between them, not equality.

Each service's file is right by itself; what is wrong lies between two of them, where no single owner looks. A relation
names the settings it is about, the condition, and what happens if it does not hold. What could not be checked is said:
silence is not health.
"""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from labkit.interactions import settings as readers
from labkit.interactions.quantities import amount
from labkit.interactions.relations import RELATIONS, WORDS, Relation, bare, value
from labkit.interactions.settings import Configuration, Several, Written

__all__ = ["RELATIONS", "Broken", "Relation", "Findings", "Settings", "amount", "check", "load", "value"]
Settings = Mapping[str, Mapping[str, Any]]          # service -> setting -> value
LIKE_A_WORD = 0.6               # how alike a misspelt setting must be to be named, from 0 to 1


@dataclass(frozen=True)
class Broken:
    """A relation that does not hold, with the values as they are written in the files."""

    relation: str
    values: dict[str, Any]
    consequence: str

    def __repr__(self) -> str:
        values = ", ".join(f"{name} = {value!r}" for name, value in self.values.items())
        return f"{self.relation}: {values}: {self.consequence}"


@dataclass(frozen=True, repr=False)
class Findings(Sequence[Broken]):
    """What a check found; as a sequence, the broken relations.

    `applied`: the relations whose settings were all there; `relations`: how many there are.
    `unknown`: settings that no relation knows -> the known one they resemble, or "".
    `lacking`: relations that have some of their settings -> those they lack.
    `unread`: how many settings of the files no relation asks for.
    """

    broken: tuple[Broken, ...]
    applied: tuple[str, ...]
    relations: int
    unknown: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unread: int = 0

    @property
    def fits(self) -> bool:
        """Something was checked, all of it holds, and nothing was left that nobody understood."""
        return bool(self.applied) and not self.broken and not self.unknown

    @overload
    def __getitem__(self, index: int) -> Broken: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Broken]: ...
    def __getitem__(self, index: int | slice) -> Broken | Sequence[Broken]:
        return self.broken[index]

    def __len__(self) -> int:
        return len(self.broken)

    def __repr__(self) -> str:
        if not self.applied:
            lines = [f"NOTHING WAS CHECKED: 0 of {self.relations} relations applied"]
        else:
            found = f"{len(self.broken)} broken" if self.broken else "none broken"
            lines = [f"{len(self.applied)} of {self.relations} relations applied, {found}"]
        for broken in self.broken:
            lines += [f"  {broken.relation}", f"      else {broken.consequence}"]
            lines += [f"      {word} = {written!r}" for word, written in broken.values.items()]
        if self.unknown:
            names = (f"{name} (is {near} meant?)" if near else name for name, near in self.unknown.items())
            lines.append(f"  not understood: {', '.join(names)}")
        if self.lacking and not self.applied:
            name, gone = min(self.lacking.items(), key=lambda item: len(item[1]))
            lines.append(f"  nearest to apply: {name}; it lacks {', '.join(gone)}")
        if self.unread:
            lines.append(f"  {self.unread} more settings of the files are in no relation")
        return "\n".join(lines)


def load(*sources: str | Path | Configuration, kind: str = "") -> Configuration:
    """Settings of several services, merged: configuration files, and TOML, YAML or JSON in the relations' words.

    `sources`: paths, or what `settings.read` has read (a proxy in front of another needs a name of its own).
    `kind`: which program the files belong to, one of `settings.KINDS`, where name and text do not tell.

    Raises ValueError naming the file and the place if one cannot be read, is no table of tables, or if two files give
    one setting different values.
    """
    merged = Configuration()
    for source in sources:
        found = source if isinstance(source, Configuration) else _load(Path(source), kind)
        name = "settings" if found is source else str(source)
        merged.unread |= found.unread
        for service, table in found.items():
            for setting, written in table.items():
                _merge(merged, name, service, setting, written)
    return merged


def _merge(merged: Configuration, name: str, service: str, setting: str, new: Any) -> None:
    table = merged.setdefault(service, {})
    old = table.setdefault(setting, new)
    if _default(old) or _default(new):
        table[setting] = new if _default(old) else old
    elif _plain(old) != _plain(new):
        raise ValueError(f"{name}: {service}.{setting} = {new!r}: another file says {old!r}")


def _default(written: Any) -> bool:
    return isinstance(written, Written) and written.default


def _plain(written: Any) -> Any:
    if isinstance(written, Several):
        return {each.value for each in written}
    return written.value if isinstance(written, Written) else written


def _load(path: Path, kind: str) -> Configuration:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise ValueError(f"{path}: {e.strerror}") from None
    kind = kind or readers.kind_of(path.name, text)
    if kind:
        return readers.read(path, kind)
    if path.suffix not in (".toml", ".yaml", ".yml", ".json"):
        raise ValueError(f"{path}: nobody can tell what it is: must end in .toml, .yaml, .yml or .json, or be read "
                         f"with kind, one of {', '.join(readers.KINDS)}")
    found = _parse(path, text)
    if not isinstance(found, dict):
        raise ValueError(f"{path}: must be a table of services, this is a {type(found).__name__}")
    for service, values in found.items():
        if not isinstance(values, dict):
            raise ValueError(f"{path}: {service} = {values!r}: must be a table of settings")
    return Configuration(found)


def _parse(path: Path, text: str) -> Any:
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text)
        if path.suffix == ".json":
            return json.loads(text)
        import yaml
        return yaml.safe_load(text)
    except Exception as e:                      # each parser has its own error, all of them say where
        raise ValueError(f"{path}: {' '.join(str(e).split())}") from None


def check(settings: Settings, relations: tuple[Relation, ...] = RELATIONS) -> Findings:
    """Which relations do not hold, of those whose settings are all there, and what could not be checked.

    `settings`: service -> setting -> value; a service called like a program (nginx, gunicorn, kafka ...) is read by
    that program's own names and units.
    `relations`: those to check.

    Raises ValueError naming a setting whose value cannot be read, and what it may be.
    """
    written, unknown = _written(settings, relations)
    broken, applied, lacking = [], [], {}
    for relation in relations:
        gone = tuple(need for need in relation.needs if "=" not in need and not _find(written, need))
        if any(name in written for name in relation.unless):
            continue
        if gone:
            if len(gone) < sum("=" not in need for need in relation.needs):
                lacking[relation.name] = gone
            continue
        applied.append(relation.name)
        broken += list(itertools.islice(_broken(relation, written), 1))
    unread = len(getattr(settings, "unread", {}).keys() - unknown.keys())
    return Findings(tuple(broken), tuple(applied), len(relations), unknown, lacking, unread)


def _written(settings: Settings, relations: tuple[Relation, ...]
             ) -> tuple[dict[str, list[Written]], dict[str, str]]:
    """Word -> its values, and the words nobody knows -> the neighbour of each."""
    known = {*WORDS, *(word for relation in relations for need in relation.needs for word in bare(need))}
    unread = {name: near for name, near in getattr(settings, "unread", {}).items() if near}
    translated = Configuration()
    for program in settings.keys() & readers.FLAT.keys():
        behind = program == "alb" and bool(settings.keys() & {"gateway", "nginx"})
        read = readers.flat(program, settings[program], program, **({"gateway": "edge"} if behind else {}))
        unread |= {name.replace(": ", "."): near for name, near in read.unread.items()}
        translated.take(read)
    own = {service: table for service, table in settings.items() if service not in readers.FLAT}
    found = {}
    for service, table in (*translated.items(), *own.items()):
        for setting, raw in table.items():
            word = f"{service}.{setting}"
            if word in known or isinstance(raw, Written | Several):
                found[word] = _values(word, raw)
            else:
                unread[word] = readers.neighbour(word, known, LIKE_A_WORD)
    return found, unread


def _values(word: str, raw: Any) -> list[Written]:
    if isinstance(raw, Several):
        return list(raw)
    return [raw if isinstance(raw, Written) else Written(value(word, raw), repr(raw))]


def _find(written: Mapping[str, list[Written]], need: str) -> tuple[str, list[Written]] | None:
    """The first of the need's words that is there, with its values; its default if it has one."""
    for word in bare(need):
        if word in written:
            return word, written[word]
    _, equals, default = need.partition("=")
    return (bare(need)[0], [Written(value(bare(need)[0], default), "")]) if equals else None


def _broken(relation: Relation, written: Mapping[str, list[Written]]) -> Iterator[Broken]:
    found = [each for need in relation.needs if (each := _find(written, need)) is not None]
    for values in itertools.product(*(candidates for _, candidates in found)):
        try:
            fine = relation.holds(*(each.value for each in values))
        except TypeError:
            shown = ", ".join(f"{word} = {each!r}" for (word, _), each in zip(found, values, strict=True))
            raise ValueError(f"{relation.name}: cannot compare {shown}: must be numbers, or numbers with a unit"
                             ) from None
        if not fine:
            shown_values = {word: each for (word, _), each in zip(found, values, strict=True) if each.text}
            yield Broken(relation.name, shown_values, relation.consequence)
