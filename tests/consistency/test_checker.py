"""The checker against definitions, against brute force, and its engines against each other."""

import copy
import math
import time
from dataclasses import replace

import pytest

from labkit.consistency import Operation, linearizable
from labkit.consistency import meter as bounds
from labkit.consistency.contest import blame
from labkit.consistency.frontier import _prune, frontier
from labkit.consistency.history import validate
from labkit.consistency.meter import Memory, Meter
from labkit.consistency.models import MODELS
from labkit.consistency.search import search
from labkit.consistency.task import Task, finish
from labkit.consistency.zones import zones
from tests.consistency.brute import NO, after, brute_force
from tests.consistency.histories import anything, sound, with_a_stale_read

NEVER = math.inf


def op(process, kind, args, result, invoked, returned):
    return Operation(process, kind, args, result, invoked, returned)


def w(process, value, begin, end):
    return op(process, "write", (value,), None, begin, end)


def r(process, value, begin, end):
    return op(process, "read", (), value, begin, end)


def cas(process, old, new, result, begin, end):
    return op(process, "cas", (old, new), result, begin, end)


CLASSICS = [
    ("nothing happened: the empty order explains it", True, []),
    ("a register starts as None", True, [r(1, None, 0, 1)]),
    ("a value from nowhere", False, [r(1, 7, 0, 1)]),
    ("read after write", True, [w(1, 1, 0, 1), r(2, 1, 2, 3)]),
    ("stale: the write was over", False, [w(1, 1, 0, 1), r(2, None, 2, 3)]),
    ("during a write the old value may be read", True, [w(1, 1, 0, 9), r(2, None, 2, 3)]),
    ("during a write the new value may be read", True, [w(1, 1, 0, 9), r(2, 1, 2, 3)]),
    ("new, then old, during one write (DDIA figure 9-6)", False, [w(1, 1, 0, 9), r(2, 1, 1, 2), r(3, None, 3, 4)]),
    ("old, then new, during one write", True, [w(1, 1, 0, 9), r(2, None, 1, 2), r(3, 1, 3, 4)]),
    ("two overlapping readers may differ in either way", True, [w(1, 1, 0, 9), r(2, 1, 1, 4), r(3, None, 2, 5)]),
    ("concurrent writes in either order: first wins", True, [w(1, 1, 0, 5), w(2, 2, 0, 5), r(3, 1, 6, 7)]),
    ("concurrent writes in either order: second wins", True, [w(1, 1, 0, 5), w(2, 2, 0, 5), r(3, 2, 6, 7)]),
    ("but in one order for all readers", False, [w(1, 1, 0, 5), w(2, 2, 0, 5), r(3, 1, 6, 7), r(4, 2, 8, 9)]),
    ("a value comes back that was overwritten", False, [w(1, 1, 0, 1), w(1, 2, 2, 3), r(2, 1, 4, 5)]),
    ("unless it is written again, meanwhile", True, [w(1, 1, 0, 1), w(1, 2, 2, 3), w(2, 1, 0, 9), r(3, 1, 4, 5)]),
    ("a crashed write may have happened", True, [w(1, 1, 0, NEVER), r(2, 1, 5, 6)]),
    ("a crashed write may not have happened", True, [w(1, 1, 0, NEVER), r(2, None, 5, 6)]),
    ("a crashed write may happen late", True, [w(1, 1, 0, NEVER), r(2, None, 5, 6), r(2, 1, 7, 8)]),
    ("but only once", False, [w(1, 1, 0, NEVER), w(2, 2, 3, 4), r(2, 1, 5, 6), w(2, 3, 7, 8), r(2, 1, 9, 10)]),
    ("and never before it was called", False, [r(2, 1, 0, 1), w(1, 1, 5, NEVER)]),
    ("a crashed read says nothing", True, [w(1, 1, 0, 1), r(2, 99, 2, NEVER)]),
    ("a cas that fits", True, [w(1, 1, 0, 1), cas(2, 1, 2, True, 2, 3), r(3, 2, 4, 5)]),
    ("a cas that cannot have succeeded", False, [w(1, 1, 0, 1), cas(2, 7, 2, True, 2, 3)]),
    ("a failed cas is an observation", False, [w(1, 1, 0, 1), cas(2, 1, 2, False, 2, 3)]),
    ("a failed cas may be explained by a concurrent write", True,
     [w(1, 1, 0, 1), w(3, 5, 2, 4), cas(2, 1, 2, False, 2, 3)]),
    ("two cas from the same value cannot both win", False,
     [w(1, 1, 0, 1), cas(2, 1, 2, True, 2, 9), cas(3, 1, 3, True, 2, 9)]),
    ("a cas of unknown outcome may have won", True, [w(1, 1, 0, 1), cas(2, 1, 2, None, 2, 3), r(3, 2, 4, 5)]),
    ("a cas of unknown outcome may have lost", True,
     [w(1, 1, 0, 1), w(3, 5, 2, 3), cas(2, 1, 2, None, 2, 3), r(3, 5, 4, 5)]),
    ("but if it returned, it was done: it would have won", False,
     [w(1, 1, 0, 1), cas(2, 1, 2, None, 2, 3), r(3, 1, 4, 5)]),
    ("unless what never came back changed it first: the cas may have found another value", True,
     [cas(1, 3, 2, True, 3, 8), cas(2, 2, 3, None, 4, NEVER), w(3, 3, 4, NEVER), cas(1, 2, 1, None, 10, 13),
      r(1, 3, 15, 18)]),
    ("a process goes on after a call that never came back", True,
     [w(1, 1, 0, 1), w(1, 2, 2, NEVER), r(1, 1, 4, 5), w(1, 3, 4, NEVER), r(1, 3, 6, 7), r(1, 2, 8, 9)]),
    ("each of them happens once at most", False,
     [w(1, 1, 0, 1), w(1, 2, 2, NEVER), r(1, 2, 4, 5), w(1, 3, 6, 7), r(1, 2, 8, 9)]),
    ("calls that touch do not order those of two processes through a third", True,
     [r(1, None, 3, 7), w(2, 1, 7, 7), cas(1, None, 2, True, 7, 8), r(3, 1, 9, 10)]),
    ("a crashed cas may win late", True, [w(1, 1, 0, 1), cas(2, 1, 2, None, 2, NEVER), r(3, 1, 4, 5), r(3, 2, 6, 7)]),
    ("operations that touch are concurrent", True, [w(1, 1, 0, 1), r(2, None, 1, 2)]),
    ("but not those of one process", False, [w(1, 1, 0, 1), r(1, None, 1, 2)]),
    ("the same value written twice", True, [w(1, 1, 0, 1), w(2, 2, 2, 3), w(1, 1, 4, 5), r(2, 1, 6, 7)]),
    ("a lost update: two increments from one value", False,
     [w(1, 0, 0, 1), r(2, 0, 2, 3), r(3, 0, 2, 3), w(2, 1, 4, 5), w(3, 1, 4, 5), r(1, 2, 6, 7)]),
]
KV = [
    ("keys start empty", True, [op(1, "get", ("a",), "", 0, 1)]),
    ("None is not the empty string", False, [op(1, "get", ("a",), None, 0, 1)]),
    ("appends add up", True, [op(1, "append", ("a", "x"), None, 0, 1), op(1, "append", ("a", "y"), None, 2, 3),
                              op(2, "get", ("a",), "xy", 4, 5)]),
    ("in real-time order", False, [op(1, "append", ("a", "x"), None, 0, 1), op(1, "append", ("a", "y"), None, 2, 3),
                                   op(2, "get", ("a",), "yx", 4, 5)]),
    ("concurrent appends in either order", True, [op(1, "append", ("a", "x"), None, 0, 9),
                                                  op(2, "append", ("a", "y"), None, 0, 9),
                                                  op(3, "get", ("a",), "yx", 10, 11)]),
    ("an append is lost", False, [op(1, "append", ("a", "x"), None, 0, 1), op(2, "append", ("a", "y"), None, 0, 1),
                                  op(3, "get", ("a",), "y", 2, 3)]),
    ("a put replaces", True, [op(1, "append", ("a", "x"), None, 0, 1), op(1, "put", ("a", "z"), None, 2, 3),
                              op(2, "get", ("a",), "z", 4, 5)]),
    ("keys do not mix", False, [op(1, "put", ("a", "x"), None, 0, 1), op(2, "get", ("b",), "x", 2, 3)]),
    ("a crashed append may happen late", True, [op(1, "append", ("a", "x"), None, 0, NEVER),
                                                op(2, "get", ("a",), "", 4, 5), op(2, "get", ("a",), "x", 6, 7)]),
]


@pytest.mark.parametrize("why, ok, history", CLASSICS, ids=[c[0] for c in CLASSICS])
def test_classics(why, ok, history):
    assert linearizable(history).ok is ok
    task = Task.of(validate(history), MODELS["register"], None)
    for engine in (frontier, search):
        assert finish(engine(task, Meter())).ok is ok


BLAME = [
    ("an answer counts from its return: the read may have seen a cas that won", 2,
     [w(1, 1, 0, 1), cas(2, 1, 2, False, 2, 7), r(3, 2, 3, 5), r(3, 2, 8, 9)], lambda h: h[1]),
    ("but not a value that nothing open could have made", 1,
     [w(1, 1, 0, 1), cas(2, 1, 2, None, 2, 7), r(3, 3, 3, 5), w(1, 3, 6, 7)], lambda h: h[2]),
    ("of two faults the first to return", 1, [w(1, 1, 0, 1), r(2, 7, 2, 5), r(3, None, 3, 4), w(1, 7, 2, 3)],
     lambda h: h[2]),
    ("a later call of a process whose last one is open", 1, [w(1, 1, 0, NEVER), r(1, None, 2, 3), r(1, 1, 4, 5),
                                                             r(1, None, 6, 7)], lambda h: h[3])]


@pytest.mark.parametrize("why, before, history, blamed", BLAME, ids=[b[0] for b in BLAME])
def test_the_call_that_no_order_of_what_was_known_explains_is_blamed(why, before, history, blamed):
    verdict = linearizable(history)
    assert (verdict.ok, verdict.blocking) == (False, blamed(history))
    assert len(verdict.prefix) >= before


@pytest.mark.parametrize("why, ok, history", KV, ids=[c[0] for c in KV])
def test_key_value_classics(why, ok, history):
    assert linearizable(history, "kv").ok is ok


def replay(calls, initial=None):
    """A witness anybody can check."""
    state = initial
    for call in calls:
        state = after(state, call, initial)
        assert state is not NO, call


@pytest.mark.parametrize("part", range(4))
def test_brute_force_and_all_engines_agree_on_24000_histories(part):
    rejected = 0
    for seed in range(6000 * part, 6000 * (part + 1)):
        history = anything(seed, unique=seed % 3 == 0)
        truth = brute_force(history, None)
        rejected += not truth
        task = Task.of(validate(history), MODELS["register"], None)
        answers = [finish(frontier(task, Meter())), finish(search(task, Meter()))]
        quick = zones(task, Meter())
        answers += [quick] if quick else []
        for answer in answers:
            assert answer.ok == truth, (seed, answer)
            replay(answer.order)
        assert linearizable(history).ok is truth
        if not truth:                           # and they blame a return at the same instant
            blamed = {blame(task, answer, NEVER, Memory()).blocking.returned for answer in answers}
            assert blamed == {linearizable(history).blocking.returned}, (seed, blamed)
    assert 0.3 < rejected / 6000 < 0.9          # neither side is rare


@pytest.mark.parametrize("kinds, values, crashes", [
    (["read", "read", "write"], None, 0), (["read", "read", "write"], 5, 0.02), (["read", "cas", "write"], 5, 0.02),
    (["read", "cas", "write"], None, 0.01)])
def test_sound_histories_are_accepted_and_one_stale_read_is_found(kinds, values, crashes):
    for seed in range(10):
        history = sound(seed, 5, 400, kinds, values, crashes)
        assert linearizable(history).ok is True
        if values is None:
            verdict = linearizable(with_a_stale_read(history))
            assert verdict.ok is False
            assert verdict.blocking.kind == "read"


def test_both_engines_accept_sound_histories_with_many_crashed_calls():
    for seed in range(80):
        task = Task.of(validate(sound(seed, 5, 60, ["read", "write", "cas"], 3, crashes=0.3)), MODELS["register"], None)
        for engine in (frontier, search):
            assert finish(engine(task, Meter(time.monotonic() + 60))).ok is True, seed


def test_only_a_configuration_that_needed_no_less_of_anything_is_dropped():
    state, mask = "x", 1
    configurations = {(state, mask, used): None for used in (0b001, 0b110, 0b101, 0b111)}
    assert {used for _, _, used in _prune(configurations, Meter())} == {0b001, 0b110}
    configurations = {(state, mask, used): None for used in (0b01, 0b10)}
    assert _prune(configurations, Meter()) == configurations


@pytest.mark.parametrize("kinds", [["get", "append"], ["get", "put", "append"]])
@pytest.mark.parametrize("clients", [1, 10, 50])
def test_key_value_histories(kinds, clients):
    history = sound(1, clients, 2000, kinds, keys=10, crashes=0.002)
    assert linearizable(history, "kv").ok is True
    verdict = linearizable(with_a_stale_read(history), "kv")
    assert verdict.ok is False
    assert verdict.key == verdict.blocking.args[0]


def test_20000_operations_with_one_stale_read():
    for values in (None, 5):
        history = sound(1, 5, 20_000, ["read", "read", "write"], values)
        assert linearizable(history).ok is True
    assert linearizable(with_a_stale_read(sound(1, 5, 20_000, ["read", "read", "write"]))).ok is False


def test_the_prefix_is_linearizable_and_ends_where_the_blame_is():
    for seed in range(300):
        history = anything(seed)
        verdict = linearizable(history)
        if verdict.ok is False:
            before = [o for o in history if o.returned < verdict.blocking.returned and not o.crashed]
            ordered = {(o.process, o.invoked) for o in verdict.prefix}
            assert {(o.process, o.invoked) for o in before} - ordered <= {
                (o.process, o.invoked) for o in history if o.returned == verdict.blocking.returned}
            end = verdict.blocking.returned             # what had not returned by then may have had any answer
            replay([o if o.returned < end else replace(o, returned=NEVER) for o in verdict.prefix])


def test_giving_an_operation_more_time_never_convicts():
    for seed in range(2000):
        history = anything(seed)
        if linearizable(history).ok:
            for i, o in enumerate(history):
                last = not any(p.process == o.process and p.invoked >= o.returned for p in history if p is not o)
                if last and o.kind != "cas":
                    longer = [*history[:i], replace(o, returned=o.returned + 3), *history[i + 1:]]
                    assert linearizable(longer).ok is True


def test_a_history_may_come_in_any_order_and_is_not_changed():
    history = sound(2, 4, 60, ["read", "write"])
    copied = copy.deepcopy(history)
    assert linearizable(history[::-1]).ok is True
    assert history == copied


HARD = [Operation(i, "cas", (i % 7, 3 * i % 7), True, 0, 100) for i in range(40)] + [
    Operation(99, "write", (1,), None, 0, 100), Operation(97, "write", (9,), None, 0, 1),
    Operation(98, "read", (), 9, 101, 102)]


def test_a_hard_history_ends_in_unknown_not_in_a_guess(monkeypatch):
    assert repr(linearizable(HARD, budget_s=0.2)) == "unknown: 43 operations, budget spent by time"
    monkeypatch.setattr(bounds, "MEMORY", 2_000_000)
    verdict = linearizable(HARD, budget_s=60)
    assert (verdict.ok, verdict.engine, verdict.blocking) == (None, "memory", None)


BAD = [
    ([r(1, 1, 5, 4)], "process 1: read() = 1 [5, 4]: must be invoked at a finite time and return at or after it"),
    ([op(1, "push", (), 1, 0, 1)],
     "process 1: push() [0, 1]: kind must be one of 'read', 'write', 'cas' for model 'register'"),
    ([w(1, 1, 0, 5), r(1, 1, 3, 6)],
     "process 1: read() = 1 [3, 6]: overlaps process 1: write(1) [0, 5]; a process makes one call at a time"),
    ([w(1, 1, 0, 9), w(1, 2, 1, NEVER), r(1, 1, 3, 6)],
     "process 1: read() = 1 [3, 6]: overlaps process 1: write(1) [0, 9]; a process makes one call at a time"),
    ([cas(1, 1, 2, "ok", 0, 1)],
     "process 1: cas(1, 2) = 'ok' [0, 1]: a cas returns True, False, or None if its outcome is unknown"),
    ([r(1, 1, "0", 1)], "process 1: read() = 1 ['0', 1]: times must be numbers"),
    ([op(1, "write", 5, None, 0, 1)], "process 1: write(5) [0, 1]: write takes a tuple of 1 arguments"),
    ([r(1, 1, 0, NEVER), r(1, 1, -NEVER, 0)],
     "process 1: read() = 1 [-inf, 0]: must be invoked at a finite time and return at or after it"),
    ([op(1, "write", (), None, 0, 1)], "process 1: write() [0, 1]: write takes a tuple of 1 arguments"),
    ([op(1, "write", ([1],), None, 0, 1)],
     "process 1: write([1]) [0, 1]: process and values must be hashable (numbers, strings, tuples)"),
    ([r(1, 1, float("nan"), 4)], "process 1: read() = 1 [nan, 4]: times must be numbers"),
]


@pytest.mark.parametrize("history, message", BAD, ids=[message[11:50] for _, message in BAD])
def test_a_malformed_history_is_refused_with_the_operation(history, message):
    with pytest.raises(ValueError) as error:
        linearizable(history)
    assert str(error.value) == message


def test_other_bad_input():
    with pytest.raises(ValueError, match="^model = 'stack': must be one of 'register', 'kv', 'queue', 'set', 'mutex'$"):
        linearizable([], "stack")
    with pytest.raises(ValueError, match=r"^budget_s = 0: must be a number > 0$"):
        linearizable([], budget_s=0)
    with pytest.raises(ValueError, match="an append takes a text"):
        linearizable([op(1, "append", ("a", 1), None, 0, 1)], "kv")
