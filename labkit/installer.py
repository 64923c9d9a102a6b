"""Install packages beside the interpreter that runs this: with uv where it can be had, otherwise with pip.

Standard library only, because `make lab` runs it before anything is installed:
`.venv/bin/python -P labkit/installer.py pip -e '.[lab]'`. The card of `course.extra` uses the same function.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

Say = Callable[[str], None]
# Compiling every installed module takes longer, and 120 MB more, than compiling the used ones on first import.
PIP = [sys.executable, "-m", "pip", "install", "--no-compile", "--disable-pip-version-check", "--progress-bar", "off"]


class InstallError(RuntimeError):
    """No tool could install what was asked; the message is the last line of each one tried."""


def uv() -> str:
    """Path of the uv command on the PATH or beside this interpreter, "" if there is none."""
    return shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent)) or ""


def install(requirements: Sequence[str], say: Say) -> str:
    """Install `requirements` for this interpreter and return the name of the tool that did it.

    requirements: what pip takes after `install`, as in ["polars>=1.10"] or ["-e", ".[lab]"].
    say: is handed each line the tool prints, for a progress display.
    Raises InstallError where neither uv nor pip could do it.
    """
    reasons = []
    if uv():
        done, last = _run([uv(), "pip", "install", "--python", sys.executable, *requirements], say)
        if done:
            return "uv"
        reasons.append(f"uv: {last}")
    if bring_pip(say):
        done, last = _run([*PIP, *requirements], say)
        if done:
            return "pip"
        reasons.append(f"pip: {last}")
    raise InstallError("; ".join(reasons) or "neither uv nor pip is installed for this interpreter")


def bring_pip(say: Say) -> bool:
    """See that this interpreter has a pip, from the wheel that Python carries if need be; whether it has."""
    return bool(importlib.util.find_spec("pip")) or _run([sys.executable, "-m", "ensurepip"], say)[0]


def bring_uv(say: Say) -> bool:
    """Put uv (one wheel, 22 MB to fetch) beside this interpreter, by the pip that Python carries; whether it worked."""
    if not (bring_pip(say) and _run([*PIP, "uv"], say)[0]):
        return False
    # Python 3.11 still carries setuptools as well: 10 MB that nothing here uses
    _run([uv(), "pip", "uninstall", "--python", sys.executable, "setuptools"], say)
    return True


def _run(command: Sequence[str], say: Say) -> tuple[bool, str]:
    """Run `command`; whether it succeeded, and the last line it printed that says something.

    pip's last line offline is about a package that does not exist: what it said before is added.
    """
    lines: deque[str] = deque(["it ended without a word"], maxlen=1)
    silence = ""
    try:
        with subprocess.Popen(command, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace") as process:
            for line in process.stdout or ():
                if line.strip():
                    lines.append(line.strip())
                    if "Retrying (" in line:
                        silence = " (the package index does not answer)"
                    say(line.strip())
    except OSError as error:
        return False, str(error)
    return process.returncode == 0, lines[-1] + silence


def _environment() -> dict[str, str]:
    """This process's environment, with plain output, and with pip's package index for uv.

    uv does not read pip's files: behind a company mirror pip is set up and uv is not. What uv is told itself stays.
    """
    colours = ("FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR")         # Jupyter sets these for its kernels
    environment = {name: value for name, value in os.environ.items() if name not in colours}
    environment |= {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    settings = pip_settings()
    if "index-url" in settings and "UV_INDEX_URL" not in environment:
        environment.setdefault("UV_DEFAULT_INDEX", settings["index-url"])
    if "cert" in settings:
        environment.setdefault("SSL_CERT_FILE", settings["cert"])
    return environment


def pip_settings() -> dict[str, str]:
    """What pip's files and PIP_... variables say, as in {"index-url": "..."}; {} where there is no pip.

    A new environment has none yet: then the Python that made it is asked.
    """
    python = sys.executable if importlib.util.find_spec("pip") else getattr(sys, "_base_executable", sys.executable)
    listed = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    settings: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}        # the later wins
    for line in listed.stdout.splitlines():
        key, found, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if found and section in settings:
            settings[section][name] = str(ast.literal_eval(value))
    return settings["global"] | settings["install"] | settings[":env:"]


def _megabytes(folder: Path) -> int:
    """Space on disk of what is in `folder`, in MB of 2**20 bytes, as `du -sm` counts it."""
    blocks = 0
    for place, _, names in os.walk(folder):
        blocks += sum(os.lstat(os.path.join(place, name)).st_blocks for name in (".", *names))
    return blocks * 512 // 2**20


def _show(line: str) -> None:
    """Show the last line of the installer in place, on a terminal only."""
    if sys.stdout.isatty():
        print(f"\r\033[K  {line[:shutil.get_terminal_size().columns - 4]}", end="", flush=True)


def main(arguments: list[str]) -> int:
    """Install `arguments`, one line a step; 1 with the reason and what to do when it fails."""
    clear = "\r\033[K" if sys.stdout.isatty() else ""
    started = time.monotonic()
    if not uv():
        print("no uv on the PATH: fetching it, one wheel of 22 MB ...", flush=True)
        if not bring_uv(_show):
            print(f"{clear}no uv to be had here: going on with pip, which takes longer", flush=True)
    try:
        name = install(arguments, _show)
    except InstallError as error:
        print(f"{clear}the installation failed: {error}\nOnce the package index can be reached, run the same command "
              "again.", file=sys.stderr)
        return 1
    took, folder = time.monotonic() - started, Path(sys.prefix)
    used = "pip, because uv could not," if name == "pip" and uv() else name
    print(f"{clear}installed with {used} in {took:.0f} s; {folder.name} is {_megabytes(folder)} MB now")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
