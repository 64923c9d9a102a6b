"""A plugin for nbval: when a notebook has run, its panels and pictures are judged in the kernel that has them.

    pytest -p tests.judge --nbval ... notebooks

Every picture keeps the picture contract: stored ones, and panels wherever their controls go.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell
from nbval.plugin import IPyNbCell, IPyNbFile

from labkit.course.legible import faults
from labkit.course.panel import Panel
from tests import lessons

NUMBERLESS = re.compile(r"\bnan\b")
ABOUT_NAN = {"41_write_here_read_there"}            # its data has them, and values that became one
JUDGED = ("number_of_panels", "stored_pictures", "panels_wherever_their_controls_go")
# under names that no notebook has, and that hide no import it lacks
BEGIN = """
import sys as _labkit_sys
_labkit_sys.path.insert(0, {root!r})
from tests import judge as _labkit_judge
_labkit_lesson = _labkit_judge.lessons.begun({stem!r})
"""


class LessonFile(IPyNbFile):                        # type: ignore[misc]    # nbval has no types
    """A notebook whose first cell has what it makes remembered, and whose last ones look at that."""

    def collect(self) -> Iterator[Any]:
        yield self._cell("begin", -1, BEGIN.format(root=str(lessons.ROOT), stem=self.path.stem))
        cells = [*super().collect()]
        yield from cells
        for number, what in enumerate(JUDGED, len(cells)):
            yield self._cell(what, number, f"_labkit_judge.{what}(_labkit_lesson)")

    def _cell(self, name: str, number: int, source: str) -> Any:
        return IPyNbCell.from_parent(self, name=name, cell_num=number, cell=new_code_cell(source, execution_count=1),
                                     options={"check": False, "skip": False, "check_exception": False})


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: Any) -> Any:
    """nbval's file, ours if it is a lesson."""
    found = yield
    return [LessonFile.from_parent(parent, path=file_path)
            if isinstance(one, IPyNbFile) and file_path in lessons.LESSONS else one for one in found]


# ------------------------------------------------------------------------------------------------ in the kernel
def number_of_panels(lesson: lessons.Lesson) -> None:
    """Each lesson makes its panels."""
    assert len(lesson.panels) == lessons.PANELS[lesson.stem], len(lesson.panels)


def stored_pictures(lesson: lessons.Lesson) -> None:
    """Those that are not panels are legible."""
    for number, picture in enumerate(lesson.pictures, 1):
        _judged(f"picture {number}", {"as stored": faults(picture.figure)})


def panels_wherever_their_controls_go(lesson: lessons.Lesson) -> None:
    """They work and are legible at defaults, presets and extremes."""
    for number, panel in enumerate(lesson.panels, 1):
        found = {}
        for where, series in _settings(panel):
            assert panel.text, where
            assert lesson.stem in ABOUT_NAN or not NUMBERLESS.search(panel.text), where
            assert 'role="alert"' not in panel._words.value, where
            found[where] = faults(panel.figure, series)
        _judged(f"panel {number}", found)


def _settings(panel: Panel) -> Iterator[tuple[str, bool]]:
    """Move a panel to its defaults, presets and extremes: where it stands, and whether series must be inside there."""
    panel.reset()
    yield "at its defaults", True
    for preset in panel.presets:
        panel._buttons[preset].click()
        yield f"at “{preset}”", True
    for name, control in panel.controls.items():
        for value in control.extremes():
            panel.reset().set(**{name: value})
            yield f"at {name}={value}", False
    for pick, where in ((0, "first"), (-1, "last")):
        panel.reset().set(**{name: control.extremes()[pick] for name, control in panel.controls.items()})
        yield f"at the {where} value of everything", False
    panel.reset()


def _judged(name: str, where: dict[str, list[str]]) -> None:
    found = [f"{place}: {fault}" for place, said in where.items() for fault in said]
    assert not found, f"{name}:\n" + "\n".join(found)
