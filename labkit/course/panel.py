"""The panel: a few controls, one picture, one line of numbers. The instrument of every experiment in the course."""

from __future__ import annotations

import base64
import gc
import html
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from labkit import ranges
from labkit.course import figures


@dataclass(frozen=True)
class Slider:
    """A number in [low, high] in steps of `step`; whole if value, low and step are. Made by `slider`."""

    value: float
    low: float
    high: float
    step: float
    label: str
    unit: str

    @property
    def whole(self) -> bool:
        return all(isinstance(x, int) for x in (self.value, self.low, self.high, self.step))

    def check(self, name: str, value: Any) -> None:
        if self.whole:
            ranges.whole(name, value, int(self.low), self.high)
        else:
            ranges.number(name, value, self.low, self.high)

    def widget(self, name: str) -> Any:
        kind = widgets.IntSlider if self.whole else widgets.FloatSlider
        digits = 0 if self.whole else max(0, len(f"{self.step:g}".partition(".")[2]))
        return kind(value=self.value, min=self.low, max=self.high, step=self.step, readout_format=f".{digits}f"
                    if not self.whole else "d", **_look(self.label or name, self.unit))

    def extremes(self) -> list[Any]:
        return [self.low, self.high]


@dataclass(frozen=True)
class Choice:
    """One of a few named options. Made by `choice`."""

    value: str
    options: tuple[str, ...]
    label: str

    def check(self, name: str, value: Any) -> None:
        ranges.one_of(name, value, self.options)

    def widget(self, name: str) -> Any:
        return widgets.Dropdown(value=self.value, options=list(self.options), **_look(self.label or name, ""))

    def extremes(self) -> list[Any]:
        return list(self.options)


@dataclass(frozen=True)
class Toggle:
    """On or off. Made by `toggle`."""

    value: bool
    label: str

    def check(self, name: str, value: Any) -> None:
        ranges.instance(name, value, bool)

    def widget(self, name: str) -> Any:
        return widgets.Checkbox(value=self.value, indent=False, description=self.label or name.replace("_", " "),
                                layout=widgets.Layout(width="330px"))

    def extremes(self) -> list[Any]:
        return [False, True]


Control = Slider | Choice | Toggle


def _look(name: str, unit: str) -> dict[str, Any]:
    text = name.replace("_", " ") + (f" ({unit})" if unit else "")
    return {"description": text, "style": {"description_width": "150px"}, "layout": widgets.Layout(width="370px")}


def slider(value: float, low: float, high: float, step: float = 1, label: str = "", unit: str = "") -> Slider:
    """A slider; all whole numbers make a whole-number slider."""
    control = Slider(value, low, high, step, label, unit)
    control.check("slider", value)
    return control


def choice(value: str, options: Sequence[str], label: str = "") -> Choice:
    """A drop-down list."""
    control = Choice(value, tuple(options), label)
    control.check("choice", value)
    return control


def toggle(value: bool, label: str = "") -> Toggle:
    """A check box."""
    return Toggle(value, label)


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

    `panel.set(rate=50)` moves it from code, `panel.values` and `panel.result` tell where it stands. What goes wrong
    in `simulate` or `draw` is shown in the panel, and raised by `set`; the last result stays valid.
    """

    def __init__(self, simulate: Callable[..., Any], draw: Callable[[Any, Any], Any], summary: Callable[[Any], str], *,
                 presets: Mapping[str, Mapping[str, Any]] | None = None, seed: int | None = 1,
                 axes: int | tuple[int, int] = 1, size: tuple[float, float] = (7.6, 3.2), **controls: Control):
        self._simulate, self._draw, self._summary = simulate, draw, summary
        self.controls: dict[str, Control] = dict(controls)
        if seed is not None:
            self.controls["seed"] = Slider(seed, 1, max(20, seed), 1, "seed", "")
        self.presets = {name: dict(values) for name, values in (presets or {}).items()}
        for values in self.presets.values():
            self._check(values)
        self.figure, self.axes = figures.canvas(size, axes)
        self._stage = figures.Stage(self.figure)
        self.result: Any = None
        self.text = ""
        self._quiet = False
        self._build()
        self._refresh()
        # what is loaded by now stays: scanning it all again for garbage would be felt as a 0.1 s stop of a slider
        gc.collect()
        gc.freeze()

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

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        bundle = {"text/plain": self.text, "application/vnd.jupyter.widget-view+json": view}
        if "google.colab" not in sys.modules:       # Colab might show the picture in place of the panel
            bundle["image/png"] = base64.b64encode(figures.encode(self.figure, small=True)).decode()
        return bundle

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
        self._picture = widgets.HTML()
        self._buttons = {name: widgets.Button(description=name, layout=widgets.Layout(width="auto"))
                         for name in [*self.presets, "reset"]}
        for name, button in self._buttons.items():
            button.on_click(self._press(name))
        rows = widgets.Layout(display="flex", flex_flow="row wrap", align_items="center")
        self.box = widgets.VBox([widgets.Box(list(self._buttons.values()), layout=rows),
                                 widgets.Box(list(self._widgets.values()), layout=rows), self._picture])

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
            self._stage.play(lambda: self._draw(self.axes, result))
            text = self._summary(result)
        except Exception as error:
            self._picture.value = (f'<div role="alert" style="color:#D55E00;padding:8px;border:1px solid #D55E00">'
                                   f"This setting could not be shown. {html.escape(type(error).__name__)}: "
                                   f"{html.escape(str(error))}</div>")
            raise
        self.result, self.text = result, text
        image = base64.b64encode(figures.encode(self.figure)).decode()
        width, height = (int(x) for x in self.figure.get_size_inches() * self.figure.dpi)
        self._picture.value = (
            f'<img width="{width}" height="{height}" decoding="sync" alt="{html.escape(text)}" '
            f'style="max-width:100%;height:auto" src="data:image/png;base64,{image}">'
            f'<div style="font-family:monospace;line-height:1.4;white-space:pre-wrap">{html.escape(text)}</div>')
