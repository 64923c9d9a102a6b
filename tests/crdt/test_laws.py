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
from labkit.crdt.specification import SPECS, Spec, Step, visible
from tests.crdt import planted

REPLICA = st.sampled_from("ABC")
RIGHT = [(GCounter, "counter"), (PNCounter, "counter"), (ORSet, "add_wins"), (ORSWOT, "add_wins"),
         (TwoPhaseSet, "two_phase"), (LWWMap, "lww_map"), (MVRegister, "multi_value"),
         (lambda name: StableORSet(name, "ABC"), "add_wins")]


@pytest.mark.parametrize("factory,spec", RIGHT, ids=lambda x: getattr(x, "__name__", x))
def test_every_type_does_what_its_specification_says(factory, spec):
    assert laws.find_counterexample(factory, spec, examples=800, faults=["late"]) is None
    assert laws.find_counterexample(factory, "converges", examples=200) is None


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


@pytest.mark.parametrize("seed", range(3))
def test_a_bug_of_eight_steps_that_a_library_shipped_is_found(seed):
    found = laws.find_counterexample(planted.RiakDt, seed=seed)
    assert 8 <= len(found) <= 10 and found.got == {"x"} and found.expected == set()


@pytest.mark.parametrize("most,steps", [(2, 6), (4, 8), (6, 10)])
def test_planted_bugs_of_six_eight_and_ten_steps(most, steps):
    found = laws.find_counterexample(planted.forgetting(most))
    assert found is not None and steps - 1 <= len(found) <= steps + 3


class LargerValueWins:
    """A register per key as Cassandra has it: of two writes with one time, the larger value. Right, by another rule."""

    def __init__(self, replica):
        self.entries, self.time = {}, 0

    def set(self, key, value):
        self.time += 1
        self.entries[key] = max(self.entries.get(key, (0, 0)), (self.time, value))

    def merge(self, other):
        for key, entry in other.entries.items():
            self.entries[key] = max(self.entries.get(key, (0, 0)), entry)
        self.time = max(self.time, other.time)

    def value(self):
        return {key: value for key, (_, value) in self.entries.items()}


class Stubborn(LargerValueWins):
    """Of two writes with one time, its own: each side keeps another one."""

    def merge(self, other):
        for key, entry in other.entries.items():
            if entry[0] > self.entries.get(key, (0, 0))[0]:
                self.entries[key] = entry
        self.time = max(self.time, other.time)


class TestConverges:
    def test_another_tie_rule_is_no_fault(self):
        assert laws.find_counterexample(LargerValueWins, "lww_map") is not None
        assert laws.find_counterexample(LargerValueWins, "converges") is None

    def test_two_that_have_heard_the_same_and_differ(self):
        found = laws.find_counterexample(Stubborn, "converges")
        assert len(found) == 4 and "which has heard of the same" in str(found)
        assert {step.kind for step in found.steps} == {"set", "sync"}

    def test_own_updates(self):
        class Cart(planted.LargerTotal):
            def put(self, item):
                self.increment(1)

        assert laws.find_counterexample(Cart, "converges", updates={"put": ("tea",)}) is None
        with pytest.raises(ValueError, match="updates: must name the methods to try"):
            laws.find_counterexample(Text, "converges")

    def test_text_converges(self):
        updates = {"insert": ((0, "a"), (0, "b"))}
        assert laws.find_counterexample(Text, "converges", updates=updates, examples=100) is None


class TestOwnSpec:
    """A basket: what was put in and not dropped since, one each."""

    BASKET = Spec("basket", lambda events: {e.argument for e in events if e.kind == "put" and not any(
        e.number in d.past for d in events if d.kind == "drop" and d.argument == e.argument)},
        {"put": ("tea", "milk"), "drop": ("tea", "milk")})

    class Basket(ORSWOT):
        put, drop = ORSWOT.add, ORSWOT.remove

    class Leaky(planted.Resurrecting):
        put, drop = planted.Resurrecting.add, planted.Resurrecting.remove

    def test_a_right_one_and_a_wrong_one(self):
        assert laws.find_counterexample(self.Basket, self.BASKET) is None
        found = laws.find_counterexample(self.Leaky, self.BASKET)
        assert len(found) == 4 and found.spec == "basket"
        assert laws.run(self.Leaky, found.steps, self.BASKET)[found.replica] == (found.got, found.expected)
        assert laws.find_broken_law(self.Basket, self.BASKET) is None

    def test_a_method_that_is_missing(self):
        with pytest.raises(TypeError, match="ORSet has no method put, drop: basket needs put, drop, merge, value"):
            laws.find_counterexample(ORSet, self.BASKET)


class TestFaults:
    def test_a_backup_under_the_old_id_breaks_a_right_type(self):
        found = laws.find_counterexample(ORSWOT, faults=["restore"])
        assert any(step.kind == "restore" for step in found.steps) and "goes back to what was kept" in str(found)

    def test_a_late_message_breaks_one_that_takes_the_last_word(self):
        class LastWord(planted.LargerTotal):
            """Believes whoever spoke last: right while states arrive in the order in which they were sent."""

            def __init__(self, replica):
                super().__init__(replica)
                self.heard = {replica: 0}

            def increment(self, amount):
                self.heard[self.replica] += amount

            def merge(self, other):
                self.heard |= {name: count for name, count in other.heard.items() if name != self.replica}

            def value(self):
                return sum(self.heard.values())

        assert laws.find_counterexample(LastWord, "counter", replicas=2) is None
        found = laws.find_counterexample(LastWord, "counter", replicas=2, faults=["late"])
        assert {"keep", "late"} < {step.kind for step in found.steps}

    def test_a_fault_that_is_none(self):
        with pytest.raises(ValueError, match="faults = 'lost': must be one of 'late', 'restore'"):
            laws.find_counterexample(ORSet, faults=["lost"])


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
