"""Where the course's files are: beside the notebooks in a clone, inside the package once installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data(name: str) -> Path:
    """Path of the file `name` in `data/`; FileNotFoundError names the places looked in."""
    return _find("data", name)


def gpu_setup(name: str) -> Path:
    """Path of the file `name` in `gpu_setup/`; FileNotFoundError names the places looked in."""
    return _find("gpu_setup", name)


def _find(folder: str, name: str) -> Path:
    places = [_PACKAGE.parent / folder / name, _PACKAGE / folder / name]
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(f"{folder} file {name!r} is not in {' or '.join(str(p.parent) for p in places)}")
