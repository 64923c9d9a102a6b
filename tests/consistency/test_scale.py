"""Memory, the deadline, and what a long or hostile history may cost. Times are in the bench."""

import math
import random
import tracemalloc

import pytest

from labkit.consistency import Operation, linearizable
from labkit.consistency import meter as bounds
from labkit.consistency.frontier import frontier
from labkit.consistency.history import validate
from labkit.consistency.meter import Memory, Meter, Spent
from labkit.consistency.models import MODELS
from labkit.consistency.search import search
from labkit.consistency.task import Task, finish
from tests.consistency.histories import sequential, sound, with_a_stale_read

NEVER = math.inf


@pytest.mark.parametrize("values", [None, 5])
def test_a_long_sequential_history_takes_little_memory_beside_itself(values):
    history = sequential(1, 100_000, values)
    tracemalloc.start()
    verdict = linearizable(history, budget_s=600)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert verdict.ok is True
    assert len(verdict.prefix) == 100_000
    assert peak < 30_000_000                    # 300 bytes an operation; one bit for each other made it 763 MB


def test_a_stale_read_at_the_end_of_a_long_history_is_blamed():
    history = sequential(1, 30_000, 5)
    last = max(i for i, o in enumerate(history) if o.kind == "read")
    history[last] = Operation(0, "read", (), 99, history[last].invoked, history[last].returned)
    verdict = linearizable(history, budget_s=600)
    assert (verdict.ok, verdict.blocking, len(verdict.prefix)) == (False, history[last], last)


def test_the_search_too_keeps_only_the_open_calls_apart():
    history = sound(1, 5, 20_000, ["read", "write"], 5)
    task, meter = Task.of(validate(history), MODELS["register"], None), Meter()
    assert finish(search(task, meter)).ok is True
    assert meter.bytes < 20_000 * 1_000


def test_the_frontier_lets_go_of_what_all_orders_share():
    history = [*sequential(1, 40_000, 5), Operation(1, "read", (), 3, -1, 50_000)]         # never quiet
    task, meter = Task.of(validate(history), MODELS["register"], None), Meter()
    assert finish(frontier(task, meter)).ok is True                 # the task has laid out its columns
    meter = Meter()
    tracemalloc.start()
    steps, peak = frontier(task, meter), 0
    for _ in steps:
        peak = max(peak, tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert peak < 1_200_000                     # 8 bytes an operation and a few for what is not settled; 6 MB else
    assert peak / 4 < meter.bytes < 4 * peak    # and the meter knows


@pytest.mark.parametrize("engine", [frontier, search])
def test_an_engine_ends_at_the_bound_of_its_memory(engine):
    task = Task.of(validate(HARD), MODELS["register"], None)
    with pytest.raises(Spent) as spent:
        finish(engine(task, Meter(memory=Memory(100_000))))
    assert spent.value.bound == "memory"


HARD = [Operation(i, "cas", (i % 7, 3 * i % 7), True, 0, 100) for i in range(40)] + [
    Operation(99, "write", (1,), None, 0, 100), Operation(97, "write", (9,), None, 0, 1),
    Operation(98, "read", (), 9, 101, 102)]
WIDE = [Operation(i, "write", (i % 7,), None, 0, 100) for i in range(3_000)] + [
    Operation(3_000 + i, "read", (), i % 7, i / 100, 101) for i in range(3_000)]


@pytest.mark.parametrize("history, model", [
    (HARD, "register"), (WIDE, "register"), (sound(1, 50, 3_000, ["read", "cas", "write"], 5), "register"),
    ([Operation(i, "enqueue", (i % 9,), None, 0, 100) for i in range(63)] + [
        Operation(99, "dequeue", (), i * 7 % 9, 101 + 2 * i, 102 + 2 * i) for i in range(59)] + [
        Operation(99, "dequeue", (), None, 900, 901)], "queue"),
    (sequential(1, 20_000, None), "register")])
def test_work_between_two_looks_at_the_clock_is_bounded(history, model, monkeypatch):
    """A clock that goes on by 10 ms whenever it is read: the verdict comes within a few readings of the budget."""
    readings = [0]

    def monotonic():
        readings[0] += 1
        return readings[0] / 100

    monkeypatch.setattr(bounds.time, "monotonic", monotonic)
    verdict = linearizable(history, model, budget_s=0.1)
    assert (verdict.ok, verdict.engine) == (None, "time")
    assert verdict.seconds < 0.1 * 1.2 + 0.02


def test_one_hard_key_hides_no_counterexample_on_another():
    hard = [Operation(o.process, {"write": "put", "read": "get", "cas": "cas"}[o.kind], ("hard", *o.args), o.result,
                      o.invoked, o.returned) for o in HARD]
    wrong = [Operation(200, "put", ("easy", 1), None, 0, 1), Operation(201, "put", ("easy", 2), None, 2, 3),
             Operation(200, "get", ("easy",), 1, 4, 5)]
    verdict = linearizable(hard + wrong, "kv", budget_s=600, initial=None)
    assert (verdict.ok, verdict.key, verdict.blocking) == (False, "easy", wrong[2])


@pytest.mark.parametrize("kinds", [["read", "read", "write"], ["read", "cas", "write"]])
@pytest.mark.parametrize("values", [None, 5])
def test_a_value_that_nobody_wrote_needs_no_search(kinds, values):
    history = sound(1, 20, 400, kinds, values)
    late = [i for i, o in enumerate(history) if o.kind == "read"][-20]
    o = history[late]
    history[late] = Operation(o.process, "read", (), "nowhere", o.invoked, o.returned)
    verdict = linearizable(history, budget_s=600)
    assert (verdict.ok, verdict.blocking) == (False, history[late])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kinds", [["get", "append"], ["get", "put", "append"]])
def test_fifty_clients_of_a_key_value_store_and_one_stale_get(kinds, seed):
    history = sound(seed, 50, 2_000, kinds, keys=10, crashes=0.002)
    assert linearizable(history, "kv", budget_s=600).ok is True
    random.Random(seed).shuffle(history)
    history.sort(key=lambda o: o.invoked)
    assert linearizable(with_a_stale_read(history), "kv", budget_s=600).ok is False
