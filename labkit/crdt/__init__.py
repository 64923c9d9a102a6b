"""CRDTs: merging without asking, how it spreads, what it costs, and where it is not enough."""

from labkit.crdt import assumptions, calendar, costs, garbage, gossip, invariants, laws, network, stock
from labkit.crdt.counters import BoundedCounter, GCounter, PNCounter
from labkit.crdt.operations import OpCounter, OpSet
from labkit.crdt.registers import LWWMap, MVRegister
from labkit.crdt.sets import ORSWOT, ORSet, TwoPhaseSet
from labkit.crdt.text import Text

__all__ = ["ORSWOT", "BoundedCounter", "GCounter", "LWWMap", "MVRegister", "ORSet", "OpCounter", "OpSet", "PNCounter",
           "Text", "TwoPhaseSet", "assumptions", "calendar", "costs", "garbage", "gossip", "invariants", "laws",
           "network", "stock"]
