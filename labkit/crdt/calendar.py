"""A team calendar that mixes three kinds of consistency: rooms by majority, notes as text, colours by last writer.

Each office keeps everything. Notes (`Text`) and colours (`LWWMap`) are merged whenever a message gets through. A
booking needs the votes of a majority of the offices: each votes once for a room and slot, so no two can both have one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import simpy

from labkit import ranges
from labkit.crdt.network import Faults, HostileNetwork, isolate, later
from labkit.crdt.registers import LWWMap
from labkit.crdt.sets import ORSWOT
from labkit.crdt.text import Text

OFFICES = ("Oslo", "Pune", "Lima")
BOOKINGS = ("majority", "merge")
TIMEOUT = 2.0           # s an office waits for votes
SLOTS = tuple((room, hour) for room in ("red room", "blue room") for hour in range(9, 17))


@dataclass
class Booking:
    """A wish for a (room, hour) at an office: outcome "booked", "taken", "no majority" or "asking"; times in s."""

    number: int
    office: str
    slot: tuple[str, int]
    asked: float
    outcome: str = "asking"
    answered: float = 0.0
    yes: set[str] = field(default_factory=set)
    no: set[str] = field(default_factory=set)


@dataclass
class Day:
    """What the day brought.

    bookings: every wish and its outcome    double: slots that two people believe they have
    texts, colours: the notes and the colours at each office at the end
    edits: note edits and colour changes wished for    done: those done at once, where they were made
    """

    bookings: list[Booking] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    colours: list[dict[Any, Any]] = field(default_factory=list)
    edits: int = 0
    done: int = 0

    def count(self, outcome: str) -> int:
        return sum(booking.outcome == outcome for booking in self.bookings)

    @property
    def double(self) -> int:
        held = [booking.slot for booking in self.bookings if booking.outcome == "booked"]
        return len(held) - len(set(held))

    @property
    def same(self) -> bool:
        """Whether all offices ended with the same notes and colours."""
        return len(set(self.texts)) == 1 and all(one == self.colours[0] for one in self.colours)

    def summary(self) -> str:
        """One line with the numbers."""
        return (f"{self.count('booked')} booked, {self.count('taken')} taken, {self.count('no majority')} without a "
                f"majority; {self.double} double bookings; {self.done} of {self.edits} notes and colours done at once, "
                f"{'the same' if self.same else 'not the same'} everywhere at the end")


def simulate(bookings: str = "majority", partition: tuple[float, float] | None = (20, 40), away: str = "Lima",
             delay: float = 0.1, drop: float = 0.0, wishes: int = 30, seed: int = 0) -> Day:
    """A minute in which `wishes` people want a room and twice as many write notes or change colours, at three offices.

    bookings: "majority" (ask, and wait for two of three) or "merge" (a set that is merged, like the notes)
    partition: from when to when (s) the office `away` is cut off, or None    delay: mean one-way time (s)
    drop: chance that a message is lost

    Raises ValueError naming the parameter that is out of range.
    """
    ranges.one_of("calendar.simulate: bookings", bookings, BOOKINGS)
    ranges.one_of("calendar.simulate: away", away, OFFICES)
    ranges.whole("calendar.simulate: wishes", wishes, 0)
    cuts = () if partition is None else (isolate(*partition, [away]),)
    return _Calendar(bookings, Faults(delay, drop, partitions=cuts), seed).run(wishes)


class _Calendar:
    def __init__(self, bookings: str, faults: Faults, seed: int):
        self.env, self.day, self.by_majority = simpy.Environment(), Day(), bookings == "majority"
        self.network = HostileNetwork(self.env, OFFICES, self.receive, faults, seed)
        self.rng = random.Random(seed)
        self.notes = {name: Text(name) for name in OFFICES}
        self.colours = {name: LWWMap(name) for name in OFFICES}
        self.rooms = {name: ORSWOT(name) for name in OFFICES}               # only used by "merge"
        self.votes: dict[str, dict[Any, int]] = {name: {} for name in OFFICES}      # slot -> the booking voted for

    def run(self, wishes: int) -> Day:
        for _ in range(wishes):
            later(self.env, self.rng.uniform(0, 60), self.wish)
        for _ in range(2 * wishes):
            later(self.env, self.rng.uniform(0, 60), self.edit)
        for second in range(90):
            for office in OFFICES:
                later(self.env, second + self.rng.random(), partial(self.gossip, office))
        self.env.run(120)
        self.day.texts = [note.value() for note in self.notes.values()]
        self.day.colours = [colours.value() for colours in self.colours.values()]
        return self.day

    # ------------------------------------------------------------------------------------------------ weak
    def edit(self) -> None:
        office = self.rng.choice(OFFICES)
        self.day.edits += 1
        if self.rng.random() < 0.5:
            note = self.notes[office]
            note.insert(self.rng.randint(0, len(note)), f"[{office} {self.day.edits}]")
        else:
            self.colours[office].set(self.rng.choice(["ann", "ben", "eve"]), self.rng.choice(["teal", "plum"]),
                                     self.env.now)
        self.day.done += 1

    def gossip(self, office: str) -> None:
        state = self.notes[office].copy(), self.colours[office].copy(), self.rooms[office].copy()
        for other in self.network.others(office):
            self.network.send(office, other, ("state", state))

    # ------------------------------------------------------------------------------------------------ strong
    def wish(self) -> None:
        booking = Booking(len(self.day.bookings), self.rng.choice(OFFICES), self.rng.choice(SLOTS), self.env.now)
        self.day.bookings.append(booking)
        if self.by_majority:
            self.ask(booking)
        else:
            rooms = self.rooms[booking.office]
            bookings: Any = rooms.value()           # pairs (number of the booking, slot)
            taken = any(held[1] == booking.slot for held in bookings)
            if not taken:
                rooms.add((booking.number, booking.slot))
            self.answer(booking, "taken" if taken else "booked")

    def ask(self, booking: Booking) -> None:
        for office in OFFICES:
            self.tell(booking.office, office, ("vote?", booking))
        later(self.env, TIMEOUT, lambda: self.give_up(booking))

    def tell(self, source: Any, target: Any, payload: Any) -> None:
        if source == target:
            self.receive(source, target, payload)
        else:
            self.network.send(source, target, payload)

    def give_up(self, booking: Booking) -> None:
        """Too late: later votes are ignored, so those that were given may go back."""
        if booking.outcome == "asking":
            self.answer(booking, "no majority")

    def answer(self, booking: Booking, outcome: str) -> None:
        booking.outcome, booking.answered = outcome, self.env.now
        if outcome != "booked" and self.by_majority:
            for office in OFFICES:
                self.tell(booking.office, office, ("release", booking))

    def receive(self, source: Any, target: Any, payload: Any) -> None:
        kind, what = payload
        if kind == "state":
            for mine, theirs in zip((self.notes, self.colours, self.rooms), what, strict=True):
                offices: Any = mine
                offices[target].merge(theirs)
        elif kind == "vote?":
            holder = self.votes[target].setdefault(what.slot, what.number)
            self.tell(target, source, ("yes" if holder == what.number else "no", what))
        elif kind == "release":
            if self.votes[target].get(what.slot) == what.number:
                del self.votes[target][what.slot]
        elif what.outcome == "asking":
            votes = what.yes if kind == "yes" else what.no
            votes.add(source)
            if 2 * len(votes) > len(OFFICES):
                self.answer(what, "booked" if kind == "yes" else "taken")
