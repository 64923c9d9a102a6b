"""Which operations may run without asking: two of them clash if both were fine alone and their merge breaks the rule.

Invariant confluence (Bailis et al., VLDB 2015, section 4): if no two valid branches from a valid state merge into an
invalid one, no coordination is needed; if some do, no protocol can do without. RedBlue (Li et al., OSDI 2012) calls the
operations that clash red. Both are decided here by trying every pair in every small state.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

from labkit import ranges

State = Hashable


@dataclass(frozen=True)
class Operation:
    """`apply(state, argument)` is the new state, or None where a replica would refuse it on its own."""

    name: str
    arguments: tuple[Any, ...]
    apply: Callable[[Any, Any], State | None]


@dataclass(frozen=True)
class Schema:
    """States, the operations on them, the rule that must always hold, and how two branches merge.

    `merge(common, left, right)` joins the branches that left `common`; see `merge_facts`, `merge_numbers`.
    Raises ValueError if the start breaks the rule.
    """

    name: str
    start: State
    operations: tuple[Operation, ...]
    rule: Callable[[Any], bool]
    merge: Callable[[Any, Any, Any], State]

    def __post_init__(self) -> None:
        if not self.rule(self.start):
            raise ValueError(f"Schema.start = {self.start!r}: must satisfy the rule of {self.name!r}")


@dataclass(frozen=True)
class Clash:
    """Both sides were right to go ahead, and together they are wrong."""

    left: str
    right: str
    start: State
    merged: State

    def __str__(self) -> str:
        return f"from {_show(self.start)}: {self.left} || {self.right} -> {_show(self.merged)}"

    __repr__ = __str__


def merge_numbers(common: int, left: int, right: int) -> int:
    """What a PN-counter does: both changes count."""
    return left + right - common


def merge_facts(common: frozenset[Any], left: frozenset[Any], right: frozenset[Any]) -> frozenset[Any]:
    """What an add-wins set of unique facts does: what was added on a side is there, what was removed on one is gone."""
    return (left & right) | (left - common) | (right - common)


def reachable(schema: Schema, steps: int = 3) -> list[State]:
    """The valid states within `steps` operations of the start, nearest first."""
    ranges.whole("invariants.reachable: steps", steps, 0)
    found, edge = [schema.start], [schema.start]
    for _ in range(steps):
        edge = [state for before in edge for operation in schema.operations for argument in operation.arguments
                if (state := _attempt(schema, operation, before, argument)) is not None]
        edge = [state for state in dict.fromkeys(edge) if state not in found]
        found += edge
    return found


def _attempt(schema: Schema, operation: Operation, state: State, argument: Any) -> State | None:
    after = operation.apply(state, argument)
    return after if after is not None and schema.rule(after) else None


def clashes(schema: Schema, steps: int = 3) -> dict[tuple[str, str], Clash | None]:
    """For each pair of operations, in every state within `steps` of the start: the first clash, or None."""
    states = reachable(schema, steps)
    return {(one.name, other.name): _first(schema, one, other, states)
            for one, other in combinations_with_replacement(schema.operations, 2)}


def _first(schema: Schema, one: Operation, other: Operation, states: Sequence[State]) -> Clash | None:
    for state in states:
        lefts = [(a, after) for a in one.arguments if (after := _attempt(schema, one, state, a)) is not None]
        rights = [(b, after) for b in other.arguments if (after := _attempt(schema, other, state, b)) is not None]
        for a, left in lefts:
            for b, right in rights:
                merged = schema.merge(state, left, right)
                if not schema.rule(merged):
                    return Clash(f"{one.name} {_show(a)}", f"{other.name} {_show(b)}", state, merged)
    return None


def labels(schema: Schema, steps: int = 3) -> dict[str, str]:
    """"red" for an operation that clashes with some other or with itself, "blue" for one that never does."""
    red = {name for pair, clash in clashes(schema, steps).items() if clash for name in pair}
    return {operation.name: "red" if operation.name in red else "blue" for operation in schema.operations}


# ------------------------------------------------------------------------------------------------ small schemas
def account(largest: int = 3) -> Schema:
    """A balance that must not go below zero; up to `largest` is paid in or taken out at once."""
    amounts = tuple(range(1, largest + 1))
    return Schema("account", 0, (Operation("deposit", amounts, lambda balance, n: balance + n),
                                 Operation("withdraw", amounts, lambda balance, n: balance - n)),
                  lambda balance: balance >= 0, merge_numbers)


def _put(facts: frozenset[Any], fact: Any) -> frozenset[Any]:
    return facts | {fact}


def _drop(facts: frozenset[Any], fact: Any) -> frozenset[Any] | None:
    return facts - {fact} if fact in facts else None


def _unique(facts: Collection[tuple[Any, Any]]) -> bool:
    """No two facts (who, what) share their what."""
    return len({what for _, what in facts}) == len(facts)


def usernames() -> Schema:
    """Accounts 1 and 2 choose a name; no two accounts may have the same."""
    wishes = tuple((account, name) for account in (1, 2) for name in ("ann", "ben"))
    return Schema("unique name", frozenset(), (Operation("register", wishes, _put), Operation("close", wishes, _drop)),
                  _unique, merge_facts)


def rooms() -> Schema:
    """Two people, one room, two slots: one booking a slot. Notes may be left by anybody at any time."""
    wishes = tuple((who, slot) for who in ("ann", "ben") for slot in (9, 10))
    notes = (("ann", "note: tea"), ("ben", "note: cake"))
    return Schema("double booking", frozenset(),
                  (Operation("book", wishes, _put), Operation("cancel", wishes, _drop), Operation("note", notes, _put)),
                  _unique, merge_facts)


def teams() -> Schema:
    """Everybody belongs to a team that exists: a foreign key."""
    def hire(facts: frozenset[Any], who: str) -> frozenset[Any] | None:
        return facts | {(who, "blue team")} if "blue team" in facts else None

    return Schema("foreign key", frozenset(), (Operation("found", ("blue team",), _put),
                                               Operation("hire", ("ann", "ben"), hire),
                                               Operation("dissolve", ("blue team",), _drop)),
                  lambda facts: "blue team" in facts or not any(isinstance(fact, tuple) for fact in facts), merge_facts)


def announcing(query: Callable[[frozenset[Any]], Collection[Hashable]], facts: Collection[Hashable]) -> Schema:
    """A query as a schema: replicas `learn` facts and `announce` answers, and an announced answer must stay true.

    CALM (Hellerstein & Alvaro, CACM 2020): a query can be answered without coordination exactly if it is monotone, that
    is, if more facts never take an answer back. Then, and only then, learn and announce do not clash.
    """
    answers = tuple(dict.fromkeys(answer for subset in _subsets(tuple(facts)) for answer in query(subset)))

    def learn(state: tuple[frozenset[Any], frozenset[Any]], fact: Any) -> State:
        return state[0] | {fact}, state[1]

    def announce(state: tuple[frozenset[Any], frozenset[Any]], answer: Any) -> State | None:
        return (state[0], state[1] | {answer}) if answer in query(state[0]) else None

    return Schema("announced answers stay true", (frozenset(), frozenset()),
                  (Operation("learn", tuple(facts), learn), Operation("announce", answers, announce)),
                  lambda state: state[1] <= set(query(state[0])),
                  lambda common, left, right: (left[0] | right[0], left[1] | right[1]))


def coordination_free(query: Callable[[frozenset[Any]], Collection[Hashable]],
                      facts: Collection[Hashable]) -> Clash | None:
    """None if its answers can be announced without asking anybody, else the first one that must be taken back.

    query: from a set of facts to its answers    facts: a few facts (at most 8) to try it on
    """
    ranges.whole("coordination_free: number of facts", len(facts), 1, 8)
    found = clashes(announcing(query, facts), steps=len(facts))
    return found["learn", "announce"] or found["announce", "announce"]


def _subsets(facts: tuple[Hashable, ...]) -> list[frozenset[Any]]:
    return [frozenset(fact for i, fact in enumerate(facts) if bits >> i & 1) for bits in range(2**len(facts))]


def _show(value: Any) -> str:
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(_show, value))) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_show, value)) + ")"
    return str(value)
