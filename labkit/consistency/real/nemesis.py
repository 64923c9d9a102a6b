"""Rounds of a fault against a real cluster, with clients at work all the while, and each history judged.

The faults of Jepsen's nemesis (K. Kingsbury, github.com/jepsen-io/jepsen) that need no root: kill -9, a pause, a
jump of a clock.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from typing import TYPE_CHECKING, Any

from labkit import ranges
from labkit.consistency.history import stale_reads
from labkit.consistency.linearizability import linearizable
from labkit.consistency.real.etcd_client import Client, Notebook, Unavailable

if TYPE_CHECKING:
    from labkit.consistency.real.etcd_cluster import Etcd

FAULTS = ("none", "kill", "pause", "clock")
BEFORE, DURING, AFTER = 0.3, 0.9, 0.4       # s of a round; elections begin after 0.5 to 1 s
PATIENCE, BREATH = 0.4, 0.05                # s: of a client, and its pause after a call that failed
FURTHEST = 3600                             # s of a clock jump


def rounds(cluster: Etcd, fault: str, count: int, seed: int) -> list[dict[str, Any]]:
    """`count` rounds of one fault: two rows a round, one for each kind of read.

    In a round there are two clients at each node, one that reads linearizably and one serializably, each kind with a
    key of its own. They write distinct numbers and read for 1.6 s; 0.3 s into it the fault hits a node, the leader
    and a follower by turns, and 0.9 s later it ends: the node is killed (-9) and started again, paused and resumed,
    or its wall clock jumps by up to an hour either way and back.

    fault: one of FAULTS. Each row: fault, node, role, reads, operations (answered or unknown), failed (calls without
    an answer), stale (reads), sound (True, False or None: is the history linearizable?).
    """
    ranges.one_of("fault", fault, cluster.faults)
    ranges.whole("count", count, 1)
    ranges.whole("seed", seed, 0)
    rng, rows = random.Random(seed), []
    for number in range(count):
        cluster.wait_for_leader(30)
        role = ("leader", "follower")[number % 2]
        node = cluster.leader if role == "leader" else rng.choice(cluster.followers)
        groups = [_Group(cluster, reads, f"{fault}-{seed}-{number}", rng.random()) for reads in
                  ("linearizable", "serializable")]
        time.sleep(BEFORE)
        _hit(cluster, fault, node, rng)
        time.sleep(DURING)
        _mend(cluster, fault, node)
        time.sleep(AFTER)
        for group in groups:
            history, failed = group.end()
            rows.append({"fault": fault, "node": node, "role": role, "reads": group.reads, "operations": len(history),
                         "failed": failed, "stale": len(stale_reads(history)), "sound": linearizable(history).ok})
    cluster.wait_for_leader(30)
    return rows


def _hit(cluster: Etcd, fault: str, node: int, rng: random.Random) -> None:
    if fault == "kill":
        cluster.kill(node)
    elif fault == "pause":
        cluster.pause(node)
    elif fault == "clock":
        cluster.jump(node, rng.choice((-1, 1)) * rng.uniform(1, FURTHEST))


def _mend(cluster: Etcd, fault: str, node: int) -> None:
    if fault == "kill":
        cluster.restart(node)
    elif fault == "pause":
        cluster.resume(node)
    elif fault == "clock":
        cluster.jump(node, 0)


class _Group:
    """A client at each node, all with one kind of read and one key, at work until `end`."""

    def __init__(self, cluster: Etcd, reads: str, key: str, seed: float):
        self.reads, self.notebook = reads, Notebook()
        self.numbers, self.failed, self.over = itertools.count(1), 0, threading.Event()
        clients = [Client(self.notebook, cluster.ports[i], i, f"{key}-{reads}", PATIENCE) for i in range(cluster.nodes)]
        self.threads = [threading.Thread(target=self.work, args=(client, random.Random(f"{seed}-{i}")))
                        for i, client in enumerate(clients)]
        for thread in self.threads:
            thread.start()

    def work(self, client: Client, rng: random.Random) -> None:
        while not self.over.is_set():
            try:
                if rng.random() < 0.3:
                    client.write(next(self.numbers))
                else:
                    client.read(self.reads)
            except Unavailable:
                self.failed += 1
                self.over.wait(BREATH)
        client.close()

    def end(self) -> tuple[list[Any], int]:
        """What they saw, and how many calls had no answer."""
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.notebook.history, self.failed
