"""The learner's copy: `notebooks/` without stored results, in `lab/`, where nothing of the learner's is overwritten.

    python -m labkit.course.learner copy        what is new, and what was never touched (make lab)
    python -m labkit.course.learner reset 10    one as it was, after saying what that would lose (make reset NB=10)
    python -m labkit.course.learner solutions   the worked solutions, with their results (make solutions)

`lab/.copied.json` remembers the cells of each notebook as it was copied. A copy is touched if a cell is another one
now, or if it has been run; opening and saving it is no touch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]
Cells = dict[str, str]          # id of a cell -> digest of its kind and source, in the order of the notebook
ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ".copied.json"


@dataclass(frozen=True)
class Changes:
    """What a learner did to a notebook since it was copied: numbers of cells, and when it was saved last."""

    changed: int
    added: int
    removed: int
    ran: int
    saved: str = ""

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.removed or self.ran)

    def __str__(self) -> str:
        counts = {"changed": self.changed, "added": self.added, "removed": self.removed}
        parts = [f"{_count(count, 'cell')} {what}" for what, count in counts.items() if count]
        parts += [f"results of {_count(self.ran, 'cell')}"] if self.ran else []
        return (", ".join(parts) or "nothing") + f" (saved {self.saved})"


class Unusable(Exception):
    """What was asked for cannot be done; the message is one line for the person who asked."""


@dataclass(frozen=True)
class Course:
    """A clone of the course: originals in `root/notebooks`, the learner's copies in `root/lab`."""

    root: Path = ROOT

    @property
    def lab(self) -> Path:
        return self.root / "lab"

    def lessons(self) -> list[str]:
        """Names of the notebooks; Unusable if there are none."""
        found = sorted(path.name for path in (self.root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
        if not found:
            raise Unusable(f"no notebooks in {self.root / 'notebooks'}: run this from a clone of the course")
        return found

    def solutions(self) -> list[str]:
        """Names of the worked solutions, as seen from `notebooks/`."""
        return sorted(f"solutions/{path.name}" for path in (self.root / "notebooks" / "solutions").glob("*.ipynb"))

    def lesson(self, which: str) -> str:
        """The notebook meant by `10`, `10_retry_storm` or a path to it; Unusable names what there is."""
        lessons, wanted = self.lessons(), Path(which).name.removesuffix(".ipynb")
        found = [name for name in lessons if wanted in (name[:2], name.removesuffix(".ipynb"))]
        if not found:
            raise Unusable(f"no notebook {which!r}; there are {', '.join(name[:2] for name in lessons)}")
        return found[0]

    def fresh(self, name: str) -> Notebook:
        """What a learner gets: a solution as it is, any other notebook without stored results."""
        notebook = _read(self.root / "notebooks" / name)
        return notebook if name.startswith("solutions/") else without_results(notebook)

    def has(self, name: str, wanted: Cells) -> bool:
        """Whether the copy has the `wanted` cells in that order, run or not."""
        try:
            return list(cells(_read(self.lab / name)).items()) == list(wanted.items())
        except Unusable:
            return False

    def changes(self, name: str, recorded: Cells) -> Changes | None:
        """What was done to a copy since it had the `recorded` cells; None if the file cannot be read."""
        path = self.lab / name
        try:
            notebook = _read(path)
            now = cells(notebook)
        except Unusable:
            return None
        ran = sum(bool(cell.get("outputs")) for cell in notebook["cells"])
        changed = sum(now[key] != recorded[key] for key in now.keys() & recorded.keys())
        kept = [key for key in recorded if key in now] == [key for key in now if key in recorded]
        return Changes(changed if kept else max(changed, 1), len(now.keys() - recorded.keys()),
                       len(recorded.keys() - now.keys()), 0 if name.startswith("solutions/") else ran,
                       f"{datetime.fromtimestamp(path.stat().st_mtime):%d %b %Y, %H:%M}")


def copy(course: Course, names: list[str]) -> Iterator[str]:
    """Copy what is not there, bring up to date what nobody touched; yields a line for each thing worth saying."""
    record, new, newer = _record(course), 0, 0
    for name in names:
        notebook, known = course.fresh(name), record.get(name, {})
        path, now = course.lab / name, cells(notebook)
        if path.exists():
            if course.has(name, now):
                record[name] = now
                continue
            changes = course.changes(name, known)
            if changes is None or changes:
                if known != now:
                    yield f"lab/{name} is yours and is left as it is. There is a newer version: {_how(name)}"
                continue
            newer += 1
        else:
            new += 1
        _write(path, notebook)
        record[name] = now
    _save(course, record)
    if new or newer:
        yield f"lab/: {_count(new, 'notebook')} copied, {newer} brought up to date"


def reset(course: Course, which: str, agreed: Callable[[str], bool]) -> Iterator[str]:
    """Bring one notebook back; what was there is kept beside it. Unusable if the loss is not `agreed` to."""
    name = course.lesson(which)
    path, notebook, record = course.lab / name, course.fresh(name), _record(course)
    if path.exists():
        changes = course.changes(name, record.get(name) or cells(notebook))
        if changes is None or changes:
            yield f"lab/{name} would lose: {changes or 'what is in it, which is not a notebook'}"
            if not agreed(f"Bring back lab/{name}? What is there now is kept in a file beside it. [y/N] "):
                raise Unusable(f"lab/{name} is left as it is; to bring it back without a question: "
                               f"make reset NB={name[:2]} YES=1")
            backup = _free(path)
            os.replace(path, backup)
            yield f"what was there is now lab/{backup.name}"
    _write(path, notebook)
    _save(course, record | {name: cells(notebook)})
    yield f"lab/{name} is as it comes with the course (if it is open: File > Reload Notebook from Disk)"


def without_results(notebook: Notebook) -> Notebook:
    """A notebook as one that was never run: no outputs, no counts, nothing folded."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
            unfold(cell["metadata"])
    return notebook


def unfold(metadata: dict[str, Any]) -> None:
    """Remove from a cell's metadata what hides its results."""
    metadata.pop("collapsed", None)
    metadata.get("jupyter", {}).pop("outputs_hidden", None)
    if metadata.get("jupyter") == {}:
        del metadata["jupyter"]


def cells(notebook: Notebook) -> Cells:
    """Id and digest of each cell; Unusable if this is no notebook."""
    try:
        return {cell.get("id", f"cell {n}"): hashlib.sha256(
            json.dumps([cell["cell_type"], "".join(cell["source"])]).encode()).hexdigest()[:12]
            for n, cell in enumerate(notebook["cells"], 1)}
    except (AttributeError, KeyError, TypeError):
        raise Unusable("not a notebook") from None


def _read(path: Path) -> Notebook:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unusable(f"{path} cannot be read: {error}") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise Unusable(f"{path} is not a notebook")
    return notebook


def _write(path: Path, notebook: Notebook) -> None:
    """All of it or nothing: a reader of the file never sees half a notebook."""
    _replace(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _record(course: Course) -> dict[str, Cells]:
    """The cells of each copy as it was made; empty if it was lost, which makes every copy the learner's own."""
    try:
        record = json.loads((course.lab / COPIED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _save(course: Course, record: dict[str, Cells]) -> None:
    _replace(course.lab / COPIED, json.dumps(record, indent=1) + "\n")


def _free(path: Path) -> Path:
    """A name for a backup of `path` that is not taken."""
    for n in range(1, 1000):
        backup = path.with_name(f"{path.stem}.before-reset{f'-{n}' if n > 1 else ''}.ipynb")
        if not backup.exists():
            return backup
    raise Unusable(f"there are 999 backups of {path.name}: remove some")


def _how(name: str) -> str:
    if name.startswith("solutions/"):
        return f"delete lab/{name} and say `make solutions`"
    return f"make reset NB={name[:2]} brings it, and keeps yours beside it"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _ask(question: str) -> bool:
    """Ask the person at the terminal; where there is none, the answer is no."""
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns 0, or 2 with one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m labkit.course.learner", description="The learner's copy, lab/.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the clone of the course (default: this one)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("copy", help="copy new notebooks, bring untouched ones up to date")
    back = commands.add_parser("reset", help="bring one notebook back; yours is kept beside it")
    back.add_argument("notebook", help="its number, 10, or its name")
    back.add_argument("--yes", action="store_true", help="do not ask")
    commands.add_parser("solutions", help="copy the worked solutions")
    options = parser.parse_args(arguments)
    course = Course(options.root)
    try:
        lines = {"copy": lambda: copy(course, course.lessons()),
                 "solutions": lambda: copy(course, course.solutions()),
                 "reset": lambda: reset(course, options.notebook, (lambda question: True) if options.yes else _ask),
                 }[options.command]()
        for line in lines:
            print(line, flush=True)
    except (Unusable, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
