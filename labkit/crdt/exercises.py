"""The exercises of notebooks 30 to 33: each judges an answer in the terms of its lesson."""

from __future__ import annotations

from math import exp
from numbers import Real
from typing import Any

from labkit.course.quiz import Exercise, close_to
from labkit.crdt import invariants, laws
from labkit.crdt.gossip import rumour, theory
from labkit.crdt.sets import ORSWOT
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
    one, other = kind("A"), kind("B")
    right = 0
    for told, amount in (("alone, after one increment of 1", 1), ("alone, after 1 and 2", 2),
                         ("alone, after 1, 2 and 1", 1)):
        one.increment(amount)
        right += amount
        if (complaint := _right(one, right, told)) is not None:
            return complaint
    other.merge(one)
    if (complaint := _right(other, right, "at B, which merged A's 1, 2, 1")) is not None:
        return complaint
    other.increment(3)
    return _right(other, right + 3, "at B, which merged A's 1, 2, 1 and counted 3")


def _right(counter: Any, right: int, told: str) -> str | None:
    shown = counter.value()
    if isinstance(shown, bool) or not isinstance(shown, int | float):
        return f"value() gives {shown!r}: a counter shows a number"
    return f"{told}, it is right: it must never be, once somebody has counted" if shown == right else None


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
    theory.exchanges(50), 0.003, "too few: near the end most exchanges are between two who already know",
    "too many: an exchange works in both directions, and the sum has one term for each who does not know yet"))


def _calls(answer: Any) -> str | None:
    def seconds(k: int) -> float:
        return float(rumour.rounds(128, "push_pull", 0.5, trials=300, seed=1).mean()) / k

    if isinstance(answer, bool) or not isinstance(answer, Real) or not float(answer).is_integer() or answer < 1:
        return "a whole number of calls a second is wanted"
    calls = int(float(answer))
    if seconds(calls) > 10:
        return f"with {calls} a second it takes {seconds(calls):.1f} s on average"
    if calls > 1 and seconds(calls - 1) <= 10:
        return "one call a second less would do"
    return None


CALLS = Exercise("31.2", _calls)


def _messenger(kind: Any) -> str | None:
    sender, other, receiver = kind("A"), kind("B"), kind("C")
    messages = [sender.increment(3), sender.increment(4), other.increment(5), sender.increment(4)]
    if sender.value() != 11:
        return f"after counting 3, 4 and 4 the sender shows {sender.value()}"
    for message in [messages[place] for place in (1, 0, 3, 2, 1, 0, 3)]:
        receiver.apply(message)
    if receiver.value() != 16:
        return f"3, 4, 4 and 5, some of them twice and out of order: the receiver shows {receiver.value()}, not 16"
    for message in messages:
        sender.apply(message)               # a broadcast comes back to who sent it
    if sender.value() != 16:
        return f"its own three messages come back to the sender, and 5 from another: it shows {sender.value()}, not 16"
    return None


MESSENGER = Exercise("31.3", _messenger)

# ------------------------------------------------------------------------------------------------ 32
LOST_LAST_WRITE = Exercise("32.1", close_to(
    1 - exp(-0.25), 0.005, "too low: A writes the key every two seconds on average, and half a second of that counts",
    "too high: only A's writes can win over B's last one, and only those of the last half second"))


def _restored(restore: Any) -> str | None:
    phone, server, tablet = ORSWOT("phone"), ORSWOT("server"), ORSWOT("tablet")
    phone.add("bread")
    server.merge(phone)
    server.remove("bread")
    phone.add("oats")                       # nobody has heard of them when the backup is made
    backup = phone.copy()
    phone.add("eggs")                       # the backup knows nothing of these, and only the tablet does
    tablet.merge(phone)
    tablet.remove("eggs")
    new = restore(backup.copy(), server)
    if not isinstance(new, ORSWOT) or new is server:
        return "a replica is wanted, an ORSWOT of its own beside the server"
    shown = new.value()
    if "bread" in shown:
        return "bread, which was removed, is back"
    if "oats" not in shown:
        return "the oats are lost: they were in the backup, and nobody else had heard of them"
    new.add("milk")
    for one, other in ((server, new), (tablet, server), (new, tablet)):
        one.merge(other)
    if not all("milk" in one.value() for one in (server, tablet, new)):
        return "the first add after the restore did not reach everybody: its dot had been used before"
    if new.replica in ("phone", "server", "tablet"):
        return f"{new.replica!r} has been the id of another life: some day it gives out a dot that was used before"
    return None


RESTORED = Exercise("32.2", _restored)
AWAY = Exercise("32.3", close_to(
    960_000, 0.005, "too little: eight hours have 28,800 seconds, and nothing is collected while one is away",
    "too much: each remove leaves one tombstone at each replica; the question is about one replica"))


# ------------------------------------------------------------------------------------------------ 33
def _seminar(schema: Any) -> str | None:
    names = {operation.name for operation in schema.operations}
    if names != {"enrol", "leave"}:
        return f"the operations should be called enrol and leave, yours are {', '.join(sorted(names))}"
    people = [operation for operation in schema.operations if operation.name == "enrol"][0].arguments
    if len(people) < 3:
        return "with fewer than three people there is nobody to be turned away"
    states: list[Any] = list(invariants.reachable(schema, 4))
    largest = max(map(len, states))
    if largest != 2:
        return f"the seminar has 2 seats; in your schema up to {largest} sit in it"
    found = invariants.labels(schema)
    return None if found == {"enrol": "red", "leave": "blue"} else f"the labels come out as {found}: look at your merge"


SEMINAR = Exercise("33.1", _seminar)
QUESTIONS = {"was 100 ever bid?": False, "is room 7 free?": True, "has anybody cancelled?": False,
             "who has the highest bid?": True, "have at least 50 people signed?": False,
             "did fewer than 50 sign?": True}


def _coordinate(chosen: Any) -> str | None:
    chosen = set(chosen)
    unknown = chosen - set(QUESTIONS)
    if unknown:
        return f"{sorted(unknown)[0]!r} is not one of the questions"
    for question, needs in QUESTIONS.items():
        if needs and question not in chosen:
            return f"{question!r}: can the answer be taken back by a fact that arrives later?"
        if question in chosen and not needs:
            return f"{question!r}: once true, it stays true whatever arrives"
    return None


COORDINATE = Exercise("33.2", _coordinate)
FEATURES = {"steps, from phone and watch": "counter", "standing places at a concert": "escrow",
            "invoice numbers without a gap": "strong", "a recipe two cooks edit": "text",
            "the volume of a speaker": "last writer"}
WHY = {"counter": "nothing is broken by counting late, and no step may be lost",
       "escrow": "there are many alike, and selling must go on offline: which type splits rights?",
       "strong": "which number is next depends on all that were given out before, anywhere",
       "text": "two sentences typed at the same time must both survive",
       "last writer": "one value, and nobody is hurt if an old one wins for a second"}


def _choose(choices: Any) -> str | None:
    for feature, right in FEATURES.items():
        if choices.get(feature) != right:
            return f"{feature}: {WHY[right]}"
    return None


CHOICES = Exercise("33.3", _choose)
