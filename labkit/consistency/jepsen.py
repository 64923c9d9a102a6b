"""Events of Jepsen's kind, one for a call and one for what became of it, made into operations.

`:invoke` begins a call of a process, `:ok` ends it, `:fail` says that it did not happen, and after `:info`, or at the
end of the file, nobody knows: it may have happened, or happen later. Times are the numbers of the entries, from 1:
their order in the file is the order in which they happened, which clocks would blur. What the nemesis does is skipped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from labkit.consistency.edn import Form, Keyword, items, read
from labkit.consistency.operation import Operation

TRANSACTIONS = "transactions over several keys; this checks single objects, see Elle (github.com/jepsen-io/elle)"
LOG_LINE = re.compile(r"^INFO\s+jepsen\.util\s+-\s+(\S+)\s+(:\w+)\s+(:\S+)(?:\s+(.*))?$")
ENDS = ("ok", "fail", "info")
ANSWERED = ("read", "get", "dequeue")           # calls whose value is what they return
KINDS = {"get": "kv", "put": "kv", "append": "kv", "delete": "kv", "enqueue": "queue", "dequeue": "queue",
         "add": "set", "remove": "set", "acquire": "mutex", "release": "mutex", "write": "register"}


@dataclass(frozen=True)
class Loaded:
    """A file's operations and the line of each, the model they are of by their kinds, and how many entries there were.

    initial: the initial value where they came from; `...` for the model's own.
    """

    operations: list[Operation]
    lines: list[int]
    model: str
    entries: int
    initial: Any = ...


@dataclass(frozen=True)
class JepsenEvent:
    """One entry: what process, :invoke or what it came to, which function, key (None: no key) and value."""

    number: int
    line: int
    place: str
    process: Any
    type: str
    f: str
    key: Any
    value: Any


def from_edn(text: str, name: str) -> Loaded:
    """A `history.edn`: one vector of maps, or a map a line; Jepsen's, Knossos', Maelstrom's, Porcupine's `kv`."""
    steps = list(_steps(text, name))
    if any(step.key is not None for step in steps):
        return Loaded(*_paired(steps, keyed=True), "kv", len(steps))
    keyed = _independent(steps)
    operations, lines = _paired(steps, keyed)
    if keyed:
        return Loaded(operations, lines, "kv", len(steps), None)
    return Loaded(operations, lines, model_of(operations), len(steps))


def from_log(text: str, name: str) -> Loaded:
    """Lines such as `INFO  jepsen.util - 0 :invoke :write 3`, as in Porcupine's etcd logs.

    There, as in Porcupine, a `:cas` that failed saw another value than it expected (in a `history.edn` it only did not
    happen); a read that failed says nothing.
    """
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{name}, line {number}"
        if not line.strip() or not line.startswith("INFO") or ":nemesis" in line:
            continue
        found = LOG_LINE.match(line.strip())
        if not found:
            raise ValueError(f"{place}: 'INFO  jepsen.util - PROCESS :TYPE :FUNCTION VALUE' is wanted")
        process, kind, f, rest = found.groups()
        values = _values(f"{process} {rest or 'nil'}", place)
        value = values[1] if len(values) > 1 else None
        refused = kind == ":fail" and f == ":cas"
        steps.append(JepsenEvent(number, number, place, values[0], "ok" if refused else kind[1:], f[1:], None,
                          False if refused else value))
    return Loaded(*_paired(steps, keyed=False), "register", len(steps))


def _values(text: str, place: str) -> list[Any]:
    try:
        return [form.value for form in read(text)]
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _steps(text: str, name: str) -> Iterator[JepsenEvent]:
    number = 0
    for form in _entries(text, name):
        number += 1
        row, place = form.value, f"{name}, line {form.line}"
        if not isinstance(row, dict):
            raise ValueError(f"{place}: a map with :process, :type, :f and :value is wanted, not {_short(row)}")
        if isinstance(row.get("process"), Keyword):             # :nemesis, and others that call nothing
            continue
        for field in ("process", "type", "f"):
            if row.get(field) is None:
                raise ValueError(f"{place}: entry {number} has no :{field}")
        kind, f, value = str(row["type"]), str(row["f"]), row.get("value")
        if kind not in ("invoke", *ENDS):
            raise ValueError(f"{place}: :type is {_short(row['type'])}; it must be :invoke, :ok, :fail or :info")
        if f in ("txn", "transfer") or (isinstance(value, tuple) and value and isinstance(value[0], tuple)
                                        and value[0] and isinstance(value[0][0], Keyword)):
            raise ValueError(f"{place}: {TRANSACTIONS}")
        yield JepsenEvent(number, form.line, place, frozen(row["process"]), kind, f, frozen(row.get("key")),
                          frozen(value))


def _entries(text: str, name: str) -> Iterator[Form]:
    """The maps of a file, whether or not they stand in a vector or a list."""
    reader = items(text)
    while True:
        try:
            form = next(reader)
        except StopIteration:
            return
        except ValueError as error:
            raise ValueError(f"{name}, {error}") from None
        yield form


def _independent(steps: Iterable[JepsenEvent]) -> bool:
    """Are the values [key value], as Jepsen's `independent` and Maelstrom's `lin-kv` write them?"""
    calls = [step for step in steps if step.type == "invoke"]
    pairs = [isinstance(step.value, tuple) and len(step.value) == 2 for step in calls]
    reads = [step.value[1] for step, pair in zip(calls, pairs, strict=True) if pair and step.f == "read"]
    swaps = [isinstance(step.value[1], tuple) for step, pair in zip(calls, pairs, strict=True)
             if pair and step.f == "cas"]
    return bool(calls) and all(pairs) and all(value is None for value in reads) and all(swaps) and \
        any(step.f in ("read", "write") for step in calls)


def _paired(steps: Iterable[JepsenEvent], keyed: bool) -> tuple[list[Operation], list[int]]:
    """Operations in the order of their calls, and the lines of these."""
    calling: dict[Any, JepsenEvent] = {}
    found: list[tuple[JepsenEvent, Operation]] = []
    for step in steps:
        call = calling.get(step.process)
        if step.type == "invoke":
            if call is not None:
                raise ValueError(f"{step.place}: process {step.process} calls {step.f} while its {call.f} of entry "
                                 f"{call.number} has no end; a process makes one call at a time")
            calling[step.process] = step
            continue
        if call is None:
            if step.type == "info":
                continue
            raise ValueError(f"{step.place}: :{step.type} of process {step.process}, which has called nothing")
        if call.f != step.f:
            raise ValueError(f"{step.place}: process {step.process} called {call.f}, and {step.f} ends")
        del calling[step.process]
        if step.type != "fail":
            found.append((call, _operation(call, step if step.type == "ok" else None, keyed)))
    found += [(call, _operation(call, None, keyed)) for call in calling.values()]
    found.sort(key=lambda pair: pair[0].number)
    return [operation for _, operation in found], [call.line for call, _ in found]


def _operation(call: JepsenEvent, end: JepsenEvent | None, keyed: bool) -> Operation:
    kind, key, value = call.f, call.key, call.value
    answer = None if end is None else end.value
    if keyed:
        if key is None:
            key, value = call.value
            answer = answer[1] if isinstance(answer, tuple) and len(answer) == 2 else answer
        kind = {"read": "get", "write": "put"}.get(kind, kind)
    args: tuple[Any, ...] = () if kind in (*ANSWERED, "acquire", "release", "delete") else (value,)
    if kind == "cas":
        if not isinstance(value, tuple) or len(value) != 2:
            raise ValueError(f"{call.place}: a cas has :value [expected new], not {_short(value)}")
        args = value
    result = answer if kind in ANSWERED else answer is not False if kind == "cas" and end else None
    return Operation(call.process, kind, (key, *args) if keyed else args, result, call.number,
                     math.inf if end is None else end.number)


def model_of(operations: Iterable[Operation]) -> str:
    """The model by the kinds of its calls; "register" if they are all reads."""
    for operation in operations:
        if operation.kind == "cas":
            return "kv" if len(operation.args) == 3 else "register"
        if operation.kind in KINDS:
            return KINDS[operation.kind]
    return "register"


def frozen(value: Any) -> Any:
    """A value that can be hashed: lists as tuples, maps as their sorted pairs."""
    if isinstance(value, (list, tuple)):
        return tuple(map(frozen, value))
    if isinstance(value, dict):
        return tuple(sorted(((key, frozen(inner)) for key, inner in value.items()), key=repr))
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."
