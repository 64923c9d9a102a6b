"""The types one by one: values, refusals, deltas, sizes, copies."""

import pytest

from labkit.crdt import (
    ORSWOT,
    BoundedCounter,
    GCounter,
    LWWMap,
    MVRegister,
    OpCounter,
    OpSet,
    ORSet,
    PNCounter,
    Text,
    TwoPhaseSet,
)
from labkit.crdt.sets import Context

ALL = (GCounter, PNCounter, BoundedCounter, ORSet, ORSWOT, TwoPhaseSet, LWWMap, MVRegister, Text)


def used(kind, replica="a"):
    one = kind(replica)
    {GCounter: lambda: one.increment(3), PNCounter: lambda: one.decrement(3), BoundedCounter: lambda: one.increment(3),
     LWWMap: lambda: one.set("k", 3), MVRegister: lambda: one.set(3), Text: lambda: one.insert(0, "tea")}.get(
        kind, lambda: one.add("x"))()
    return one


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_copies_share_nothing_and_equality_is_of_state(kind):
    one = used(kind)
    twin, other = one.copy(), kind("b")
    assert twin == one and other != one and twin.value() == one.value()
    other.merge(one)
    assert other == one and other.replica != one.replica
    before = one.value(), one.size_bytes()
    used_again = {Text: lambda: twin.insert(0, "!"), LWWMap: lambda: twin.set("k", 4), MVRegister: lambda: twin.set(4)}
    used_again.get(kind, lambda: twin.add("y") if hasattr(twin, "add") else twin.increment(1))()
    assert (one.value(), one.size_bytes()) == before and twin != one
    assert kind.__name__ in repr(one)
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_wrong_ids_and_wrong_company(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__}.replica = None: must be a text or a whole number"):
        kind(None)
    with pytest.raises(ValueError, match=f"{kind.__name__}: replica = 'z' is unknown: must be one of 'a', 'b'"):
        kind("z", replicas=["a", "b"])
    stranger, closed = kind("z"), kind("a", replicas=["a", "b"])
    with pytest.raises(ValueError, match="'z' is unknown"):
        closed.merge(stranger)
    wrong = PNCounter("b") if kind is not PNCounter else ORSet("b")
    with pytest.raises(TypeError, match=f"{kind.__name__}.merge: other is a {type(wrong).__name__}: must be a"):
        kind("a").merge(wrong)
    with pytest.raises(TypeError):
        kind("a").merge({"a": 1})


@pytest.mark.parametrize("kind,method", [(GCounter, "increment"), (PNCounter, "increment"), (PNCounter, "decrement"),
                                         (BoundedCounter, "increment"), (BoundedCounter, "decrement"),
                                         (OpCounter, "increment"), (OpCounter, "decrement")])
@pytest.mark.parametrize("amount", [-1, 1.5, True, "2", None])
def test_amounts_are_whole_and_not_negative(kind, method, amount):
    one = kind("a")
    with pytest.raises(ValueError, match=f"{kind.__name__}.{method}: amount = .*: must be a whole number >= 0"):
        getattr(one, method)(amount)
    assert one == kind("a")


def test_counters_count():
    a, b = PNCounter("a"), PNCounter("b")
    a.increment(5)
    a.increment(0)
    b.decrement(7)
    a.merge(b)
    a.merge(b)
    assert a.value() == -2
    assert a.size_bytes() == len(b'[[["+","a"],5],[["-","b"],7]]')


def test_sets_refuse_what_no_set_can_hold_and_stay_whole():
    for kind in (ORSet, ORSWOT, TwoPhaseSet, OpSet):
        one = kind("a")
        with pytest.raises(TypeError, match="unhashable"):
            one.add(["x"])
        assert one == kind("a")
        one.remove("never there")
        assert one.value() == set()
    with pytest.raises(TypeError, match="unhashable"):
        MVRegister("a").set(["x"])


def test_add_wins_only_when_it_is_concurrent():
    for kind in (ORSet, ORSWOT):
        a, b = kind("a"), kind("b")
        a.add("x")
        b.merge(a)
        b.remove("x")
        a.merge(b)
        assert a.value() == set(), "a remove that saw the add wins"
        a.add("x")
        b.merge(a)
        a.remove("x")
        b.add("x")
        a.merge(b)
        b.merge(a)
        assert a.value() == b.value() == {"x"}, "an add that the remove did not see wins"


def test_a_set_without_tombstones_forgets_what_was_removed():
    lean, heavy = ORSWOT("a"), ORSet("a")
    for i in range(500):
        for one in (lean, heavy):
            one.add(i % 7)
            one.remove(i % 7)
    assert lean.size_bytes() < 25 and heavy.size_bytes() > 4000


def test_actor_reuse_after_a_restore_loses_an_add_silently():
    a, b = ORSWOT("a"), ORSWOT("b")
    backup = a.copy()
    a.add("x")
    b.merge(a)
    b.remove("x")
    backup.add("y")                     # the restored replica numbers its first add like the one that is gone
    b.merge(backup)
    assert "y" not in b.value() and "y" in backup.value()
    fresh = ORSWOT("a2")
    fresh.merge(b)
    fresh.add("y")
    b.merge(fresh)
    assert "y" in b.value()


def test_context_folds_dots_that_arrive_early():
    seen = Context([("a", 2), ("a", 3), ("b", 2)])
    assert ("a", 3) in seen and ("a", 1) not in seen and seen.vector == {}
    seen.include([("a", 1)])
    assert seen.vector == {"a": 3} and seen.early == {("b", 2)}


@pytest.mark.parametrize("kind", [GCounter, PNCounter, BoundedCounter, ORSWOT, LWWMap])
def test_deltas_say_what_is_new_and_only_that(kind):
    source, target, whole = used(kind), kind("b"), kind("b")
    first = source.delta()
    grow = {LWWMap: lambda: source.set("l", 4), ORSWOT: lambda: (source.add("y"), source.remove("x"))}
    grow.get(kind, lambda: source.increment(1) if hasattr(source, "increment") else None)()
    second = source.delta()
    assert type(second) is kind and second.size_bytes() <= source.size_bytes()
    for delta in (second, first, second):           # in the wrong order, and twice
        target.merge_delta(delta)
    whole.merge(source)
    assert target == whole == source
    assert source.delta() == kind("a"), "nothing new since"
    with pytest.raises(TypeError):
        target.merge_delta(TwoPhaseSet("a"))


def test_last_writer_wins_by_timestamp_then_replica():
    a, b = LWWMap("a"), LWWMap("b")
    a.set("k", "early", 1)
    b.set("k", "late", 2)
    a.merge(b)
    assert a.get("k") == "late" and a.value() == {"k": "late"}
    a.set("tie", 1, 7)
    b.set("tie", 2, 7)
    a.merge(b)
    b.merge(a)
    assert a.get("tie") == b.get("tie") == 2
    ten, two = LWWMap(10), LWWMap(2)
    ten.set("k", "ten", 1)
    two.set("k", "two", 1)
    two.merge(ten)
    assert two.get("k") == "ten", "ids compare as numbers, not as text"
    two.delete("k")
    assert two.get("k", "gone") == "gone" and two.value() == {}
    ten.merge(two)
    assert ten.value() == {}


def test_one_stamp_with_two_values_is_refused_and_nothing_changes():
    a, twin = LWWMap("a"), LWWMap("a")
    a.set("k", 1, 5)
    a.set("k", 1, 5)
    with pytest.raises(ValueError, match=r"key = 'k' has two values with the stamp \(5, 'a'\), 1 and 2"):
        a.set("k", 2, 5)
    with pytest.raises(ValueError, match="two values with the stamp"):
        a.delete("k", 5)
    assert a.value() == {"k": 1}
    twin.set("j", 9, 4)
    twin.set("k", 2, 5)
    with pytest.raises(ValueError, match="two values with the stamp"):
        a.merge(twin)
    assert a.value() == {"k": 1}, "refused whole"
    for timestamp in (float("nan"), float("inf"), "5", True):
        with pytest.raises(ValueError, match="LWWMap: timestamp"):
            a.set("x", 1, timestamp)


def test_a_register_keeps_both_until_someone_has_seen_both():
    a, b = MVRegister("a"), MVRegister("b")
    a.set("tea")
    b.set("mate")
    a.merge(b)
    assert a.value() == {"tea", "mate"}
    a.set("water")
    b.merge(a)
    assert b.value() == {"water"}


def test_escrow():
    a, b = BoundedCounter("a", replicas="ab"), BoundedCounter("b", replicas="ab")
    a.increment(4)
    assert not b.decrement(1) and a.decrement(1)
    assert not a.transfer(9, "b") and a.transfer(2, "b")
    b.merge(a)
    assert b.rights() == 2 and b.rights("a") == 1 and b.value() == 3
    assert b.decrement(2) and not b.decrement(1)
    with pytest.raises(ValueError, match="'c' is unknown: must be one of 'a', 'b'"):
        a.transfer(1, "c")
    with pytest.raises(ValueError, match="to = 'a': must be another replica"):
        a.transfer(1, "a")
    with pytest.raises(ValueError, match="BoundedCounter.transfer: amount = -1"):
        a.transfer(-1, "b")


def test_operations_need_their_promise():
    a, b = OpCounter("a"), OpCounter("b")
    message = a.increment(2)
    b.apply(message)
    b.apply(message)
    assert a.value() == 2 and b.value() == 4, "applied twice, counted twice"
    s, t = OpSet("s"), OpSet("t")
    add, remove = s.add("x"), s.remove("x")
    t.apply(remove)
    t.apply(add)
    assert s.value() == set() and t.value() == {"x"}, "in the wrong order, a zombie"
