"""Every panel of every notebook: what a move costs, slowest first. `python -m tests.bench.bench_panels [10_retry ...]`.

CPU time of compute and draw, so that a busy machine does not matter much; each control is walked from end to end
with the others where they start. The last line is a panel that computes nothing and draws one line: what the machine
takes for any picture. `make bench` gives BLAS one thread: the spinning of others would be counted.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import sys
import time

import numpy as np

from labkit.course import Panel, slider
from labkit.course.controls import Seed, Slider
from tests import lessons, slices

STEPS = 12              # of a slider, from end to end
MEDIAN, P95 = 50, 100   # what a move may cost, ms


def run(path) -> lessons.Lesson:
    """The panels of a notebook, made here; a cell's error is ours."""
    made, names = lessons.begun(path.stem), {"__name__": "notebook"}
    with asyncio.Runner() as runner:
        for cell in slices.for_panels(json.loads(path.read_text())["cells"]):
            code = compile("".join(cell["source"]), f"{path.stem}, {cell['id']}", "exec",
                           flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            found = eval(code, names)
            if code.co_flags & inspect.CO_COROUTINE:
                runner.run(found)
    assert len(made.panels) == lessons.PANELS[path.stem], f"{path.stem}: {len(made.panels)} panels"
    return made


def walk(control):
    """Where a learner might drag this control, in order."""
    if isinstance(control, Seed):
        return list(range(2, 8))
    if not isinstance(control, Slider):
        return control.extremes()
    steps = round((control.high - control.low) / control.step)
    places = [control.low + control.step * int(n) for n in np.unique(np.linspace(0, steps, STEPS).round())]
    return [int(place) if control.whole else min(float(place), control.high) for place in places]


def costs(panel: Panel) -> list[float]:
    """CPU time of each move, ms."""
    spent = []
    for name, control in panel.controls.items():
        for value in walk(control):
            begin = time.process_time()
            panel.set(**{name: value})
            spent.append(1000 * (time.process_time() - begin))
        panel.reset()
    return spent


def bare() -> Panel:
    """Nothing but one line and its axes."""
    def draw(axes, slope):
        axes.plot([0, 1], [0, slope])
        axes.set(ylim=(0, 1), xlabel="time, s", ylabel="height, m")

    return Panel(lambda slope, seed: slope, draw, str, slope=slider(0.5, 0, 1, 0.01))


def table(names):
    rows = []
    for path in lessons.LESSONS:
        if not names or any(path.stem.startswith(name) for name in names):
            with contextlib.redirect_stdout(io.StringIO()):
                panels = run(path).panels
            for number, panel in enumerate(panels, 1):
                p50, p95 = np.quantile(costs(panel), [0.5, 0.95])
                rows.append((p50, p95, f"{path.stem} {number}", ", ".join(panel.controls)))
            print(f"{path.stem}: {len(rows)} panels so far", file=sys.stderr, flush=True)
    return sorted(rows, key=lambda row: -row[1])


def main(names):
    os.environ |= lessons.TWIN | {"LABKIT_PROGRESS": "off"}
    rows = table(names)
    print(f"{'panel':32s} {'p50':>7s} {'p95':>7s}  CPU ms a move; controls")
    for p50, p95, name, controls in rows:
        print(f"{name:32s} {p50:7.1f} {p95:7.1f}  {controls}")
    middle = sum(row[0] <= MEDIAN for row in rows)
    end = sum(row[1] <= P95 for row in rows)
    floor = np.median(costs(bare()))
    print(f"{'one line, no simulation':32s} {floor:7.1f}")
    print(f"{len(rows)} panels: {middle} within {MEDIAN} ms at the median (goal 90 %), "
          f"{end} within {P95} ms at p95 (goal all)")


if __name__ == "__main__":
    main(sys.argv[1:])
