"""Where the engine lives on disk, and the file locks by which processes agree on who does what."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def cache() -> Path:
    """Folder of all that is installed and run here: $LABKIT_CACHE, $XDG_CACHE_HOME/labkit or ~/.cache/labkit."""
    if chosen := os.environ.get("LABKIT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labkit"


def environment(name: str) -> Path:
    """Folder of the virtual environment for the platform `name` (as in gpu_setup/requirements-NAME.txt)."""
    return cache() / f"vllm-{name}"


def models() -> Path:
    """Folder of the converted and quantized models."""
    return cache() / "models"


def runs() -> Path:
    """Folder of the engines that are running, one folder each."""
    return cache() / "run"


def hold(path: Path) -> IO[bytes] | None:
    """Lock the file `path` until what is returned is closed or this process dies, however; None if another has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:        # else it was removed while we locked it
                return file
        file.close()


def held(path: Path) -> bool:
    """Whether a living process holds the lock `path`."""
    if not path.exists():
        return False
    file = hold(path)
    if file is None:
        return True
    file.close()
    return False


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time in this block; the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
