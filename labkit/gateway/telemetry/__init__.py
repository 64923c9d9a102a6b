"""Traces of single requests with the real Langfuse SDK; sent to a receiver of our own unless you have an account.

A trace is for people who look, not for the books: it is lossy by design, counted when it is lost, and never makes a
request wait.
"""

from labkit.gateway.telemetry.receiver import LocalReceiver
from labkit.gateway.telemetry.tracer import Span, Trace, Tracer

__all__ = ["LocalReceiver", "Span", "Trace", "Tracer"]
