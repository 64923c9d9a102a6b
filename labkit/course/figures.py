"""One house style: colours that mean the same on every page, labels on the lines, and the drawings we share.

Nothing here touches pyplot: figures are drawn by Agg into bytes, so a panel leaks nothing and works everywhere.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from PIL import Image

from labkit.course.labels import beside as beside
from labkit.course.labels import inside as inside
from labkit.course.labels import label as label

# Okabe & Ito's palette (2008), told apart by readers with any common colour blindness. One meaning each, for the
# whole course; a line is also labelled where it stands, so colour is never the only carrier.
COLORS = {
    "offered": "#4D4D4D",       # what users want
    "attempts": "#E69F00",      # what is sent, retries included
    "goodput": "#009E73",       # what users get
    "wasted": "#D55E00",        # work done for nobody, wrong or lost answers
    "waiting": "#56B4E9",       # queues, delays
    "theory": "#000000",        # formula
    "simulated": "#0072B2",     # simulation
    "real": "#CC79A7",          # a real system, measured
}
SHADE = "#E4E4E4"               # while the trigger lasts; grid

STYLE: Any = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#777777",
    "axes.labelcolor": "#333333", "xtick.color": "#555555", "ytick.color": "#555555", "axes.grid": True,
    "grid.color": SHADE, "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.6,
    "lines.markersize": 4.5, "figure.facecolor": "white", "axes.facecolor": "white",
}
DPI = 100


def house_style() -> AbstractContextManager[None]:
    """Matplotlib settings of the course, as a context manager."""
    return mpl.rc_context(STYLE)


def canvas(size: tuple[float, float] = (7.6, 3.2), axes: int | tuple[int, int] = 1) -> tuple[Figure, Any]:
    """A figure of `size` inches and its axes: one `Axes`, or an array of them for n columns or (rows, columns)."""
    with house_style():
        figure = Figure(figsize=size, dpi=DPI)
        FigureCanvasAgg(figure)
        rows, columns = (1, axes) if isinstance(axes, int) else axes
        return figure, figure.subplots(rows, columns)


def encode(figure: Figure, small: bool = False) -> bytes:
    """What was last drawn on the figure, as PNG; `small` reduces it to 64 colours, for storage in a notebook."""
    assert isinstance(figure.canvas, FigureCanvasAgg)
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    buffer = io.BytesIO()
    if small:
        image.quantize(64).save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class Stage:
    """Draws a figure again and again, and redraws the scenery (ticks, labels, grid) only when it changed.

    Ticks and their texts are nine tenths of the cost of a matplotlib figure; data is cheap.
    """

    def __init__(self, figure: Figure):
        self.figure = figure
        self.scenery: list[set[Artist]] = [set(axes.get_children()) for axes in figure.axes]
        self.look: object = None
        self.background: Any = None

    def play(self, draw: Callable[[], object]) -> None:
        """Replace the data on all axes by what `draw` puts there; if it raises, nothing has changed on screen."""
        canvas = self.figure.canvas
        assert isinstance(canvas, FigureCanvasAgg)
        with house_style():
            for axes, kept in zip(self.figure.axes, self.scenery, strict=True):
                for artist in set(axes.get_children()) - kept:
                    artist.remove()
                axes.relim()
                axes.set_prop_cycle(None)
            draw()
            cast = [sorted(set(axes.get_children()) - kept, key=lambda artist: artist.get_zorder())
                    for axes, kept in zip(self.figure.axes, self.scenery, strict=True)]
            look = [self._look(axes) for axes in self.figure.axes]
            if look != self.look:
                self._set_scene(canvas, cast)
                self.look = [self._look(axes) for axes in self.figure.axes]
            canvas.restore_region(self.background)
            for axes, artists in zip(self.figure.axes, cast, strict=True):
                for artist in artists:
                    axes.draw_artist(artist)

    def _set_scene(self, canvas: FigureCanvasAgg, cast: list[list[Artist]]) -> None:
        if self.background is None:         # lay out once: a picture whose axes wander is hard to compare
            self.figure.tight_layout()
        hidden = [artist for artists in cast for artist in artists if artist.get_visible()]
        for artist in hidden:
            artist.set_visible(False)
        canvas.draw()
        for artist in hidden:
            artist.set_visible(True)
        self.background = canvas.copy_from_bbox(self.figure.bbox)

    @staticmethod
    def _look(axes: Axes) -> list[object]:
        axis = [axes.xaxis, axes.yaxis]
        return [axes.get_xlim(), axes.get_ylim(), axes.get_xlabel(), axes.get_ylabel(), axes.get_title("left"),
                *[(a.get_scale(), *_ticks(a)) for a in axis]]


def _ticks(axis: Axis) -> tuple[object, object]:
    """What decides the ticks; ticks set by hand are the same if their places and texts are."""
    places = axis.get_major_locator()
    if isinstance(places, FixedLocator):
        return tuple(places()), tuple(text.get_text() for text in axis.get_ticklabels())
    return places, axis.get_major_formatter()


class Picture:
    """A finished drawing and the one line of text that says what is on it, with its numbers.

    As the last value of a cell it shows the drawing; nbval compares the text, screen readers read it.
    """

    def __init__(self, figure: Figure, text: str):
        self.figure, self.text = figure, text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.text, "image/png": base64.b64encode(encode(self.figure, small=True)).decode()}


def picture(draw: Callable[..., str], *values: Any, size: tuple[float, float] = (7.6, 3.2),
            axes: int | tuple[int, int] = 1) -> Picture:
    """Call `draw(axes, *values)`, which draws and returns the line of text."""
    figure, where = canvas(size, axes)
    with house_style():
        text = draw(where, *values)
        figure.tight_layout()
        figure.canvas.draw()
    return Picture(figure, text)


# ------------------------------------------------------------------------------------------------ parts
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
    """Events on lanes: bars (lane, start, stop, meaning) and marks (lane, time, symbol), meaning a key of COLORS."""
    for lane, start, stop, meaning in bars:
        axes.barh(lane, stop - start, left=start, height=0.62, color=COLORS[meaning], lw=0)
    for lane, time, symbol in marks:
        axes.plot(time, lane, symbol, color="black", ms=5, clip_on=False)
    lanes = [bar[0] for bar in bars]
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
