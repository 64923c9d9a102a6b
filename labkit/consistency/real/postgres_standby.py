"""A PostgreSQL primary and its hot standby on loopback: `synchronous_commit` is a dial from latency to consistency."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit import ranges
from labkit.consistency.real.programs import RealSystem, Shell
from labkit.loopback import Program, Proxy

LEVELS = ("off", "local", "remote_write", "on", "remote_apply")


def binaries() -> Path | None:
    """The folder of PostgreSQL's programs, or None."""
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).resolve().parent
    packaged = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))
    return Path(packaged[-1]).parent if packaged and shutil.which("psql") else None


class Postgres(RealSystem):
    """Primary and standby, as a context manager; `link_delay` is one way between them, ms."""

    def __init__(self, programs: Path, link_delay: float = 25.0):
        ranges.number("link_delay", link_delay, 0, 200)
        self.programs, self.link_delay = programs, link_delay
        self.user = "postgres" if os.name == "posix" and os.getuid() == 0 else None     # it refuses to run as root
        self.value = 0

    def start(self) -> None:
        version = subprocess.run([self.programs / "postgres", "--version"], capture_output=True, text=True, check=True)
        self.label = f"PostgreSQL {version.stdout.split()[2]}, primary and standby on loopback"
        self.ports: list[int] = []
        self.primary = self._serve(self._new_data)
        self.primary("create table t(v int); insert into t values (0); create table probe(v int);")
        self.proxy = self.stack.enter_context(Proxy([self.ports[0]]))
        self.standby = self._serve(self._copied_data)
        self.primary("alter system set synchronous_standby_names='standby'; select pg_reload_conf();")
        self._wait("select count(*) from pg_stat_replication where sync_state = 'sync'", "1")
        self.proxy.delay = self.link_delay / 1000

    def _new_data(self, data: Path) -> None:
        self._run("initdb", "-D", data, "-A", "trust", "--no-sync", "-U", "postgres")

    def _copied_data(self, data: Path) -> None:
        self._run("pg_basebackup", "-h", "127.0.0.1", "-p", str(self.ports[0]), "-U", "postgres", "-D", data,
                  "-X", "stream", "-c", "fast", "--no-sync")
        (data / "standby.signal").touch()
        with open(data / "postgresql.auto.conf", "a") as settings:
            settings.write(f"primary_conninfo='host=127.0.0.1 port={self.proxy.port} user=postgres "
                           "application_name=standby'\n")

    def _serve(self, prepare: Callable[[Path], None]) -> Shell:
        def command(it: Program) -> list[str | Path | int]:
            prepare(it.home / "data")
            return [self.programs / "postgres", "-D", it.home / "data", "-p", it.port, "-c",
                    "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={it.home}", "-c",
                    "shared_buffers=16MB", "-c", "wal_receiver_status_interval=1"]

        program = self.stack.enter_context(Program(command, ready=self._answers, user=self.user, end="INT"))
        self.ports.append(program.port)
        shell = Shell(self._psql(program.port), "\\echo")
        self.stack.callback(shell.close)
        return shell

    def _answers(self, program: Program) -> bool:
        ready: list[str | Path] = [self.programs / "pg_isready", "-h", "127.0.0.1", "-p", str(program.port), "-q"]
        return subprocess.run(ready, check=False).returncode == 0

    def _psql(self, port: int) -> list[str | Path]:
        return [self.programs / "psql", "-qAtX", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "postgres"]

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run([self.programs / program, *arguments], capture_output=True, text=True, cwd="/",
                              user=self.user, group=self.user, extra_groups=[] if self.user else None)
        if done.returncode:
            raise RuntimeError(f"{program} ended with code {done.returncode}; it says: {done.stderr.strip()}")

    def _wait(self, query: str, wanted: str, limit: float = 10) -> None:
        end = time.monotonic() + limit
        while self.primary(query + ";") != wanted:
            if time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL: {query} did not become {wanted} within {limit} s")
            time.sleep(0.02)

    # ------------------------------------------------------------------------------------------ calls
    def commit(self, level: str) -> float:
        """Commit a new value with `synchronous_commit = level`; ms until the client has its answer."""
        ranges.one_of("level", level, LEVELS)
        self.primary(f"set synchronous_commit = {level};")
        self.value += 1
        begin = time.perf_counter()
        self.primary(f"update t set v = {self.value};")
        return 1000 * (time.perf_counter() - begin)

    def read_standby(self) -> int:
        """What the standby has."""
        return int(self.standby("select v from t;"))

    def cut(self) -> None:
        """No more replication."""
        self.proxy.cut()

    def heal(self) -> None:
        """Replication again."""
        self.proxy.heal()

    # ------------------------------------------------------------------------------------------ experiments
    def levels(self, repeat: int = 5) -> list[dict[str, Any]]:
        """For each level: median ms of a commit, share of reads at the standby just after that are stale, and
        whether a commit is answered while the standby is cut off."""
        rows = []
        for level in LEVELS:
            times, stale = [], 0
            for _ in range(repeat):
                times.append(self.commit(level))
                stale += self.read_standby() != self.value
                while self.read_standby() != self.value:
                    time.sleep(0.001)
            rows.append({"level": level, "ms": statistics.median(times), "stale": stale / repeat})
        self.cut()
        for row in rows:
            row["answers when cut"] = self._commits_in_time(str(row["level"]))
        self.primary("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep';")
        self.heal()
        return rows

    def _commits_in_time(self, level: str, patience: float = 0.5) -> bool:
        """On a connection of its own: a commit that waits for the standby waits until the heal."""
        sql = f"set synchronous_commit = {level}; insert into probe values (1);"
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run([*self._psql(self.ports[0]), "-c", sql], timeout=patience, check=True, capture_output=True)
            return True
        return False
