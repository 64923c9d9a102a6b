"""A Redis primary and two replicas on loopback: acknowledged at once, replicated when it suits, `WAIT` if you ask."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from labkit import ranges
from labkit.consistency.real.programs import RealSystem, Shell
from labkit.loopback import Program, Proxy, listening
from labkit.loopback.proxy import LONGEST


def binary() -> Path | None:
    """The redis-server program, or None; redis-cli is needed beside it."""
    found = shutil.which("redis-server")
    return Path(found) if found and shutil.which("redis-cli") else None


class Redis(RealSystem):
    """Primary and replicas, as a context manager; `link_delay` is one way from the primary, ms."""

    def __init__(self, program: Path, link_delay: float = 25.0):
        ranges.number("link_delay", link_delay, 0, 200)
        self.program, self.link_delay = program, link_delay

    def start(self) -> None:
        version = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True).stdout
        self.label = f"Redis {version.split('v=')[1].split()[0]}, primary and two replicas on loopback"
        self.ports: list[int] = []
        self.shells: list[Shell] = []
        self._serve()
        self.proxy = self.stack.enter_context(Proxy([self.ports[0]]))
        for _ in range(2):
            self._serve("--replicaof", "127.0.0.1", self.proxy.port)
        for shell in self.shells[1:]:
            _until(lambda shell=shell: "master_link_status:up" in shell("INFO replication"), "replicas did not connect")
        self.proxy.delay = self.link_delay / 1000

    def _serve(self, *more: str | int) -> None:
        program = self.stack.enter_context(Program(lambda it: [
            self.program, "--port", it.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", it.home, "--repl-diskless-sync-delay", 0, *more], ready=listening))
        self.ports.append(program.port)
        self.shells.append(Shell(["redis-cli", "-p", str(program.port)], "ECHO"))
        self.stack.callback(self.shells[-1].close)

    # ------------------------------------------------------------------------------------------ experiments
    def latencies(self, repeat: int = 9) -> list[dict[str, Any]]:
        """Median ms of a write, of a write that waits for one and for both replicas; how many of `repeat` reads at a
        replica just after it are stale."""
        primary, replica, _ = self.shells
        rows, number = [], 0
        for name, more in (("SET", ""), ("SET, WAIT 1", "WAIT 1 1000"), ("SET, WAIT 2", "WAIT 2 1000")):
            times, stale = [], 0
            for _ in range(repeat):
                number += 1
                begin = time.perf_counter()
                primary(f"SET v {number}" + (f"\n{more}" if more else ""))
                times.append(1000 * (time.perf_counter() - begin))
                stale += replica("GET v") != str(number)
            rows.append({"call": name, "ms": statistics.median(times), "stale": stale, "of": repeat})
        return rows

    def split_brain(self, writes: int = 200) -> dict[str, Any]:
        """Cut the replicas off, write on, promote a replica, heal: how many acknowledged writes are gone?

        Returns acknowledged and lost: numbers of writes.
        """
        self.proxy.delay = 0.0
        self.proxy.cut()
        acknowledged = [k for k in range(writes) if self.shells[0](f"SET k{k} x") == "OK"]
        return {"acknowledged": len(acknowledged), "lost": self._fail_over(acknowledged)}

    def bounded_split_brain(self, lag: int = 1, limit: float = 15) -> dict[str, Any]:
        """The same with `min-replicas-to-write 1` and `min-replicas-max-lag` of `lag` s, >= 1: write until refused.

        The cut is silent, as a cable's is: no connection breaks, so the primary has only the silence to go by. A write
        every 10 ms. Returns acknowledged and lost, numbers of writes, and refused_after, s. RuntimeError if it is not
        refused within `limit` s.
        """
        ranges.whole("lag", lag, 1)
        primary = self.shells[0]
        primary("CONFIG SET min-replicas-to-write 1")
        primary(f"CONFIG SET min-replicas-max-lag {lag}")
        self.proxy.delay = LONGEST
        acknowledged: list[int] = []
        begin = time.monotonic()
        while (answer := primary(f"SET k{len(acknowledged)} x")) == "OK":
            acknowledged.append(len(acknowledged))
            if time.monotonic() > begin + limit:
                raise RuntimeError(f"Redis: still acknowledges writes {limit} s after the cut")
            time.sleep(0.01)
        if "NOREPLICAS" not in answer:
            raise RuntimeError(f"Redis: {answer}")
        refused_after = time.monotonic() - begin
        return {"acknowledged": len(acknowledged), "lost": self._fail_over(acknowledged),
                "refused_after": refused_after}

    def _fail_over(self, acknowledged: list[int]) -> int:
        """Promote a replica, heal, let the others follow it: how many of these writes does it not have?"""
        primary, promoted, other = self.shells
        promoted("REPLICAOF NO ONE")
        promoted("SET new 1")
        self.proxy.delay = 0.0
        self.proxy.heal()
        for shell in (primary, other):
            shell(f"REPLICAOF 127.0.0.1 {self.ports[1]}")
        _until(lambda: "master_link_status:up" in primary("INFO replication"), "the old primary did not follow")
        return sum(promoted(f"GET k{k}") != "x" for k in acknowledged)


def _until(true: Any, complaint: str, limit: float = 10) -> None:
    end = time.monotonic() + limit
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"Redis: {complaint} within {limit} s")
        time.sleep(0.02)
