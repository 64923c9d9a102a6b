"""Gossip: replicas that tell each other, at random, until all know; in a simulation and by formula."""

from labkit.crdt.gossip import rumour, theory
from labkit.crdt.gossip.simulation import GossipRun, simulate

__all__ = ["GossipRun", "rumour", "simulate", "theory"]
