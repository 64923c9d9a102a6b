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
from labkit.consistency.history import Operation
from labkit.consistency.real.programs import RealSystem, Shell
from labkit.loopback import Program, Proxy

LEVELS = ("off", "local", "remote_write", "on", "remote_apply")
WAITING = LEVELS[2:]            # those that wait for the standby


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
        self.primary("create table t(v int); insert into t values (0); create table probe(v int); "
                     "create table bulk(v int);")
        self.proxy = self.stack.enter_context(Proxy([self.ports[0]]))
        self.standby = self._serve(self._copied_data)
        self.primary("alter system set synchronous_standby_names='standby'; select pg_reload_conf();")
        standbys = "select count(*) from pg_stat_replication where sync_state = 'sync';"
        _until(lambda: self.primary(standbys) == "1", "the standby did not connect")
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
                    "shared_buffers=16MB", "-c", "wal_receiver_status_interval=1", "-c",
                    "wal_retrieve_retry_interval=100ms"]

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

    # ------------------------------------------------------------------------------------------ calls
    def commit(self, level: str, rows: int = 0) -> float:
        """Commit a new value with `synchronous_commit = level`; ms until the client has its answer.

        rows: inserted into another table by the same transaction, >= 0.
        """
        ranges.one_of("level", level, LEVELS)
        ranges.whole("rows", rows, 0)
        self.primary(f"set synchronous_commit = {level};")
        self.value += 1
        more = f"insert into bulk select generate_series(1, {rows}); " if rows else ""
        begin = time.perf_counter()
        self.primary(f"begin; {more}update t set v = {self.value}; commit;")
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
        """For each level: median ms of a commit of one row, how many of `repeat` reads at the standby just after it are
        stale, and whether a commit is answered while the standby is cut off."""
        rows = [self._commits(level, 0, repeat) for level in LEVELS]
        self.cut()
        for row in rows:
            row["answers when cut"] = self._answers_in_time(str(row["level"]), "insert into probe values (1)")
        self._let_go()
        self.heal()
        return rows

    def big_commits(self, rows: int = 30_000, repeat: int = 15) -> list[dict[str, Any]]:
        """For the levels that wait for the standby: commits of `rows` rows, which take time to replay, over a link
        without delay: while an answer travels, the standby replays on. Median ms, and how many of `repeat` reads are
        stale."""
        self.proxy.delay = 0.0
        try:
            return [self._commits(level, rows, repeat) for level in WAITING]
        finally:
            self.proxy.delay = self.link_delay / 1000

    def paused_replay(self) -> list[dict[str, Any]]:
        """The standby receives and stores, but does not replay: is a commit answered, and is it seen at the standby?"""
        self.standby("select pg_wal_replay_pause();")
        _until(lambda: self.standby("select pg_get_wal_replay_pause_state();") == "paused", "replay did not pause")
        rows = []
        for level in WAITING:           # remote_apply last: its commit will hold the row
            self.value += 1
            answered = self._answers_in_time(level, f"update t set v = {self.value}")
            seen = self.read_standby() == self.value
            rows.append({"level": level, "answered": answered, "seen at the standby": seen})
        self._let_go()
        self.standby("select pg_wal_replay_resume();")
        self._caught_up()
        return rows

    def both_places(self) -> list[Operation]:
        """A history of reads at both: while a commit at `remote_apply` waits for its answer, read the standby until it
        has the new value, then the primary. Times in ms."""
        begin = time.perf_counter()

        def now() -> float:
            return 1000 * (time.perf_counter() - begin)

        self.commit("remote_apply")
        history, new, started = [Operation("writer", "write", (self.value,), None, 0.0, now())], self.value + 1, now()
        writer = subprocess.Popen([*self._psql(self.ports[0]), "-c", "set synchronous_commit = remote_apply",
                                   "-c", f"update t set v = {new}"], stdout=subprocess.DEVNULL)
        for process, read in (("at the standby", self.read_standby), ("at the primary", self._read_primary)):
            while True:
                called = now()
                value = read()
                if value == new or process == "at the primary":
                    break
            history.append(Operation(process, "read", (), value, called, now()))
        writer.wait()
        self.value = new
        return [*history, Operation("writer", "write", (new,), None, started, now())]

    def _read_primary(self) -> int:
        return int(self.primary("select v from t;"))

    def _commits(self, level: str, size: int, repeat: int) -> dict[str, Any]:
        times, stale = [], 0
        for _ in range(repeat):
            times.append(self.commit(level, size))
            stale += self.read_standby() != self.value
            self._caught_up()
        self.primary("set synchronous_commit = off; truncate bulk;")
        return {"level": level, "ms": statistics.median(times), "stale": stale, "of": repeat}

    def _caught_up(self) -> None:
        """Wait until the standby has what the primary has."""
        _until(lambda: self._read_primary() == self.read_standby(), "the standby did not catch up")
        self.value = self._read_primary()

    def _answers_in_time(self, level: str, sql: str, patience: float = 0.5) -> bool:
        """On a connection of its own: a commit that waits for the standby waits as long as it takes."""
        command = [*self._psql(self.ports[0]), "-c", f"set synchronous_commit = {level}", "-c", sql]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, timeout=patience, check=True, capture_output=True)
            return True
        return False

    def _let_go(self) -> None:
        """End the sessions that still wait for the standby; their commits stand on the primary."""
        waiting = "from pg_stat_activity where wait_event = 'SyncRep';"
        self.primary(f"select pg_terminate_backend(pid) {waiting}")
        _until(lambda: self.primary(f"select count(*) {waiting}") == "0", "a session did not end")


def _until(true: Callable[[], bool], complaint: str, limit: float = 10) -> None:
    end = time.monotonic() + limit
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"PostgreSQL: {complaint} within {limit} s")
        time.sleep(0.002)
