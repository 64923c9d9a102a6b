"""One LLM engine for all notebooks of a session: vLLM on the GPU, vLLM on the CPU, or the twin, behind one address.

    e = engine.start()                  # kept until you stop it, or nobody has used it for ten minutes
    with engine.running() as e: ...     # gone at the end of the block, unless another notebook still uses it

Two processes that ask for the same settings get the same engine. It listens on 127.0.0.1 only, speaks the OpenAI
protocol under `base_url`, and never outlives its users: see `keeper`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from labkit import machine
from labkit.inference.engine import install, keeper, launch, places
from labkit.inference.engine.install import EngineError
from labkit.inference.engine.launch import KINDS, Settings
from labkit.loopback import free_port
from labkit.progress import bar
from labkit.wire.scrape import Metrics

__all__ = ["Engine", "EngineError", "Metrics", "Settings", "running", "start", "stop_all"]

IDLE = 600.0                # seconds without a user after which an engine ends
PATIENCE = 240.0            # seconds a start may take; 15 on a quiet machine
USUAL = {"vllm-gpu": 60, "vllm-cpu": 15, "twin": 1}


class Engine:
    """A running engine and our share in it.

    base_url: of the OpenAI protocol, ending in /v1. kind: "vllm-gpu", "vllm-cpu" or "twin". model: its name for
    clients. settings: what was asked for. banner: what was installed, or why this is only the twin. seconds: how long
    the start took, 0 if it was running.
    """

    def __init__(self, settings: Settings, folder: Path, state: dict[str, Any], share: IO[bytes], seconds: float,
                 banner: str):
        self.settings, self.seconds, self.banner = settings, seconds, banner
        self.kind, self.model = settings.kind, settings.name
        self.port, self.pid, self.keeper = state["port"], state["engine"], state["keeper"]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._folder, self._share = folder, share

    def __repr__(self) -> str:
        took = f"started in {self.seconds:.0f} s" if self.seconds else "was running already"
        text = f"{self.kind}: {self.model} at {self.base_url} ({self.settings.dtype}), {took}"
        return f"{self.banner}\n{text}" if self.banner else text

    def healthy(self, timeout: float = 2.0) -> bool:
        """Whether it answers within `timeout` seconds."""
        return keeper.healthy(self.port, timeout)

    def metrics(self) -> Metrics:
        """Its metrics now; EngineError if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
                return Metrics(answer.read().decode())
        except OSError as error:
            raise EngineError(f"{self.kind} at {self.base_url} does not answer: {error}; engine.start() starts a new "
                              "one") from None

    def log(self, lines: int = 10) -> str:
        """The last `lines` it printed."""
        for file in (self._folder / "program" / "log", self._folder / "last.log"):
            if file.exists():
                return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def release(self) -> None:
        """We no longer use it; it stays for others, and for a while."""
        self._share.close()

    def stop(self) -> None:
        """End it now, for everybody."""
        self.release()
        _end(self._folder)


def start(kind: str = "auto", **settings: Any) -> Engine:
    """An engine with these settings: the one that runs, or a new one.

    kind: "auto" is vLLM on the GPU if there is one, else vLLM on the CPU, else the twin with a banner that says why;
    the variable LABKIT_ENGINE overrules "auto". settings: as in `Settings`, which also gives the defaults.
    Installs vLLM first if need be. Raises EngineError, in one line, if a kind asked for by name cannot be had;
    ValueError for a bad setting.
    """
    if kind == "auto":
        kind = os.environ.get("LABKIT_ENGINE") or "auto"
    if kind not in ("auto", *KINDS):
        raise ValueError(f"kind = {kind!r}: must be one of 'auto', " + ", ".join(map(repr, KINDS)))
    if kind != "auto":
        return _start(_settings(kind, settings), "")
    why = ""
    for best in ("vllm-gpu", "vllm-cpu") if machine.gpu() else ("vllm-cpu",):
        try:
            return _start(_settings(best, settings), f"No {kind}: {why}." if why else "")
        except EngineError as error:
            kind, why = best, f"{why}; {error}" if why else str(error)
    banner = (f"This is the TWIN, a simulation of vLLM: {why}.\nIts times follow a model measured on another machine "
              "and its text is made up. For the real engine: python -m labkit.inference.engine install")
    return _start(_settings("twin", settings), banner)


def _settings(kind: str, chosen: dict[str, Any]) -> Settings:
    """Settings with this kind's default arithmetic: exact on a CPU, what every GPU has on a GPU."""
    return Settings(kind=kind, **{"dtype": "float16" if kind == "vllm-gpu" else "float32", **chosen})


@contextlib.contextmanager
def running(kind: str = "auto", **settings: Any) -> Iterator[Engine]:
    """`start` for one block; at its end the engine stops, unless somebody else uses it."""
    engine = start(kind, **settings)
    try:
        yield engine
    finally:
        engine.release()
        if not keeper.users(engine._folder):
            engine.stop()


def stop_all() -> int:
    """End every engine of this user; how many there were."""
    folders = [file.parent for file in places.runs().glob("*/state.json") if places.held(file.parent / "keeper.lock")]
    for folder in folders:
        _end(folder)
    return len(folders)


def _start(settings: Settings, banner: str) -> Engine:
    if settings.kind != "twin":
        banner = "\n".join(filter(None, (banner, repr(install.install(settings.kind)))))
    folder = places.runs() / settings.key
    (folder / "users").mkdir(parents=True, exist_ok=True, mode=0o700)
    share = None
    while share is None:                                # the keeper may be looking at the file just made
        share = places.hold(folder / "users" / f"{os.getpid()}-{time.monotonic_ns()}")
    begun = time.monotonic()
    try:
        with places.alone(folder / "start.lock"):
            state = running_state(folder)
            if state and keeper.healthy(state["port"], 5.0):
                return Engine(settings, folder, state, share, 0.0, banner)
            _end(folder)                                # dead, or deaf
            state = _launch(settings, folder)
            return Engine(settings, folder, state, share, time.monotonic() - begun, banner)
    except BaseException:
        share.close()
        raise


def _launch(settings: Settings, folder: Path) -> dict[str, Any]:
    """Have a keeper start the engine and wait until it answers."""
    port = free_port()
    command, variables = launch.command(settings, port)
    (folder / "last.log").unlink(missing_ok=True)
    (folder / "spec.json").write_text(json.dumps(
        {"command": command, "variables": variables, "idle": float(os.environ.get("LABKIT_ENGINE_IDLE") or IDLE),
         "patience": PATIENCE, "shown": {"port": port, **asdict(settings)}}))
    path = os.pathsep.join(part for part in sys.path if part)
    process = subprocess.Popen([sys.executable, "-m", "labkit.inference.engine.keeper", str(folder)], cwd=folder,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True, env={**os.environ, "PYTHONPATH": path})
    try:
        with bar(f"starting {settings.kind}", USUAL[settings.kind], "s") as step:
            quarters = 0
            while True:                                 # the keeper has the patience, and ends when it is over
                if (state := running_state(folder)) and state["ready"]:
                    return state
                if process.poll() is not None:
                    raise EngineError(f"{settings.kind} {_reason(folder)}")
                time.sleep(0.25)
                quarters += 1
                step(quarters % 4 == 0)
    except BaseException:                               # Ctrl-C too: nothing half started stays
        process.terminate()
        process.wait(20)
        raise


def _reason(folder: Path) -> str:
    """Why an engine ended: what its keeper says, and the line of the log that says most."""
    log = folder / "last.log"
    text = log.read_text(errors="replace") if log.exists() else "did not start"
    why, *lines = [line for line in text.splitlines() if line.strip()]
    last = max((i for i, line in enumerate(lines) if "Error" in line), default=len(lines) - 1)
    # pydantic says what is wrong in the line after the one that says that something is
    said = " ".join(line.split(") ")[-1].strip() for line in lines[last:last + 3])[:500]
    return f"{why}: {said or 'it printed nothing'}"


def running_state(folder: Path) -> dict[str, Any] | None:
    """What the keeper of `folder` wrote when it started the engine; None if it is gone."""
    if not places.held(folder / "keeper.lock"):
        return None
    try:
        return dict(json.loads((folder / "state.json").read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _end(folder: Path) -> None:
    """Ask the keeper of `folder` to stop and wait until it is gone; by force if it does not listen."""
    for number, patience in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
        state = running_state(folder)
        if state is None and not places.held(folder / "keeper.lock"):
            return
        if state:
            with contextlib.suppress(ProcessLookupError):
                os.kill(state["keeper"], number)
        deadline = time.monotonic() + patience
        while places.held(folder / "keeper.lock") and time.monotonic() < deadline:
            time.sleep(0.05)
