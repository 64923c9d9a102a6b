"""What the real systems here share: a command line client kept open, and a context manager that starts programs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self


class Shell:
    """A command line client kept open: send a command, get what it prints. `echo` makes it print a line of DONE."""

    DONE = "labkit-done"

    def __init__(self, command: Sequence[str | Path], echo: str):
        self.echo = f"{echo} {self.DONE}"
        self.process = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def __call__(self, command: str) -> str:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{command}\n{self.echo}\n")
        self.process.stdin.flush()
        lines: list[str] = []
        while (line := self.process.stdout.readline().rstrip("\n")) != self.DONE:
            if not line and self.process.poll() is not None:
                raise RuntimeError(f"{self.process.args!r} ended: {' '.join(lines)}")
            lines.append(line)
        return "\n".join(lines)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


class RealSystem:
    """What all systems here are: a context manager that starts programs and ends them, also after half a start.

    label: what it is, with its version. recorded: False, since it is real.
    """

    recorded = False
    label: str

    def start(self) -> None:
        """Start everything, each thing's `close` on `self.stack`."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.stack = ExitStack()
        try:
            self.start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()
