"""The picture contract: what makes a drawing unreadable, found in the artists of a figure that was drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from labkit.course import ink
from labkit.course.figures import house_style

TOUCH = 1.0         # points by which boxes of letters may run into each other
MOST = 0.1          # share of a series' points that may lie outside its axes
COLOUR_WORDS = re.compile(r"\b(blue|orange|green|red|black|grey|gray|pink|yellow|purple|brown|dark|light)\b", re.I)
# what a label of numbers must have: a unit in brackets, a share or a rate, or a noun that is counted
UNIT = re.compile(r"\(.+\)|%|percent|\$|share|chance|probability|\bP\(|\bper\b|\bof \d", re.I)
COUNTED = re.compile(r"\b(attempts?|requests?|retries|seeds?|replies|replicas?|callers?|messages?|rounds?|cases?|"
                     r"operations|tombstones|states|tokens?|bits?|stock|merges|likes|place|steps?|error)\b", re.I)


def faults(figure: Figure, series: bool = True) -> list[str]:
    """What is unreadable in a drawn figure, a sentence each; an empty list if it keeps the contract.

    Texts: none leaves the canvas or is cut at the edge of its axes, no two overlap, none lies on a line, dot or edge
    of a bar, none explains colours by their names. Axes: numbers have a label, with a unit where it is a quantity.
    With `series`: every line, set of dots and bar has its data inside the axes, and where an axes has several
    colours, each colour has a text that names it.
    """
    with house_style():         # an axis asked for its ticks chooses them anew, by the size of the letters
        return _faults(figure, series)


def _faults(figure: Figure, series: bool) -> list[str]:
    texts = {axes: list(_texts(axes)) for axes in figure.axes}
    own = [text for text in figure.texts if _shown(text)]           # a title of the whole figure is one of them
    everything = list(dict.fromkeys([*own, *(text for found in texts.values() for text in found)]))
    found = [*_off_canvas(figure, everything), *_overlapping(everything), *_colour_words(everything)]
    for axes in figure.axes:
        found += [*_struck(axes, texts[axes]), *_unlabelled(axes)]
        if series:
            found += [*_hidden(axes), *_nameless(axes, everything)]
    return found


# ------------------------------------------------------------------------------------------------ texts
def _texts(axes: Axes) -> Iterator[Text]:
    """The texts of an axes that are drawn; of the ticks only those within the limits."""
    for artist in axes.get_children():
        if isinstance(artist, Axis):
            found = [artist.label, artist.offsetText, *_tick_texts(artist)]
        else:
            found = [text for text in artist.findobj(Text) if isinstance(text, Text)]
        yield from (text for text in found if artist.get_visible() and _shown(text))


def _shown(text: Text) -> bool:
    if not text.get_visible() or not text.get_text().strip():
        return False
    if isinstance(text, Annotation) and text.axes is not None and text.xycoords == "data":
        # matplotlib leaves out an annotation whose point is outside the axes
        return bool(text.axes.bbox.padded(1).contains(*text.axes.transData.transform(text.xy)))
    return True


def _tick_texts(axis: Axis) -> list[Text]:
    scaled = axis.get_transform().transform
    low, high = sorted(scaled(np.asarray(axis.get_view_interval(), dtype=float)))
    axis.get_ticklabels(which="both")               # lets the axis bring its ticks up to date
    ticks = [tick for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()) if tick.label1.get_text()]
    places = scaled(np.array([tick.get_loc() for tick in ticks], dtype=float))
    edge = 1e-6 * (high - low)
    return [tick.label1 for tick, place in zip(ticks, places, strict=True) if low - edge <= place <= high + edge]


def _said(text: Text) -> str:
    return "“" + " ".join(text.get_text().split()) + "”"


def _off_canvas(figure: Figure, texts: list[Text]) -> Iterator[str]:
    canvas = figure.bbox.padded(0.5)
    for text in texts:
        place = ink.box(text)
        clipped = text.axes is not None and text.get_clip_on() and text.get_clip_box() is not None
        if clipped and text.axes is not None and not _within(place, text.axes.bbox.padded(1.0)):
            yield f"The text {_said(text)} is cut off at the edge of its axes."
        elif not _within(place, canvas):
            yield f"The text {_said(text)} leaves the canvas."


def _within(inner: Bbox, outer: Bbox) -> bool:
    return bool(inner.x0 >= outer.x0 and inner.y0 >= outer.y0 and inner.x1 <= outer.x1 and inner.y1 <= outer.y1)


def _overlapping(texts: list[Text]) -> Iterator[str]:
    places = [(text, ink.box(text)) for text in texts if text.get_rotation() % 90 == 0]
    for (one, first), (other, second) in combinations(places, 2):
        both = Bbox.intersection(first, second)
        if both is not None and min(both.width, both.height) > TOUCH * ink.pixels(one):
            yield f"The texts {_said(one)} and {_said(other)} overlap."


def _colour_words(texts: list[Text]) -> Iterator[str]:
    for text in texts:
        if word := COLOUR_WORDS.search(text.get_text()):
            yield f"The text {_said(text)} is a legend by colour words (“{word[0]}”)."


def _struck(axes: Axes, texts: list[Text]) -> Iterator[str]:
    """Labels on lines and dots, or across the edge of a bar."""
    point = ink.pixels(axes)
    marks = list(ink.marks(axes))
    inside = [text for text in texts if _on(text, axes)]
    for text in inside:
        place = ink.box(text).padded(-0.7 * point)
        # what lies under the dot or bar that the letters stand in is not seen
        under = max((mark.artist.get_zorder() for mark in marks if _holds(mark, place)), default=-1)
        for mark in (mark for mark in marks if mark.artist.get_zorder() >= under):
            if mark.areas:
                hit = mark.solid and any(_across(place, bar, point) for bar in _bars(mark))
            else:
                hit = _crosses(place, mark) and not _names_dot(place, mark)
            if hit:
                kind = "across the edge of a bar" if mark.areas else "on a line" if mark.strokes else "on dots"
                yield f"The text {_said(text)} lies {kind} of the colour {mark.color}."
                break


def _on(text: Text, axes: Axes) -> bool:
    """Whether a text stands among the data, not beside them."""
    return text not in (axes.xaxis.label, axes.yaxis.label) and axes.bbox.overlaps(ink.box(text)) and not any(
        text in _tick_texts(axis) for axis in (axes.xaxis, axes.yaxis))


def _bars(mark: ink.Mark) -> list[Bbox]:
    """The areas of a mark that are rectangles."""
    return [Bbox.from_extents(*area.min(axis=0), *area.max(axis=0)) for area in mark.areas if len(area) == 5]


def _holds(mark: ink.Mark, place: Bbox) -> bool:
    return _names_dot(place, mark) or mark.solid and any(_within(place, bar) for bar in _bars(mark))


def _across(place: Bbox, bar: Bbox, point: float) -> bool:
    both = Bbox.intersection(place, bar)
    if both is None or min(both.width, both.height) <= TOUCH * point:
        return False
    return not _within(place, bar.padded(TOUCH * point))


def _crosses(place: Bbox, mark: ink.Mark) -> bool:
    near = [points for stroke in mark.strokes for points in [ink._dense(stroke, 1.5)]]
    for points, reach in [(p, mark.width / 2) for p in near] + [(mark.dots, mark.radius)]:
        if len(points) and place.padded(reach).count_contains(points):
            return True
    return False


def _names_dot(place: Bbox, mark: ink.Mark) -> bool:
    """Whether the letters stand inside a dot, which they name."""
    if not len(mark.dots) or mark.strokes:
        return False
    middle = np.mean([place.min, place.max], axis=0)
    return bool(np.hypot(*(mark.dots - middle).T).min() < mark.radius and place.height < 2 * mark.radius)


# ------------------------------------------------------------------------------------------------ axes, series
def _unlabelled(axes: Axes) -> Iterator[str]:
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        numbers = [text.get_text() for text in _tick_texts(axis) if re.search(r"\d", text.get_text())]
        if not axis.get_visible() or not numbers or not all(re.fullmatch(r"[\d\s.,%$^{}\\mathdefault−×-]+", n)
                                                            for n in numbers):
            continue
        text = axis.label.get_text() or _shared(axes, name)
        if not text:
            yield f"The {name} axis has numbers ({numbers[0]} to {numbers[-1]}) and no label."
        elif not (UNIT.search(text) or COUNTED.search(text)):
            yield f"The label of the {name} axis, “{text}”, has no unit."


def _shared(axes: Axes, name: str) -> str:
    """The label of an axis of the same numbers in the same column (x) or row (y) of small multiples."""
    def place(one: Axes) -> object:
        spec = one.get_subplotspec()
        where = spec and (spec.colspan if name == "x" else spec.rowspan)
        return where and (where.start, where.stop, getattr(one, f"get_{name}lim")())

    assert axes.figure is not None
    alike = [getattr(one, f"get_{name}label")() for one in axes.figure.axes if place(one) and place(one) == place(axes)]
    return next(filter(None, alike), "")


def _hidden(axes: Axes) -> Iterator[str]:
    frame = axes.bbox.padded(1.0)
    for mark in ink.marks(axes):
        given = mark.dots
        if isinstance(mark.artist, Line2D):
            given = mark.artist.get_transform().transform(mark.artist.get_path().vertices)
            if not len(given):
                continue
            given = given[np.isfinite(given).all(axis=1)]
        inside = frame.count_contains(given) if len(given) else 0
        if not inside and not (len(mark.points) and frame.count_contains(mark.points)):
            yield f"{_series(mark)} lies outside the axes ({_limits(axes)}) or has no finite point."
        elif inside < (1 - MOST) * len(given) and len(given) > 2:
            yield f"{_series(mark)} has {1 - inside / len(given):.0%} of its points outside the axes ({_limits(axes)})."


def _series(mark: ink.Mark) -> str:
    lined = isinstance(mark.artist, Line2D) and mark.artist.get_linestyle() != "None"
    kind = "line" if mark.strokes or lined else "bar" if mark.areas else "set of dots"
    return f"A {kind} of the colour {mark.color}"


def _limits(axes: Axes) -> str:
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return f"x {left:g} to {right:g}, y {low:g} to {high:g}"


def _nameless(axes: Axes, texts: list[Text]) -> Iterator[str]:
    """Colours without a name, where an axes has several; bars and dots on lanes have their names at the axis."""
    lanes = any(re.search("[A-Za-z]", t.get_text()) for axis in (axes.xaxis, axes.yaxis) for t in _tick_texts(axis))
    drawn = {mark.color for mark in ink.marks(axes) if not ink.grey(mark.color)
             and (mark.strokes or not lanes and (mark.areas or len(mark.points) > 2))}
    named = {ink.hex_color(text.get_color()) for text in texts if text.get_color() != "none"}
    if len(drawn) > 1:
        for color in sorted(drawn - named):
            yield f"Nothing names the series of the colour {color}, one of {len(drawn)} in its axes."
