"""What a panel can be asked: numbers on a slider, named options, on and off, and the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from labkit import ranges

MAX_SEED = 2**53 - 1            # the largest whole number that a browser keeps exact


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
                                layout=widgets.Layout(width="auto"))

    def extremes(self) -> list[Any]:
        return [False, True]


@dataclass(frozen=True)
class Seed:
    """Any whole number from 0: a box to type into, so that a class of thirty sees thirty different runs."""

    value: int

    def check(self, name: str, value: Any) -> None:
        ranges.whole(name, value, 0, MAX_SEED)

    def widget(self, name: str) -> Any:
        return widgets.BoundedIntText(value=self.value, min=0, max=MAX_SEED, description=name,
                                      style={"description_width": "initial"}, layout=widgets.Layout(width="150px"))

    def extremes(self) -> list[Any]:
        return [0, MAX_SEED]


Control = Slider | Choice | Toggle | Seed


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
