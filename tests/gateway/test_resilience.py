"""Breaker, bucket, queue, retries, memory: each attacked the way it breaks elsewhere."""

import asyncio
import sys
import threading
from types import SimpleNamespace

import pytest

from labkit.gateway.resilience import (
    Admission,
    AnswerCache,
    BreakerOpen,
    Buckets,
    CircuitBreaker,
    Deadline,
    DeadlineExceeded,
    IdempotencyKeys,
    InFlight,
    Overloaded,
    Retry,
    RetryThrottle,
    Reused,
    TokenBucket,
    limits,
    safe_queue_limit,
)
from labkit.gateway.trial.probes import probes
from labkit.metastability import theory
from labkit.metastability.model import Clients, Service


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Down(Exception):
    pass


def broken(clock, **settings):
    """A breaker that has just opened."""
    breaker = CircuitBreaker(clock=clock, **{"window": 10, "minimum": 4, "open_for": 5} | settings)
    for _ in range(4):
        with pytest.raises(Down), breaker.call():
            raise Down
    assert breaker.state == "open"
    return breaker


def crowd(count, work):
    """Call `work` from `count` threads at the same moment."""
    gate, results = threading.Barrier(count), []

    def one():
        gate.wait()
        results.append(work())

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_probes_count_those_who_get_through():
    clock = Clock()
    breaker, refused = broken(clock), threading.Semaphore(0)

    def guarded(work):
        try:
            with breaker.call():
                work()
                assert all(refused.acquire(timeout=10) for _ in range(19)), "nobody may follow the probe"
        except BreakerOpen:
            refused.release()
            raise

    assert probes(guarded, 19, 0.0) == 0
    assert all(refused.acquire(blocking=False) for _ in range(19))
    clock.now += 5                          # half open: one probe, however many come
    assert probes(guarded, 20, 0.0) == 1
    assert probes(lambda work: work(), 20, 0.0) == 20
    with pytest.raises(ValueError, match="count = 0"):
        probes(guarded, 0)


# -------------------------------------------------------------------------------------------------- breaker
def test_half_open_lets_exactly_one_of_fifty_threads_through():
    clock = Clock()
    breaker = broken(clock)
    clock.now += 5

    def probe():
        try:
            return breaker.call()
        except BreakerOpen:
            return None

    for _ in range(20):
        calls = [call for call in crowd(50, probe) if call]
        assert len(calls) == 1
        calls[0].end(False)
        assert breaker.state == "open"
        clock.now += 5
    [call] = [call for call in crowd(50, probe) if call]
    call.end(True)
    assert breaker.state == "closed"


def test_half_open_lets_exactly_one_of_fifty_tasks_through():
    clock = Clock()
    breaker = broken(clock)
    clock.now += 5
    reached = 0

    async def probe():
        nonlocal reached
        try:
            with breaker.call():
                reached += 1
                await asyncio.sleep(0.01)
        except BreakerOpen as refusal:
            return refusal.retry_after
        return "through"

    async def all_of_them():
        return await asyncio.gather(*(probe() for _ in range(50)))

    found = asyncio.run(all_of_them())
    assert reached == 1 and found.count("through") == 1 and breaker.state == "closed"


def test_a_steady_one_per_cent_of_errors_never_opens_it():
    clock, breaker = Clock(), CircuitBreaker()
    breaker.clock = clock
    for i in range(20_000):
        clock.now += 0.05
        try:
            with breaker.call():
                if i % 100 == 0:
                    raise Down
        except Down:
            pass
    assert breaker.state == "closed"


def test_it_opens_on_a_share_of_what_the_window_holds_and_not_before_the_minimum():
    clock = Clock()
    breaker = CircuitBreaker(window=10, ratio=0.5, minimum=4, open_for=5, clock=clock)

    def call(ok):
        try:
            with breaker.call():
                if not ok:
                    raise Down
        except Down:
            pass

    for ok in (False, False, False):
        call(ok)
    assert breaker.state == "closed"                    # three outcomes say nothing
    clock.now += 11                                     # and then they are old
    for ok in (True, True, True, False, False):
        call(ok)
    assert breaker.state == "closed"
    call(False)
    assert breaker.state == "open"                      # 3 of 6
    with pytest.raises(BreakerOpen, match=r"open for 5\.0 s more") as refused:
        breaker.call()
    assert refused.value.retry_after == 5


def test_a_probe_that_is_cancelled_decides_nothing_and_frees_its_place():
    clock = Clock()
    breaker = broken(clock)
    clock.now += 5
    with pytest.raises(asyncio.CancelledError), breaker.call():
        with pytest.raises(BreakerOpen):
            breaker.check()
        raise asyncio.CancelledError
    assert breaker.state == "half open"
    with breaker.call():
        pass
    assert breaker.state == "closed"


def test_a_straggler_of_an_earlier_round_decides_nothing():
    clock = Clock()
    breaker = CircuitBreaker(window=10, minimum=2, open_for=5, clock=clock)
    slow = [breaker.call() for _ in range(4)]
    slow[0].end(False)
    slow[1].end(False)
    assert breaker.state == "open"
    clock.now += 5
    probe = breaker.call()
    slow[2].end(True)                                   # it began before the trouble
    assert breaker.state == "half open"
    probe.end(True)
    probe.end(False)                                    # only the first end counts
    slow[3].end(False)
    assert breaker.state == "closed"


# ---------------------------------------------------------------------------------------------------- limits
def test_a_bucket_never_gives_more_than_its_limit_to_a_hundred_threads():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(10):
            bucket = TokenBucket(rate=1e-9, burst=100)
            taken = crowd(100, lambda bucket=bucket: sum(bucket.take() == 0 for _ in range(20)))
            assert sum(taken) == 100
    finally:
        sys.setswitchinterval(before)


def test_a_bucket_fills_with_time_says_when_to_come_back_and_ignores_a_clock_set_back():
    clock = Clock()
    bucket = TokenBucket(rate=2, burst=4, clock=clock)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0, 0.5]
    clock.now -= 1000
    assert bucket.take() == 0.5
    clock.now += 1000.5
    assert bucket.take() == 0 and bucket.take() == 0.5
    clock.now += 1e6
    assert bucket.take(4) == 0 and bucket.take() == 0.5
    with pytest.raises(ValueError, match="tokens = 5: must be a number >= 0 and <= 4"):
        bucket.take(5)


def test_one_caller_cannot_use_up_the_share_of_another_nor_the_memory():
    buckets = Buckets(rate=1e-9, burst=2, max_keys=3)
    assert [buckets.take("loud") == 0 for _ in range(3)] == [True, True, False]
    assert buckets.take("quiet") == 0
    for i in range(1000):
        buckets.take(f"made up {i}")
    assert len(buckets._kept) == 3


def test_the_queue_bound_is_that_of_part_1():
    service, clients = Service(0.5, 0.01, 50), Clients(timeout=3, retries=3)
    assert safe_queue_limit(theory.saturated_throughput(service), 3, theory.service_time_when_full(service)) == \
        theory.safe_queue_limit(service, clients) == 100


def admitted(running, queue, callers, deadline=60.0, hold=0.01):
    """What becomes of `callers` at once, and the order in which they got in."""
    order = []

    async def one(admission, n):
        try:
            async with admission.enter(Deadline(deadline)):
                order.append(n)
                await asyncio.sleep(hold)
            return "served"
        except Overloaded as refusal:
            return str(refusal)
        except DeadlineExceeded as late:
            return str(late)

    async def run():
        admission = Admission(running, queue)
        found = await asyncio.gather(*(one(admission, n) for n in range(callers)))
        assert (admission.running, admission.waiting) == (0, 0)
        return found

    return asyncio.run(run()), order


def test_beyond_the_queue_callers_are_turned_away_at_once_and_the_others_are_served_in_order():
    found, order = admitted(2, 3, 8)
    assert found == ["served"] * 5 + ["3 requests are waiting already"] * 3 and order == [0, 1, 2, 3, 4]


def test_from_a_queue_that_stands_the_newest_goes_first(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=clock))

    async def run():
        admission, order, over = Admission(1, 10, standing=5), [], asyncio.Queue()

        async def one(n):
            async with admission.enter(Deadline(60)):
                order.append(n)
                await over.get()

        tasks = [asyncio.create_task(one(n)) for n in range(5)]
        for served in range(1, 6):                      # 3 s each
            while len(order) < served:
                await asyncio.sleep(0)
            clock.now += 3
            over.put_nowait(None)
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(run()) == [0, 1, 4, 3, 2]


def test_a_place_that_comes_while_a_waiter_gives_up_goes_to_the_next():
    async def run():
        admission = Admission(1, 10, learns=False)

        async def one(seconds):
            async with admission.enter(Deadline(60)):
                await asyncio.sleep(seconds)
            return "served"

        first = asyncio.create_task(one(0.01))
        await asyncio.sleep(0)
        gone, stays = asyncio.create_task(one(0)), asyncio.create_task(one(0))
        await asyncio.sleep(0)
        first.cancel()
        gone.cancel()                                   # both in one step of the loop: its future is cancelled, and
        found = await asyncio.gather(first, gone, stays, return_exceptions=True)        # it has not noticed yet
        return found, admission.running, admission.waiting

    found, running, waiting = asyncio.run(run())
    assert [type(one) for one in found[:2]] == [asyncio.CancelledError] * 2
    assert found[2] == "served" and (running, waiting) == (0, 0)


def test_callers_who_leave_lower_the_limit_once_a_round_trip_and_answers_raise_it_again():
    async def run():
        admission = Admission(10, 100)

        async def leave():
            async with admission.enter(Deadline(60)):
                await asyncio.sleep(60)

        async def stay():
            async with admission.enter(Deadline(60)):
                await asyncio.sleep(0.001)

        leaving = [asyncio.create_task(leave()) for _ in range(10)]
        while admission.running < 10:
            await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        lowered = admission.limit
        await asyncio.gather(*(stay() for _ in range(60)))
        return lowered, admission.limit, admission.running

    lowered, raised, running = asyncio.run(run())
    assert lowered == 8 and 10 >= raised > 9.5 and running == 0


def test_a_waiter_whose_deadline_passes_leaves_and_takes_no_place():
    found, order = admitted(1, 10, 3, deadline=0.05, hold=0.2)
    assert found == ["served", *["the deadline of 0.05 s passed in the queue"] * 2] and order == [0]


def test_a_waiter_who_is_cancelled_takes_no_place():
    async def run():
        admission = Admission(1, 10)
        async with admission.enter(Deadline(60)):
            waiting = [asyncio.create_task(admission._take(Deadline(60))) for _ in range(2)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await asyncio.sleep(0)
            assert admission.waiting == 1
        await waiting[1]
        assert admission.running == 1

    asyncio.run(run())


# --------------------------------------------------------------------------------------------------- retries
def attempts(failures, retry=None, deadline=60.0, budget=None, error=Down):
    """How many attempts are made against something that fails `failures` times, and how it ends."""
    made = 0

    async def run():
        nonlocal made
        policy = retry or Retry(attempts=3, wait=0.0, max_wait=0.0, jitter=0.0)
        async for attempt in policy.context(Deadline(deadline), budget, lambda e: isinstance(e, Down)):
            with attempt:
                made += 1
                if made <= failures:
                    raise error
                return "ok"

    try:
        return asyncio.run(run()), made
    except Exception as failure:
        return type(failure).__name__, made


def test_retries_end_with_the_attempts_the_budget_or_the_deadline_and_never_try_what_cannot_help():
    assert attempts(0) == ("ok", 1)
    assert attempts(2) == ("ok", 3)
    assert attempts(9) == ("Down", 3)
    assert attempts(9, error=KeyError) == ("KeyError", 1)
    assert attempts(9, budget=RetryThrottle(0.1, 0)) == ("Down", 1)
    outcome, made = attempts(5000, Retry(attempts=5000, wait=0.05, max_wait=0.05, jitter=0), deadline=0.2)
    assert outcome == "Down" and made < 50


def test_when_everything_fails_a_budget_of_a_tenth_adds_a_tenth_of_load():
    budget = RetryThrottle(ratio=0.1, capacity=10)
    retries = 0
    for _ in range(1000):
        budget.earn()
        while budget.spend():
            retries += 1
    assert retries in (109, 110)                        # a tenth of a thousand, and what it had


def test_a_deadline_counts_down_and_says_where_it_passed():
    clock = Clock()
    deadline = Deadline(2, clock)
    clock.now += 1.5
    assert deadline.left == 0.5
    deadline.check("anywhere")
    clock.now += 1
    assert deadline.left == 0
    with pytest.raises(DeadlineExceeded, match="the deadline of 2 s passed at the engine"):
        deadline.check("at the engine")


# ---------------------------------------------------------------------------------------------------- memory
def test_answers_are_kept_for_a_while_and_up_to_a_number():
    clock = Clock()
    answers = AnswerCache(max_entries=2, ttl=10, clock=clock)
    for name in "abc":
        answers.put(name, name.upper())
    clock.now += 4
    assert answers.get("a") is None and answers.get("c") == (4, "C") and len(answers) == 2
    clock.now += 7
    assert answers.get("c") is None
    nothing = AnswerCache(max_entries=0)
    nothing.put("a", "A")
    assert nothing.get("a") is None


def test_a_key_is_answered_once_and_never_for_another_request():
    clock = Clock()
    once = IdempotencyKeys(max_entries=2, ttl=10, clock=clock)
    assert once.begin("k", "body") is None
    with pytest.raises(InFlight):
        once.begin("k", "body")
    once.finish("k", "answer")
    assert once.begin("k", "body") == "answer"
    with pytest.raises(Reused):
        once.begin("k", "another body")
    clock.now += 11
    assert once.begin("k", "another body") is None
    once.forget("k")
    assert once.begin("k", "third") is None
    for i in range(5):                                  # what is running is kept, what is answered goes
        once.begin(f"{i}", "x")
        once.finish(f"{i}", "y")
    with pytest.raises(InFlight):
        once.begin("k", "third")
    assert len(once._kept) <= 3


@pytest.mark.parametrize(("make", "message"), [
    (lambda: CircuitBreaker(window=0), "window = 0: must be a number > 0"),
    (lambda: CircuitBreaker(ratio=0), "ratio = 0: must be a number > 0 and <= 1"),
    (lambda: TokenBucket(0, 1), "rate = 0: must be a number > 0"),
    (lambda: Buckets(1, -1), "burst = -1: must be a number > 0"),
    (lambda: Admission(0, 1), "running = 0: must be a whole number >= 1"),
    (lambda: Retry(attempts=0), "Retry.attempts = 0: must be a whole number >= 1"),
    (lambda: RetryThrottle(-1), "ratio = -1: must be a number >= 0"),
    (lambda: Deadline(0), "seconds = 0: must be a number > 0"),
    (lambda: IdempotencyKeys(0), "max_entries = 0: must be a whole number >= 1"),
    (lambda: AnswerCache(ttl=0), "ttl = 0: must be a number > 0"),
])
def test_bad_input_names_field_value_and_range(make, message):
    with pytest.raises(ValueError) as refused:
        make()
    assert str(refused.value) == message
