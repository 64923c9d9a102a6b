"""One house style: colours that mean the same on every page, labels on the lines, and the drawings we share.

Nothing here touches pyplot: figures are drawn by Agg into bytes, so a panel leaks nothing and works everywhere.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageChops

from labkit.course.diagrams import against_theory as against_theory
from labkit.course.diagrams import band as band
from labkit.course.diagrams import from_zero as from_zero
from labkit.course.diagrams import log_axes as log_axes
from labkit.course.diagrams import matrix as matrix
from labkit.course.diagrams import round_up as round_up
from labkit.course.diagrams import shade as shade
from labkit.course.diagrams import space_time as space_time
from labkit.course.diagrams import timeline as timeline
from labkit.course.labels import beside as beside
from labkit.course.labels import end_label as end_label
from labkit.course.labels import inside as inside
from labkit.course.labels import label as label
from labkit.course.labels import room_for_ends as room_for_ends
from labkit.course.palette import COLORS as COLORS
from labkit.course.palette import PAPER as PAPER
from labkit.course.palette import SHADE

STYLE: Any = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#777777",
    "axes.labelcolor": "#333333", "xtick.color": "#555555", "ytick.color": "#555555", "axes.grid": True,
    "grid.color": SHADE, "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.6,
    "lines.markersize": 4.5, "figure.facecolor": PAPER, "axes.facecolor": PAPER,
}
DPI = 100                       # pixels an inch on the page
DENSITY = 2                     # pixels drawn for each of them: screens have been finer than 100 an inch for long


def house_style() -> AbstractContextManager[None]:
    """Matplotlib settings of the course, as a context manager."""
    return mpl.rc_context(STYLE)


def canvas(size: tuple[float, float] = (7.6, 3.2), axes: int | tuple[int, int] = 1) -> tuple[Figure, Any]:
    """A figure of `size` inches and its axes: one `Axes`, or an array of them for n columns or (rows, columns)."""
    with house_style():
        figure = Figure(figsize=size, dpi=DPI * DENSITY)
        FigureCanvasAgg(figure)
        rows, columns = (1, axes) if isinstance(axes, int) else axes
        return figure, figure.subplots(rows, columns)


class Encoder:
    """Writes what is drawn on a figure as PNG, again and again.

    Choosing 256 colours takes longer than all else. Those of the first picture nearly always do for the later ones;
    where they do not, a picture gets its own, so that what it looks like does not depend on what was shown before.
    """

    NEAR = 24       # of 255 in red, green or blue; a fresh choice is up to 15 off
    FEW = 32        # pixels that may be further off: half a marker

    def __init__(self) -> None:
        self._colors: Image.Image | None = None

    def png(self, figure: Figure) -> bytes:
        drawn = _drawn(figure)
        if self._colors is None:
            self._colors = _reduce(drawn, 256)
        return _png(self._reduced(drawn, self._colors) or _reduce(drawn, 256), compress_level=1)

    def _reduced(self, drawn: np.ndarray, colors: Image.Image) -> Image.Image | None:
        """In the colours of the first picture, or None if they do not do."""
        picture = Image.fromarray(drawn).convert("RGB")
        image = picture.quantize(palette=colors, dither=Image.Dither.NONE)
        off = ImageChops.difference(picture, image.convert("RGB")).histogram()
        far = max(sum(off[channel + self.NEAR + 1:channel + 256]) for channel in (0, 256, 512))
        return image if far <= self.FEW else None


def encode(figure: Figure) -> bytes:
    """What was last drawn on the figure, as PNG of 64 colours: to store in a notebook."""
    return _png(_reduce(_drawn(figure), 64), optimize=True)


def _drawn(figure: Figure) -> np.ndarray:
    assert isinstance(figure.canvas, FigureCanvasAgg)
    return np.asarray(figure.canvas.buffer_rgba())


def _reduce(drawn: np.ndarray, count: int) -> Image.Image:
    image = Image.fromarray(drawn).convert("RGB")
    image = image.quantize(count, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    colors, first = image.getpalette() or [], 3 * int(np.asarray(image)[0, 0])
    colors[first:first + 3] = drawn[0, 0, :3].tolist()      # the paper exactly: pictures lie side by side
    image.putpalette(colors)
    return image


def _png(image: Image.Image, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **how)
    return buffer.getvalue()


def shown_size(figure: Figure) -> dict[str, int]:
    """Width and height on the page, in pixels of the page."""
    width, height = figure.get_size_inches() * DPI
    return {"width": round(width), "height": round(height)}


class Picture:
    """A finished drawing and the one line of text that says what is on it, with its numbers.

    As the last value of a cell it shows the drawing; nbval compares the text, screen readers read it.
    """

    def __init__(self, figure: Figure, text: str):
        self.figure, self.text = figure, text

    def __repr__(self) -> str:
        return self.text

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return encode(self.figure), shown_size(self.figure)


def picture(draw: Callable[..., str], *values: Any, size: tuple[float, float] = (7.6, 3.2),
            axes: int | tuple[int, int] = 1) -> Picture:
    """Call `draw(axes, *values)`, which draws and returns the line of text."""
    figure, where = canvas(size, axes)
    with house_style():
        text = draw(where, *values)
        figure.tight_layout()
        figure.canvas.draw()
    return Picture(figure, text)
