"""One way to refuse a bad parameter: name the field, the value and the allowed range."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any


def _refuse(field: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"{field} = {value!r}: must be {allowed}")


def number(field: str, value: Any, low: float, high: float = math.inf, *,
           above: bool = False, infinite: bool = False) -> None:
    """Accept a real number in [low, high]; `above` excludes `low`, `infinite` admits inf.

    >>> number("Clients.timeout", 0, 0, above=True)
    Traceback (most recent call last):
    ValueError: Clients.timeout = 0: must be a number > 0
    """
    if type(value) in (float, int) and low < value <= high and value != math.inf:
        return                          # the usual case: asking an abstract class and writing the range cost more
    allowed = f"a number {'>' if above else '>='} {low:g}" + (f" and <= {high:g}" if high < math.inf else "")
    if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
        raise _refuse(field, value, allowed)
    size = float(value)
    if math.isinf(size) and not infinite:
        raise _refuse(field, value, allowed + ", finite")
    if size < low or size > high or (above and size == low):
        raise _refuse(field, value, allowed)


def whole(field: str, value: Any, low: int, high: float = math.inf, *, infinite: bool = False) -> None:
    """Accept a whole number in [low, high]; `infinite` admits inf as "without limit".

    >>> whole("Service.workers", 2.5, 1)
    Traceback (most recent call last):
    ValueError: Service.workers = 2.5: must be a whole number >= 1
    """
    if type(value) is int and low <= value <= high:
        return
    allowed = f"a whole number >= {low}" + (f" and <= {high:g}" if high < math.inf else "")
    if infinite:
        if isinstance(value, float) and value == math.inf:
            return
        allowed += ", or inf"
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise _refuse(field, value, allowed)


def one_of(field: str, value: Any, options: Collection[Any]) -> None:
    """Accept one of a few named options.

    >>> one_of("Service.drop", "late", ["never", "expired"])
    Traceback (most recent call last):
    ValueError: Service.drop = 'late': must be one of 'never', 'expired'
    """
    if not isinstance(value, str) or value not in options:
        raise _refuse(field, value, "one of " + ", ".join(repr(option) for option in options))


def instance(field: str, value: Any, kinds: type | tuple[type, ...]) -> None:
    """Accept an instance of the given classes.

    >>> instance("Clients.budget", 0.1, (str,))
    Traceback (most recent call last):
    ValueError: Clients.budget = 0.1: must be of type str
    """
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, kinds):
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise _refuse(field, value, f"of type {names}")
