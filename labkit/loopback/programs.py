"""Programs we start: on loopback, owned by a context manager, and gone when their owner is, even if it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# A guard reads from a pipe that ends when our process does, however that comes about; then it ends the program, by
# force if it has not gone after three seconds, removes its folder, and takes whatever the program had started, and
# itself, with it. The program takes the place of the shell, so the shell's number is its own and its group's.
GUARD = ('exec 3<&0; (read -r _ <&3; kill -"$1" $$; n=0; while kill -0 $$ 2>/dev/null; do '
         'n=$((n + 1)); [ $n -eq 60 ] && kill -KILL $$; sleep 0.05; done; rm -rf "$2"; kill -KILL 0) & '
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
    """A running program and its folder. `user`: who runs it (root only); `end`: the signal that ends it.

    environment: its variables, ours if None.
    """

    def __init__(self, command: Sequence[str | Path], home: Path, user: str | None = None, end: str = "KILL",
                 environment: Mapping[str, str] | None = None):
        self.home = home
        self.process = subprocess.Popen(["sh", "-c", GUARD, "guard", end, str(home), *map(str, command)], cwd=home,
                                        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True, user=user, group=user, env=environment,
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
