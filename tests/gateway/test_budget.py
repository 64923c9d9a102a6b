"""The ledger: it never overspends, never loses money, never forgets a hold, and says why it refuses."""

import multiprocessing
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from labkit.consistency.real.postgres_standby import binaries
from labkit.gateway.budget import Ledger, LedgerError, attack, designs, dollars, price, reconcile, store
from labkit.gateway.settings import ModelConfig
from labkit.gateway.upstream import Usage
from labkit.loopback import Program

DAY = 86_400.0


class Clock:
    def __init__(self, now=1_795_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


def ledger(path=":memory:", cap=1000, ttl=60, clock=None, scope="global"):
    found = Ledger(path, ttl=ttl, clock=clock or Clock())
    found.limit(scope, "day", cap)
    return found


# ------------------------------------------------------------------------------------------------ the attack
def test_the_attack_never_takes_more_than_the_cap_and_the_ledger_wastes_little():
    found = [attack.attack(designs.WithLedger, seed=seed) for seed in range(20)]
    assert max(one.overspend for one in found) <= 1
    assert min(one.admitted / one.fair for one in found) >= 0.85
    assert min(one.billed / one.possible for one in found) >= 0.9
    assert all(one.stuck == 0 and one.believed >= one.billed for one in found)


def test_each_other_design_is_broken_by_the_attack_that_the_next_one_survives():
    table = attack.table(seeds=5)
    assert table["billed/cap"].iloc[:5].min() > 1 and table["worst seed"].iloc[5:].max() <= 1
    only_bursts = attack.Crowd(cancels=0, errors=0, crashes=0)
    assert attack.attack(designs.CheckThenAct, only_bursts).overspend > 1.3
    assert attack.attack(designs.ReserveRelease, only_bursts).overspend <= 1
    hang_ups = attack.Crowd(cancels=0.3, errors=0, crashes=0)
    assert attack.attack(designs.ReserveRelease, hang_ups, seed=1).overspend > 1.1
    assert attack.attack(designs.ReserveSettle, hang_ups, seed=1).overspend <= 1
    billed_errors = attack.Crowd(cancels=0, errors=0.3, crashes=0)
    assert attack.attack(designs.ReserveSettle, billed_errors).overspend > 1.1
    assert attack.attack(designs.ReserveAll, billed_errors).overspend <= 1
    crashes = attack.Crowd(cancels=0, errors=0, crashes=0.1)
    assert attack.attack(designs.ReserveSettle, crashes).stuck > 0
    assert attack.attack(designs.WithLedger, crashes).stuck == 0
    assert attack.attack(designs.ReserveAll).admitted < 0.85 * attack.attack(designs.WithLedger).admitted


def test_the_same_seed_is_the_same_attack():
    assert attack.attack(designs.WithLedger, seed=3) == attack.attack(designs.WithLedger, seed=3)
    assert attack.attack(designs.PostHoc, seed=3) != attack.attack(designs.PostHoc, seed=4)


class Machine(RuleBasedStateMachine):
    """Any order of reserve, settle (also twice), expiry, midnight and changed caps."""

    @initialize(cap=st.integers(0, 2000))
    def start(self, cap):
        self.clock = Clock()
        self.ledger = ledger(cap=cap, clock=self.clock)
        self.ledger.limit("user:*", "month", 1500)
        self.caps, self.open, self.done, self.billed = {self.day: cap}, {}, {}, Counter()

    @property
    def day(self):
        return time.strftime("%Y-%m-%d", time.gmtime(self.clock.now))

    @rule(user=st.sampled_from("ab"), amount=st.integers(0, 800), cheaper=st.none() | st.integers(0, 200))
    def reserve(self, user, amount, cheaper):
        decision = self.ledger.reserve(user, "t", amount, cheaper=cheaper)
        self.caps.setdefault(self.day, self.ledger._cap("global", "day"))
        if decision.hold:
            self.open[decision.hold] = (self.day, decision.amount, self.clock.now + 60)
        else:
            assert decision.reason and decision.amount == 0

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def settle(self, data):
        hold = list(self.open)[data.draw(st.integers(0, len(self.open) - 1))]
        day, amount, _ = self.open.pop(hold)
        actual = data.draw(st.integers(0, amount))
        assert self.ledger.settle(hold, actual) == actual
        self.done[hold] = actual
        self.billed[day] += actual

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def settle_again(self, data):
        hold = list(self.done)[data.draw(st.integers(0, len(self.done) - 1))]
        assert self.ledger.settle(hold, data.draw(st.integers(0, 999))) == self.done[hold]

    @rule(seconds=st.sampled_from([1, 30, 61, DAY]))
    def wait(self, seconds):
        self.clock.now += seconds
        self.ledger.expire()
        assert all(hold.age <= 60 for hold in self.ledger.holds())

    @invariant()
    def books_balance(self):
        if not hasattr(self, "ledger"):
            return
        rows = self.ledger.store.rows("SELECT span, spent, held, cap FROM account WHERE scope = 'global'")
        for span, spent, held, cap in rows:
            assert spent >= 0 and held >= 0
            if len(span) == 10:
                assert spent + held <= cap                      # billed <= cap, in every window
                assert self.billed[span] <= spent + held
        total = self.ledger.totals()
        assert total["charged"] + total["held"] == sum(spent + held for span, spent, held, _ in rows if len(span) == 10)
        assert total["charged"] >= sum(self.done.values())


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None,
                                     suppress_health_check=list(HealthCheck))
TestMachine = Machine.TestCase


# ------------------------------------------------------------------------------------- threads and processes
def spend(path, threads, each, seed):
    """What one process does: `threads` threads reserve and settle; the amounts billed."""
    book, rng, billed = Ledger(path, ttl=3600), random.Random(seed), []

    def work(n):
        for _ in range(each):
            decision = book.reserve(f"u{n % 7}", "t", 100)
            if decision.hold:
                cost = rng.randint(20, 100)
                billed.append(cost)                             # the engine bills before we write it down
                if n % 10:
                    book.settle(decision.hold, cost)            # every tenth thread crashes instead

    crowd = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    return sum(billed)


@pytest.mark.live
def test_two_hundred_threads_in_five_processes_never_overspend_one_ledger(tmp_path):
    path = tmp_path / "ledger.db"
    book = Ledger(path, ttl=3600)
    book.limit("global", "day", 40_000)
    book.limit("team:t", "month", 39_950)
    with multiprocessing.get_context("spawn").Pool(5) as pool:
        billed = sum(pool.starmap(spend, [(str(path), 200, 2, seed) for seed in range(5)]))
    account = next(a for a in book.accounts("u0", "t") if a.scope == "team:t" and len(a.window) == 7)
    assert billed <= account.spent + account.held <= 39_950
    assert account.spent + account.held > 39_950 - 100          # and they spent all there was


def until_killed(path, steps, said):
    """Three attempts; the process kills itself before statement number `steps`, and says what it knows was done."""
    book = Ledger(path, ttl=1000)
    book.limit("global", "day", 1000)
    real = store.SQLiteStore.rows

    def rows(self, sql, values=()):
        nonlocal steps
        steps -= 1
        if steps < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, sql, values)

    store.SQLiteStore.rows = rows
    for _ in range(3):
        hold = book.reserve("u", "t", 100).hold
        os.write(said, f"held {hold}\n".encode())
        book.settle(hold, 60)
        os.write(said, f"settled {hold}\n".encode())


@pytest.mark.live
def test_kill_9_at_every_step_loses_nothing(tmp_path):
    ends = Counter()
    for step in range(60):
        path, (heard, said) = tmp_path / f"{step}.db", os.pipe()
        child = multiprocessing.get_context("fork").Process(target=until_killed, args=(path, step, said))
        child.start()
        child.join()
        os.close(said)
        told = [line.split() for line in os.fdopen(heard).read().splitlines()]
        book = Ledger(path, ttl=1000)
        states = dict(book.store.rows("SELECT id, state FROM hold"))
        for what, hold in told:                                 # what was said to have happened has
            assert states[hold] in (("settled",) if what == "settled" else ("held", "settled"))
        account = [a for a in book.accounts("u", "t") if a.scope == "global" and len(a.window) == 10]
        spent, held = (account[0].spent, account[0].held) if account else (0, 0)
        assert spent == 60 * sum(state == "settled" for state in states.values())
        assert held == 100 * sum(state == "held" for state in states.values())
        later = Ledger(path, ttl=1000, clock=lambda: time.time() + 2000)
        assert later.expire() == sum(state == "held" for state in states.values())
        ends[child.exitcode] += 1
        if child.exitcode == 0:
            break
    assert ends[-signal.SIGKILL] >= 15 and ends[0] == 1


# -------------------------------------------------------------------------------------------------- one by one
def test_a_refusal_names_the_scope_and_the_numbers():
    book = Ledger(":memory:", clock=Clock())
    book.limit("user:ada", "day", 4_000_000)
    book.limit("team:eng", "month", 900_000)
    book.limit("request", "request", 800_000)
    assert book.reserve("ada", "eng", 900_000).reason == (
        "request: one attempt may cost $0.80 at most; this one may cost $0.90")
    assert book.reserve("ada", "eng", 700_000).action == "allow"
    refused = book.reserve("ada", "eng", 300_000)
    assert (refused.action, refused.hold, refused.amount) == ("reject", "", 0)
    assert refused.reason == ("team:eng has $0.20 of $0.90 left this month ($0.00 spent, $0.70 held); this attempt may "
                              "cost $0.30")
    cheaper = book.reserve("ada", "eng", 300_000, cheaper=150_000)
    assert (cheaper.action, cheaper.amount) == ("downgrade", 150_000) and cheaper.reason == refused.reason
    assert {a.held for a in book.accounts("ada", "eng")} == {850_000}     # all scopes or none


def test_settling_twice_is_settling_once_and_settling_never_refuses():
    book = ledger(cap=100)
    hold = book.reserve("u", "t", 80).hold
    assert book.settle(hold, 500, outcome="ok") == 500          # five times the cap: the money is gone all the same
    assert book.settle(hold, 3) == 500
    assert book.accounts("u", "t")[1].spent == 500 and book.accounts("u", "t")[1].left == -400
    assert book.reserve("u", "t", 0).action == "reject"
    with pytest.raises(LedgerError, match="hold 'nobody' is not in the ledger"):
        book.settle("nobody", 1)
    with pytest.raises(ValueError, match="actual = -1: must be a whole number >= 0"):
        book.settle(hold, -1)


def test_a_hold_that_nobody_settles_is_charged_in_full_and_a_late_settlement_corrects_it():
    clock = Clock()
    book = ledger(clock=clock, ttl=60)
    hold = book.reserve("u", "t", 300).hold
    clock.now += 59
    assert book.expire() == 0
    clock.now += 1
    assert book.expire() == 1 and book.expire() == 0
    assert (book.accounts("u", "t")[0].spent, book.accounts("u", "t")[0].held) == (300, 0)
    assert book.settle(hold, 120) == 120
    assert book.settle(hold, 120) == 120
    assert (book.accounts("u", "t")[0].spent, book.accounts("u", "t")[0].held) == (120, 0)
    free = book.reserve("u", "t", 0).hold
    clock.now += 61
    book.expire()
    book.settle(free, 5)
    assert (book.accounts("u", "t")[0].spent, book.accounts("u", "t")[0].held) == (125, 0)


def test_the_money_counts_in_the_day_in_which_it_was_held():
    clock = Clock(1_795_132_799.0)                              # one second before midnight, UTC
    book = ledger(cap=100, clock=clock)
    before = book.reserve("u", "t", 90).hold
    clock.now += 2
    after = book.reserve("u", "t", 90)
    assert after.action == "allow"
    book.settle(before, 70)
    days = {span: (spent, held) for span, spent, held in book.store.rows(
        "SELECT span, spent, held FROM account WHERE scope = 'global' AND length(span) = 10")}
    assert sorted(days.values()) == [(0, 90), (70, 0)]
    clock.now -= 3                                              # a clock that is set back finds yesterday's book
    assert book.reserve("u", "t", 40).action == "reject"


def test_a_changed_cap_holds_at_once_for_all_who_have_the_file_open(tmp_path):
    one, other = Ledger(tmp_path / "l.db"), Ledger(tmp_path / "l.db")
    one.limit("user:*", "day", 100)
    assert other.reserve("u", "t", 90).action == "allow"
    one.limit("user:u", "day", 200)
    assert other.reserve("u", "t", 90).action == "allow"
    one.limit("user:u", "day", None)                            # back to the rule for everybody
    assert "user:u has $0.00 of $0.0001 left today" in other.reserve("u", "t", 90).reason
    one.limit("user:*", "day", None)
    assert other.reserve("u", "t", 10**9).action == "allow"


def test_a_warning_is_given_once_at_80_and_once_at_100_per_cent():
    book = ledger(cap=100)
    found = [book.reserve("u", "t", 10).warnings for _ in range(10)]
    assert [w.level for warnings in found for w in warnings] == [80, 100]
    assert str(found[7][0]) == "global has used 80% of $0.0001 (2026-11-18)"
    assert ledger(cap=100).reserve("u", "t", 100).warnings[0].level == 100


def test_the_report_charges_teams_and_counts_attempts():
    book = ledger(cap=10**9)
    for user, team, request, cost in (("a", "x", "r1", 5), ("a", "x", "r1", 7), ("b", "y", "r2", 100)):
        book.settle(book.reserve(user, team, 200, request=request, tier="small").hold, cost, prompt_tokens=3,
                    answer_tokens=4)
    book.reserve("b", "y", 50, request="r3")
    report = book.report()
    assert list(report.index) == ["y", "x"]
    assert report.loc["x", ["requests", "attempts", "prompt_tokens", "answer_tokens"]].tolist() == [1, 2, 6, 8]
    assert report.usd.tolist() == [1e-4, 1.2e-5] and report.held_usd.tolist() == [5e-5, 0]
    assert book.report("2020-01").empty and set(book.report(by="user").index) == {"a", "b"}


def test_reconciling_explains_what_it_can():
    clock = Clock()
    book = ledger(cap=10**9, clock=clock)
    for _ in range(3):
        book.settle(book.reserve("u", "t", 900).hold, 500, prompt_tokens=10, answer_tokens=20)
    engine = {"vllm:prompt_tokens_total": 30.0, "vllm:generation_tokens_total": 60.0}
    assert reconcile(book, engine, 0.0015).note.tolist() == ["agrees"] * 3
    book.reserve("u", "t", 900)
    clock.now += 3600
    book.expire()
    found = reconcile(book, {**engine, "vllm:generation_tokens_total": 75.0}, 0.0020)
    assert found.note["generation tokens"] == "1 expired holds have no token count"
    assert found.note["dollars"] == "explained: 1 expired holds, charged in full"
    assert "invoice is higher" in reconcile(book, invoice=1.0).note["dollars"]
    assert "check the prices" in reconcile(book, invoice=0.0).note["dollars"]


def test_a_full_disk_refuses_and_loses_nothing(tmp_path):
    book = ledger(tmp_path / "l.db", cap=10**9)
    hold = book.reserve("u", "t", 100).hold
    pages = book.store.rows("PRAGMA page_count")[0][0]
    book.store.db.execute(f"PRAGMA max_page_count = {pages}")   # SQLite now answers as on a full disk
    with pytest.raises(LedgerError, match="the ledger cannot be .*full"):
        for _ in range(200):
            last = book.reserve("u", "t", 100)
            book.settle(last.hold, 1)
    book.store.db.execute("PRAGMA max_page_count = 100000")
    assert book.settle(hold, 60) == 60
    totals = book.totals()
    account = book.accounts("u", "t")[0]
    assert (account.spent, account.held) == (totals["charged"], totals["held"])


def test_money_is_whole_micro_dollars_rounded_up():
    assert [price(1, 0, 0.10, 0.4), price(10, 0, 0.1, 0), price(3, 2, 0.5, 0.25)] == [1, 1, 2]
    assert price(1_000_000, 0, 0.07, 0) == 70_000               # 70000.00000000001 in floats
    assert dollars(1_234_567_890) == "$1,234.57" and dollars(0) == "$0.00"


@pytest.mark.parametrize(("call", "message"), [
    (lambda b: b.limit("users:a", "day", 1), "scope = 'users:a': must be 'global', 'request', 'user:NAME'"),
    (lambda b: b.limit("user:", "day", 1), "scope = 'user:': must be"),
    (lambda b: b.limit("global", "week", 1), "period = 'week': must be one of 'day', 'month'"),
    (lambda b: b.limit("request", "day", 1), "period = 'day': must be one of 'request'"),
    (lambda b: b.limit("global", "day", 1.5), "cap = 1.5: must be a whole number >= 0"),
    (lambda b: b.reserve("u", "t", -1), "amount = -1: must be a whole number >= 0"),
    (lambda b: b.reserve("u", "t", 0.5), "amount = 0.5: must be a whole number >= 0"),
    (lambda b: b.report(by="model"), "by = 'model': must be one of 'team', 'user', 'tier'"),
    (lambda b: Ledger(":memory:", ttl=0), "ttl = 0: must be a number > 0"),
    (lambda b: attack.Crowd(cancels=2), "Crowd.cancels = 2: must be a number >= 0 and <= 1"),
])
def test_bad_input_names_field_value_and_range(call, message):
    with pytest.raises(ValueError) as refused:
        call(ledger())
    assert str(refused.value).startswith(message)


def test_a_file_that_is_no_ledger_is_said_to_be_none(tmp_path):
    (tmp_path / "l.db").write_text("this is not a database, not even a small one" * 50)
    with pytest.raises(LedgerError, match=r"the ledger .*l\.db cannot be opened: file is not a database"):
        Ledger(tmp_path / "l.db")
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(tmp_path / "no" / "folder" / "l.db")


def test_sweeping_looks_at_open_holds_only():
    plan = ledger().store.rows("EXPLAIN QUERY PLAN UPDATE hold SET state = 'expired' WHERE state = 'held' "
                               "AND expires <= 1")
    assert "hold_open" in str(plan)


# ------------------------------------------------------------------------------------------------- PostgreSQL
@pytest.fixture(scope="module")
def database():
    """A PostgreSQL of our own."""
    pytest.importorskip("psycopg", reason='pip install "psycopg[binary]"')
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    user = "postgres" if os.getuid() == 0 else None

    def command(it):
        subprocess.run([programs / "initdb", "-D", it.home / "data", "-A", "trust", "--no-sync", "-U", "postgres"],
                       user=user, cwd=it.home, check=True, capture_output=True)
        return [programs / "postgres", "-D", it.home / "data", "-p", it.port, "-c", "listen_addresses=127.0.0.1",
                "-c", f"unix_socket_directories={it.home}", "-c", "fsync=off"]

    def ready(it):
        return subprocess.run([programs / "pg_isready", "-h", "127.0.0.1", "-p", str(it.port), "-q"]).returncode == 0

    with Program(command, ready=ready, user=user, end="INT") as program:    # TERM waits for its clients
        yield f"postgresql://postgres@127.0.0.1:{program.port}/postgres"


@pytest.mark.live
def test_a_ledger_in_postgres_keeps_the_same_promises(database):
    clock = Clock()
    book = Ledger(database, clock=clock, ttl=60)
    book.limit("team:*", "day", 1000)
    first = book.reserve("ada", "eng", 700, request="r")
    assert "team:eng has $0.0003 of $0.001 left today" in book.reserve("ada", "eng", 400).reason
    assert book.reserve("ada", "eng", 400, cheaper=100).action == "downgrade"
    assert book.settle(first.hold, 200, prompt_tokens=1) == book.settle(first.hold, 9) == 200
    clock.now += 61
    assert book.expire() == 1
    assert book.report().usd.tolist() == [0.0003]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        book.limit("team:*", "day", None)
        book.limit("global", "day", 3000)
        pool.starmap(spend, [(database, 5, 10, seed) for seed in range(4)])
    account = next(a for a in Ledger(database).accounts("u0", "t") if a.scope == "global" and len(a.window) == 10)
    assert 3000 - 100 < account.spent + account.held <= 3000
    book.store.db.close()                                       # the connection breaks; the next transaction reconnects
    assert book.reserve("ada", "other", 1).action == "allow"
    with pytest.raises(LedgerError, match="the ledger's database does not answer"):
        Ledger("postgresql://postgres@127.0.0.1:1/postgres")


def test_tokens_from_the_cache_have_their_own_price():
    assert price(1000, 0, 0.5, 0, cached_tokens=800, usd_per_million_cached_input=0.05) == 140
    assert price(1000, 0, 0.5, 0, cached_tokens=800) == price(1000, 0, 0.5, 0)
    with pytest.raises(ValueError, match="cached_tokens = 11: must be a whole number >= 0 and <= 10"):
        price(10, 0, 1, 1, cached_tokens=11)


@pytest.mark.parametrize("cached, counted", [(800, 800), (2000, 1000), (-5, 0), ("many", 0), (None, 0)])
def test_what_an_engine_says_of_its_cache_is_charged_within_reason(cached, counted):
    model = ModelConfig("m", "s", "http://127.0.0.1:1/v1", 0.5, 1.0, 0.05)
    usage = Usage(model, 4000, 10)
    usage.take({"prompt_tokens": 1000, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": cached}})
    assert usage.cached == counted and usage.cost == price(1000, 2, 0.5, 1.0, counted, 0.05) <= usage.worst
    dear = Usage(ModelConfig("m", "s", "http://127.0.0.1:1/v1", 0.5, 1.0, 5.0), 4000, 10)
    assert dear.worst == price(4000, 10, 5.0, 1.0)
