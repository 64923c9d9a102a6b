"""Metastable failures: a small trigger, a system that stays down after it is gone, and what brings it back."""

from labkit.metastability import theory
from labkit.metastability.assess import Assessment, assess
from labkit.metastability.model import (
    Backoff,
    Breaker,
    Clients,
    CoDel,
    Fifo,
    Lifo,
    Load,
    RetryBudget,
    Service,
    Trigger,
)
from labkit.metastability.run import Run
from labkit.metastability.simulate import simulate

__all__ = ["Assessment", "Backoff", "Breaker", "Clients", "CoDel", "Fifo", "Lifo", "Load", "RetryBudget", "Run",
           "Service", "Trigger", "assess", "simulate", "theory"]
