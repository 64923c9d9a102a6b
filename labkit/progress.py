"""A progress bar for whatever takes more than two seconds, and none where outputs are compared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from tqdm.auto import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item] | Sequence[Item], what: str = "", total: int | None = None) -> Iterator[Item]:
    """Iterate with a progress bar that appears only if it takes more than two seconds.

    Under pytest (nbval), or with LABKIT_PROGRESS=off, there is none: outputs must not depend on speed.
    total: how many there will be, for an iterator that does not know.
    """
    silent = "PYTEST_CURRENT_TEST" in os.environ or os.environ.get("LABKIT_PROGRESS") == "off"
    yield from tqdm(items, desc=what, total=total, delay=2, leave=False, disable=silent)
