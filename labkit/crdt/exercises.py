"""The exercises of notebooks 30 to 33: each judges an answer in the terms of its lesson."""

from __future__ import annotations

from typing import Any

from labkit.course.quiz import Exercise, close_to
from labkit.crdt import invariants, laws
from labkit.crdt.gossip import rumour, theory
from labkit.crdt.specification import SPECS, Step, visible


# ------------------------------------------------------------------------------------------------ 30
def _part_ways(script: Any) -> str | None:
    steps = [Step(*step) for step in script]
    if len(steps) > 3:
        return f"three steps are enough, you have {len(steps)}"
    known = visible(steps, "ABC")
    if any(SPECS["add_wins"].view(seen) != SPECS["remove_wins"].view(seen) for seen in known.values()):
        return None
    return "both rules show the same at every replica: the add and the remove must not know of each other, and meet"


PART_WAYS = Exercise("30.1", _part_ways)


def _useless(kind: Any) -> str | None:
    broken = laws.find_broken_law(kind, "counter")
    if broken:
        return f"the {broken.law} law is broken after: " + ", ".join(map(str, broken.steps))
    one = kind("A")
    one.increment(2)
    if one.value() == 2:
        return "alone and after one increment, it is right: it must never be, once somebody has counted"
    return None


USELESS = Exercise("30.2", _useless)


def _mended(kind: Any) -> str | None:
    found = laws.find_counterexample(kind)
    if found:
        return "the machine still finds: " + ", ".join(map(str, found.steps))
    broken = laws.find_broken_law(kind)
    return f"the {broken.law} law is broken after: " + ", ".join(map(str, broken.steps)) if broken else None


MENDED = Exercise("30.3", _mended)

# ------------------------------------------------------------------------------------------------ 31
EXCHANGES = Exercise("31.1", close_to(
    theory.exchanges(50), 0.005, "too few: near the end most exchanges are between two who already know",
    "too many: an exchange works in both directions"))


def _calls(calls: Any) -> str | None:
    def seconds(k: int) -> float:
        return float(rumour.rounds(128, "push_pull", 0.5, trials=300, seed=1).mean()) / k

    if not isinstance(calls, int) or calls < 1:
        return "a whole number of calls a second is wanted"
    if seconds(calls) > 10:
        return f"with {calls} a second it takes {seconds(calls):.1f} s on average"
    if calls > 1 and seconds(calls - 1) <= 10:
        return "one call a second less would do"
    return None


CALLS = Exercise("31.2", _calls)


def _messenger(kind: Any) -> str | None:
    sender, other, receiver = kind("A"), kind("B"), kind("C")
    messages = [sender.increment(3), sender.increment(4), other.increment(5)]
    if sender.value() != 7:
        return f"after counting 3 and 4 the sender shows {sender.value()}"
    for message in (messages[1], messages[0], messages[2], messages[1], messages[0]):
        receiver.apply(message)
    if receiver.value() != 12:
        return f"3 and 4 from one, 5 from another, doubled and out of order: the receiver shows {receiver.value()}, not 12"
    return None


MESSENGER = Exercise("31.3", _messenger)
