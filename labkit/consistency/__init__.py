"""CAP and PACELC: what consistency costs, what partitions take away, and how to find out what you got."""

from labkit.consistency import distributions, history, latency, protocols, real, staleness
from labkit.consistency.explore import Counterexample, NoViolation, explore
from labkit.consistency.history import Operation
from labkit.consistency.linearizability import Verdict, linearizable
from labkit.consistency.run import StoreRun
from labkit.consistency.simulate import simulate
from labkit.consistency.store import Network, Partition, Store, Workload

__all__ = ["Counterexample", "Network", "NoViolation", "Operation", "Partition", "StoreRun", "Store", "Verdict",
           "Workload", "distributions", "explore", "history", "latency", "linearizable", "protocols", "real",
           "simulate", "staleness"]
