"""Metastable failures: a small trigger, a system that stays down after it is gone, and what brings it back."""

from labkit.metastability import incident, loops, theory
from labkit.metastability.assess import Assessment, assess, assess_tiers
from labkit.metastability.model import (
    AdaptiveConcurrency,
    AdaptiveThrottle,
    Autoscaler,
    Backoff,
    Breaker,
    Cache,
    Clients,
    CoDel,
    Fifo,
    Lifo,
    Load,
    Pool,
    Priority,
    RetryBudget,
    Service,
    Trigger,
)
from labkit.metastability.run import Run
from labkit.metastability.simulate import simulate, simulate_tiers
from labkit.metastability.tally import tally
from labkit.metastability.tiers import Tier

__all__ = ["AdaptiveConcurrency", "AdaptiveThrottle", "Assessment", "Autoscaler", "Backoff", "Breaker", "Cache",
           "Clients", "CoDel", "Fifo", "Lifo", "Load", "Pool", "Priority", "RetryBudget", "Run", "Service", "Tier",
           "Trigger", "assess", "assess_tiers", "incident", "loops", "simulate", "simulate_tiers", "tally", "theory"]
