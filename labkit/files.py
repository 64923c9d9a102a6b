"""Where the course's data files are: beside the notebooks in a clone, inside the package once installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data(name: str) -> Path:
    """Path of the file `name` in `data/`; FileNotFoundError names the places looked in."""
    places = [_PACKAGE.parent / "data" / name, _PACKAGE / "data" / name]
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(f"data file {name!r} is not in {' or '.join(str(p.parent) for p in places)}")
