"""A small gateway in front of vLLM: one address, keys, budgets that hold, and an honest answer when an engine fails.

    python -m labkit.gateway serve gateway.toml
    with gateway.running(...) as g: ...         # for notebooks and tests: a real process on a free port
"""

from labkit.gateway.config import ConfigError, load, parse
from labkit.gateway.local import Running, running

__all__ = ["ConfigError", "Running", "load", "parse", "running"]
