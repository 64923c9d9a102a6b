"""Programs we start: on loopback, owned by a context manager, and gone when their owner is, even if it is killed.

    with Program([sys.executable, "-m", "http.server", "0"], ready=r"port (\\d+)") as server:
        requests.get(f"http://127.0.0.1:{server.port}")

A command that needs its port or its folder is a function of the program, which has both before it starts:

    Program(lambda it: ["redis-server", "--port", it.port, "--dir", it.home], ready=listening)
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import random
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from labkit import ranges

# A guard reads from a pipe that ends when our process does, however that comes about; then it ends the program, by
# force if it has not gone after three seconds, removes its folder, and takes whatever the program had started, and
# itself, with it. The program takes the place of the shell, so the shell's number is its own and its group's.
GUARD = ('exec 3<&0; (trap "" TERM; read -r _ <&3; kill -"$1" $$; n=0; '
         'while kill -0 $$ 2>/dev/null && [ $n -lt 80 ]; do n=$((n + 1)); [ $n -eq 60 ] && kill -KILL $$; sleep 0.05; '
         'done; kill -TERM 0; rm -rf "$2"; kill -KILL 0) & '
         'log=$2/log; shift 2; exec "$@" 3<&- </dev/null >>"$log" 2>&1')
SIGNALS = ("INT", "KILL", "QUIT", "TERM")
PATIENCE = 60.0             # s until a program must be ready; most need one on a quiet machine
LOOK = 0.02                 # s between two looks whether it is
KEPT = 20_000               # characters of its output an error keeps
SHOWN = 8                   # lines of its output an error shows
PORTS = range(20_000, 32_000)   # below those a system gives to whoever asks for any: Linux from 32768, macOS 49152
# One after the other, so that none is told twice; from where no seed can send two processes at once.
NEXT = itertools.count(random.SystemRandom().randrange(len(PORTS)))

Word = str | Path | float
Command = Sequence[Word] | Callable[["Program"], Sequence[Word]]
Ready = Callable[["Program"], object] | str


class ProgramError(RuntimeError):
    """A program ended before it was ready, or was not ready in time. log: the end of what it printed."""

    def __init__(self, what: str, log: str):
        self.log = log[-KEPT:]
        super().__init__(f"{what}; it says: {_last_lines(log) or 'nothing'}")


class Program:
    """A running program: its `port`, its folder `home`, and its `process`.

    command: its words, or a function of this object that prepares `home` and gives them.
    ready: when it is, for the constructor to wait: a function of this object that is true then (OSError: not yet),
        `listening` for one; or a regular expression for a whole line of its output, whose group, if there is one,
        becomes `port`. None: do not wait.
    patience: s until it must be ready, > 0.
    home: its folder, a new one if None; removed at the end.
    user: who runs it (root only).
    end: the signal that ends it: INT, KILL, QUIT or TERM.
    environment: its variables, ours if None.

    Raises ProgramError if it ends before it is ready, at once, or is not ready in time; nothing of it is left then.
    """

    def __init__(
        self,
        command: Command,
        *,
        ready: Ready | None = None,
        patience: float = PATIENCE,
        home: Path | None = None,
        user: str | None = None,
        end: str = "KILL",
        environment: Mapping[str, str] | None = None,
    ):
        ranges.one_of("Program.end", end, SIGNALS)
        ranges.number("Program.patience", patience, 0, above=True)
        self.home = home or folder(user)
        try:
            self.port = free_port()
            self.words = [*map(str, command(self) if callable(command) else command)]
            # the guard alone keeps our end of stdout, so that it ends when everything is gone
            self.process = subprocess.Popen(["sh", "-c", GUARD, "guard", end, str(self.home), *self.words],
                                            cwd=self.home, env=environment, start_new_session=True,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                            user=user, group=pwd.getpwnam(user).pw_gid if user else None,
                                            extra_groups=[] if user else None)
        except BaseException:
            shutil.rmtree(self.home, ignore_errors=True)
            raise
        try:
            if ready is not None:
                self.wait_until(ready, patience)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return " ".join([Path(self.words[0]).name, *self.words[1:3]])[:100]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def wait_until(self, ready: Ready, patience: float = PATIENCE) -> None:
        """Wait until it is `ready`; ProgramError if it ends before, or is not after `patience` s (> 0)."""
        ranges.number("Program.patience", patience, 0, above=True)
        deadline = time.monotonic() + patience
        while True:
            self.check()                        # first: somebody else may answer at the port of a dead program
            if self._is(ready):
                return
            if time.monotonic() > deadline:
                raise ProgramError(f"{self} was not ready within {patience:g} s", self.output)
            time.sleep(LOOK)

    def check(self) -> None:
        """ProgramError if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise ProgramError(f"{self} ended with code {code}", self.output)

    def _is(self, ready: Ready) -> bool:
        if callable(ready):
            with contextlib.suppress(OSError):
                return bool(ready(self))
            return False
        whole_lines = self.output.rpartition("\n")[0]   # half a line may hold half a port
        found = re.search(ready, whole_lines, re.MULTILINE)
        if found and found.groups():
            self.port = int(found[1])
        return found is not None

    @property
    def output(self) -> str:
        """All it printed."""
        file = self.home / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def log(self) -> str:
        """The last lines it printed."""
        return _last_lines(self.output)

    def kill(self) -> None:
        """kill -9: the program gets no chance to say goodbye."""
        self.process.kill()

    def close(self) -> None:
        """End it and remove its folder; what it started is killed by the time this returns."""
        assert self.process.stdin and self.process.stdout
        if self.process.stdin.closed:
            return
        with contextlib.suppress(OSError), self.process.stdin as pipe:
            pipe.write(b"\n")           # a process forked from ours may hold the pipe open: do not only close it
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()         # the guard is late, or was killed
            self.process.wait()
        with self.process.stdout as guard:
            guard.read()
        shutil.rmtree(self.home, ignore_errors=True)    # what a child may have written while the guard removed it


def listening(program: Program) -> bool:
    """Whether somebody answers at the port of `program`; for `Program.ready`."""
    socket.create_connection(("127.0.0.1", program.port), 1).close()
    return True


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses just now, and that the system gives to nobody: a program may take a
    second to get to it."""
    while True:
        port = PORTS[next(NEXT) % len(PORTS)]
        with socket.socket() as line, contextlib.suppress(OSError):
            line.bind(("127.0.0.1", port))
            return port


def folder(user: str | None = None) -> Path:
    """A new folder, in memory where the system offers that; it belongs to `user` if given."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="labkit-", dir=base))
    if user:
        shutil.chown(path, user)
    return path


def allow_open_files(count: int) -> None:
    """Raise this process's soft limit on open files (sockets are) to `count`, as far as the hard limit lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < goal:
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))


def _last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-SHOWN:])
