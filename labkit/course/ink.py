"""Where the ink of a picture is: its lines, dots and areas in pixels, and whether a place among them is free.

Labels look for their places here, and the picture contract (`legible`) looks for labels in the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cbook import STEP_LOOKUP_MAP
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from PIL import Image, ImageDraw

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """What one artist puts on paper, in pixels: strokes of a width, dots of a radius, filled areas."""

    artist: Artist
    color: str
    strokes: tuple[Points, ...] = ()
    width: float = 0.0
    dots: Points = field(default_factory=lambda: np.empty((0, 2)))
    radius: float = 0.0
    areas: tuple[Points, ...] = ()

    @property
    def solid(self) -> bool:
        """Whether letters on it would be hard to read; pale scenery and translucent bands are not in the way."""
        alpha = self.artist.get_alpha()
        return not self.areas or not (grey(self.color) or (isinstance(alpha, float) and alpha < 0.4))

    @property
    def points(self) -> Points:
        """Places on the mark, a few pixels apart."""
        runs = [_dense(stroke) for stroke in self.strokes] + [_dense(area) for area in self.areas] + [self.dots]
        return np.concatenate(runs) if runs else self.dots


def pixels(artist: Artist) -> float:
    """Pixels in a point, on the figure of an artist."""
    assert artist.figure is not None
    return float(artist.figure.dpi) / 72


def hex_color(color: Any) -> str:
    """`#rrggbb` of any colour matplotlib knows; of a list of colours the first; `none` if there is none."""
    if isinstance(color, np.ndarray):
        color = color[0] if len(color) and color.ndim > 1 else color if len(color) else "none"
    return "none" if isinstance(color, str) and color == "none" else mpl.colors.to_hex(color)


def grey(color: str) -> bool:
    """Whether a colour is scenery: a grey, neither black nor white."""
    red, green, blue = mpl.colors.to_rgb(color)
    return max(red, green, blue) - min(red, green, blue) < 0.08 and 0.35 < green < 1


# ------------------------------------------------------------------------------------------------ marks
def marks(axes: Axes) -> Iterator[Mark]:
    """What the visible artists of the axes draw; the axes' own furniture and pale areas in the back are none."""
    for artist in axes.get_children():
        if artist.get_visible():
            yield from _marks(axes, artist)


def _marks(axes: Axes, artist: Artist) -> Iterator[Mark]:
    point = pixels(axes)
    if isinstance(artist, Line2D):
        dotted = artist.get_marker() not in (None, "None", "", " ")
        lined = artist.get_linestyle() not in ("None", "", " ")
        path, transform = _stepped(artist), artist.get_transform()
        yield Mark(artist, hex_color(artist.get_color() if lined else artist.get_markerfacecolor()
                                     if artist.get_markerfacecolor() != "none" else artist.get_color()),
                   _strokes(axes, path, transform) if lined else (), artist.get_linewidth() * point,
                   _finite(transform.transform(path.vertices)) if dotted else np.empty((0, 2)),
                   artist.get_markersize() / 2 * point)
    elif isinstance(artist, PathCollection):
        dots = _finite(artist.get_offset_transform().transform(artist.get_offsets()))
        sizes = artist.get_sizes()
        yield Mark(artist, hex_color(artist.get_facecolor()), dots=dots,
                   radius=float(np.sqrt(sizes.max()) / 2 if len(sizes) else 0) * point)
    elif isinstance(artist, LineCollection) and len(artist.get_paths()):
        strokes = tuple(stroke for path in artist.get_paths()
                        for stroke in _strokes(axes, path, artist.get_transform()))
        yield Mark(artist, hex_color(artist.get_color()), strokes,
                   float(np.max(artist.get_linewidth())) * point)
    elif isinstance(artist, PolyCollection):
        paths = [path.transformed(artist.get_transform()).vertices for path in artist.get_paths()]
        yield Mark(artist, hex_color(artist.get_facecolor()), areas=tuple(_finite(path) for path in paths))
    elif isinstance(artist, Rectangle) and artist is not axes.patch and artist.get_zorder() > 0:
        corners = artist.get_transform().transform(artist.get_path().vertices)
        yield Mark(artist, hex_color(artist.get_facecolor()), areas=(corners,))
    elif isinstance(artist, Annotation) and artist.arrow_patch is not None:
        arrow = artist.arrow_patch
        yield Mark(artist, hex_color(arrow.get_edgecolor()),
                   _strokes(axes, arrow.get_path(), arrow.get_transform()), arrow.get_linewidth() * point)


def _stepped(line: Line2D) -> Path:
    """The path of a line as it is drawn: with its steps, if it has any."""
    style = line.get_drawstyle()
    vertices = np.asarray(line.get_path().vertices)
    return line.get_path() if style == "default" else Path(np.column_stack(STEP_LOOKUP_MAP[style](*vertices.T)))


def _strokes(axes: Axes, path: Path, transform: Any) -> tuple[Points, ...]:
    """The pieces of a path that lie within the picture: a line may run far out of it, or have gaps."""
    frame = axes.figure.bbox
    clip = (frame.x0 - 50, frame.y0 - 50, frame.x1 + 50, frame.y1 + 50)
    clean = path.cleaned(transform, remove_nans=True, clip=clip)
    codes, vertices = np.asarray(clean.codes), np.asarray(clean.vertices, dtype=float)
    vertices, codes = vertices[codes != Path.STOP], codes[codes != Path.STOP]
    starts = np.flatnonzero(codes == Path.MOVETO)
    return tuple(piece for piece in np.split(vertices, starts) if len(piece) > 1)


def _finite(points: npt.ArrayLike) -> Points:
    found = np.asarray(points, dtype=float).reshape(-1, 2)
    return np.asarray(found[np.isfinite(found).all(axis=1)])


def _dense(stroke: Points, step: float = 4.0) -> Points:
    """Points on a polyline, no further apart than `step` pixels."""
    if len(stroke) < 2:
        return stroke
    start, way = stroke[:-1], np.diff(stroke, axis=0)
    count = np.clip(np.ceil(np.hypot(*way.T) / step), 1, 1000).astype(int)
    index = np.repeat(np.arange(len(count)), count)
    part = (np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)) / count[index]
    return np.vstack([start[index] + part[:, None] * way[index], stroke[-1:]])


# ------------------------------------------------------------------------------------------------ texts
def box(text: Text) -> Bbox:
    """Where the letters of a text are, in pixels, without the room that fonts leave above and below them."""
    found = text.get_window_extent()
    line = float(text.get_fontsize()) * pixels(text)
    spare = min(0.18 * line, 0.3 * found.height)
    return Bbox.from_extents(found.x0, found.y0 + 0.6 * spare, found.x1, found.y1 - spare)


# ------------------------------------------------------------------------------------------------ room
class Ground:
    """The canvas as squares of a point's size, each free or taken; counts what is taken in many boxes at once."""

    def __init__(self, axes: Axes, taken: Iterable[Mark], texts: Iterable[Bbox] = ()):
        self.cell = pixels(axes)
        width, height = (int(side / self.cell) + 2 for side in axes.figure.bbox.max)
        image = Image.new("L", (width, height))
        self._brush = ImageDraw.Draw(image)
        for mark in taken:
            self._paint(mark)
        # sums over all rectangles that begin in a corner: any other rectangle is four of them
        self._sums = np.zeros((height + 1, width + 1), dtype=np.int32)
        self._sums[1:, 1:] = np.asarray(image).cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
        self.texts = [np.asarray(text.extents) for text in texts]

    def _paint(self, mark: Mark) -> None:
        for stroke in mark.strokes:
            self._brush.line(self._at(stroke), fill=1, width=max(1, round(mark.width / self.cell)))
        for area in mark.areas:
            if len(area) > 2:
                self._brush.polygon(self._at(area), fill=1)
        reach = mark.radius / self.cell
        for x, y in np.clip(mark.dots / self.cell, -100, 5000).tolist():
            self._brush.ellipse((x - reach, y - reach, x + reach, y + reach), fill=1)

    def _at(self, points: Points) -> list[float]:
        return list(np.clip(points / self.cell, -100, 5000).ravel().tolist())

    def taken(self, boxes: Points) -> Points:
        """Squares taken in each box, 100 more for a text in it; a row has x0, y0, x1, y1 in pixels."""
        height, width = self._sums.shape
        x0, y0 = np.floor(boxes[:, :2] / self.cell).astype(int).clip(0, (width - 1, height - 1)).T
        x1, y1 = np.ceil(boxes[:, 2:] / self.cell).astype(int).clip(0, (width - 1, height - 1)).T
        sums = self._sums
        found: Points = (sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]).astype(float)
        for text in self.texts:
            found += 100.0 * ((boxes[:, :2] < text[2:]) & (boxes[:, 2:] > text[:2])).all(axis=1)
        return found
