"""Drawing the same figure again and again, as fast as a slider moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from labkit.course.figures import house_style


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


def _ticks(axis: Axis) -> tuple[object, ...]:
    """The ticks as they will be seen. Their locators tell nothing: setting a scale, to what it was, makes new ones."""
    places = axis.get_majorticklocs()
    texts = axis.get_major_formatter().format_ticks(list(places))
    return tuple(places), tuple(texts), tuple(axis.get_minorticklocs())
