"""Labels that find their own places: on the line they name, off every other line and off each other.

Where the caller wants a label is where it goes if there is room. Otherwise it moves along the line (or the bar, or
the dots) of its own colour to the nearest free place. It is settled when the picture is drawn, after all the data
and limits are known, so a label follows the choice that moved the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, ScaledTranslation, Transform

from labkit.course import ink

PAD = 1.2           # points kept free around a label
ROOM = np.array([-PAD, -PAD, PAD, PAD])
GAPS = (1.5, 5.0, 11.0, 22.0)
SIDES = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y], dtype=float)
RING = np.array([(x, y) for x in range(-60, 61, 6) for y in range(-60, 61, 4)], dtype=float)


class Labels(Artist):
    """All labels of one axes: an artist that places its texts when it is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.set_zorder(6)
        self.wanted: list[tuple[Text, Transform]] = []
        self.ends: list[Text] = []              # those that stand beside the ends of lines

    def add(self, axes: Axes, text: Text, transform: Transform) -> None:
        text.set_figure(axes.figure)
        text.axes = axes
        text.set_transform(transform)
        text.set_clip_path(axes.patch)
        self.wanted.append((text, transform))

    def get_children(self) -> list[Artist]:
        return [*(text for text, _ in self.wanted), *self.ends]

    def draw(self, renderer: Any) -> None:
        if self.get_visible() and isinstance(self.axes, Axes):
            _spread(self.axes, self.ends)
            _place(self.axes, self.wanted, self.ends)
            for text in (*self.ends, *(text for text, _ in self.wanted)):
                text.draw(renderer)


def label(axes: Axes, x: float, y: float, text: str, color: str, transform: Transform | None = None,
          **style: Any) -> None:
    """Write `text` in the colour of what it names, at (x, y) or at the nearest free place along it.

    A label on the line, not a legend. `style` goes to `matplotlib.text.Text`; `clip_on=False` lets it stand beside
    the axes. `transform`: of x and y, the data's unless given.
    """
    written = Text(x, y, text, **(_usual(color) | {"va": "bottom"} | style))
    _labels(axes).add(axes, written, transform or axes.transData)


def end_label(axes: Axes, x: float, y: float, text: str, color: str, **style: Any) -> None:
    """Write `text` to the right of the end (x, y) of a line; where ends are close, the texts are pushed apart.

    Leave room for it: `room_for_ends(axes, ...)`.
    """
    there, written = _labels(axes), Text(x, y, text, **(_usual(color) | {"va": "center"} | style))
    there.add(axes, written, axes.transData)
    there.wanted.pop()
    there.ends.append(written)


def room_for_ends(axes: Axes, start: float, stop: float, share: float = 0.18) -> None:
    """Let the x axis run from `start` to `stop`, and leave a share of it free on the right for `end_label`."""
    axes.set_xlim(start, stop + share * (stop - start))


def _usual(color: str) -> dict[str, Any]:
    return {"color": color, "fontsize": 8.5, "fontweight": "bold", "clip_on": True}


def _labels(axes: Axes) -> Labels:
    there = next((artist for artist in axes.artists if isinstance(artist, Labels)), None)
    if there is None:
        there = Labels()
        axes.add_artist(there)
    return there


def beside(axes: Axes, right: float, up: float) -> Transform:
    """For labels wanted so many points to the right of and above a place in the data."""
    return axes.transData + ScaledTranslation(right / 72, up / 72, axes.figure.dpi_scale_trans)


class Fitted(Text):
    """The first of several wordings that fits between two places on the x axis, or nothing."""

    def __init__(self, start: float, stop: float, y: float, wordings: Sequence[str], **style: Any):
        super().__init__((start + stop) / 2, y, wordings[0], ha="center", va="center", **style)
        self.span, self.wordings = (start, stop), tuple(wordings)

    def draw(self, renderer: Any) -> None:
        (left, _), (right, _) = self.get_transform().transform([(x, 0) for x in self.span])
        room = abs(right - left) - 3 * ink.pixels(self)
        for wording in (*self.wordings, ""):
            self.set_text(wording)
            if not wording or self.get_window_extent().width <= room:
                break
        super().draw(renderer)


def inside(axes: Axes, start: float, stop: float, y: float, wordings: Sequence[str], color: str,
           **style: Any) -> None:
    """Write into a bar from `start` to `stop` (data) the first of `wordings` that it has room for."""
    text = Fitted(start, stop, y, wordings, color=color, **({"fontsize": 8} | style))
    axes.add_artist(text)
    text.set_clip_path(axes.patch)


def _spread(axes: Axes, texts: list[Text]) -> None:
    """Move labels of line ends up and down until none is on another, as little as can be, within the axes."""
    point = ink.pixels(axes)
    ends = []
    for text in texts:
        text.set_transform(axes.transData + Affine2D().translate(4 * point, 0))
        ends.append((float(np.mean([ink.box(text).y0, ink.box(text).y1])), ink.box(text).height + 1.5 * point))
    order = sorted(range(len(texts)), key=lambda i: ends[i][0])
    wanted, heights = [ends[i][0] for i in order], [ends[i][1] for i in order]
    up = _stack(wanted, heights, -np.inf)
    down = [-y for y in _stack([-y for y in wanted[::-1]], heights[::-1], -np.inf)[::-1]]
    found = _stack([(y + other) / 2 for y, other in zip(up, down, strict=True)], heights, axes.bbox.y0)
    found = [-y for y in _stack([-y for y in found[::-1]], heights[::-1], -axes.bbox.y1)[::-1]]
    for i, y in zip(order, found, strict=True):
        texts[i].set_transform(texts[i].get_transform() + Affine2D().translate(0, y - ends[i][0]))


def _stack(wanted: list[float], heights: list[float], low: float) -> list[float]:
    """The heights wanted, in rising order, each moved up until it is clear of `low` and of the one before."""
    found: list[float] = []
    for y, height in zip(wanted, heights, strict=True):
        found.append(max(y, low + height / 2))
        low = found[-1] + height / 2
    return found


def _place(axes: Axes, wanted: list[tuple[Text, Transform]], ends: list[Text]) -> None:
    marks = list(ink.marks(axes))
    ground = ink.Ground(axes, (mark for mark in marks if mark.solid),
                        (ink.box(text) for text in (*axes.texts, *ends) if text.get_visible() and text.get_text()))
    for text, transform in wanted:
        text.set_transform(transform)
        if not text.get_text() or not np.isfinite(transform.transform(text.get_position())).all():
            text.set_visible(False)
            continue
        place = np.asarray(ink.box(text).extents)
        own = [mark for mark in marks if mark.solid and mark.color == ink.hex_color(text.get_color())]
        shift = _best(ground, axes, text, place, own)
        text.set_transform(transform + Affine2D().translate(*shift))
        ground.texts.append(place + np.tile(shift, 2))


def _best(ground: ink.Ground, axes: Axes, text: Text, place: ink.Points, own: list[ink.Mark]) -> ink.Points:
    """How far to move a label from where it was wanted, in pixels: as little as possible, beside its own mark if any.

    If nowhere is free, to where it covers least.
    """
    point, frame = ink.pixels(axes), axes.bbox if text.get_clip_on() else axes.figure.bbox
    into = _into(place, np.asarray(frame.extents), 1.5 * point)
    best, least = into, np.inf
    for shifts in (lambda: into[None], lambda: _along(place, own, point), lambda: into + RING * point):
        tried = shifts()
        if not len(tried):
            continue
        boxes = place + np.hstack([tried, tried])
        outside = ~((boxes[:, :2] >= frame.min) & (boxes[:, 2:] <= frame.max)).all(axis=1)
        taken = ground.taken(boxes + ROOM * point) + 1e5 * outside
        at = int(np.argmin(1e4 * taken + np.hypot(*(tried - into).T)))
        if taken[at] < least:
            best, least = tried[at], taken[at]
        if not least:
            break
    return best


def _into(place: ink.Points, frame: ink.Points, edge: float) -> ink.Points:
    """The shift that brings a box into a frame."""
    low, high = place[:2] - frame[:2] - edge, frame[2:] - edge - place[2:]
    return np.where(low < 0, -low, np.where(high < 0, high, 0.0))


def _along(place: ink.Points, own: list[ink.Mark], point: float) -> ink.Points:
    """Shifts that bring a box beside its own mark: at places along it, on eight sides, near and a little further."""
    if not own:
        return np.empty((0, 2))
    points = np.concatenate([mark.points for mark in own])
    points = points[:: max(1, len(points) // 50)]
    half, middle = (place[2:] - place[:2]) / 2, (place[2:] + place[:2]) / 2
    reach = max(max(mark.width / 2, mark.radius) for mark in own)
    steps = np.concatenate([SIDES * (half + reach + (PAD + gap) * point) for gap in GAPS])
    return np.asarray((points[:, None, :] + steps[None, :, :] - middle).reshape(-1, 2))
