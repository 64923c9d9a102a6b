"""A progress bar for whatever takes more than two seconds, and none where outputs are compared."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from tqdm.auto import tqdm

Item = TypeVar("Item")


def silent() -> bool:
    """Whether bars are off: under pytest and nbval, and with LABKIT_PROGRESS=off."""
    return "PYTEST_CURRENT_TEST" in os.environ or os.environ.get("LABKIT_PROGRESS") == "off"


def progress(items: Iterable[Item] | Sequence[Item], what: str = "", total: int | None = None) -> Iterator[Item]:
    """Iterate with a progress bar that appears only if it takes more than two seconds.

    Under pytest (nbval), or with LABKIT_PROGRESS=off, there is none: outputs must not depend on speed.
    total: how many there will be, for an iterator that does not know.
    """
    yield from tqdm(items, desc=what, total=total, delay=2, leave=False, disable=silent())


@contextlib.contextmanager
def bar(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A progress bar for work that is no loop: call what this yields with the number of units done since.

    It appears after two seconds and is silent where `progress` is.
    """
    with tqdm(desc=what, total=total, unit=f" {unit}", delay=2, leave=False, disable=silent()) as shown:
        def step(units: int) -> None:
            shown.update(units)

        yield step
        shown.n = shown.total               # it is over: a bar that stops short would look like a failure
