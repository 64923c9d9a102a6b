"""The parts drawings are made of: limits, shades, bands, a formula against points, lanes, Lamport's diagram, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from labkit.course.labels import beside, label
from labkit.course.palette import COLORS, SHADE


def shade(axes: Axes, start: float, stop: float, text: str = "") -> None:
    """Grey out the time of the trigger."""
    axes.axvspan(start, stop, color=SHADE, zorder=0, lw=0)
    if text:
        label(axes, (start + stop) / 2, 0.985, text, "#777777", axes.get_xaxis_transform(), ha="center", va="top",
              fontsize=8, fontweight="normal")


def from_zero(axes: Axes, x: bool = False, y: bool = True) -> None:
    """Let an axis reach from 0 to a round number above what is drawn on it now.

    Call it last, at each drawing: `set(ylim=(0, None))` would keep the upper limit of the first drawing for ever.
    """
    (_, _), (right, top) = axes.dataLim.get_points()
    if x:
        axes.set_xlim(0, round_up(float(right)))
    if y:
        axes.set_ylim(0, round_up(float(top)))


def log_axes(axes: Axes, x: bool = False, y: bool = True) -> None:
    """Make axes logarithmic once: `set_yscale` at each drawing makes new ticks, the most costly part of a picture."""
    if x and axes.get_xscale() != "log":
        axes.set_xscale("log")
    if y and axes.get_yscale() != "log":
        axes.set_yscale("log")


def round_up(value: float) -> float:
    """The next of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten that leaves a little room above `value`.

    >>> [round_up(value) for value in (0.93, 47, 140, 3_900)]
    [1.0, 50.0, 150.0, 5000.0]
    """
    if not 0 < value < np.inf:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12)
    return float(next(step * power for step in steps if step * power >= 1.03 * value))


def band(axes: Axes, x: npt.ArrayLike, samples: npt.ArrayLike, color: str, text: str = "") -> None:
    """Median over seeds as a line, the middle 90 % as a band; `samples` has one row per seed."""
    rows = np.asarray(samples, dtype=float)
    low, middle, high = np.quantile(rows, [0.05, 0.5, 0.95], axis=0)
    axes.fill_between(np.asarray(x), low, high, color=color, alpha=0.22, lw=0)
    axes.plot(np.asarray(x), middle, color=color)
    if text:
        label(axes, float(np.asarray(x)[-1]), float(middle[-1]), text, color, ha="right")


def against_theory(axes: Axes, x: npt.ArrayLike, theory: npt.ArrayLike, measured_x: npt.ArrayLike,
                   measured: npt.ArrayLike, spread: npt.ArrayLike | None = None, kind: str = "simulated",
                   names: bool = True) -> None:
    """The formula as a black line, what was measured as points on it (or off it), with error bars if given.

    Both are named on the picture unless `names` is false.
    """
    xs, line, at, found = (np.asarray(values, dtype=float) for values in (x, theory, measured_x, measured))
    axes.plot(xs, line, color=COLORS["theory"], lw=1.2)
    axes.errorbar(at, found, None if spread is None else np.asarray(spread), fmt="o", color=COLORS[kind], capsize=2)
    if names:
        label(axes, float(xs[-1]), float(line[-1]), "formula", COLORS["theory"], ha="right")
        label(axes, float(at[0]), float(found[0]), kind, COLORS[kind])


def timeline(axes: Axes, bars: Sequence[tuple[float, float, float, str]],
             marks: Sequence[tuple[float, float, str]] = (), unit: str = "s") -> None:
    """Events on lanes: bars (lane, start, stop, meaning) and marks (lane, time, symbol), meaning a key of COLORS.

    Bars of a lane that overlap in time stand below each other.
    """
    lanes = sorted({bar[0] for bar in bars})
    for lane in lanes:
        mine = sorted(bar for bar in bars if bar[0] == lane)
        ends: list[float] = []                          # of the last bar in each row of this lane
        rows = []
        for _, start, stop, _ in mine:
            row = next((i for i, end in enumerate(ends) if end <= start), len(ends))
            ends[row:row + 1] = [stop]
            rows.append(row)
        height = 0.62 / len(ends)
        for row, (_, start, stop, meaning) in zip(rows, mine, strict=True):
            axes.barh(lane - 0.31 + (row + 0.5) * height, stop - start, left=start, height=0.9 * height,
                      color=COLORS[meaning], lw=0)
    for lane, time, symbol in marks:
        axes.plot(time, lane, symbol, color="black", ms=5, clip_on=False)
    axes.set_ylim(max(lanes) + 0.6, min(lanes) - 0.6)
    axes.set_xlabel(f"time ({unit})")
    axes.grid(axis="y", visible=False)


def space_time(axes: Axes, replicas: Sequence[str], events: Sequence[tuple[str, float, str]],
               messages: Sequence[tuple[str, float, str, float, bool]] = (), unit: str = "s") -> None:
    """Lamport's diagram: a line per replica, events (replica, time, text), messages (from, sent, to, received, lost).

    Time runs to the right. A lost message is a dashed arrow that ends in a cross.
    """
    lane = {name: i for i, name in enumerate(replicas)}
    end = max([time for _, time, _ in events] + [message[3] for message in messages] + [1.0]) * 1.08
    above = beside(axes, 0, 5)
    for i in lane.values():
        axes.plot([0, end], [i, i], color="#AAAAAA", lw=1, zorder=1)
    for source, sent, target, received, lost in messages:
        color = COLORS["wasted"] if lost else COLORS["waiting"]
        axes.annotate("", (received, lane[target]), (sent, lane[source]), zorder=2,
                      arrowprops={"arrowstyle": "->", "color": color, "linestyle": "--" if lost else "-"})
        if lost:
            axes.plot(received, lane[target], "x", color=color, ms=7, zorder=3)
    for name, time, text in events:
        axes.plot(time, lane[name], "o", color=COLORS["simulated"], zorder=4)
        label(axes, time, lane[name], text, "#222222", above, fontsize=8, fontweight="normal", ha="center")
    axes.set_yticks(range(len(replicas)), replicas)
    axes.set_ylim(len(replicas) - 0.5, -0.6)
    axes.set_xlim(0, end)
    axes.set_xlabel(f"time ({unit})")
    axes.grid(visible=False)


def matrix(axes: Axes, rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]],
           colors: Mapping[str, str], text: bool = True) -> None:
    """A table of named states: `cells[row][column]` is a key of `colors`, written into its cell if `text`."""
    shades = np.array([[mpl.colors.to_rgb(colors[cell]) for cell in row] for row in cells])
    axes.imshow(shades, aspect="auto", origin="upper")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(visible=False)
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            if text:
                dark = shades[i, j] @ [0.3, 0.59, 0.11] < 0.55
                axes.text(j, i, cell, ha="center", va="center", fontsize=8, color="white" if dark else "black")
