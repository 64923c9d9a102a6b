"""Every type against the laws and its specification; the machine against planted bugs."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.crdt import (
    ORSWOT,
    BoundedCounter,
    GCounter,
    LWWMap,
    MVRegister,
    ORSet,
    PNCounter,
    Text,
    TwoPhaseSet,
    laws,
)
from labkit.crdt.garbage import StableORSet
from labkit.crdt.specification import SPECS, Step, visible
from tests.crdt import planted

REPLICA = st.sampled_from("ABC")
RIGHT = [(GCounter, "counter"), (PNCounter, "counter"), (ORSet, "add_wins"), (ORSWOT, "add_wins"),
         (TwoPhaseSet, "two_phase"), (LWWMap, "lww_map"), (MVRegister, "multi_value"),
         (lambda name: StableORSet(name, "ABC"), "add_wins")]


@pytest.mark.parametrize("factory,spec", RIGHT, ids=lambda x: getattr(x, "__name__", x))
def test_every_type_does_what_its_specification_says(factory, spec):
    assert laws.find_counterexample(factory, spec, examples=1500) is None


@pytest.mark.parametrize("factory,spec", RIGHT, ids=lambda x: getattr(x, "__name__", x))
def test_every_merge_is_a_join(factory, spec):
    assert laws.find_broken_law(factory, spec, steps=12, examples=600) is None


@settings(max_examples=1000, deadline=None, database=None, derandomize=True)
@given(st.lists(st.one_of(st.builds(Step, st.sampled_from(["add", "remove"]), REPLICA, st.sampled_from("xy")),
                          st.builds(Step, st.just("sync"), REPLICA, REPLICA)), max_size=14))
def test_three_sets_and_the_oracle_agree_after_every_step(script):
    sets = {kind: {name: kind(name) for name in "ABC"} for kind in (ORSet, ORSWOT)}
    sets[StableORSet] = {name: StableORSet(name, "ABC") for name in "ABC"}
    for count, step in enumerate(script, 1):
        for group in sets.values():
            if step.kind == "sync":
                group[step.replica].merge(group[step.argument])
            else:
                getattr(group[step.replica], step.kind)(step.argument)
        for name, events in visible(script[:count], "ABC").items():
            want = SPECS["add_wins"].view(events)
            assert all(group[name].value() == want for group in sets.values())


PLANTED = [planted.Resurrecting, planted.NoVersionCheck, planted.WrongComparison, planted.SharedTags]


@pytest.mark.parametrize("factory", PLANTED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_bugs_are_found_and_shrunk(factory, seed):
    found = laws.find_counterexample(factory, seed=seed)
    assert found is not None and len(found) <= 5
    got, expected = laws.run(factory, found.steps)[found.replica]
    assert got == found.got and expected == found.expected and got != expected


def test_the_classic_broken_set_fails_in_four_steps():
    found = laws.find_counterexample(planted.Resurrecting)
    kinds = [step.kind for step in found.steps]
    assert kinds == ["add", "sync", "remove", "sync"]
    assert found.got == {"x"} and found.expected == set()


def test_an_alias_is_seen_at_the_replica_that_got_no_message():
    found = laws.find_counterexample(planted.SharedTags)
    assert found.steps[-1].kind != "sync" and found.replica != found.steps[-1].replica


def test_laws_alone_do_not_make_a_type():
    assert laws.find_broken_law(planted.LargerTotal, "counter") is None
    assert len(laws.find_counterexample(planted.LargerTotal, "counter")) == 3


@pytest.mark.parametrize("factory,spec,law", [
    (planted.Summing, "counter", "idempotent"), (planted.Resurrecting, "add_wins", "growing"),
    (planted.Handed, "add_wins", "apart"), (planted.Forgets, "add_wins", "growing")],
    ids=lambda x: getattr(x, "__name__", x))
def test_broken_laws_are_named(factory, spec, law):
    found = laws.find_broken_law(factory, spec)
    assert found is not None and found.law == law and len(found.steps) <= 5


def test_plain_classes_without_equality_can_be_right():
    class Maximum(planted.Summing):
        def merge(self, other):
            for replica, count in other.counts.items():
                self.counts[replica] = max(self.counts.get(replica, 0), count)

    assert laws.find_broken_law(Maximum, "counter") is None
    assert laws.find_counterexample(Maximum, "counter") is None


def test_semantics_are_told_apart():
    for factory, spec in ((TwoPhaseSet, "add_wins"), (ORSWOT, "remove_wins"), (ORSWOT, "last_writer"),
                          (ORSWOT, "grow_only"), (ORSet, "two_phase")):
        found = laws.find_counterexample(factory, spec)
        assert found is not None and len(found) <= 3


def test_a_type_that_raises_is_a_counterexample_too():
    class Touchy(ORSet):
        def remove(self, item):
            raise KeyError(item)

    found = laws.find_counterexample(Touchy)
    assert len(found) == 1 and found.got == "KeyError: 'x'"


def test_the_same_seed_finds_the_same():
    one, other = (laws.find_counterexample(planted.NoVersionCheck, seed=3) for _ in range(2))
    assert one == other


def bounded_step(counters, i, j, rng):
    kind = rng.choice(["increment", "decrement", "transfer", "merge"])
    argument = {"transfer": (1, j), "merge": (counters[j],)}.get(kind, (rng.randint(0, 3),))
    getattr(counters[i], kind)(*argument)


def text_step(texts, i, j, rng):
    kind, length = rng.choice(["insert", "delete", "merge"]), len(texts[i])
    if kind == "merge":
        texts[i].merge(texts[j])
    elif kind == "insert" or not length:
        texts[i].insert(rng.randint(0, length), "ab")
    else:
        texts[i].delete(rng.randrange(length))


@pytest.mark.parametrize("kind,step", [(BoundedCounter, bounded_step), (Text, text_step)])
def test_bounded_counter_and_text_merge_as_joins(kind, step):
    """They have no script language: random updates and merges instead."""
    rng, join = random.Random(5), laws._join
    for _ in range(200):
        group = [kind(i) for i in range(3)]
        for _ in range(25):
            i, j = rng.sample(range(3), 2)
            before, others = group[i].copy(), group[j].copy()
            step(group, i, j, rng)
            assert group[j] == others and group[j].value() == others.value(), "apart"
            assert join(group[i], before) == group[i] and join(group[i], before).value() == group[i].value(), "growing"
        a, b, c = group
        for left, right in ((join(a, a), a), (join(a, b), join(b, a)), (join(join(a, b), c), join(a, join(b, c)))):
            assert left == right and left.value() == right.value()


def test_questions_that_cannot_be_asked():
    with pytest.raises(TypeError, match="Text has no method add, remove: add_wins needs add, remove, merge, value"):
        laws.find_counterexample(Text)
    with pytest.raises(ValueError, match="laws: spec = 'adds_win': must be one of 'add_wins'"):
        laws.find_counterexample(ORSet, "adds_win")
    with pytest.raises(ValueError, match="laws: replicas = 9: must be a whole number >= 2 and <= 5"):
        laws.find_counterexample(ORSet, replicas=9)
    with pytest.raises(ValueError, match="laws: examples = 0"):
        laws.find_counterexample(ORSet, examples=0)
