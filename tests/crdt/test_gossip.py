"""The network, the assumption table, gossip against theory, and convergence whatever the network does."""

import math

import numpy as np
import pytest
import simpy

from labkit.crdt import ORSWOT, assumptions, gossip
from labkit.crdt.gossip import rumour, theory
from labkit.crdt.network import Faults, HostileNetwork, Isolation, isolate

KINDS = ("GCounter", "PNCounter", "TwoPhaseSet", "ORSet", "ORSWOT", "LWWMap", "MVRegister", "Text")


def carried(faults, count=200, seed=1):
    env, got = simpy.Environment(), []
    network = HostileNetwork(env, "AB", lambda source, target, payload: got.append((env.now, payload)), faults, seed)
    for i in range(count):
        env.run(i + 1e-9)
        network.send("A", "B", i)
    env.run(10 * count)
    return got, network


# ------------------------------------------------------------------------------------------------ network
def test_a_good_network_brings_everything_once_and_in_order():
    got, network = carried(Faults(delay=5))
    assert [payload for _, payload in got] == list(range(200))
    delays = [m.received - m.sent for m in network.log]
    assert min(delays) >= 2.5 - 1e-9 and np.mean(delays) == pytest.approx(5, rel=0.25)


def test_each_fault_does_what_it_says_and_nothing_else():
    lost, _ = carried(Faults(delay=1, drop=0.3))
    assert 110 < len(lost) < 170
    twice, _ = carried(Faults(delay=1, duplicate=0.3))
    assert 230 < len(twice) < 290 and {p for _, p in twice} == set(range(200))
    mixed, _ = carried(Faults(delay=5, reorder=True))
    order = [payload for _, payload in mixed]
    assert sorted(order) == list(range(200)) and order != sorted(order)
    cut, network = carried(Faults(delay=1, partitions=(isolate(50, 80, ["A"]),)))
    missing = set(range(200)) - {payload for _, payload in cut}
    assert set(range(50, 80)) <= missing <= set(range(48, 80))
    assert sum(m.lost for m in network.log) == len(missing)
    far, _ = carried(Faults(delay=40, partitions=(isolate(50, 60, ["A"]),)))
    assert not {payload for _, payload in far} & set(range(50, 60)), "sent during the cut, due after it: lost"


def test_the_same_seed_brings_the_same():
    faults = Faults(1, 0.2, 0.2, True)
    assert carried(faults, seed=4)[0] == carried(faults, seed=4)[0] != carried(faults, seed=5)[0]


def test_faults_that_cannot_be():
    for bad, message in (({"drop": 1.5}, "Faults.drop = 1.5: must be a number >= 0 and <= 1"),
                         ({"delay": -1}, "Faults.delay = -1"), ({"duplicate": "x"}, "Faults.duplicate = 'x'"),
                         ({"reorder": 1}, "Faults.reorder = 1"), ({"partitions": [(1, 2)]}, "Faults.partitions")):
        with pytest.raises(ValueError, match=message):
            Faults(**bad)
    with pytest.raises(ValueError, match="Isolation.stop = 1: must be a number >= 3"):
        Isolation(3, 1, frozenset("A"))
    env = simpy.Environment()
    with pytest.raises(ValueError, match="Isolation.group = 'Z': unknown replica; must be one of 'A', 'B'"):
        HostileNetwork(env, "AB", print, Faults(partitions=(isolate(0, 1, "Z"),)))
    with pytest.raises(ValueError, match="HostileNetwork.send: target = 'Q': unknown replica"):
        HostileNetwork(env, "AB", print).send("A", "Q", 1)


# ------------------------------------------------------------------------------------------------ assumptions
@pytest.fixture(scope="module")
def tables():
    return {kind: assumptions.table(kind, seeds=20) for kind in ("counter", "set")}


def test_state_and_the_two_that_repeat_themselves_survive_everything(tables):
    for table in tables.values():
        for way in ("state", "delta, acknowledged", "op, causal broadcast"):
            assert set(table[way].values()) == {1.0}


def test_what_each_of_the_others_cannot_stand(tables):
    counter, both = tables["counter"], tables.values()
    assert all(table[way]["none"] == 1 for table in both for way in table)
    assert all(table[way]["drop"] < 0.7 for table in both for way in ("delta", "op"))
    assert all(table["delta"]["duplicate"] == table["delta"]["reorder"] == 1 for table in both)
    assert counter["op"]["duplicate"] == 0, "an increment twice is two increments"
    assert counter["op"]["reorder"] == 1, "sums do not care about order"
    assert tables["set"]["op"]["reorder"] < 1, "a remove that comes before its add is forgotten"
    assert tables["set"]["op"]["duplicate"] == 1


def test_unknown_ways_are_refused():
    with pytest.raises(ValueError, match="assumptions.run: way = 'pigeon': must be one of 'state', 'delta'"):
        assumptions.run("pigeon", "set", Faults())
    with pytest.raises(ValueError, match="assumptions.run: kind = 'map'"):
        assumptions.run("state", "map", Faults())


# ------------------------------------------------------------------------------------------------ theory
@pytest.mark.parametrize("n,trials", [(3, 4000), (8, 4000), (32, 2000), (128, 1000)])
def test_exchanges_for_one_rumour(n, trials):
    mean = rumour.exchanges(n, trials, seed=n).mean()
    error = 2.576 * math.sqrt(theory.exchanges_variance(n) / trials)
    assert abs(mean - theory.exchanges(n)) < error
    assert abs(mean - (n - 1) * math.log(n)) > error, "the interval is narrow enough to tell H(n-1) from ln n"


def test_exchanges_until_everybody_knows_everything():
    for n in (32, 128):
        assert rumour.exchanges(n, 60, seed=1, everybody=True).mean() == pytest.approx(1.5 * n * math.log(n), rel=0.12)


@pytest.mark.parametrize("mode", theory.MODES)
@pytest.mark.parametrize("p", [1.0, 0.5, 0.2])
def test_rounds_against_mean_field_and_closed_form(mode, p):
    for n, near in ((128, 0.08), (1024, 0.06)):
        mean = rumour.rounds(n, mode, p, trials=150, seed=2).mean()
        assert len(theory.mean_field(n, mode, p)) - 1 == pytest.approx(mean, rel=near)
        assert theory.closed_form(n, mode, p) == pytest.approx(mean, rel=0.14)
        assert abs(len(theory.mean_field(n, mode, p)) - 1 - mean) < abs(theory.closed_form(n, mode, p) - mean) + 0.5


def test_two_replicas_need_a_geometric_number_of_rounds():
    mean = rumour.rounds(2, "push", 0.25, trials=4000, seed=1).mean()
    assert mean == pytest.approx(4, rel=0.05)
    assert rumour.rounds(2, "push_pull", 1.0).mean() == 1 and theory.exchanges(2) == 1


def test_questions_theory_refuses():
    for call in (lambda: theory.exchanges(1), lambda: theory.closed_form(8, "shout"),
                 lambda: theory.mean_field(8, "push", 0), lambda: rumour.rounds(8, "push", 1.5),
                 lambda: rumour.exchanges(1)):
        with pytest.raises(ValueError, match="must be"):
            call()


# ------------------------------------------------------------------------------------------------ simulation
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", theory.MODES)
def test_every_run_ends_in_equal_states(kind, mode):
    for seed in range(8):
        p = [1.0, 0.3, 0.05, 0.002][seed % 4]
        run = gossip.simulate(kind, 3 + seed % 4, 25, p, [0, 0.5, 3][seed % 3], None, seed, mode)
        assert run.converged and all(state == run.states[0] for state in run.states)
        assert run.converged_at >= run.last_operation
        assert all(value == run.values[0] for value in run.values)
        assert run.failed_operations == 0 and len(run.updates) == 25


def test_a_rare_chance_is_enough():
    run = gossip.simulate("ORSWOT", 4, 10, 1e-7, 0.5, None, 1)
    assert run.converged and run.converged_at > 1e5


def test_delay_changes_the_history():
    quick, slow = (gossip.simulate("ORSWOT", 4, 40, 0.5, delay, None, 7) for delay in (0, 4))
    assert [u.seen for u in quick.updates] != [u.seen for u in slow.updates]
    assert quick.converged_at < slow.converged_at
    assert max(m.received - m.sent for m in quick.messages) == 0 < min(m.received - m.sent for m in slow.messages)


def test_a_partition_stops_convergence_and_healing_restores_it():
    for seed in range(10):
        run = gossip.simulate("PNCounter", 4, 30, 1.0, 0.1, (10, 80), seed)
        assert run.converged_at > 80 and run.failed_operations == 0
        during = [count for time, count in run.divergence if 40 < time < 80]
        assert set(during) == {2}, "each side agrees with itself"
        assert any(m.lost for m in run.messages)
        never = gossip.simulate("PNCounter", 4, 30, 1.0, 0.1, (10, math.inf), seed)
        assert never.converged_at is None and never.failed_operations == 0


def test_agreement_is_of_states_not_of_values():
    run = gossip.simulate("PNCounter", 2, 0, 0.5)
    assert run.converged_at == 0
    silent = gossip.simulate("GCounter", 3, 10, 0.0)
    assert not silent.converged and not silent.messages


def test_more_gossip_agrees_sooner_and_costs_more():
    few, many = ([gossip.simulate("ORSWOT", 6, 30, p, 0.1, None, seed) for seed in range(12)] for p in (0.1, 0.8))
    late = [np.mean([run.converged_at - run.last_operation for run in runs]) for runs in (few, many)]
    assert late[0] > 3 * late[1]
    assert np.mean([r.bytes_sent for r in many]) > 2 * np.mean([r.bytes_sent for r in few])


def test_lost_writes_are_concurrent_ones():
    calm = [gossip.simulate("LWWMap", 4, 40, 1.0, 0, None, seed, "push_pull", fanout=3) for seed in range(5)]
    assert sum(len(run.lost_writes) for run in calm) <= 2
    apart = [gossip.simulate("LWWMap", 4, 40, 0.05, 0, None, seed) for seed in range(5)]
    assert sum(len(run.lost_writes) for run in apart) > 20
    assert not gossip.simulate("GCounter", 3, 10).lost_writes


def test_kinds_in_any_spelling_and_errors_by_name():
    for kind in ("or_set", "OR-Set", "ORSet", "orset"):
        assert gossip.simulate(kind, 2, 1).kind == "ORSet"
    assert gossip.simulate(ORSWOT, 2, 1).kind == "ORSWOT"
    for bad, message in (({"kind": "b-tree"}, "kind = 'b-tree': must be one of 'GCounter'"),
                         ({"replicas": 1}, "replicas = 1: must be a whole number >= 2"),
                         ({"operations": -1}, "operations = -1"), ({"merge_probability": 2}, "merge_probability = 2"),
                         ({"delay": -1}, "delay = -1"), ({"mode": "shout"}, "mode = 'shout': must be one of 'push'"),
                         ({"partition": 5}, "partition = 5: must be .start, stop. or"), ({"fanout": 4}, "fanout = 4"),
                         ({"partition": (9, 3)}, "Isolation.stop = 3"), ({"partition": (1, 3, "Z")}, "'Z'")):
        with pytest.raises(ValueError, match=message):
            gossip.simulate(**({"kind": "GCounter"} | bad))


def test_the_same_seed_gives_the_same_run():
    one, other = (gossip.simulate("ORSWOT", 5, 30, 0.3, 1, (5, 9), 3) for _ in range(2))
    assert one.messages == other.messages and one.updates == other.updates and one.summary() == other.summary()
