"""A machine that breaks replicated types: random scripts, judged by a specification, shrunk to the shortest failure.

Two kinds of question. Does it show what it should (`find_counterexample`)? Is its merge a join (`find_broken_law`)?
A type can pass the second and fail the first: a counter that keeps the larger total is a good semilattice, and loses.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labkit import ranges
from labkit.crdt import scripts
from labkit.crdt.scripts import Updates
from labkit.crdt.specification import REPLICAS, SPECS, Past, Spec, Step, visible

Factory = Callable[[str], Any]


@dataclass(frozen=True)
class FailingScript:
    """The shortest script found after which a replica shows something else than the specification.

    steps: the script    spec: name of the specification    replicas: their names
    replica: the first one that is wrong    expected, got: what it should show, and what it shows (or the error raised)
    """

    spec: str
    replicas: tuple[str, ...]
    steps: tuple[Step, ...]
    replica: str
    expected: Any
    got: Any

    def __len__(self) -> int:
        return len(self.steps)

    def __str__(self) -> str:
        lines = [f"{i}. {step}" for i, step in enumerate(self.steps, 1)]
        verdict = f"-> {self.replica} shows {_show(self.got)}; {self.spec} says {_show(self.expected)}"
        return "\n".join([*lines, verdict])

    __repr__ = __str__


def find_counterexample(factory: Factory, spec: str | Spec = "add_wins", *, replicas: int = 3, steps: int = 14,
                        examples: int = 500, seed: int = 0, faults: Sequence[str] = (),
                        updates: Updates | None = None) -> FailingScript | None:
    """Look for a script that makes a type break its specification; None if none of those tried did.

    factory: `factory(name)` makes a fresh replica, with the updates of the spec (add, remove, increment, set ...),
        `merge(other)` and `value()`. Any class will do, one from a notebook too.
    spec: add_wins, remove_wins, two_phase, last_writer, grow_only, counter, multi_value or lww_map; a `Spec` of your
        own; or "converges": replicas that have heard of the same updates show the same, whatever it is.
    replicas: 2 to 5.
    steps: of the longest script that Hypothesis tries, 1 or more.
    examples: scripts that Hypothesis tries; if it finds nothing, four times as many are tried that are twice as long.
    seed: the same seed tries the same scripts.
    faults: of "late" (states that arrive late, twice or never), "restore" (from a backup, under the old id).
    updates: names of methods and the arguments to try, instead of those of the spec.

    A replica is held against the specification after every step, so one that changes without a message is found too.
    None says that nothing was found in these scripts, not that there is nothing: recommended with `find_broken_law`.
    Raises TypeError if what the factory makes lacks a method, ValueError for a parameter out of range.
    """
    rules, names = _rules(factory, spec, updates), _names(replicas)
    ranges.whole("find_counterexample: steps", steps, 1)
    ranges.whole("laws: examples", examples, 1)
    for fault in faults:
        ranges.one_of("find_counterexample: faults", fault, scripts.FAULTS)
    there = _vocabulary(factory, rules)

    def fails(script: Sequence[Step]) -> bool:
        return _judge(factory, rules, names, script) is not None

    script = scripts.shortest(there, names, fails, steps, examples, seed, faults)
    if script is None:
        long = next(filter(fails, scripts.plain(there, names, 2 * steps, 4 * examples, seed, faults)), None)
        if long is None:
            return None
        found = scripts.smallest(long, fails, scripts.moves(there, names, faults))
        script = scripts.shortest(there, names, fails, steps, examples, seed, faults, found)
    return _judge(factory, rules, names, script)


def run(factory: Factory, script: Sequence[Step | tuple[str, str, Any]], spec: str | Spec = "add_wins",
        replicas: int = 3) -> dict[str, tuple[Any, Any]]:
    """What each replica shows after the script, and what the specification says it should: name to (got, expected)."""
    rules, names = _spec(spec), _names(replicas)
    steps = [Step(*step) for step in script]
    world = _Replicas(factory, rules, names)
    for step in steps:
        world.do(step)
    known = visible(steps, names)
    return {name: (_read(rules, world.made[name]), rules.view(known[name])) for name in names}


# ------------------------------------------------------------------------------------------------ the machine
CONVERGES = "converges"


def _spec(spec: str | Spec) -> Spec:
    if isinstance(spec, Spec):
        return spec
    ranges.one_of("laws: spec", spec, SPECS)
    return SPECS[spec]


def _rules(factory: Factory, spec: str | Spec, updates: Updates | None) -> Spec:
    """The specification, with the reader's own updates if there are any; to converge, one that says nothing else."""
    if spec != CONVERGES:
        rules = _spec(spec)
        return rules if updates is None else replace(rules, updates=dict(updates))
    if updates is not None:
        return Spec(CONVERGES, _anything, dict(updates), read=_as_is, call=_spread)
    sample = factory(REPLICAS[0])
    for rules in SPECS.values():
        if _takes(sample, rules):
            return replace(rules, name=CONVERGES, view=_anything, read=_as_is)
    raise ValueError("find_counterexample: updates: must name the methods to try, with their arguments: "
                     "none of the usual ones (add, increment, set) is there")


def _takes(sample: Any, rules: Spec) -> bool:
    """Whether it has the updates of the specification, with as many arguments."""
    try:
        for name, arguments in rules.updates.items():
            if name not in rules.optional:
                inspect.signature(getattr(sample, name)).bind(*rules.call(name, arguments[0]))
    except (AttributeError, TypeError):
        return False
    return True


def _anything(events: object) -> None:
    """Says nothing of what should be seen."""


def _as_is(value: Any) -> Any:
    return copy.deepcopy(value)


def _spread(kind: str, argument: Any) -> tuple[Any, ...]:
    """A tuple is several arguments."""
    return argument if isinstance(argument, tuple) else (argument,)


def _names(replicas: int) -> tuple[str, ...]:
    ranges.whole("laws: replicas", replicas, 2, len(REPLICAS))
    return REPLICAS[:replicas]


def _vocabulary(factory: Factory, rules: Spec) -> dict[str, tuple[Any, ...]]:
    sample = factory(REPLICAS[0])
    needed = [*(name for name in rules.updates if name not in rules.optional), "merge", "value"]
    missing = [name for name in needed if not callable(getattr(sample, name, None))]
    if missing:
        raise TypeError(f"{type(sample).__name__} has no method {', '.join(missing)}: {rules.name} needs "
                        + ", ".join(needed))
    return {name: arguments for name, arguments in rules.updates.items() if hasattr(sample, name)}


def _judge(factory: Factory, rules: Spec, names: tuple[str, ...], script: Sequence[Step]) -> FailingScript | None:
    world = _Replicas(factory, rules, names)
    for count, step in enumerate(script, 1):
        wrong = world.wrong_after(step)
        if wrong is not None:
            return FailingScript(rules.name, names, tuple(script[:count]), *wrong)
    return None


class _Replicas:
    """Replicas of a type, what was kept of them, and the history that says what each should show."""

    def __init__(self, factory: Factory, rules: Spec, names: tuple[str, ...]):
        self.rules, self.history = rules, Past(names)
        self.made = {name: factory(name) for name in names}
        self.kept: dict[str, Any] = {}
        self.expected = {name: rules.view([]) for name in names}

    def do(self, step: Step) -> None:
        kind, replica, argument = step
        if kind == "sync":
            self.made[replica].merge(self.made[argument])
        elif kind == "keep":
            self.kept[replica] = _copy(self.made[replica])
        elif kind == "late":
            if argument in self.kept:
                self.made[replica].merge(_copy(self.kept[argument]))
        elif kind == "restore":
            if replica in self.kept:
                self.made[replica] = _copy(self.kept[replica])
        else:
            getattr(self.made[replica], kind)(*self.rules.call(kind, argument))

    def wrong_after(self, step: Step) -> tuple[str, Any, Any] | None:
        """(replica, what it should show, what it shows) of the first one that is wrong; None if all is well."""
        self.history.play(step)
        try:
            self.do(step)
            shown = {name: _read(self.rules, one) for name, one in self.made.items()}
        except Exception as error:                  # a type that stumbles has failed, whatever it stumbles over
            return step.replica, self._expected(step.replica), f"{type(error).__name__}: {error}"
        if self.rules.name == CONVERGES:
            return self._diverged(shown)
        self.expected[step.replica] = self._expected(step.replica)
        return next(((name, self.expected[name], got) for name, got in shown.items()
                     if got != self.expected[name]), None)

    def _expected(self, name: str) -> Any:
        return self.rules.view(self.history.known(name))

    def _diverged(self, shown: dict[str, Any]) -> tuple[str, Any, Any] | None:
        """A replica that shows something else than an earlier one that has heard of the same."""
        first: dict[frozenset[int], str] = {}
        for name, heard in self.history.seen.items():
            other = first.setdefault(heard, name)
            if shown[name] != shown[other]:
                return name, f"{_show(shown[other])}, as {other}, which has heard of the same", shown[name]
        return None


def _read(rules: Spec, replica: Any) -> Any:
    return rules.read(replica.value())


def _show(value: Any) -> str:
    if isinstance(value, set):
        return "{" + ", ".join(sorted(map(str, value))) + "}"
    return str(value)


# ------------------------------------------------------------------------------------------------ merge as a join
@dataclass(frozen=True)
class BrokenLaw:
    """A law of semilattices that a merge breaks, and the shortest script found after which it does."""

    law: str
    steps: tuple[Step, ...]
    left: str
    right: str

    def __str__(self) -> str:
        lines = [f"{i}. {step}" for i, step in enumerate(self.steps, 1)]
        return "\n".join([*lines, f"-> {self.law}: {self.left} is not {self.right}"])

    __repr__ = __str__


def find_broken_law(factory: Factory, spec: str | Spec = "add_wins", *, steps: int = 10, examples: int = 300,
                    seed: int = 0) -> BrokenLaw | None:
    """Look for states of three replicas whose merges break a law; None if `examples` scripts found none.

    idempotent: a + a = a           commutative: a + b = b + a          associative: (a + b) + c = a + (b + c)
    growing: an update only adds knowledge, so a later state + an earlier one of the same replica = the later one
    apart: merging b into a leaves b as it was, then and when a changes later (nothing is shared)

    States are compared with `==` if the type defines it, else by their collections; copied with `copy()` if it exists.
    `spec` says which updates to try. Errors as for `find_counterexample`.
    """
    rules, names = _spec(spec), _names(3)
    updates = _vocabulary(factory, rules)
    found = scripts.shortest(updates, names, lambda script: _law(factory, rules, names, script) is not None, steps,
                      examples, seed)
    return None if found is None else _law(factory, rules, names, found)


def _law(factory: Factory, rules: Spec, names: tuple[str, ...], script: Sequence[Step]) -> BrokenLaw | None:
    world = _Replicas(factory, rules, names)
    made = world.made
    for count, step in enumerate(script, 1):
        before = _copy(made[step.replica])
        others = {name: _copy(made[name]) for name in names if name != step.replica}
        world.do(step)
        broken = [("growing", _join(made[step.replica], before), made[step.replica])]
        broken += [("apart", made[name], then) for name, then in others.items()]
        for law, left, right in broken:
            if not _same(left, right):
                return BrokenLaw(law, tuple(script[:count]), _state(left), _state(right))
    a, b, c = made.values()
    for law, left, right in (("idempotent", _join(a, a), a), ("commutative", _join(a, b), _join(b, a)),
                             ("associative", _join(_join(a, b), c), _join(a, _join(b, c)))):
        if not _same(left, right):
            return BrokenLaw(law, tuple(script), _state(left), _state(right))
    return None


def _join(one: Any, other: Any) -> Any:
    joined = _copy(one)
    joined.merge(_copy(other))
    return joined


def _copy(state: Any) -> Any:
    return state.copy() if callable(getattr(state, "copy", None)) else copy.deepcopy(state)


def _same(one: Any, other: Any) -> bool:
    if "__eq__" in {name for cls in type(one).__mro__[:-1] for name in vars(cls)}:
        return bool(one == other)
    return bool(_fields(one) == _fields(other))


def _fields(state: Any) -> dict[str, Any]:
    """What a plain class knows: its collections if it has any, else all it has but its own name."""
    collections = {name: part for name, part in vars(state).items() if isinstance(part, dict | list | set | frozenset)}
    return collections or {name: part for name, part in vars(state).items() if part not in REPLICAS}


def _state(state: Any) -> str:
    return str(state.state() if hasattr(state, "state") else _fields(state))
