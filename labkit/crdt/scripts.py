"""Random scripts for replicated types, long ones first, and what is left of one when all that can go has gone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from labkit import ranges
from labkit.crdt.specification import Step

Updates = Mapping[str, tuple[Any, ...]]
FAULTS = ("late", "restore")


def moves(updates: Updates, names: Sequence[str], faults: Sequence[str] = ()) -> list[Step]:
    """All steps there are: updates, full states taken in, and what `faults` allow.

    late: a state is kept under way ("keep") and arrives later, twice, or never ("late").
    restore: a replica goes back to the state that was kept of it, under its old id.
    """
    found = [Step(kind, name, argument) for kind, arguments in updates.items() for name in names
             for argument in arguments]
    found += [Step("sync", one, other) for one in names for other in names if one != other]
    if faults:
        found += [Step("keep", name, None) for name in names]
    if "late" in faults:
        found += [Step("late", one, other) for one in names for other in names if one != other]
    if "restore" in faults:
        found += [Step("restore", name, None) for name in names]
    return found


def plain(updates: Updates, names: Sequence[str], steps: int, count: int, seed: int,
          faults: Sequence[str] = ()) -> Iterator[list[Step]]:
    """`count` scripts of full length, half of their steps syncs; three in four are about a single item.

    Hypothesis likes short scripts, half of them of six steps: a bug that takes eight meets few of them.
    """
    rng = random.Random(seed)
    few = {kind: arguments[:1] for kind, arguments in updates.items()}
    choices = [_by_kind(moves(some, names, faults)) for some in (few, few, few, updates)]
    for number in range(count):
        kinds = choices[number % len(choices)]
        yield [rng.choice(rng.choice(kinds)) for _ in range(steps)]


def _by_kind(steps: Sequence[Step]) -> list[list[Step]]:
    """As likely as each update is a sync, which there are more ways to do."""
    kinds: dict[str, list[Step]] = {}
    for step in steps:
        kinds.setdefault(step.kind, []).append(step)
    return [*kinds.values(), kinds["sync"]]         # half of all steps spread what the others do


def smallest(script: Sequence[Step], fails: Callable[[Sequence[Step]], bool], others: Sequence[Step]) -> list[Step]:
    """The script without the steps that it fails without as well, until no single step can go.

    Nor can one go while another is exchanged for one of `others`: that is how a detour over a third replica goes.
    """
    left: list[Step] | None = list(script)
    while left is not None:
        found = left
        left = _first(_dropped(found), fails) or _first(_exchanged(found, others), fails)
    return found


def _first(candidates: Iterator[list[Step]], fails: Callable[[Sequence[Step]], bool]) -> list[Step] | None:
    return next((candidate for candidate in candidates if fails(candidate)), None)


def _dropped(script: list[Step]) -> Iterator[list[Step]]:
    for place in reversed(range(len(script))):
        yield script[:place] + script[place + 1:]


def _exchanged(script: list[Step], others: Sequence[Step]) -> Iterator[list[Step]]:
    for shorter in _dropped(script):
        for place in range(len(shorter)):
            for other in others:
                yield [*shorter[:place], other, *shorter[place + 1:]]


def renamed(script: Sequence[Step], names: Sequence[str], updates: Updates) -> list[Step]:
    """The same script with replicas, and items that all updates share, named in the order in which they appear."""
    order = dict.fromkeys(name for step in script for name in (
        (step.argument, step.replica) if step.kind in ("sync", "late") else (step.replica,)))
    new = dict(zip(order, names, strict=False))
    shared = next(iter(updates.values())) if len(set(map(str, updates.values()))) == 1 else ()
    items = dict(zip(dict.fromkeys(step.argument for step in script if step.kind in updates), shared, strict=False))
    return [Step(kind, new[replica], new[argument] if kind in ("sync", "late") else
                 items.get(argument, argument) if kind in updates else argument) for kind, replica, argument in script]


# ------------------------------------------------------------------------------------------------ Hypothesis
def strategy(updates: Updates, names: Sequence[str], steps: int,
             faults: Sequence[str] = ()) -> st.SearchStrategy[list[Step]]:
    pairs = [(one, other) for one in names for other in names if one != other]
    kinds = [st.builds(Step, st.just(kind), st.sampled_from(names), st.sampled_from(arguments))
             for kind, arguments in updates.items()]
    kinds.append(st.sampled_from(pairs).map(lambda pair: Step("sync", *pair)))
    if faults:
        usual = {*updates, "sync"}
        kinds.append(st.sampled_from([step for step in moves(updates, names, faults) if step.kind not in usual]))
    return st.lists(st.one_of(*kinds), max_size=steps)


def shortest(updates: Updates, names: Sequence[str], fails: Callable[[Any], bool], steps: int, examples: int,
              seed: int, faults: Sequence[str] = (), found: Any = None) -> Any:
    """Search, and again among shorter scripts until there is none: shrinking alone may stop a step too early.

    found: a script that fails, from elsewhere.
    """
    found = found or _search(strategy(updates, names, steps, faults), fails, examples, seed)
    shorter = found
    while shorter:
        shorter = _search(strategy(updates, names, len(shorter) - 1, faults), fails, examples, seed)
        found = found if shorter is None else shorter
    if found is None:
        return None
    tidy = renamed(found, names, updates)
    return tidy if fails(tidy) else found


def _search(strategy: st.SearchStrategy[Any], fails: Callable[[Any], bool], examples: int, seed: int) -> Any:
    """The smallest value of the strategy that fails, as Hypothesis shrinks it, or None."""
    ranges.whole("laws: examples", examples, 1)
    limits = settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck),
                      phases=[Phase.generate, Phase.shrink])
    try:
        return find(strategy, fails, settings=limits, random=random.Random(seed))
    except NoSuchExample:
        return None
