"""The parameters of an experiment: a replicated register, its network, its clients, and a cut between two sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labkit import ranges
from labkit.consistency.distributions import DISK, SSD, Constant, Distribution, Exponential
from labkit.consistency.protocols import PROTOCOLS, WRITERS_ASK, AfterRead

# Mean round trips between Amazon EC2 regions, ms, one week of pings at 1 Hz: P. Bailis, "Communication Costs in
# Real-world Networks", 2013 (data of Bailis et al., "Highly Available Transactions", VLDB 2014).
EC2_ROUND_TRIPS = {
    ("virginia", "oregon"): 82.6, ("virginia", "california"): 84.6, ("virginia", "ireland"): 107.9,
    ("virginia", "tokyo"): 202.0, ("virginia", "singapore"): 254.0, ("virginia", "sydney"): 266.0,
    ("virginia", "sao paulo"): 163.0, ("oregon", "california"): 22.9, ("oregon", "ireland"): 171.0,
    ("california", "ireland"): 170.0, ("ireland", "sao paulo"): 234.0, ("ireland", "tokyo"): 278.0,
    ("ireland", "sydney"): 346.0, ("sao paulo", "tokyo"): 90.6, ("tokyo", "sydney"): 144.0,
}
SAME_ZONE = 0.53        # ms round trip inside one availability zone, same source


@dataclass(frozen=True)
class Store:
    """A register on n replicas. A coordinator beside the client asks all replicas in parallel, waits for r or w.

    n: replicas, 1 to 15. r, w: replies a read, acknowledgements a write waits for, 1 to n. repair: what a read does
    about replicas that are behind: "none", "async" (once all have answered, after returning), "blocking" (the ones
    it heard from, before returning). protocol: "plain" (a write carries its client's clock, the latest wins), "abd"
    (writes ask for the newest version first, reads write back) or "abd_fast" (reads skip that if replies agree).
    clock_skew: standard deviation of the clients' clocks, ms. sloppy: while a replica cannot be reached a stand-in on
    the client's side takes its place, so there are always n to answer. hinted_handoff: after the heal stand-ins pass
    on what they hold.
    """

    n: int = 3
    r: int = 2
    w: int = 2
    repair: str = "none"
    protocol: str = "plain"
    clock_skew: float = 0.0
    sloppy: bool = False
    hinted_handoff: bool = False

    def __post_init__(self) -> None:
        ranges.whole("Store.n", self.n, 1, 15)
        ranges.whole("Store.r", self.r, 1, self.n)
        ranges.whole("Store.w", self.w, 1, self.n)
        ranges.one_of("Store.repair", self.repair, ("none", "async", "blocking"))
        ranges.one_of("Store.protocol", self.protocol, ("plain", "abd", "abd_fast"))
        ranges.number("Store.clock_skew", self.clock_skew, 0)
        ranges.instance("Store.sloppy", self.sloppy, bool)
        ranges.instance("Store.hinted_handoff", self.hinted_handoff, bool)
        if self.repair != "none" and self.protocol != "plain":
            raise ValueError(f"Store.repair = {self.repair!r}: must be 'none' with protocol {self.protocol!r}, "
                             "which writes back by itself")
        if self.hinted_handoff and not self.sloppy:
            raise ValueError("Store.hinted_handoff = True: must be False unless sloppy; only stand-ins have hints")

    @classmethod
    def level(cls, name: str, n: int) -> Store:
        """A named setting. "strong": majorities. "linearizable": all n for both, which is what some call it.

        "weak": one of each. "eventual": one of each, stand-ins while a replica is out of reach, and background
        repair, so that replicas do agree in the end.
        """
        ranges.one_of("level", name, ("strong", "linearizable", "weak", "eventual"))
        ranges.whole("n", n, 1, 15)
        if name in ("strong", "linearizable"):
            quorum = n // 2 + 1 if name == "strong" else n
            return cls(n, quorum, quorum)
        return cls(n, 1, 1, repair="async", sloppy=True, hinted_handoff=True) if name == "eventual" else cls(n, 1, 1)

    @property
    def after_read(self) -> AfterRead:
        return PROTOCOLS["blocking" if self.repair == "blocking" else self.protocol]

    @property
    def writers_ask(self) -> bool:
        return self.protocol in WRITERS_ASK


@dataclass(frozen=True)
class Network:
    """One-way delays, ms. write: a request that carries a value (and is stored); other: every other message.

    distance: one row per replica of ms to add each way, from the site of each replica; clients sit at the site of
    one replica. () for replicas that are all equally far.
    """

    write: Distribution
    other: Distribution
    distance: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        ranges.instance("Network.write", self.write, Distribution.__args__)
        ranges.instance("Network.other", self.other, Distribution.__args__)
        for row in self.distance:
            if len(row) != len(self.distance):
                raise ValueError(f"Network.distance = {self.distance!r}: must be a square table")
            for value in row:
                ranges.number("Network.distance", value, 0)

    @classmethod
    def constant(cls, ms: float) -> Network:
        """Every message takes exactly `ms`."""
        return cls(Constant(ms), Constant(ms))

    @classmethod
    def exponential(cls, mean: float, write_mean: float | None = None) -> Network:
        """Exponential delays; writes may have their own mean."""
        return cls(Exponential(mean if write_mean is None else write_mean), Exponential(mean))

    @classmethod
    def fit(cls, name: str) -> Network:
        """A production fit of the PBS paper: "LNKD-SSD" or "LNKD-DISK" (Pareto bodies, exponential tails)."""
        ranges.one_of("fit", name, ("LNKD-SSD", "LNKD-DISK"))
        return cls(SSD if name == "LNKD-SSD" else DISK, SSD)

    @classmethod
    def wan(cls, sites: Sequence[str], jitter: Distribution | None = None) -> Network:
        """Replica i in the EC2 region `sites[i]`, half the mean round trip each way plus `jitter` (0.3 ms mean)."""
        rows = tuple(tuple(round_trip(a, b) / 2 for b in sites) for a in sites)
        noise = jitter or Exponential(0.3)
        return cls(noise, noise, rows)


def round_trip(a: str, b: str) -> float:
    """Mean round trip between two EC2 regions, ms; ValueError if the source has no figure for the pair."""
    if a == b:
        return SAME_ZONE
    found = EC2_ROUND_TRIPS.get((a, b), EC2_ROUND_TRIPS.get((b, a)))
    if found is None:
        raise ValueError(f"sites {a!r}, {b!r}: must be a pair of EC2_ROUND_TRIPS")
    return found


@dataclass(frozen=True)
class Workload:
    """Clients that call, wait for the answer, think, and call again.

    clients: how many, client c beside replica c mod n. write_ratio: share of writes, 0 to 1. think: mean pause, ms
    (exponential). timeout: ms after which a client gives up on a call. operations: at most so many calls in all.
    """

    clients: int = 4
    write_ratio: float = 0.3
    think: float = 2.0
    timeout: float = 1000.0
    operations: float = math.inf

    def __post_init__(self) -> None:
        ranges.whole("Workload.clients", self.clients, 1)
        ranges.number("Workload.write_ratio", self.write_ratio, 0, 1)
        ranges.number("Workload.think", self.think, 0, above=True)
        ranges.number("Workload.timeout", self.timeout, 0, above=True)
        ranges.whole("Workload.operations", self.operations, 1, infinite=True)


@dataclass(frozen=True)
class Partition:
    """From `start` to `heal` (ms) nothing passes between the replicas `cut_off`, with their clients, and the rest."""

    cut_off: tuple[int, ...]
    start: float
    heal: float = math.inf

    def __post_init__(self) -> None:
        ranges.instance("Partition.cut_off", self.cut_off, tuple)
        for replica in self.cut_off:
            ranges.whole("Partition.cut_off", replica, 0)
        ranges.number("Partition.start", self.start, 0)
        ranges.number("Partition.heal", self.heal, self.start, above=True, infinite=True)

    def active(self, time: float) -> bool:
        return self.start <= time < self.heal


def check(store: Store, network: Network, workload: Workload, duration: float, partition: Partition | None) -> None:
    """ValueError for values that are fine alone but not together."""
    ranges.instance("store", store, Store)
    ranges.instance("network", network, Network)
    ranges.instance("workload", workload, Workload)
    ranges.number("duration", duration, 0, above=True)
    if network.distance and len(network.distance) < store.n:
        raise ValueError(f"Network.distance = {len(network.distance)} sites: must be at least Store.n = {store.n}")
    if partition:
        ranges.instance("partition", partition, Partition)
        low = [replica for replica in partition.cut_off if replica >= store.n]
        if low or not partition.cut_off or len(set(partition.cut_off)) * 2 > store.n:
            raise ValueError(f"Partition.cut_off = {partition.cut_off!r}: must name 1 to {store.n // 2} of the "
                             f"replicas 0 to {store.n - 1}: the smaller side")
