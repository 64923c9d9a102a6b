"""What one client may complain of, where written values differ: stale reads, and broken session guarantees."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from labkit.consistency.models import canonical
from labkit.consistency.operation import Operation, by_process, validate


class _Written:
    """Who wrote each value: writes, and every cas that may have succeeded."""

    def __init__(self, operations: Iterable[Operation], initial: Any, who: str):
        self.initial = canonical(initial)
        self.source: dict[Any, Operation] = {}
        for call in operations:
            if call.kind == "write" or (call.kind == "cas" and (call.crashed or call.result is not False)):
                value = canonical(call.args[-1])
                if value in self.source:
                    raise ValueError(f"{who}: two writes have the same value; a read cannot tell which of them it saw "
                                     f"({self.source[value]}, {call})")
                if value == self.initial:
                    raise ValueError(f"{who}: {call} writes the initial value; a read cannot tell which of them it saw")
                self.source[value] = call
        self.who = who

    def seen_by(self, call: Operation) -> Operation | None:
        """The call that wrote what a read, or a cas that succeeded, saw; None for the initial value."""
        value = seen(call)
        if value == self.initial:
            return None
        if value not in self.source:
            raise ValueError(f"{self.who}: {call} saw a value that no call of the history wrote; if the register "
                             "started with it, give it as initial")
        return self.source[value]


def looks(call: Operation) -> bool:
    """Does the call say which value was there: a read, or a cas that succeeded?"""
    return not call.crashed and (call.kind == "read" or (call.kind == "cas" and call.result is True))


def seen(call: Operation) -> Any:
    """The value there was for a call that looks."""
    return canonical(call.result if call.kind == "read" else call.args[0])


def wrote(call: Operation) -> bool:
    """Is it sure that the call wrote? Not for one that never came back, nor for a cas of unknown outcome."""
    return not call.crashed and (call.kind == "write" or (call.kind == "cas" and call.result is True))


def stale_reads(history: Iterable[Operation], initial: Any = None) -> list[Operation]:
    """The reads that missed the last completed write: what they returned had been overwritten before they began.

    A write is overwritten for a read if another write began after it returned and itself returned before the read
    began. This is the test of a regular register (Lamport, "On Interprocess Communication", 1986, part II,
    section 2): a read that overlaps a write may still return either value, and is not stale. A cas that succeeded is
    a read of what it expected and a write of what it put there. Only for writes of distinct values, and reads of
    values that were written, or of `initial` (ValueError otherwise).
    """
    operations = validate(history)
    written = _Written(operations, initial, "stale_reads")
    done = sorted((o for o in operations if wrote(o)), key=lambda o: o.returned)
    ends = [o.returned for o in done]
    last_begin: list[float] = []            # latest start among the first i completed writes
    for write in done:
        last_begin.append(max(write.invoked, last_begin[-1] if last_begin else -math.inf))
    stale = []
    for read in operations:
        if looks(read):
            source = written.seen_by(read)
            before = bisect_left(ends, read.invoked)
            since = -math.inf if source is None else source.returned
            if before and last_begin[before - 1] > since:
                stale.append(read)
    return stale


def session_violations(history: Iterable[Operation], initial: Any = None) -> dict[str, int]:
    """How often each session guarantee was broken, a session being all calls of one process.

    Guarantees of Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (PDIS 1994), for a single
    register and written values that are distinct; "older" means its write returned before the other's began, so a
    violation is only counted where no order of concurrent writes could excuse it. A cas that succeeded is a read of
    what it expected and then a write. ValueError for a read of a value that was neither written nor `initial`.
    "read your writes": a read older than the session's last write. "monotonic reads": a read older than an earlier
    read of the session. "writes follow reads": after the session read x and then wrote y, somebody's later read
    goes from y back to something older than x. "monotonic writes": the same for two writes of one session.
    """
    operations = validate(history)
    written = _Written(operations, initial, "session_violations")
    reads = [o for o in operations if looks(o)]

    def older(source: Operation | None, than: Operation | None) -> bool:
        if than is None or source is than:
            return False
        return source is None or source.returned < than.invoked

    count = dict.fromkeys(("read your writes", "monotonic reads", "writes follow reads", "monotonic writes"), 0)
    before: dict[str, dict[int, Operation]] = {"writes follow reads": {}, "monotonic writes": {}}   # by id of a write
    for session in by_process(operations).values():
        last_read = last_write = None
        for call in session:
            if looks(call):
                source = written.seen_by(call)
                count["read your writes"] += older(source, last_write)
                count["monotonic reads"] += older(source, last_read)
                last_read = source
            for name, last in (("writes follow reads", last_read), ("monotonic writes", last_write)):
                if last is not None and call.kind != "read":
                    before[name][id(call)] = last
            last_write = call if wrote(call) else last_write
    for session in by_process(reads).values():
        for first, then in zip(session, session[1:], strict=False):
            for name, last_one in before.items():
                if older(written.seen_by(then), last_one.get(id(written.seen_by(first)))):
                    count[name] += 1
    return count
