"""Histories: what the clients of an object asked, what they were told, and when."""

from labkit.consistency.files import dump, load, parse
from labkit.consistency.operation import Operation, by_process, timeline, validate
from labkit.consistency.sessions import session_violations, stale_reads

__all__ = ["Operation", "by_process", "dump", "load", "parse", "session_violations", "stale_reads", "timeline",
           "validate"]
