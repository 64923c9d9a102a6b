"""A machine that breaks replicated types: random scripts, judged by a specification, shrunk to the shortest failure.

Two kinds of question. Does it show what it should (`find_counterexample`)? Is its merge a join (`find_broken_law`)?
A type can pass the second and fail the first: a counter that keeps the larger total is a good semilattice, and loses.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from labkit import ranges
from labkit.crdt.specification import REPLICAS, SPECS, Spec, Step, visible

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


def find_counterexample(factory: Factory, spec: str = "add_wins", *, replicas: int = 3, steps: int = 14,
                        examples: int = 500, seed: int = 0) -> FailingScript | None:
    """Look for a script that makes a type break its specification; None if `examples` scripts found none.

    factory: `factory(name)` makes a fresh replica, with the updates of the spec (add, remove, increment, set ...),
    `merge(other)` and `value()`. Any class will do, one from a notebook too.
    spec: add_wins, remove_wins, two_phase, last_writer, grow_only, counter, multi_value or lww_map
    replicas: 2 to 5    steps: longest script    examples: scripts to try    seed: the same seed tries the same scripts

    A replica is held against the specification after every step, so one that changes without a message is found too.
    Raises TypeError if what the factory makes lacks a method, ValueError for a parameter out of range.
    """
    rules, names = _spec(spec), _names(replicas)
    ranges.whole("find_counterexample: steps", steps, 1)
    updates = _vocabulary(factory, rules)
    script = _shortest(lambda size: _scripts(updates, names, size),
                       lambda script: _judge(factory, rules, names, script) is not None, names, steps, examples, seed)
    return None if script is None else _judge(factory, rules, names, script)


def run(factory: Factory, script: Sequence[Step | tuple[str, str, Any]], spec: str = "add_wins",
        replicas: int = 3) -> dict[str, tuple[Any, Any]]:
    """What each replica shows after the script, and what the specification says it should: name to (got, expected)."""
    rules, names = _spec(spec), _names(replicas)
    steps = [Step(*step) for step in script]
    made = {name: factory(name) for name in names}
    for step in steps:
        _do(made, rules, step)
    known = visible(steps, names)
    return {name: (_read(rules, made[name]), rules.view(known[name])) for name in names}


# ------------------------------------------------------------------------------------------------ the machine
def _spec(name: str) -> Spec:
    ranges.one_of("laws: spec", name, SPECS)
    return SPECS[name]


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


def _scripts(updates: dict[str, tuple[Any, ...]], names: Sequence[str], steps: int) -> st.SearchStrategy[list[Step]]:
    pairs = [(one, other) for one in names for other in names if one != other]
    moves = [st.builds(Step, st.just(kind), st.sampled_from(names), st.sampled_from(arguments))
             for kind, arguments in updates.items()]
    syncs = st.sampled_from(pairs).map(lambda pair: Step("sync", *pair))
    return st.lists(st.one_of(*moves, syncs), max_size=steps)


def _shortest(scripts: Callable[[int], st.SearchStrategy[Any]], fails: Callable[[Any], bool], names: Sequence[str],
              steps: int, examples: int, seed: int) -> Any:
    """Search, and again among shorter scripts until there is none: shrinking alone may stop a step too early."""
    found = _search(scripts(steps), fails, examples, seed)
    shorter = found
    while shorter:
        shorter = _search(scripts(len(shorter) - 1), fails, examples, seed)
        found = found if shorter is None else shorter
    renamed = _renamed(found or [], names)
    return renamed if found and fails(renamed) else found


def _renamed(script: Sequence[Step], names: Sequence[str]) -> list[Step]:
    """The same script with the replicas named in the order in which they appear."""
    order = list(dict.fromkeys(name for step in script for name in (
        (step.argument, step.replica) if step.kind == "sync" else (step.replica,))))
    new = dict(zip(order, names, strict=False))
    return [Step(kind, new[replica], new[argument] if kind == "sync" else argument)
            for kind, replica, argument in script]


def _search(strategy: st.SearchStrategy[Any], fails: Callable[[Any], bool], examples: int, seed: int) -> Any:
    """The smallest value of the strategy that fails, as Hypothesis shrinks it, or None."""
    ranges.whole("laws: examples", examples, 1)
    limits = settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck),
                      phases=[Phase.generate, Phase.shrink])
    try:
        return find(strategy, fails, settings=limits, random=random.Random(seed))
    except NoSuchExample:
        return None


def _judge(factory: Factory, rules: Spec, names: tuple[str, ...], script: Sequence[Step]) -> FailingScript | None:
    made = {name: factory(name) for name in names}
    for count, step in enumerate(script, 1):
        known = visible(script[:count], names)
        try:
            _do(made, rules, step)
            shown = {name: _read(rules, made[name]) for name in names}
        except Exception as error:                  # a type that stumbles has failed, whatever it stumbles over
            shown = {step.replica: f"{type(error).__name__}: {error}"}
        for name, got in shown.items():
            expected = rules.view(known[name])
            if got != expected:
                return FailingScript(rules.name, names, tuple(script[:count]), name, expected, got)
    return None


def _do(made: dict[str, Any], rules: Spec, step: Step) -> None:
    if step.kind == "sync":
        made[step.replica].merge(made[step.argument])
    else:
        getattr(made[step.replica], step.kind)(*rules.call(step.kind, step.argument))


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


def find_broken_law(factory: Factory, spec: str = "add_wins", *, steps: int = 10, examples: int = 300,
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
    found = _shortest(lambda size: _scripts(updates, names, size),
                      lambda script: _law(factory, rules, names, script) is not None, names, steps, examples, seed)
    return None if found is None else _law(factory, rules, names, found)


def _law(factory: Factory, rules: Spec, names: tuple[str, ...], script: Sequence[Step]) -> BrokenLaw | None:
    made = {name: factory(name) for name in names}
    for count, step in enumerate(script, 1):
        before = _copy(made[step.replica])
        others = {name: _copy(made[name]) for name in names if name != step.replica}
        _do(made, rules, step)
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
