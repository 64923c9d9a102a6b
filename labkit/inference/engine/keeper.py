"""The process that owns one engine: it ends with its last user, on request, or when the engine dies.

    python -m labkit.inference.engine.keeper FOLDER

FOLDER holds `spec.json` (what to start) and, while the keeper lives, a locked `keeper.lock`, `state.json` and
`users/`: one locked file per process that uses the engine. A lock goes with its process, so a killed notebook frees it.
Should the keeper itself be killed, the pipe to the engine's guard breaks and the engine ends too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import IO, Any

from labkit.inference.engine import places
from labkit.loopback import Program, ProgramError

WATCH = 0.25                # seconds between two looks


def users(folder: Path) -> int:
    """How many living processes use the engine of `folder`; files of dead ones are removed."""
    living = 0
    for file in (folder / "users").glob("*"):
        lock = places.hold(file)
        if lock is None:
            living += 1
        else:
            file.unlink(missing_ok=True)        # under the lock: who is about to take this file sees that it is gone
            lock.close()
    return living


def _own(file: Path) -> IO[bytes]:
    """The lock that says this keeper lives; somebody may just be looking whether it is held, so ask again."""
    for _ in range(20):
        if (lock := places.hold(file)) is not None:
            return lock
        time.sleep(0.05)
    raise SystemExit(f"{file.parent}: another keeper is at work")


def keep(folder: Path) -> None:
    """Start the engine of `folder` and watch over it until nobody needs it."""
    lock = _own(folder / "keeper.lock")
    spec = json.loads((folder / "spec.json").read_text())
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: asked.append(n))
    home = folder / "program"
    home.mkdir(exist_ok=True)
    # our own variables are not in the file: some of them are secrets
    variables = {name: value for name, value in {**os.environ, **spec["variables"]}.items() if value is not None}
    program = Program(spec["command"], home=home, end="TERM", environment=variables)
    why = "did not start"
    try:
        why = _watch(program, folder, spec, asked)
    finally:
        with contextlib.suppress(OSError):
            (folder / "last.log").write_text(f"{why}\n{program.output[-20_000:]}")
        (folder / "state.json").unlink(missing_ok=True)
        program.close()
        lock.close()                            # only now may the next keeper start


def _watch(program: Program, folder: Path, spec: dict[str, Any], asked: list[int]) -> str:
    """Say that the engine starts, and that it is ready, and wait until nobody needs it any more; why it is to end."""
    def say(ready: bool) -> None:
        (folder / "state.json").write_text(json.dumps({"keeper": os.getpid(), "engine": program.process.pid,
                                                       "ready": ready, **spec["shown"]}))

    port, patience = spec["shown"]["port"], spec["patience"]
    say(False)
    try:
        program.wait_until(lambda it: asked or healthy(port, 1.0), patience)
    except ProgramError:
        return "did not start" if program.process.poll() is not None else f"did not answer within {patience:g} s"
    say(True)
    last_used = time.monotonic()
    while not asked:
        if program.process.poll() is not None:
            return "ended"
        if users(folder):
            last_used = time.monotonic()
        elif time.monotonic() - last_used > spec["idle"]:
            return "was not used any more"
        time.sleep(WATCH)
    return "was asked to stop"


def healthy(port: int, timeout: float) -> bool:
    """Whether the engine at `port` answers within `timeout` s."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=timeout) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
