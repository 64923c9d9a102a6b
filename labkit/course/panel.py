"""The panel: a few controls, one picture, one line of numbers. The instrument of every experiment in the course."""

from __future__ import annotations

import base64
import html
import sys
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from labkit.course import figures
from labkit.course.controls import Control, Seed, choice, slider, toggle
from labkit.course.stage import Stage

__all__ = ["Panel", "Snapshot", "choice", "slider", "toggle"]

# A browser decodes a new picture when it finds the time; until then there would be a hole where the old one was.
# So each picture arrives in one element and, once it can be painted, moves itself over what is shown in another,
# which the kernel never touches. Where scripts in a page are forbidden it stays where it arrived.
ARRIVED = "this.closest('.labkit-stage')?.querySelector('.labkit-shown')?.replaceChildren(this)"
SHOWN = """<style>
.labkit-panel {container-type: inline-size}
.labkit-panel:has([role=alert]) .labkit-stage {opacity: 0.4}
.labkit-stage .widget-html, .labkit-stage .widget-html-content {margin: 0; line-height: 0}
.labkit-stage img {display: block; max-width: 100%; height: auto; border-radius: 10px}
@container (max-width: 640px) {  /* slider and curve on one screen */
  .labkit-controls > * {flex: 1 1 225px; width: auto !important; max-width: 370px}
  .labkit-controls .widget-label {width: 95px !important; height: auto; line-height: 1.1; white-space: normal}
  .labkit-controls .widget-readout {min-width: 40px; margin: 0}
}
</style><div class="labkit-shown"></div>"""


class Snapshot(figures.Picture):
    """What a panel would show at other values: the picture, the line of text, and the `result` behind them."""

    def __init__(self, picture: figures.Picture, result: Any):
        super().__init__(picture.figure, picture.text)
        self.result = result


class Panel:
    """Controls beside a picture that follows them. Your own takes five lines:

    >>> import numpy as np
    >>> panel = Panel(lambda rate, seed: np.random.default_rng(seed).poisson(rate, 60),
    ...               lambda axes, counts: axes.plot(counts),
    ...               lambda counts: f"{counts.mean():.1f} requests/s over 60 s",
    ...               rate=slider(20, 1, 100, unit="1/s"))
    >>> panel.set(rate=50)
    50.1 requests/s over 60 s

    simulate(**values, seed) -> result must be pure: the same values, the same result. draw(axes, result) draws
    into axes emptied of data (limits and labels stay, so set them the same way every time). summary(result) -> str
    says in one line, with numbers, what is to be seen: it is the text under the picture, its alternative text, and
    what nbval compares. controls: `slider`, `choice`, `toggle` by the name of the argument they set. presets:
    name -> values, shown as buttons. seed: the first seed, or None if nothing is random (`simulate` then gets no
    seed). axes, size: as in `figures.canvas`.

    `panel.set(rate=50)` moves it from code, `panel.values` and `panel.result` tell where it stands; `panel.at(rate=50)`
    looks without moving it. What goes wrong in `simulate` or `draw` is shown in the panel, and raised by `set`; the
    last result stays valid.
    """

    def __init__(self, simulate: Callable[..., Any], draw: Callable[[Any, Any], Any], summary: Callable[[Any], str], *,
                 presets: Mapping[str, Mapping[str, Any]] | None = None, seed: int | None = 1,
                 axes: int | tuple[int, int] = 1, size: tuple[float, float] = (7.6, 3.2), **controls: Control):
        self._simulate, self._draw, self._summary = simulate, draw, summary
        self.controls: dict[str, Control] = dict(controls)
        if seed is not None:
            self.controls["seed"] = Seed(seed)
        self.presets = {name: dict(values) for name, values in (presets or {}).items()}
        for values in self.presets.values():
            self._check(values)
        self.shape: tuple[tuple[float, float], int | tuple[int, int]] = (size, axes)
        self.figure, self.axes = figures.canvas(size, axes)
        self._stage, self._encoder = Stage(self.figure), figures.Encoder()
        self.result: Any = None
        self.text = ""
        self._quiet = False
        self._build()
        self._refresh()

    # ------------------------------------------------------------------------------------------ from code
    @property
    def values(self) -> dict[str, Any]:
        """Where each control stands."""
        return {name: widget.value for name, widget in self._widgets.items()}

    def set(self, **values: Any) -> Panel:
        """Move controls, all at once; ValueError names a wrong one and its range, and then nothing moves."""
        self._check(values)
        self._move(values)
        self._refresh()
        return self

    def reset(self) -> Panel:
        """Back to where it started."""
        return self.set(**{name: control.value for name, control in self.controls.items()})

    def at(self, **values: Any) -> Snapshot:
        """What it would show with these controls moved; the panel itself stays as the text above it describes it."""
        self._check(values)
        result = self._simulate(**(self.values | values))

        def draw(axes: Any) -> str:
            self._draw(axes, result)
            return self._summary(result)

        size, axes = self.shape
        return Snapshot(figures.picture(draw, size=size, axes=axes), result)

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {"text/plain": self.text, "application/vnd.jupyter.widget-view+json": view}

    def _repr_png_(self) -> tuple[bytes, dict[str, int]] | None:
        if "google.colab" in sys.modules:           # Colab might show the picture in place of the panel
            return None
        return figures.encode(self.figure), figures.shown_size(self.figure)

    # ------------------------------------------------------------------------------------------ inside
    def _check(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if name not in self.controls:
                raise ValueError(f"{name}: no such control; this panel has {', '.join(self.controls)}")
            self.controls[name].check(name, value)

    def _build(self) -> None:
        self._widgets = {name: control.widget(name) for name, control in self.controls.items()}
        for widget in self._widgets.values():
            widget.observe(self._moved, names="value")
        self._picture = widgets.HTML(layout=widgets.Layout(grid_area="1 / 1"))
        shown = widgets.HTML(SHOWN, layout=widgets.Layout(grid_area="1 / 1"))
        self._words = widgets.HTML()
        self._buttons = {name: widgets.Button(description=name, layout=widgets.Layout(width="auto"))
                         for name in [*self.presets, "reset"]}
        for name, button in self._buttons.items():
            button.on_click(self._press(name))
        rows = widgets.Layout(display="flex", flex_flow="row wrap", align_items="center")
        stage = widgets.GridBox([shown, self._picture])
        stage.add_class("labkit-stage")
        controls = widgets.Box(list(self._widgets.values()), layout=rows)
        controls.add_class("labkit-controls")
        self.box = widgets.VBox([widgets.Box(list(self._buttons.values()), layout=rows), controls, stage, self._words])
        self.box.add_class("labkit-panel")

    def _press(self, name: str) -> Callable[[Any], None]:
        start = {key: control.value for key, control in self.controls.items()}
        goal = start | self.presets.get(name, {})
        return lambda _button: self._show(goal)

    def _move(self, values: Mapping[str, Any]) -> None:
        self._quiet = True                  # one picture for all the moves
        try:
            for name, value in values.items():
                self._widgets[name].value = value
        finally:
            self._quiet = False

    def _moved(self, change: object) -> None:
        if not self._quiet:
            self._show({})

    def _show(self, values: Mapping[str, Any]) -> None:
        """What a click or a drag does: a failure is shown, and raised only to code."""
        self._move(values)
        try:
            self._refresh()
        except Exception:       # _refresh has put it in the panel; in a callback there is nobody to raise it to
            return

    def _refresh(self) -> None:
        try:
            result = self._simulate(**self.values)
            text = self._summary(result)
            self._stage.play(lambda: self._draw(self.axes, result))
        except Exception as error:
            self._words.value = ('<div role="alert" style="color:#D55E00;padding:8px;border:1px solid #D55E00">'
                                 f"This setting could not be shown. {html.escape(type(error).__name__)}: "
                                 f"{html.escape(str(error))}</div>")
            raise
        self.result, self.text = result, text
        image = base64.b64encode(self._encoder.png(self.figure)).decode()
        size = figures.shown_size(self.figure)
        self._picture.value = (
            f'<img width="{size["width"]}" height="{size["height"]}" decoding="sync" alt="{html.escape(text)}" '
            f'onload="{ARRIVED}" src="data:image/png;base64,{image}">')
        self._words.value = ('<div style="font-family:monospace;line-height:1.4;white-space:pre-wrap">'
                             f"{html.escape(text)}</div>")
