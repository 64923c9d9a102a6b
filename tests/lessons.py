"""The code of every notebook, run once in a test process: its panels and its pictures.

Not the slow or foreign parts: programs stand in for real servers and live runs where `STAND_INS` says so.
"""

import ast
import asyncio
import inspect
import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from labkit.course.figures import Picture
from labkit.course.panel import Panel
from labkit.inference import calibrate

ROOT = Path(__file__).resolve().parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TWIN = {"LABKIT_ENGINE": "twin", "LABKIT_TWIN_HURRY": "4"}


async def simulated(experiments: Mapping[str, Any]) -> dict[str, Any]:
    """What a live run would take half a minute for; nbval runs the real one."""
    return {name: experiment.simulate() for name, experiment in experiments.items()}


def not_installed(program: str, *_: object, **__: object) -> None:
    """No etcd, PostgreSQL or Redis here: the notebook shows its recordings; nbval starts the real ones."""


def calibrated(*_: object, **__: object) -> calibrate.Calibration:
    """The times of a quiet machine: on a busy one what is measured need not make sense."""
    step, tiny, long = {1: 0.042, 32: 0.104}, 0.049, 0.56
    return calibrate.Calibration(calibrate.solve(step, tiny, long), step, tiny, long)


# what is replaced while a notebook runs here, and by what
STAND_INS: dict[str, dict[str, Callable[..., Any]]] = {
    "13_live_collapse": {"labkit.metastability.live.run_all": simulated},
    "14_other_loops": {"labkit.metastability.live.run_all": simulated},
    "24_real_cluster": {"shutil.which": not_installed},
    "61_batching_and_memory": {"labkit.inference.calibrate.measure": calibrated},
    "62_prefix_caching": {"labkit.inference.calibrate.measure": calibrated},
}


@dataclass
class Lesson:
    """What a notebook made: panels and stored pictures in order, and the names its cells left."""

    path: Path
    panels: list[Panel] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "notebook"})


def code_of(path: Path) -> list[str]:
    """The sources of a notebook's code cells."""
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def run(path: Path) -> Lesson:
    """Run a notebook's cells here and collect what they make; any error of a cell is an error of the test."""
    return collect(Lesson(path), dict(enumerate(code_of(path), 1)))


def collect(made: Lesson, cells: Mapping[int, str]) -> Lesson:
    """Run numbered cells among the lesson's names and add their panels and pictures to it."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, TWIN))
        for name, stand_in in STAND_INS.get(made.path.stem, {}).items():
            stack.enter_context(mock.patch(name, stand_in))
        for kind, into in ((Panel, made.panels), (Picture, made.pictures)):
            stack.enter_context(mock.patch.object(kind, "__init__", _remembering(kind.__init__, into)))
        runner = stack.enter_context(asyncio.Runner())
        for number, source in cells.items():
            if "%pip" in source:        # the install cell, for Colab only
                continue
            code = compile(source, f"{made.path.stem}, code cell {number}", "exec",
                           flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            found = eval(code, made.names)
            if code.co_flags & inspect.CO_COROUTINE:
                runner.run(found)
    return made


def _remembering(init: Callable[..., None], into: list[Any]) -> Callable[..., None]:
    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        into.append(self)

    return remember
