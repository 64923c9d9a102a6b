"""What the explorer finds, what it does not find, and that a weakened protocol does not slip through."""

from dataclasses import replace

import pytest

from labkit.consistency import Counterexample, Network, NoViolation, Store, Workload, explore, linearizable, simulate
from labkit.consistency.protocols import PROTOCOLS, WriteBack, abd


@pytest.mark.parametrize("protocol, n, r, w, steps", [
    ("plain", 3, 1, 1, 6), ("plain", 3, 2, 2, 10), ("plain", 3, 2, 3, 10), ("plain", 3, 1, 3, 8),
    ("plain", 5, 3, 3, 12), ("plain", 3, 3, 1, None), ("plain", 3, 3, 3, None),
    ("blocking", 3, 2, 2, None), ("blocking", 5, 3, 3, None), ("blocking", 3, 1, 3, 8),
    ("abd", 3, 2, 2, None), ("abd", 3, 1, 3, None), ("abd", 5, 3, 3, None),
    ("abd_fast", 3, 2, 2, None), ("abd_fast", 5, 3, 3, None), ("abd_fast", 3, 1, 3, 10)])
def test_one_write_and_two_reads(protocol, n, r, w, steps):
    found = explore(protocol, n, r, w)
    if steps is None:
        assert isinstance(found, NoViolation)
    else:
        assert isinstance(found, Counterexample)
        assert len(found.steps) == steps
        assert linearizable(found.history).ok is False
        if r + w > n:                                                   # it takes two reads: each alone is fine
            assert linearizable([o for o in found.history if o.process != "B"]).ok is True


@pytest.mark.parametrize("protocol, holds", [("plain", False), ("blocking", True), ("abd", True), ("abd_fast", True)])
def test_two_concurrent_writers(protocol, holds):
    assert isinstance(explore(protocol, 3, 2, 2, writers=2), NoViolation if holds else Counterexample)


def weakened(acks):
    return lambda replies: replace(abd(replies), acks=acks)


@pytest.mark.parametrize("broken", [
    weakened(0), weakened(1), lambda replies: WriteBack(replies.behind[:1], 0),
    lambda replies: WriteBack(tuple(replies.tags), 1)],
    ids=["does not wait", "waits for one", "repairs one, does not wait", "one ack from those it heard"])
def test_a_weakened_write_back_is_caught(broken):
    assert isinstance(explore(broken, 3, 2, 2), Counterexample)


def test_a_function_is_as_good_as_a_name():
    for name, function in PROTOCOLS.items():
        asks = name.startswith("abd")
        by_name, by_function = explore(name, 3, 2, 2), explore(function, 3, 2, 2, writers_ask=asks)
        assert type(by_name) is type(by_function)
        assert by_name.states == by_function.states


def test_what_the_explorer_does_not_find_the_simulator_does_not_either_and_what_it_finds_it_does():
    for store, name in ((Store(3, 2, 2), "plain"), (Store(3, 2, 2, "blocking"), "blocking"),
                        (Store(3, 2, 2, protocol="abd"), "abd"), (Store(3, 1, 3), "plain"), (Store(3, 3, 1), "plain")):
        runs = [simulate(store, Network.exponential(1, 5), Workload(operations=200), 1e9, seed) for seed in range(30)]
        none = isinstance(explore(name, store.n, store.r, store.w), NoViolation)
        assert none == all(run.verdict.ok for run in runs)


def test_bad_input():
    bad = {"protocol = 'raft': must be one of": ("raft", 3, 2, 2), "n = 6": ("abd", 6, 3, 3), "r = 4": ("abd", 3, 4, 2),
           "w = 0": ("abd", 3, 2, 0), "writers = 3": ("abd", 3, 2, 2, 3)}
    for message, arguments in bad.items():
        with pytest.raises(ValueError, match=f"^{message}"):
            explore(*arguments)
