"""What is being modelled: a service, its clients, the load and the triggers. Handed on from where each is described."""

from labkit.metastability.clients import (
    AdaptiveConcurrency,
    AdaptiveThrottle,
    Backoff,
    Breaker,
    Cache,
    Clients,
    Pool,
    RetryBudget,
)
from labkit.metastability.load import Load, steady_rate
from labkit.metastability.service import Autoscaler, CoDel, Fifo, Lifo, Priority, Service
from labkit.metastability.triggers import Trigger

__all__ = ["AdaptiveConcurrency", "AdaptiveThrottle", "Autoscaler", "Backoff", "Breaker", "Cache", "Clients", "CoDel",
           "Fifo", "Lifo", "Load", "Pool", "Priority", "RetryBudget", "Service", "Trigger", "steady_rate"]
