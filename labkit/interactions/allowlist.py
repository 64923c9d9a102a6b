"""Known discrepancies as a regression gate: what is worse or other than on the list shuts it. Versions are named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from labkit.interactions.judge import Cell
from labkit.interactions.matrix import Matrix

# how bad it is: a loss that nobody is told of is worst
RANK = {"same": 0, "type_changed": 1, "refused": 2, "read_error": 2, "silent_loss": 3}
Known = dict[str, tuple[str, str]]      # key of a cell -> its verdict, and what was lost or said; all but "same"


@dataclass(frozen=True)
class Change:
    """What differs from the list, cell by cell.

    new: worse than on the list, or wrong in another way.
    better: still not the same as what went in, but less bad (a loss that has become an error, say).
    cured: on the list, and fine now.
    gone: on the list, and not tried in this run: whole pairs first.
    before, now: versions of the libraries when the list was made, and of this run, where they differ.
    """

    new: tuple[str, ...]
    better: tuple[str, ...]
    cured: tuple[str, ...]
    gone: tuple[str, ...]
    before: dict[str, str]
    now: dict[str, str]

    def __bool__(self) -> bool:
        """True if something new went wrong: the gate is shut."""
        return bool(self.new)

    def __repr__(self) -> str:
        lines = [f"{word:6} {key}" for word, keys in (("NEW", self.new), ("BETTER", self.better), ("CURED", self.cured),
                                                      ("GONE", self.gone)) for key in keys]
        lines += [f"{name} {self.before[name]} -> {self.now.get(name, 'gone')}" for name in self.before]
        return "\n".join(lines) or "nothing new, nothing cured"


def known(matrix: Matrix) -> Known:
    """What is not the same in a run: cell key to verdict, and what was lost or which error it was."""
    return {cell.key: (cell.verdict, _reason(cell)) for cell in matrix.cells if cell.verdict != "same"}


def _reason(cell: Cell) -> str:
    """What was lost, or the kind of the error: its text may name a temporary file."""
    return cell.why if cell.verdict in ("silent_loss", "type_changed") else cell.why.partition(":")[0]


def save(matrix: Matrix, path: str | Path) -> None:
    """Write them, with the pairs that were tried and the versions, as JSON."""
    content = {"versions": matrix.versions, "pairs": [_pair(pair) for pair in matrix.pairs()], "known": known(matrix)}
    Path(path).write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _pair(pair: tuple[str, str, str]) -> str:
    medium, writer, reader = pair
    return f"{medium}: {writer} -> {reader}"


def compare(matrix: Matrix, path: str | Path) -> Change:
    """Hold a run against a saved list. Raises ValueError if the file is not such a list."""
    try:
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        before, pairs = dict(saved["versions"]), list(saved["pairs"])
        listed = {key: (str(verdict), str(reason)) for key, (verdict, reason) in saved["known"].items()}
        if not {verdict for verdict, _ in listed.values()} <= set(RANK):
            raise ValueError("a verdict that is none")
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as e:
        raise ValueError(f"allowlist.compare: {path}: must be a file written by allowlist.save ({e})") from None
    found, tried = known(matrix), {cell.key for cell in matrix.cells}
    there = {_pair(pair) for pair in matrix.pairs()}
    here = sorted(tried & (found.keys() | listed.keys()))
    changes = {key: _change(listed.get(key, ("same", "")), found.get(key, ("same", ""))) for key in here
               if _listed(key, pairs)}
    fresh = [_told(key, None, found[key]) for key in here if not _listed(key, pairs) and RANK[found[key][0]] > 1]
    told = {kind: [_told(key, listed.get(key), found.get(key, ("same", ""))) for key, change in changes.items()
                   if change == kind] for kind in ("new", "better", "cured")}
    gone = [f"{pair} (all of it)" for pair in pairs if pair not in there]
    gone += [key for key in sorted(listed.keys() - tried) if any(key.startswith(f"{pair}: ") for pair in there)]
    moved = {name: version for name, version in before.items() if matrix.versions.get(name) != version}
    return Change(tuple(sorted(told["new"] + fresh)), tuple(told["better"]), tuple(told["cured"]), tuple(gone), moved,
                  {name: matrix.versions[name] for name in moved if name in matrix.versions})


def _listed(key: str, pairs: list[str]) -> bool:
    """Whether the pair of the cell was tried when the list was made."""
    return any(key.startswith(f"{pair}: ") for pair in pairs)


def _change(before: tuple[str, str], now: tuple[str, str]) -> str:
    worse = RANK[now[0]] - RANK[before[0]]
    if worse > 0 or (worse == 0 and before != now and now[0] != "type_changed"):
        return "new"
    if worse == 0:
        return ""
    return "cured" if RANK[now[0]] <= 1 else "better"


def _told(key: str, before: tuple[str, str] | None, now: tuple[str, str]) -> str:
    """The cell, and what became of it."""
    def words(found: tuple[str, str]) -> str:
        return found[0].replace("_", " ") + (f" ({found[1]})" if found[1] else "")

    return f"{key}: {words(before or ('same', ''))} -> {words(now)}"
