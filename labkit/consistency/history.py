"""Histories: what the clients of a register or a key-value store asked, what they were told, and when."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = {"register": {"read": 0, "write": 1, "cas": 2}, "kv": {"get": 1, "put": 2, "append": 2}}
INITIAL = {"register": None, "kv": ""}
READS = ("read", "get")


@dataclass(frozen=True)
class Operation:
    """One call as its client saw it. Times are numbers on one clock, in any unit.

    process: who called; a process makes one call at a time, and none after one that never came back.
    kind, args: "read" (), "write" (value,), "cas" (expected, new); for key-value stores "get" (key,),
    "put" (key, value), "append" (key, value). result: the value read; for a cas True, False (the register did not
    hold `expected`: an observation like a read), or None if it was done but its outcome is unknown; for other kinds
    ignored.
    returned: `math.inf` if the call never came back: then it took effect some time after `invoked`, or never, and
    its result counts as unknown.
    """

    process: Any
    kind: str
    args: tuple[Any, ...]
    result: Any
    invoked: float
    returned: float

    @property
    def crashed(self) -> bool:
        """Did the call never come back?"""
        return self.returned == math.inf

    def __str__(self) -> str:
        inside = ", ".join(map(repr, self.args))
        answer = "" if self.crashed else f" = {self.result!r}" if self.kind in (*READS, "cas") else ""
        begin, end = (f"{round(time, 3):.12g}" for time in (self.invoked, self.returned))
        return f"process {self.process}: {self.kind}({inside}){answer} [{begin}, {'never' if self.crashed else end}]"


def validate(history: Iterable[Operation], model: str = "register") -> list[Operation]:
    """The history as a list in order of invocation; ValueError names the operation that cannot be.

    Refused: an unknown kind, a wrong number of arguments, `returned` before `invoked`, times that are not numbers,
    values that cannot be hashed, and two calls of one process that overlap.
    """
    if model not in KINDS:
        raise ValueError(f"model = {model!r}: must be one of 'register', 'kv'")
    operations = list(history)
    for operation in operations:
        _validate_one(operation, model)
    operations.sort(key=lambda o: (o.invoked, o.returned))
    for session in by_process(operations).values():
        for before, after in zip(session, session[1:], strict=False):
            if before.returned > after.invoked:
                raise ValueError(f"{after}: overlaps {before}; a process makes one call at a time")
    return operations


def _validate_one(operation: Operation, model: str) -> None:
    kinds = KINDS[model]
    if operation.kind not in kinds:
        raise ValueError(f"{operation}: kind must be one of {', '.join(map(repr, kinds))} for model {model!r}")
    if not isinstance(operation.args, tuple) or len(operation.args) != kinds[operation.kind]:
        raise ValueError(f"{operation}: {operation.kind} takes a tuple of {kinds[operation.kind]} arguments")
    for time in (operation.invoked, operation.returned):
        if isinstance(time, bool) or not isinstance(time, (int, float)) or math.isnan(time):
            raise ValueError(f"{operation}: times must be numbers")
    if math.isinf(operation.invoked) or operation.returned < operation.invoked:
        raise ValueError(f"{operation}: must be invoked at a finite time and return at or after it")
    try:
        hash((operation.process, operation.args, operation.result))
    except TypeError:
        raise ValueError(f"{operation}: process and values must be hashable (numbers, strings, tuples)") from None
    if model == "kv" and operation.kind != "get" and not isinstance(operation.args[1], str):
        raise ValueError(f"{operation}: a {operation.kind} takes a string value")


def stale_reads(history: Iterable[Operation]) -> list[Operation]:
    """The reads that missed the last completed write: what they returned had been overwritten before they began.

    A write is overwritten for a read if another write began after it returned and itself returned before the read
    began. This is the test of a regular register (Lamport, "On Interprocess Communication", 1986, part II,
    section 2): a read that overlaps a write may still return either value, and is not stale. Only for writes of
    distinct values (ValueError otherwise).
    """
    operations = validate(history)
    writes = [o for o in operations if o.kind == "write"]
    by_value = {o.args[0]: o for o in writes}
    if len(by_value) < len(writes):
        raise ValueError("stale_reads: two writes have the same value; a read cannot tell which of them it saw")
    done = sorted((o for o in writes if not o.crashed), key=lambda o: o.returned)
    ends = [o.returned for o in done]
    last_begin: list[float] = []            # latest start among the first i completed writes
    for write in done:
        last_begin.append(max(write.invoked, last_begin[-1] if last_begin else -math.inf))
    stale = []
    for read in operations:
        if read.kind != "read" or read.crashed:
            continue
        before = bisect_left(ends, read.invoked)
        source = by_value.get(read.result)
        since = -math.inf if source is None else source.returned
        if before and last_begin[before - 1] > since:
            stale.append(read)
    return sorted(stale, key=lambda o: o.invoked)


def session_violations(history: Iterable[Operation]) -> dict[str, int]:
    """How often each session guarantee was broken, a session being all calls of one process.

    Guarantees of Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (PDIS 1994), for a single
    register and written values that are distinct; "older" means its write returned before the other's began, so a
    violation is only counted where no order of concurrent writes could excuse it.
    "read your writes": a read older than the session's last write. "monotonic reads": a read older than an earlier
    read of the session. "writes follow reads": after the session read x and then wrote y, somebody's later read
    goes from y back to something older than x. "monotonic writes": the same for two writes of one session.
    """
    operations = validate(history)
    source = {o.args[0]: o for o in operations if o.kind == "write"}
    reads = [o for o in operations if o.kind == "read" and not o.crashed]

    def older(value: Any, than: Any) -> bool:
        if than is None or value == than:
            return False
        return value is None or source[value].returned < source[than].invoked

    count = dict.fromkeys(("read your writes", "monotonic reads", "writes follow reads", "monotonic writes"), 0)
    floor: dict[str, list[tuple[Any, Any]]] = {"writes follow reads": [], "monotonic writes": []}
    for session in by_process(operations).values():
        last_read = last_write = None
        for call in session:
            if call.kind == "read" and not call.crashed:
                count["read your writes"] += older(call.result, last_write)
                count["monotonic reads"] += older(call.result, last_read)
                last_read = call.result
            elif call.kind == "write":
                floor["writes follow reads"].append((last_read, call.args[0]))
                floor["monotonic writes"].append((last_write, call.args[0]))
                last_write = call.args[0]
    follows: dict[str, dict[Any, Any]] = {name: {new: old for old, new in pairs if old is not None}
                                          for name, pairs in floor.items()}
    for session in by_process(reads).values():
        for first, then in zip(session, session[1:], strict=False):
            for name, old in follows.items():
                if first.result in old and older(then.result, old[first.result]):
                    count[name] += 1
    return count


def by_process(operations: Iterable[Operation]) -> dict[Any, list[Operation]]:
    """Each process's calls, in the order given."""
    sessions: dict[Any, list[Operation]] = {}
    for operation in operations:
        sessions.setdefault(operation.process, []).append(operation)
    return sessions


# ------------------------------------------------------------------------------------------------ files
def dump(history: Iterable[Operation], path: str | Path) -> None:
    """Write one JSON object a line; a call that never came back has `"returned": null`."""
    lines = []
    for o in history:
        row = {"process": o.process, "kind": o.kind, "args": list(o.args), "result": o.result,
               "invoked": o.invoked, "returned": None if o.crashed else o.returned}
        lines.append(json.dumps(row))
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def load(path: str | Path) -> list[Operation]:
    """Read what `dump` wrote; ValueError names the file and line that is wrong."""
    return parse(Path(path).read_text(encoding="utf-8"), str(Path(path).name))


def parse(text: str, name: str = "history") -> list[Operation]:
    """Operations from text in the format of `dump`. Blank lines and lines that start with # are skipped.

    >>> parse('{"process": 1, "kind": "read", "args": [], "result": 7, "invoked": 0, "returned": 2}')[0].result
    7
    """
    operations = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            row = json.loads(line)
            returned = math.inf if row["returned"] is None else row["returned"]
            operations.append(Operation(row["process"], row["kind"], tuple(row["args"]), row.get("result"),
                                        row["invoked"], returned))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{name}, line {number}: one JSON object with process, kind, args, result, invoked and "
                             f"returned is wanted ({type(error).__name__}: {error})") from None
    return operations


def events(history: Sequence[Operation]) -> list[tuple[int, bool]]:
    """Calls and returns in order, as (index into `history`, is it the return). Crashed calls have no return.

    At one instant calls come before returns, so operations that touch are concurrent; but what a process calls
    at the instant its previous call returned comes after that return.
    """
    timeline: list[tuple[float, int, int, bool]] = []
    order = sorted(range(len(history)), key=lambda i: (history[i].invoked, history[i].returned))
    last: dict[Any, tuple[float, int]] = {}         # process -> (time, phase) of its last return
    for i in order:
        o = history[i]
        time, phase = last.get(o.process, (-math.inf, 0))
        call = phase + 1 if time == o.invoked else 0
        timeline.append((o.invoked, call, i, False))
        if not o.crashed:
            back = max(1, call + 1) if o.returned == o.invoked else 1
            timeline.append((o.returned, back, i, True))
            last[o.process] = (o.returned, back)
    return [(i, back) for _, _, i, back in sorted(timeline)]


