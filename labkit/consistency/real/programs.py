"""Programs we start: on loopback, owned by a context manager, and gone when their owner is, even if it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

# A guard reads from a pipe that ends when our process does, however that comes about; then it ends the program, by
# force if it has not gone after three seconds, and removes its folder. The program takes the place of the shell, so
# the shell's number is its own.
GUARD = ('exec 3<&0; (read -r _ <&3; kill -"$1" $$; n=0; while kill -0 $$ 2>/dev/null; do '
         'n=$((n + 1)); [ $n -eq 60 ] && kill -KILL $$; sleep 0.05; done; rm -rf "$2") & '
         'log=$2/log; shift 2; exec "$@" 3<&- </dev/null >>"$log" 2>&1')


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def folder(user: str | None = None) -> Path:
    """A new folder, in memory where the system offers that; it belongs to `user` if given."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="labkit-", dir=base))
    if user:
        shutil.chown(path, user)
    return path


class Program:
    """A running program and its folder. `user`: who runs it (root only); `end`: the signal that ends it."""

    def __init__(self, command: Sequence[str | Path], home: Path, user: str | None = None, end: str = "KILL"):
        self.home = home
        self.process = subprocess.Popen(["sh", "-c", GUARD, "guard", end, str(home), *map(str, command)], cwd=home,
                                        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True, user=user, group=user,
                                        extra_groups=[] if user else None)

    @property
    def log(self) -> str:
        """The last lines of what it printed."""
        file = self.home / "log"
        return "\n".join(file.read_text(errors="replace").splitlines()[-5:]) if file.exists() else ""

    def kill(self) -> None:
        """kill -9: the program gets no chance to say goodbye."""
        os.kill(self.process.pid, signal.SIGKILL)       # not reaped before `close`, so the number is still its own

    def close(self) -> None:
        """End it, and have its folder removed."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(10)


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


class System:
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
