"""The simulated register: what the essay's own simulator would fail, the reference's figures, and the formulas."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from labkit.consistency import Network, Partition, Store, Workload, latency, linearizable, simulate
from labkit.consistency.distributions import DISK, SSD, Constant, Exponential, Mixture, Pareto
from labkit.consistency.simulate import _World

LAN = Network.exponential(1, 5)
BUSY = Workload(operations=200)
CUT = Partition((3, 4), 1000, 3000)
PEOPLE = Workload(clients=10, think=50, timeout=500)


# ------------------------------------------------------------------------------------------------ latency
@pytest.mark.parametrize("level", ["strong", "linearizable", "weak", "eventual"])
def test_latency_depends_on_the_network(level):
    for ms in (5, 50, 100):
        run = simulate(Store.level(level, 5), Network.constant(ms), BUSY, 1e9, 1)
        assert np.allclose(run.latency("read"), 2 * ms)
        assert np.allclose(run.latency("write"), 2 * ms)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_order_statistics_within_one_percent(n):
    leg = Exponential(5)
    for k in range(1, n + 1):
        means = [simulate(Store(n, k, n), Network(leg, leg), Workload(write_ratio=0, operations=2000), 1e9, seed)
                 .latency("read").mean() for seed in range(20)]
        theory = latency.order_statistic(n, k, leg, leg).mean
        assert abs(np.mean(means) / theory - 1) < 0.01, (n, k)


def test_order_statistics_by_hand():
    assert [round(latency.order_statistic(5, k).mean, 3) for k in range(1, 6)] == [0.2, 0.45, 0.783, 1.283, 2.283]
    shifted = [latency.order_statistic(5, k, Exponential(5), Constant(10)).mean for k in (1, 3, 5)]
    assert shifted == pytest.approx([11.0, 13.92, 21.42], abs=0.01)
    assert [latency.order_statistic(3, k, SSD, SSD).quantile(0.999) for k in (1, 2, 3)] == pytest.approx(
        [0.66, 1.63, 4.14], rel=0.01)                               # PBS table 4, computed without Monte Carlo
    assert latency.order_statistic(3, 2, Constant(3), Constant(4)).quantile(0.9) == 7
    assert float(latency.order_statistic(1, 1, Exponential(2)).cdf(2)) == pytest.approx(1 - math.exp(-1), abs=1e-4)


def test_far_replicas_cost_their_round_trip():
    run = simulate(Store(3, 2, 2), Network.wan(["virginia", "oregon", "california"], Constant(0)), Workload(clients=3),
                   2000, 1)
    nearest = {0: 82.6, 1: 22.9, 2: 22.9}
    for a in run.attempts:
        assert a.ended - a.invoked == pytest.approx(nearest[a.process])


# ------------------------------------------------------------------------------------------------ consistency
@pytest.mark.parametrize("partition", [None, CUT], ids=["whole", "cut"])
def test_strong_is_never_stale_and_weak_is(partition):
    for seed in range(5):
        strong = simulate(Store.level("strong", 5), LAN, PEOPLE, 5000, seed, partition)
        assert not strong.stale_reads
        assert simulate(Store.level("linearizable", 5), LAN, PEOPLE, 5000, seed, partition).verdict.ok is not False
    weak = [simulate(Store.level(level, 5), LAN, PEOPLE, 5000, seed, partition) for seed in range(5)
            for level in ("weak", "eventual")]
    assert all(run.stale_reads for run in weak)


@pytest.mark.parametrize("store, network, low, high", [
    (Store(3, 1, 1), LAN, 0.98, 1), (Store(3, 2, 2), LAN, 0.84, 0.97), (Store(3, 2, 2, "async"), LAN, 0.66, 0.84),
    (Store(3, 1, 3), LAN, 0.98, 1), (Store(5, 3, 3), LAN, 0.66, 0.84),
    (Store(3, 2, 2), Network.fit("LNKD-DISK"), 0.9, 1),
    (Store(3, 2, 2, "blocking", clock_skew=5), LAN, 0.68, 0.88),
    (Store(3, 2, 2, "blocking"), LAN, 0, 0), (Store(3, 3, 1), LAN, 0, 0), (Store(3, 3, 3), LAN, 0, 0),
    (Store(3, 2, 2, protocol="abd"), LAN, 0, 0), (Store(3, 2, 2, protocol="abd_fast"), LAN, 0, 0),
    (Store(3, 2, 2, protocol="abd", clock_skew=5), LAN, 0, 0), (Store(5, 3, 3, protocol="abd"), LAN, 0, 0),
    (Store(3, 2, 2), Network.fit("LNKD-SSD"), 0, 0.02)], ids=str)
def test_400_histories_of_200_calls(store, network, low, high):
    runs = [simulate(store, network, BUSY, 1e9, seed) for seed in range(400)]
    violations = np.mean([linearizable(run.history).ok is False for run in runs])
    assert low <= violations <= high
    if store.r + store.w > store.n and not store.clock_skew:
        assert not any(run.stale_reads for run in runs)     # overlapping quorums make the register regular
    if store.protocol != "plain" or not store.clock_skew:
        assert not any(run.lost_writes for run in runs)


def test_lost_writes_rise_with_skew_as_the_normal_law_says():
    pairs, expected, lost = 0, 0.0, 0
    for seed in range(40):
        store = Store(3, 2, 2, "blocking", clock_skew=5)
        writers = Workload(clients=2, write_ratio=1, think=8, operations=200)
        run = simulate(store, Network.constant(1), writers, 1e9, seed)
        writes = [o for o in run.history if o.kind == "write"]
        for before, after in zip(writes, writes[1:], strict=False):
            if before.process != after.process and after.invoked >= before.returned:
                gap = after.invoked - before.invoked        # the clock is read when a write begins
                expected += NormalDist().cdf(-gap / (5 * math.sqrt(2)))
                lost += after in run.lost_writes
                pairs += 1
    assert pairs > 2000
    assert lost / pairs == pytest.approx(expected / pairs, rel=0.35)        # 40 pairs of clocks: a wide spread
    assert expected / pairs > 0.05


def test_the_price_of_a_read():
    mix = Workload(write_ratio=0.05, operations=6000)
    cost = {p: simulate(Store(3, 2, 2, protocol=p), LAN, mix, 1e9, 1).latency("read").mean()
            for p in ("plain", "abd_fast", "abd")}
    assert cost["plain"] == pytest.approx(1.83, rel=0.05)
    assert cost["abd_fast"] == pytest.approx(2.28, rel=0.07)
    assert cost["abd"] > 3 * cost["plain"]


# ------------------------------------------------------------------------------------------------ partitions
def test_each_side_of_a_cut_counts_for_itself():
    strong = simulate(Store.level("strong", 5), LAN, PEOPLE, 5000, 1, CUT)
    assert strong.availability("majority") == 1
    assert strong.availability("minority") == 0
    split = simulate(Store(5, 1, 5), LAN, PEOPLE, 5000, 1, CUT)
    assert split.availability("minority", "read") == 1
    assert split.availability("majority", "write") == 0
    one_out = Partition((4,), 1000, 3000)
    assert simulate(Store.level("linearizable", 5), LAN, PEOPLE, 5000, 1, one_out).availability() == 0
    assert simulate(Store.level("eventual", 5), LAN, PEOPLE, 5000, 1, CUT).availability() == 1


def test_failures_never_mix_into_the_latency_of_successes():
    run = simulate(Store.level("strong", 5), LAN, PEOPLE, 5000, 1, CUT)
    assert run.latency("read").max() < 100
    assert set(run.failed_latency("read").round(6)) == {500.0}
    failed = [a for a in run.attempts if not a.ok]
    assert len(failed) + len(run.latency("read")) + len(run.latency("write")) == len(run.attempts)
    assert all(o.crashed for o in run.history if o.args and o.args[0] in {a.value for a in failed if a.kind == "write"})


def test_after_the_heal_everything_is_served_again():
    run = simulate(Store.level("strong", 5), LAN, PEOPLE, 6000, 2, CUT)
    assert all(a.ok for a in run.attempts if a.invoked >= 3000)
    assert run.recovery == 0


@pytest.mark.parametrize("store", [Store(3, 2, 2, protocol="abd"), Store(3, 2, 2, protocol="abd_fast"),
                                   Store(3, 2, 2, protocol="abd", clock_skew=20), Store(3, 2, 2, "blocking"),
                                   Store(5, 3, 3, protocol="abd")], ids=str)
def test_what_is_linearizable_stays_so_in_a_partition_with_failed_calls(store):
    cut = Partition((store.n - 1,), 100, 400)
    for seed in range(60):
        run = simulate(store, LAN, Workload(clients=6, timeout=30, write_ratio=0.5), 600, seed, cut)
        assert any(not a.ok for a in run.attempts)
        assert run.verdict.ok is True, seed


def test_no_two_writes_share_a_version(monkeypatch):
    versions = {}
    original = _World.send

    def send(self, client, version, *rest):
        assert versions.setdefault(version[0], version[1]) == version[1]
        original(self, client, version, *rest)

    monkeypatch.setattr(_World, "send", send)
    for seed in range(100):
        versions.clear()
        simulate(Store(3, 2, 2, protocol="abd"), LAN, Workload(clients=1, timeout=12, write_ratio=0.8), 600, seed)


def test_a_failed_write_may_be_read_later():
    seldom = Workload(clients=6, think=200, timeout=300, write_ratio=0.1)
    ghosts = 0
    for seed in range(20):
        run = simulate(Store(3, 2, 2), Network.exponential(5), seldom, 6000, seed, Partition((2,), 1000, 3000))
        failed = {a.value for a in run.attempts if a.kind == "write" and not a.ok}
        ghosts += len(failed & {o.result for o in run.history if o.kind == "read"})
        assert run.verdict.ok is not None
    assert ghosts > 0


def test_sloppy_quorums_break_the_overlap_and_handoff_shortens_the_damage():
    rare = Workload(clients=12, think=20, timeout=500, write_ratio=0.02)

    def measure(**settings):
        store, cut = Store(3, 2, 2, **settings), Partition((2,), 500, 1500)
        runs = [simulate(store, Network.exponential(5), rare, 4000, seed, cut) for seed in range(20)]
        return sum(len(run.stale_reads) for run in runs), np.mean([run.recovery for run in runs])

    strict, sloppy = measure(), measure(sloppy=True)
    handoff = measure(sloppy=True, hinted_handoff=True)
    repaired = measure(sloppy=True, hinted_handoff=True, repair="async")
    assert strict == (0, 0)
    assert sloppy[0] > 1000
    assert sloppy[1] > handoff[1] > repaired[1]


def test_repair_tells_a_stand_in_what_was_there_before_the_cut():
    """Stand-ins begin with nothing, two of the three that answer behind the cut, until a repair reaches them."""
    nothing = {}
    for repair in ("none", "async"):
        store = Store(3, 2, 2, repair=repair, sloppy=True)
        runs = [simulate(store, Network.exponential(5), Workload(clients=9, think=25, write_ratio=0.1), 1000, seed,
                         Partition((2,), 500, 1500)) for seed in range(40)]
        nothing[repair] = sum(read.result is None for run in runs for read in run.stale_reads if read.invoked > 500)
    assert nothing["async"] < 0.4 * nothing["none"]


def test_the_same_seed_gives_the_same_run():
    first, again, other = (simulate(Store(3, 2, 2), LAN, BUSY, 1e9, seed) for seed in (5, 5, 6))
    assert first.attempts == again.attempts
    assert first.attempts != other.attempts


# ------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize("make, message", [
    (lambda: Store(0), "Store.n = 0: must be a whole number >= 1 and <= 15"),
    (lambda: Store(3, 4, 1), "Store.r = 4: must be a whole number >= 1 and <= 3"),
    (lambda: Store(3, 1, 0), "Store.w = 0: must be a whole number >= 1 and <= 3"),
    (lambda: Store(3, repair="sometimes"), "Store.repair = 'sometimes': must be one of 'none', 'async', 'blocking'"),
    (lambda: Store(3, protocol="raft"), "Store.protocol = 'raft': must be one of 'plain', 'abd', 'abd_fast'"),
    (lambda: Store(3, clock_skew=-1), "Store.clock_skew = -1: must be a number >= 0"),
    (lambda: Store(3, protocol="abd", repair="async"),
     "Store.repair = 'async': must be 'none' with protocol 'abd', which writes back by itself"),
    (lambda: Store(3, hinted_handoff=True),
     "Store.hinted_handoff = True: must be False unless sloppy; only stand-ins have hints"),
    (lambda: Store.level("best", 3), "level = 'best': must be one of 'strong', 'linearizable', 'weak', 'eventual'"),
    (lambda: Network.fit("YMMR"), "fit = 'YMMR': must be one of 'LNKD-SSD', 'LNKD-DISK'"),
    (lambda: Network.wan(["virginia", "mars"]), "sites 'virginia', 'mars': must be a pair of EC2_ROUND_TRIPS"),
    (lambda: Workload(write_ratio=2), "Workload.write_ratio = 2: must be a number >= 0 and <= 1"),
    (lambda: Workload(timeout=0), "Workload.timeout = 0: must be a number > 0"),
    (lambda: Partition((1,), 5, 5), "Partition.heal = 5: must be a number > 5"),
    (lambda: Constant(-1), "Constant.ms = -1: must be a number >= 0"),
    (lambda: Pareto(1, 1), "Pareto.shape = 1: must be a number > 1"),
    (lambda: Mixture(1.5, SSD.body, DISK.tail), "Mixture.share = 1.5: must be a number >= 0 and <= 1"),
    (lambda: simulate(Store(3), LAN, BUSY, 0, 1), "duration = 0: must be a number > 0"),
    (lambda: simulate(Store(3), LAN, BUSY, 10, -1), "seed = -1: must be a whole number >= 0"),
    (lambda: simulate(Store(3), LAN, BUSY, 10, 1, Partition((0, 1), 1)),
     "Partition.cut_off = (0, 1): must name 1 to 1 of the replicas 0 to 2: the smaller side"),
    (lambda: simulate(Store(5), Network.wan(["virginia", "oregon"]), BUSY, 10, 1),
     "Network.distance = 2 sites: must be at least Store.n = 5"),
    (lambda: simulate(Store(3), LAN, BUSY, 10, 1).latency("cas"), "kind = 'cas': must be one of 'read', 'write'"),
    (lambda: latency.order_statistic(3, 4), "k = 4: must be a whole number >= 1 and <= 3"),
])
def test_bad_input_is_refused_with_field_value_and_range(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
