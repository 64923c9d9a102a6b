"""Known discrepancies as a regression gate: a new one fails, a cured one is reported, and both name the versions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from labkit.interactions.matrix import Matrix

BAD = ("silent_loss", "read_error")


@dataclass(frozen=True)
class Change:
    """What differs from the list. `new`: cells that went wrong and are not on it; `cured`: on it, and fine now.

    before, now: versions of the libraries when the list was made, and of this run, where they differ
    """

    new: tuple[str, ...]
    cured: tuple[str, ...]
    before: dict[str, str]
    now: dict[str, str]

    def __bool__(self) -> bool:
        """True if something new went wrong: the gate is shut."""
        return bool(self.new)

    def __repr__(self) -> str:
        lines = [f"NEW    {key}" for key in self.new] + [f"CURED  {key}" for key in self.cured]
        lines += [f"{name} {self.before[name]} -> {self.now.get(name, 'gone')}" for name in self.before]
        return "\n".join(lines) or "nothing new, nothing cured"


def known(matrix: Matrix) -> dict[str, str]:
    """The discrepancies of a run: cell key to verdict."""
    return {cell.key: cell.verdict for cell in matrix.cells if cell.verdict in BAD}


def save(matrix: Matrix, path: str | Path) -> None:
    """Write them, with the versions, as JSON."""
    Path(path).write_text(json.dumps({"versions": matrix.versions, "known": known(matrix)}, indent=1, sort_keys=True,
                                     ensure_ascii=False) + "\n", encoding="utf-8")


def compare(matrix: Matrix, path: str | Path) -> Change:
    """Hold a run against a saved list. Raises ValueError if the file is not such a list."""
    try:
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        before, listed = dict(saved["versions"]), dict(saved["known"])
    except (json.JSONDecodeError, KeyError, TypeError) as e:
        raise ValueError(f"allowlist.compare: {path}: must be a file written by allowlist.save ({e})") from None
    found, tried = known(matrix), {cell.key for cell in matrix.cells}
    moved = {name: version for name, version in before.items() if matrix.versions.get(name) != version}
    return Change(tuple(sorted(found.keys() - listed.keys())), tuple(sorted((listed.keys() & tried) - found.keys())),
                  moved, {name: matrix.versions[name] for name in moved if name in matrix.versions})
