"""What a replicated type should show, said without replicating anything: a function of what happened before what.

Burckhardt et al. ("Replicated Data Types: Specification, Verification, Optimality", POPL 2014) specify a type by the
*visible* updates and their happens-before order. Nothing here is shared with the types: no dots, tombstones or merge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

REPLICAS = ("A", "B", "C", "D", "E")


# steps that are no updates
SAID = {"sync": "{0} merges {1}", "keep": "{0} is kept, as a message under way or a backup",
        "late": "{0} merges what was kept of {1}", "restore": "{0} goes back to what was kept of it"}


class Step(NamedTuple):
    """One step of a script: an update with its argument at a replica, or one of SAID.

    sync: take in all of `argument`'s state. keep, late, restore: see `scripts.moves`.
    """

    kind: str
    replica: str
    argument: Any

    def __str__(self) -> str:
        if self.kind in SAID:
            return SAID[self.kind].format(self.replica, self.argument)
        return f"{self.replica}: {self.kind} {self.argument}"


class Event(NamedTuple):
    """An update, and the numbers of the events that had happened before it, at its replica or merged in."""

    number: int
    kind: str
    argument: Any
    replica: str
    past: frozenset[int]
    lamport: int


class Past:
    """Who has heard of what, step by step: the happens-before of a script as it is played."""

    def __init__(self, replicas: Sequence[str]):
        self.events: list[Event] = []
        self.seen: dict[str, frozenset[int]] = dict.fromkeys(replicas, frozenset())
        self.kept: dict[str, frozenset[int]] = {}

    def play(self, step: Step) -> None:
        kind, replica, argument = step
        if kind == "sync":
            self.seen[replica] |= self.seen[argument]
        elif kind == "keep":
            self.kept[replica] = self.seen[replica]
        elif kind == "late":
            self.seen[replica] |= self.kept.get(argument, frozenset())
        elif kind == "restore":
            self.seen[replica] = self.kept.get(replica, self.seen[replica])
        else:
            past = self.seen[replica]
            time = 1 + max((self.events[i].lamport for i in past), default=0)
            self.events.append(Event(len(self.events), kind, argument, replica, past, time))
            self.seen[replica] = past | {len(self.events) - 1}

    def known(self, replica: str) -> list[Event]:
        """The events this replica has heard of, in the order in which they happened."""
        return [self.events[i] for i in sorted(self.seen[replica])]


def visible(script: Sequence[Step], replicas: Sequence[str]) -> dict[str, list[Event]]:
    """After the script: the events each replica has heard of."""
    history = Past(replicas)
    for step in script:
        history.play(step)
    return {replica: history.known(replica) for replica in replicas}


def _items(events: list[Event]) -> set[Any]:
    return {event.argument for event in events}


def _of(events: list[Event], kind: str, item: Any) -> list[Event]:
    return [event for event in events if event.kind == kind and event.argument == item]


def add_wins(events: list[Event]) -> set[Any]:
    """In the set if some add has not been seen by any remove."""
    return {item for item in _items(events)
            if any(not any(add.number in remove.past for remove in _of(events, "remove", item))
                   for add in _of(events, "add", item))}


def remove_wins(events: list[Event]) -> set[Any]:
    """In the set if it was added, and every remove has been seen by some add."""
    return {item for item in _items(events)
            if _of(events, "add", item) and all(any(remove.number in add.past for add in _of(events, "add", item))
                                                for remove in _of(events, "remove", item))}


def two_phase(events: list[Event]) -> set[Any]:
    """In the set if it was added and no remove has ever seen an add of it."""
    return {item for item in _items(events)
            if _of(events, "add", item) and not any(add.number in remove.past for add in _of(events, "add", item)
                                                    for remove in _of(events, "remove", item))}


def last_writer(events: list[Event]) -> set[Any]:
    """In the set if the last update of it is an add: by Lamport time, then replica."""
    last = {item: max((e for e in events if e.argument == item), key=lambda e: (e.lamport, e.replica))
            for item in _items(events)}
    return {item for item, event in last.items() if event.kind == "add"}


def grow_only(events: list[Event]) -> set[Any]:
    """Whatever was ever added."""
    return {event.argument for event in events if event.kind == "add"}


def counter(events: list[Event]) -> int:
    """All increments less all decrements."""
    return sum(event.argument if event.kind == "increment" else -event.argument for event in events)


def multi_value(events: list[Event]) -> set[Any]:
    """The values of the writes that no other write has seen."""
    return {write.argument for write in events if not any(write.number in other.past for other in events)}


def lww_map(events: list[Event]) -> dict[Any, Any]:
    """For each key the write with the largest Lamport time, then replica; a delete is a write of nothing."""
    last: dict[Any, Event] = {}
    for event in sorted(events, key=lambda e: (e.lamport, e.replica)):
        last[event.argument[0]] = event
    return {key: event.argument[1] for key, event in last.items() if event.kind == "set"}


@dataclass(frozen=True)
class Spec:
    """A way to judge a type: which updates there are, with their arguments, and what a replica should then show.

    name: of the specification.
    view: what should be seen, from the events a replica has heard of (each with kind, argument, and the past it saw).
    updates: names of methods, each with the arguments that are tried.
    optional: updates that are left out where a type does not have them.
    read: turns what `value()` gives into what `view` gives.
    call: turns an argument into those of the method.
    """

    name: str
    view: Callable[[list[Event]], Any]
    updates: dict[str, tuple[Any, ...]]
    optional: tuple[str, ...] = ()
    read: Callable[[Any], Any] = set
    call: Callable[[str, Any], tuple[Any, ...]] = lambda kind, argument: (argument,)


ITEMS = {"add": ("x", "y"), "remove": ("x", "y")}
WRITES = {"set": tuple((key, value) for key in "xy" for value in (1, 2)), "delete": (("x", None), ("y", None))}
SPECS = {spec.name: spec for spec in (
    Spec("add_wins", add_wins, ITEMS), Spec("remove_wins", remove_wins, ITEMS), Spec("two_phase", two_phase, ITEMS),
    Spec("last_writer", last_writer, ITEMS), Spec("grow_only", grow_only, ITEMS, ("remove",)),
    Spec("counter", counter, {"increment": (1, 2), "decrement": (1, 2)}, ("decrement",), int),
    Spec("multi_value", multi_value, {"set": (1, 2)}),
    Spec("lww_map", lww_map, WRITES, ("delete",), dict,
         lambda kind, argument: argument if kind == "set" else argument[:1]))}
