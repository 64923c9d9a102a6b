"""What this machine has that the lessons ask for."""

from __future__ import annotations

import shutil
import subprocess


def gpu() -> str:
    """Name and memory of the first NVIDIA GPU, "" if there is none."""
    return _ask("name,memory.total")


def driver() -> int:
    """Major version of the NVIDIA driver, 0 if there is none."""
    version = _ask("driver_version").partition(".")[0]
    return int(version) if version.isdigit() else 0


def _ask(what: str) -> str:
    """The first line of nvidia-smi's answer, "" if it is not there or fails."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return ""
    found = subprocess.run([tool, f"--query-gpu={what}", "--format=csv,noheader"], capture_output=True, text=True,
                           timeout=20, check=False)
    return found.stdout.strip().splitlines()[0] if found.returncode == 0 and found.stdout.strip() else ""
