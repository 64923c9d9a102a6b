"""Every model against brute force, with crashed calls whose process goes on; and what each may be told."""

import math

import numpy as np
import pytest

from labkit.consistency import Operation, linearizable
from labkit.consistency.contest import blame
from labkit.consistency.frontier import frontier
from labkit.consistency.history import validate
from labkit.consistency.meter import Memory, Meter
from labkit.consistency.models import MODELS, canonical
from labkit.consistency.search import search
from labkit.consistency.stray import stray
from labkit.consistency.task import Task, finish
from tests.consistency.brute import NO, after, brute_force, first_to_blame
from tests.consistency.histories import KINDS, of_any_model

NEVER = math.inf


def op(kind, args, result, invoked, returned, process=1):
    return Operation(process, kind, args, result, invoked, returned)


@pytest.mark.parametrize("name", KINDS)
def test_each_model_agrees_with_brute_force_on_2000_histories(name):
    model, rejected, strays = "kv" if name == "text" else name, 0, 0
    for seed in range(2000):
        history, initial = of_any_model(name, seed, distinct=seed % 2 == 0)
        state = frozenset(initial) if name == "set" else initial
        truth = brute_force([o for o in history if not (o.crashed and o.kind in ("read", "get"))], state)
        rejected += not truth
        task = Task.of(validate(history, model), MODELS[model], initial)
        answers = [finish(frontier(task, Meter())), finish(search(task, Meter()))]
        for answer in answers:
            assert answer.ok is truth, (seed, answer)
            replay(answer.order, state)
            assert not truth or {id(o) for o in history if not o.crashed} <= set(map(id, answer.order))
        verdict = linearizable(history, model, initial=initial)
        assert verdict.ok is truth, (seed, verdict)
        if stray(task, Meter()) is not None:
            strays += 1
            assert not truth, seed
        if not truth:
            blamed = {blame(task, answer, NEVER, Memory()).blocking.returned for answer in answers}
            assert blamed == {verdict.blocking.returned}, seed
            if seed % 2 == 0:                                           # no two events at one time
                assert blamed == {first_to_blame(history, state)}, seed
    assert 0.1 < rejected / 2000 < 0.9
    assert strays > 50 or name == "mutex"


def replay(order, state):
    initial = state
    for call in order:
        state = after(state, call, initial)
        assert state is not NO, call


CLASSICS = [
    ("queue", "an empty queue says so", True, [op("dequeue", (), None, 0, 1)]),
    ("queue", "a full one does not", False, [op("enqueue", (1,), None, 0, 1), op("dequeue", (), None, 2, 3)]),
    ("queue", "first in, first out", False, [op("enqueue", (1,), None, 0, 1), op("enqueue", (2,), None, 2, 3),
                                             op("dequeue", (), 2, 4, 5)]),
    ("queue", "two at once in either order", True, [op("enqueue", (1,), None, 0, 3), op("enqueue", (2,), None, 0, 3, 2),
                                                    op("dequeue", (), 2, 4, 5)]),
    ("queue", "one element is taken once", False, [op("enqueue", (1,), None, 0, 1), op("dequeue", (), 1, 2, 3),
                                                   op("dequeue", (), 1, 4, 5)]),
    ("queue", "a dequeue that never came back may have taken it", True,
     [op("enqueue", (1,), None, 0, 1), op("dequeue", (), None, 2, NEVER), op("dequeue", (), None, 4, 5)]),
    ("set", "what was added is read, in any order", True, [op("add", (1,), None, 0, 1), op("add", (2,), None, 2, 3),
                                                          op("read", (), (2, 1), 4, 5)]),
    ("set", "an add is lost", False, [op("add", (1,), None, 0, 1), op("read", (), (), 2, 3)]),
    ("set", "removed is gone", False, [op("add", (1,), None, 0, 1), op("remove", (1,), None, 2, 3),
                                       op("read", (), frozenset({1}), 4, 5)]),
    ("set", "an add may be needed early for the next of its process, at one instant", True,
     [op("remove", (3,), None, 6, 12, 2), op("add", (2,), None, 12, 12), op("add", (3,), None, 12, 13),
      op("read", (), (2,), 16, 17)]),
    ("set", "an add that never came back may come late", True, [op("add", (1,), None, 0, NEVER),
                                                               op("read", (), (), 2, 3), op("read", (), (1,), 4, 5)]),
    ("mutex", "one holder", False, [op("acquire", (), None, 0, 1), op("acquire", (), True, 2, 3, 2)]),
    ("mutex", "a release that never came back may have freed it", True,
     [op("acquire", (), None, 0, 1), op("release", (), None, 2, NEVER), op("acquire", (), None, 4, 5)]),
    ("mutex", "nobody releases what is free", False, [op("release", (), None, 0, 1)]),
    ("kv", "any value", True, [op("put", ("a", (1, None)), None, 0, 1), op("get", ("a",), (1, None), 2, 3)]),
    ("kv", "a deleted key is as it was at first", True, [op("put", ("a", 7), None, 0, 1),
                                                         op("delete", ("a",), None, 2, 3),
                                                         op("get", ("a",), "", 4, 5)]),
    ("kv", "a cas by key", False, [op("put", ("a", 1), None, 0, 1), op("put", ("b", 2), None, 2, 3),
                                   op("cas", ("b", 1, 3), True, 4, 5)]),
    ("kv", "true is not 1", False, [op("put", ("a", 1), None, 0, 1), op("get", ("a",), True, 2, 3)]),
    ("kv", "nor is 1.0", False, [op("put", ("a", 1), None, 0, 1), op("get", ("a",), 1.0, 2, 3)]),
    ("kv", "key 1 is not key True", True, [op("put", (1, 1), None, 0, 1), op("get", (True,), "", 2, 3)]),
    ("register", "true is not 1 in a cas", False, [op("write", (1,), None, 0, 1), op("cas", (True, 2), True, 2, 3)]),
    ("register", "nor inside a tuple", False, [op("write", ((1,),), None, 0, 1), op("read", (), (True,), 2, 3)])]


@pytest.mark.parametrize("model, why, ok, history", CLASSICS, ids=[f"{c[0]}: {c[1]}" for c in CLASSICS])
def test_classics(model, why, ok, history):
    assert linearizable(history, model).ok is ok


@pytest.mark.parametrize("model, initial, history", [
    ("register", 7, [op("read", (), 7, 0, 1)]), ("kv", None, [op("get", ("a",), None, 0, 1)]),
    ("kv", "x", [op("append", ("a", "y"), None, 0, 1), op("get", ("a",), "xy", 2, 3)]),
    ("kv", 7, [op("put", ("a", 1), None, 0, 1), op("delete", ("a",), None, 2, 3), op("get", ("a",), 7, 4, 5)]),
    ("queue", (1, 2), [op("dequeue", (), 1, 0, 1), op("dequeue", (), 2, 2, 3)]),
    ("set", [3], [op("read", (), (3,), 0, 1)]), ("mutex", True, [op("release", (), None, 0, 1)])])
def test_an_object_may_start_with_something(model, initial, history):
    assert linearizable(history, model, initial=initial).ok is True
    assert linearizable(history, model).ok is False


@pytest.mark.parametrize("model, initial, message", [
    ("queue", 5, r"^initial = 5: must be the values in the queue, such as \(1, 2\)$"),
    ("set", "ab", r"^initial = 'ab': must be the values in the set, such as \(1, 2\)$"),
    ("mutex", 1, r"^initial = 1: must be True \(the lock is held\) or False$"),
    ("register", [1], r"^initial = \[1\]: must be hashable \(a number, string or tuple\)$")])
def test_it_cannot_start_as_something_else(model, initial, message):
    with pytest.raises(ValueError, match=message):
        linearizable([], model, initial=initial)


@pytest.mark.parametrize("model, call, message", [
    ("queue", op("enqueue", (None,), None, 0, 1), "None cannot be enqueued"),
    ("set", op("read", (), 3, 0, 1), "a read of a set returns a tuple or a frozenset of its elements"),
    ("mutex", op("acquire", (), False, 0, 1), "leave out one that was refused, it did not happen"),
    ("register", op("cas", (1, 2), 1, 0, 1), "a cas returns True, False, or None if its outcome is unknown"),
    ("kv", op("append", ("a", 1), None, 0, 1), "an append takes a text"),
    ("kv", op("get", ([],), None, 0, 1), "must be hashable"), ("set", op("pop", (), 1, 0, 1), "kind must be one of")])
def test_an_answer_that_the_object_cannot_give_is_refused(model, call, message):
    with pytest.raises(ValueError, match=message):
        linearizable([call], model)


def test_numbers_of_numpy_are_numbers():
    history = [op("write", (np.int64(3),), None, np.int64(0), np.float64(1)), op("read", (), 3, np.int64(2), 3)]
    assert linearizable(history).ok is True
    assert linearizable([history[0], op("read", (), 3.0, 2, 3)]).ok is False


def test_values_are_the_same_only_if_their_kinds_are():
    values = [0, False, 0.0, "", None, (), (0,), (False,), frozenset(), frozenset({1}), b"", float("nan")]
    for i, one in enumerate(values):
        assert [k for k, other in enumerate(values) if canonical(other) == canonical(one)] == [i]
