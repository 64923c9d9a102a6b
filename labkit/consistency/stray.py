"""Answers that no order can give, found by looking at the values alone: a read of what nobody had written."""

from __future__ import annotations

from collections import Counter
from typing import Any

from labkit.consistency.meter import Meter
from labkit.consistency.models import Act
from labkit.consistency.task import Task

LENGTHS = 30                # lengths of appended texts up to which their ends are looked at
CHUNK = 1_024


def stray(task: Task, meter: Meter) -> int | None:
    """The event of the first return with an answer that nothing called before it could lead to; None if none."""
    values = _Values(task)
    for position, code in enumerate(task.timeline):
        if not position % CHUNK:
            meter.spend(CHUNK // 4)
        act = task.acts[code >> 1]
        if not code & 1:
            values.called(act)
        elif not values.explain(act):
            return position
    return None


class _Values:
    """What the calls so far may have put into the object."""

    def __init__(self, task: Task):
        start = task.initial
        self.lazy = task.lazy
        self.written: set[Any] = {start}
        self.texts: dict[int, set[str]] = {}        # appended and put texts by length
        if isinstance(start, str):
            self.texts[len(start)] = {start}
        self.queued = Counter(start[k:k + 1] for k in range(len(start))) if task.model.name == "queue" else Counter()
        self.added = start if task.model.name == "set" else 0

    def called(self, act: Act) -> None:
        verb = act[0]
        if verb == "enqueue":
            self.queued[act[1]] += 1
        elif verb == "add":
            self.added |= act[1]
        elif verb in ("write", "cas", "append", "extend"):
            value = act[2] if verb == "cas" else act[1]
            self.written.add(value)
            if not self.lazy and isinstance(value, str):
                self.texts.setdefault(len(value), set()).add(value)

    def explain(self, act: Act) -> bool:
        """May the call return this?"""
        verb = act[0]
        if verb == "read" or (verb == "cas" and act[3]):
            return act[1] in self.written or (not self.lazy and self.ends(act[1]))
        if verb == "dequeue":
            self.queued[act[1]] -= 1
            return self.queued[act[1]] >= 0
        return verb != "members" or not act[1] & ~self.added

    def ends(self, text: Any) -> bool:
        """Does the text end with one that was appended?"""
        return isinstance(text, str) and (len(self.texts) > LENGTHS or any(
            text[len(text) - length:] in some for length, some in self.texts.items() if length <= len(text)))
