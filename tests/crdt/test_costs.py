"""What merging costs, what it cannot keep, and the escrow that can."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from labkit.crdt import BoundedCounter, PNCounter, calendar, costs, invariants, stock
from labkit.crdt.garbage import StableORSet


# ------------------------------------------------------------------------------------------------ clocks
def test_no_skew_no_loss():
    assert costs.lww_loss(0) == (0, 0) and costs.expected_lww_loss(0) == 0


@pytest.mark.parametrize("skew,reference", [(0.02, 0.009), (0.1, 0.089), (0.5, 0.279), (2.0, 0.506)])
def test_loss_rises_with_skew_as_in_the_reference(skew, reference):
    share, error = costs.lww_loss(skew)
    assert abs(share - reference) < error
    many, fine = costs.lww_loss(skew, trials=2000, seed=5)
    assert abs(many - costs.expected_lww_loss(skew)) < 3 * fine


def test_loss_refuses_nonsense():
    with pytest.raises(ValueError, match="costs.lww_loss: skew = -1"):
        costs.lww_loss(-1)


# ------------------------------------------------------------------------------------------------ metadata
@pytest.fixture(scope="module")
def long_run():
    return costs.growth(2000, 8, 50, exchanges=4, away=(500, 1500))


def test_tombstones_grow_and_a_version_vector_does_not(long_run):
    heavy, lean = long_run.size["ORSet"], long_run.size["ORSWOT"]
    assert heavy[-1] > 3.5 * heavy[4] > 12 * lean[4] and max(lean[5:]) < 1.6 * min(lean[5:])
    assert long_run.tombstones["ORSet"][-1] > 800


def test_collection_stalls_while_one_is_away_and_recovers(long_run):
    counts = dict(zip(long_run.operations, long_run.tombstones["ORSet, collected"], strict=True))
    assert max(counts[at] for at in (300, 400, 500)) < 15
    assert counts[1500] > 300 and counts[1000] > 100
    assert max(counts[at] for at in (1700, 1800, 1900, 2000)) < 15


def test_collection_never_brings_anything_back():
    """Old states that were on their way while the tombstone was dropped must not revive the item."""
    rng = random.Random(2)
    for _ in range(60):
        names = "ABC"
        group = {name: StableORSet(name, names) for name in names}
        old = []
        removed_for_good = set()
        for i in range(40):
            name = rng.choice(names)
            one = group[name]
            if rng.random() < 0.4:
                one.add(i)
            elif one.value():
                item = rng.choice(sorted(one.value()))
                one.remove(item)
                removed_for_good.add(item)          # every item is added once, so a remove that saw it is final
            old.append(one.copy())
            group[rng.choice(names)].merge(rng.choice(old))
        for one in group.values():
            for other in group.values():
                one.merge(other)
        for one in group.values():
            for other in group.values():
                one.merge(other)
            assert not one.value() & removed_for_good
            assert one.value() == group["A"].value()


def test_growth_refuses_nonsense():
    with pytest.raises(ValueError, match="costs.growth: operations = 5: must be a whole number >= 20"):
        costs.growth(operations=5)


# ------------------------------------------------------------------------------------------------ escrow
class Escrow(RuleBasedStateMachine):
    """Three replicas, any schedule of a network that loses, repeats, delays and reorders whole states."""

    @initialize(rights=st.lists(st.integers(0, 4), min_size=3, max_size=3))
    def start(self, rights):
        self.group = [BoundedCounter(i) for i in range(3)]
        self.made, self.taken, self.flight = sum(rights), 0, []
        for one, amount in zip(self.group, rights, strict=True):
            one.increment(amount)

    @rule(i=st.integers(0, 2), amount=st.integers(0, 3))
    def increment(self, i, amount):
        self.group[i].increment(amount)
        self.made += amount

    @rule(i=st.integers(0, 2), amount=st.integers(1, 5))
    def decrement(self, i, amount):
        rights = self.group[i].rights()
        done = self.group[i].decrement(amount)
        assert done == (amount <= rights), "refuses only what it has no rights for"
        self.taken += amount * done

    @rule(i=st.integers(0, 2), j=st.integers(0, 2), amount=st.integers(0, 5))
    def transfer(self, i, j, amount):
        if i != j:
            rights = self.group[i].rights()
            assert self.group[i].transfer(amount, j) == (amount <= rights)

    @rule(i=st.integers(0, 2))
    def send(self, i):
        self.flight.append(self.group[i].copy())

    @rule(j=st.integers(0, 2), which=st.integers(0, 30), again=st.booleans())
    def deliver(self, j, which, again):
        if self.flight:
            message = self.flight[which % len(self.flight)]
            self.group[j].merge(message)
            if not again:
                self.flight.remove(message)

    @rule(which=st.integers(0, 30))
    def lose(self, which):
        if self.flight:
            del self.flight[which % len(self.flight)]

    @invariant()
    def never_below_zero(self):
        if hasattr(self, "group"):
            assert self.made >= self.taken
            assert all(one.rights() >= 0 for one in self.group)
            everything = self.group[0].copy()
            for other in self.group[1:]:
                everything.merge(other)
            assert everything.value() == self.made - self.taken >= 0
            assert sum(everything.rights(i) for i in range(3)) == everything.value()


Escrow.TestCase.settings = settings(max_examples=250, stateful_step_count=40, deadline=None, database=None,
                                    derandomize=True)
TestEscrow = Escrow.TestCase


def test_a_pn_counter_in_the_same_place_goes_below_zero():
    a, b = PNCounter("a"), PNCounter("b")
    a.increment(1)
    b.merge(a)
    a.decrement(a.value())
    b.decrement(b.value())
    a.merge(b)
    assert a.value() == -1


@pytest.mark.parametrize("seed", range(20))
def test_shops(seed):
    sales = {policy: stock.simulate(policy, seed=seed) for policy in stock.POLICIES}
    for policy in ("escrow", "ask the owner"):
        assert sales[policy].lowest >= 0 and sales[policy].sold <= 60
    for sold in sales.values():
        assert sold.left == 60 - sold.sold
    assert sales["escrow"].sold == 60, "nothing is left over: rights move to where they are needed"
    assert stock.simulate("escrow", seed=seed, partition=(0, 60), share=False).lowest >= 0


def test_shops_that_count_what_they_see_oversell():
    lowest = [stock.simulate("count what you see", seed=seed, partition=(10, 50)).lowest for seed in range(20)]
    assert max(lowest) < 0 and min(lowest) < -15


def test_shops_refuse_nonsense():
    for bad, message in (({"policy": "hope"}, "policy = 'hope'"), ({"shops": 1}, "shops = 1"),
                         ({"customers": 0}, "customers"), ({"pieces": -1}, "pieces = -1"), ({"gossip": 0}, "gossip")):
        with pytest.raises(ValueError, match="stock.simulate: " + message):
            stock.simulate(**({"policy": "escrow"} | bad))


# ------------------------------------------------------------------------------------------------ calendar
@pytest.mark.parametrize("seed", range(20))
def test_a_majority_never_books_twice_whatever_is_lost(seed):
    for faults in ({}, {"partition": (0, 60)}, {"drop": 0.3}, {"delay": 0.9}, {"drop": 0.5, "partition": (10, 30)}):
        day = calendar.simulate("majority", seed=seed, wishes=60, **faults)
        assert day.double == 0
        assert day.done == day.edits == 120, "notes and colours never wait"
        assert sum(day.count(outcome) for outcome in ("booked", "taken", "no majority")) == 60
    whole = calendar.simulate("majority", partition=None, seed=seed)
    assert whole.count("no majority") <= 2 and whole.same


def test_merging_bookings_books_twice_during_a_cut_and_the_cut_off_office_waits_for_a_majority():
    merged = [calendar.simulate("merge", (0, 60), seed=seed) for seed in range(10)]
    asked = [calendar.simulate("majority", (0, 60), seed=seed) for seed in range(10)]
    assert sum(day.double for day in merged) > 15 and sum(day.count("no majority") for day in merged) == 0
    assert sum(day.double for day in asked) == 0 and sum(day.count("no majority") for day in asked) > 30
    for day in asked:
        assert all(b.office != "Lima" or b.outcome != "booked" for b in day.bookings)
        assert day.same, "notes and colours are the same everywhere after the cut"


def test_calendar_refuses_nonsense():
    with pytest.raises(ValueError, match="calendar.simulate: bookings = 'phone': must be one of 'majority', 'merge'"):
        calendar.simulate("phone")
    with pytest.raises(ValueError, match="calendar.simulate: away = 'Rome'"):
        calendar.simulate(away="Rome")


# ------------------------------------------------------------------------------------------------ invariants
def test_labels_are_computed():
    assert invariants.labels(invariants.account()) == {"deposit": "blue", "withdraw": "red"}
    assert invariants.labels(invariants.usernames()) == {"register": "red", "close": "blue"}
    assert invariants.labels(invariants.rooms()) == {"book": "red", "cancel": "blue", "note": "blue"}
    assert invariants.labels(invariants.teams()) == {"found": "blue", "hire": "red", "dissolve": "red"}
    assert str(invariants.clashes(invariants.account())["withdraw", "withdraw"]) == \
        "from 1: withdraw 1 || withdraw 1 -> -1"


def test_a_clash_is_two_valid_branches_with_an_invalid_merge():
    for schema in (invariants.account(), invariants.usernames(), invariants.rooms(), invariants.teams()):
        assert all(schema.rule(state) for state in invariants.reachable(schema))
        for clash in invariants.clashes(schema).values():
            assert clash is None or (schema.rule(clash.start) and not schema.rule(clash.merged))


def test_a_rule_that_merging_keeps_needs_nobody():
    at_most = invariants.Schema("never above a limit that only grows", 0, invariants.account().operations[:1],
                                lambda balance: balance >= 0, invariants.merge_numbers)
    assert invariants.labels(at_most) == {"deposit": "blue"}
    with pytest.raises(ValueError, match="Schema.start = -1: must satisfy the rule"):
        invariants.Schema("broken", -1, (), lambda balance: balance >= 0, invariants.merge_numbers)


def test_calm_by_the_same_tester():
    edges = [("a", "b"), ("b", "c"), ("c", "a")]

    def reach(facts):
        known = set(facts)
        while True:
            more = known | {(a, d) for a, b in known for c, d in known if b == c}
            if more == known:
                return known
            known = more

    def deadlock(facts):
        return ["deadlock"] if any(a == b for a, b in reach(facts)) else []

    def no_deadlock(facts):
        return [] if deadlock(facts) else ["fine"]

    def at_least_two(facts):
        return ["enough"] if len(facts) >= 2 else []

    def exactly_two(facts):
        return ["two"] if len(facts) == 2 else []

    for monotone in (reach, deadlock, at_least_two):
        assert invariants.coordination_free(monotone, edges) is None
    for other in (no_deadlock, exactly_two):
        clash = invariants.coordination_free(other, edges)
        assert clash is not None and "announce" in clash.right
