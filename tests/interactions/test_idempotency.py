"""One order, one charge: what a repetition gets, and when."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from labkit.interactions import demos
from labkit.interactions.idempotency import Once


def test_a_repetition_waits_for_the_first_and_is_not_told_of_a_charge_that_has_not_happened():
    once, begun, go, calls = Once(), threading.Event(), threading.Event(), []

    def work():
        calls.append(1)
        begun.set()
        go.wait()
        return 200, {}, b"charged"

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(once.answer, "k", b"10 EUR", work)
        assert begun.wait(10)
        others = [pool.submit(once.answer, "k", b"10 EUR", work) for _ in range(2)]
        other_key = once.answer("l", b"10 EUR", lambda: (200, {}, b"another"))
        assert not any(other.done() for other in others) and other_key[2] == b"another"
        go.set()
        assert [f.result(10) for f in (first, *others)] == [(200, {}, b"charged")] * 3
    assert calls == [1]
    assert once.answer("k", b"10 EUR", work) == (200, {}, b"charged") and calls == [1]


def test_a_failure_is_an_answer_and_stays_one():
    once = Once()
    assert once.answer("k", b"", lambda: (402, {}, b"declined"))[0] == 402
    assert once.answer("k", b"", lambda: (200, {}, b"charged"))[0] == 402

    def broken():
        raise ZeroDivisionError

    assert once.answer("l", b"", broken) == (500, {}, b"ZeroDivisionError")
    assert once.answer("l", b"", lambda: (200, {}, b"charged"))[0] == 500


def test_what_is_no_repetition_is_not_taken_for_one():
    once = Once()
    assert once.answer("k", b"10 EUR", lambda: (200, {}, b"ten"))[0] == 200
    assert once.answer("k", b"20 EUR", lambda: (200, {}, b"twenty"))[0] == 422
    assert once.answer("", b"10 EUR", lambda: (200, {}, b"ten"))[0] == 400


@pytest.mark.live
def test_a_declined_card_is_declined_for_every_attempt_and_charged_by_none():
    seen = demos.charges(2).also["and if the card is declined"]
    assert seen == {"orders": 2, "answered 200": 0, "answered 402": 2, "attempts": 6, "charges": 0}
