"""Where the engine lives on disk, and the file locks by which processes agree on who does what."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


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


def hold(path: Path) -> int | None:
    """Lock the file `path` until the descriptor is closed or this process dies, however; None if another has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(file).st_ino:       # else it was removed while we were locking it
                return file
        os.close(file)


def held(path: Path) -> bool:
    """Whether a living process holds the lock `path`."""
    if not path.exists():
        return False
    file = hold(path)
    if file is None:
        return True
    os.close(file)
    return False


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time in this block; the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
