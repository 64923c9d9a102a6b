"""The objects a history can be about: what their calls are, and what each does to the state.

A register ("register": read, write, cas), a key-value store ("kv": get, put, append, delete, cas by key), a FIFO queue
("queue": enqueue, dequeue), a set ("set": add, remove, read) and a lock ("mutex": acquire, release). The engines know
none of this: they see a state, actions, and `apply`. Values are the same only if their kinds are: 1, 1.0 and True are
three values, as they are in JSON and in EDN (where 1.0 and 1 differ) and as a client sees them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.consistency.operation import Operation

IMPOSSIBLE = object()
OTHER = ("no value that anybody looks for",)
READS = ("read", "get")
PLAIN = (int, str, type(None))
TEXT = (str, type(None))
CACHED = 50_000                 # actions shared between the calls that do the same
CHARACTERS = 0x110000

Act = tuple[Any, ...]           # what a call does: a verb and canonical values
Apply = Callable[[Any, Act], Any]


def canonical(value: Any) -> Any:
    """A stand-in that is equal only for values of one kind.

    >>> canonical(1) == canonical(True), canonical(1) == canonical(1.0), canonical((1, "a")) == canonical((1, "a"))
    (False, False, True)
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return "float", float(value) if value == value else "nan"
    if isinstance(value, tuple):
        return ("tuple", *map(canonical, value))
    if isinstance(value, frozenset):
        return "set", frozenset(map(canonical, value))
    return type(value).__name__, value


# ------------------------------------------------------------------------------------------- what a call does
def register(state: Any, act: Act) -> Any:
    """The state of a register, or of one key, after `act`; IMPOSSIBLE if `act` cannot be observed in `state`."""
    verb = act[0]
    if verb == "read":
        return state if act[1] == state else IMPOSSIBLE
    if verb == "write":
        return act[1]
    if verb == "cas":
        matches = state == act[1]
        if act[3] is not None and act[3] != matches:
            return IMPOSSIBLE
        return act[2] if matches else state
    if state is OTHER:
        return state
    if state is None:                       # "append" to a text or a missing key; "extend" where it may be neither
        return act[1]
    return state + act[1] if isinstance(state, str) else IMPOSSIBLE


class Texts:
    """`register`, where a text that is the beginning of nothing that anybody looks for is like every other such."""

    def __init__(self, looked_for: Iterable[Any]):
        self.sorted = sorted(value for value in looked_for if isinstance(value, str))

    def __call__(self, state: Any, act: Act) -> Any:
        new = register(state, act)
        return self.known(new) if act[0] in ("append", "extend") else new

    def known(self, value: Any) -> Any:
        """The value, or OTHER."""
        if not isinstance(value, str):
            return value
        place = bisect_left(self.sorted, value)
        return value if place < len(self.sorted) and self.sorted[place].startswith(value) else OTHER


def queue(state: Any, act: Act) -> Any:
    """The same for a FIFO queue: a text, or a tuple, with one element a value."""
    if act[0] == "enqueue":
        return state + act[1]
    if act[0] == "empty":
        return IMPOSSIBLE if state else state
    if act[1] is None:                      # a dequeue that never came back: it took what was there
        return state[1:]
    return state[1:] if state[:1] == act[1] else IMPOSSIBLE


def collection(state: int, act: Act) -> Any:
    """The same for a set: one bit a value."""
    if act[0] == "add":
        return state | act[1]
    if act[0] == "remove":
        return state & ~act[1]
    return state if state == act[1] else IMPOSSIBLE


def mutex(state: bool, act: Act) -> Any:
    """The same for a lock: True while it is held."""
    taken = act[0] == "acquire"
    return taken if taken != state else IMPOSSIBLE


def only_looks(act: Act) -> bool:
    """Can the call not change the state, whenever it takes effect?"""
    return act[0] in ("read", "members", "empty") or (act[0] == "cas" and act[3] is False)


def learns(act: Act) -> bool:
    """Does the call change the state, and its answer say something that is not known before it returns?"""
    return (act[0] == "cas" and act[3] is not None) or (act[0] in ("dequeue", "empty"))


def unknown(act: Act) -> bool:
    """Was the call done, and nobody knows to what effect?"""
    return act[0] == "cas" and act[3] is None


def always_possible(act: Act) -> bool:
    """May the call come at any time, its answer saying nothing?"""
    return act[0] in ("write", "append", "enqueue", "add", "remove")


# ------------------------------------------------------------------------------------------- from calls to actions
@dataclass(frozen=True)
class Actions:
    """Calls as the engines see them.

    acts: one a call. initial: the state before them. lazy: a crashed call is only worth its effect if the very next
    call sees it, which is so for registers: then engines need not try it before something is waiting for its value.
    """

    acts: Sequence[Act]
    initial: Any
    apply: Apply
    lazy: bool


def _register_acts(calls: Iterable[Operation], initial: Any) -> Actions:
    start, shared = canonical(initial), dict[Act, Act]()
    acts: list[Act] = []
    appends = False
    for call in calls:
        kind, args = call.kind, call.args
        if kind in READS:
            value = call.result
            act: Act = ("read", value if type(value) in PLAIN else canonical(value))
        elif kind in ("write", "put"):
            value = args[-1]
            act = ("write", value if type(value) in PLAIN else canonical(value))
        elif kind == "cas":
            act = ("cas", canonical(args[-2]), canonical(args[-1]), None if call.crashed else call.result)
        elif kind == "delete":
            act = ("write", start)
        else:
            act, appends = ("append", args[1]), True
        acts.append(shared.setdefault(act, act) if len(shared) < CACHED else act)
    looked_for = {act[1] for act in acts if act[0] in ("read", "cas")}      # engines need not tell apart what no
    texts = Texts(looked_for)                                               # client could
    set_to = (act[2] if act[0] == "cas" else act[1] for act in (*acts, ("write", start)) if act[0] != "read")
    if appends and not all(isinstance(value, TEXT) for value in set_to):
        acts = [("extend", act[1]) if act[0] == "append" else act for act in acts]
    other: Act = ("write", OTHER)
    for i, act in enumerate(acts):
        if act[0] in ("write", "cas"):
            value = act[2] if act[0] == "cas" else act[1]
            if texts.known(value) is OTHER if appends else value not in looked_for:
                acts[i] = other if act[0] == "write" else ("cas", act[1], OTHER, act[3])
    return Actions(acts, start, texts if appends else register, not appends)


def _queue_acts(calls: Iterable[Operation], initial: Any) -> Actions:
    numbers: dict[Any, int] = {}

    def element(value: Any) -> Any:
        number = numbers.setdefault(canonical(value), len(numbers))
        return chr(number) if few else (number,)

    calls = list(calls)
    few = len(calls) + len(initial) < CHARACTERS
    start: Any = "" if few else ()
    for value in initial:
        start += element(value)
    acts: list[Act] = []
    for call in calls:
        if call.kind == "enqueue":
            acts.append(("enqueue", element(call.args[0])))
        elif call.crashed:
            acts.append(("dequeue", None))
        else:
            acts.append(("empty",) if call.result is None else ("dequeue", element(call.result)))
    return Actions(acts, start, queue, False)


def _set_acts(calls: Iterable[Operation], initial: Any) -> Actions:
    bits: dict[Any, int] = {}

    def bit(value: Any) -> int:
        return bits.setdefault(canonical(value), 1 << len(bits))

    def mask(values: Iterable[Any]) -> int:
        whole = 0
        for value in values:
            whole |= bit(value)
        return whole

    start = mask(initial)
    acts = [("members", mask(call.result)) if call.kind == "read" else (call.kind, bit(call.args[0]))
            for call in calls]
    return Actions(acts, start, collection, False)


def _mutex_acts(calls: Iterable[Operation], initial: Any) -> Actions:
    return Actions([(call.kind,) for call in calls], bool(initial), mutex, False)


# ------------------------------------------------------------------------------------------- what they may say
def _register_complaint(call: Operation) -> str | None:
    if call.kind == "cas" and not call.crashed and call.result is not None and not isinstance(call.result, bool):
        return "a cas returns True, False, or None if its outcome is unknown"
    if call.kind == "append" and type(call.args[1]) is not str:
        return "an append takes a text"
    return None


def _queue_complaint(call: Operation) -> str | None:
    if call.kind == "enqueue" and call.args[0] is None:
        return "None cannot be enqueued: a dequeue that returns None found the queue empty"
    return None


def _set_complaint(call: Operation) -> str | None:
    if call.kind == "read" and not call.crashed and not isinstance(call.result, (tuple, frozenset)):
        return "a read of a set returns a tuple or a frozenset of its elements"
    return None


def _mutex_complaint(call: Operation) -> str | None:
    if not call.crashed and call.result not in (None, True):
        return f"{call.kind} returns True or None; leave out one that was refused, it did not happen"
    return None


@dataclass(frozen=True)
class Specification:
    """An object by name.

    kinds: the calls and how many arguments they take; of a keyed object the first is the key. initial: its state, of
    each key. complaint: what is wrong with a call's values, None if nothing. actions: the calls as engines see them.
    """

    name: str
    kinds: dict[str, int]
    initial: Any
    complaint: Callable[[Operation], str | None]
    actions: Callable[[Iterable[Operation], Any], Actions]
    keyed: bool = False


MODELS = {model.name: model for model in (
    Specification("register", {"read": 0, "write": 1, "cas": 2}, None, _register_complaint, _register_acts),
    Specification("kv", {"get": 1, "put": 2, "append": 2, "delete": 1, "cas": 3}, "", _register_complaint,
                  _register_acts, keyed=True),
    Specification("queue", {"enqueue": 1, "dequeue": 0}, (), _queue_complaint, _queue_acts),
    Specification("set", {"add": 1, "remove": 1, "read": 0}, (), _set_complaint, _set_acts),
    Specification("mutex", {"acquire": 0, "release": 0}, False, _mutex_complaint, _mutex_acts))}


def specification(name: Any) -> Specification:
    """The model of that name; ValueError names those there are."""
    if not isinstance(name, str) or name not in MODELS:
        raise ValueError(f"model = {name!r}: must be one of {', '.join(map(repr, MODELS))}")
    return MODELS[name]


def starting(model: Specification, initial: Any) -> Any:
    """The initial state to use: the model's own for `...`; ValueError if the object cannot start so."""
    if initial is ...:
        return model.initial
    if model.name in ("queue", "set"):
        if isinstance(initial, str) or not isinstance(initial, Iterable):
            raise ValueError(f"initial = {initial!r}: must be the values in the {model.name}, such as (1, 2)")
        return tuple(initial)
    if model.name == "mutex" and not isinstance(initial, bool):
        raise ValueError(f"initial = {initial!r}: must be True (the lock is held) or False")
    try:
        hash(initial)
    except TypeError:
        raise ValueError(f"initial = {initial!r}: must be hashable (a number, string or tuple)") from None
    return initial
