"""One order, one charge: a server that knows a repeated request by its Idempotency-Key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from labkit.loopback.serve import Answer


class Once:
    """Runs each key's work once and gives every repetition the first one's answer, a failure too.

    A repetition that comes while the first is at work waits for it. (Answering 409 is the other choice that is open; to
    answer "done" before it is done is not.) Source: draft-ietf-httpapi-idempotency-key-header-07 (October 2025),
    sections 2.6 and 2.7.

    >>> once = Once()
    >>> once.answer("order 1", b"10 EUR", lambda: (402, {}, b"declined"))
    (402, {}, b'declined')
    >>> once.answer("order 1", b"10 EUR", lambda: (200, {}, b"charged"))
    (402, {}, b'declined')
    """

    def __init__(self) -> None:
        self._asked: dict[str, tuple[bytes, Future[Answer]]] = {}
        self._lock = threading.Lock()

    def answer(self, key: str, body: bytes, work: Callable[[], Answer]) -> Answer:
        """The answer of the first request with this key: (status, headers, body).

        `key`: the Idempotency-Key header; "" is answered 400.
        `body`: what was asked; the same key with another body is answered 422.
        `work`: called by the first request only; if it raises, the answer is 500 for all of them.
        """
        if not key:
            return 400, {}, b"Idempotency-Key is missing"
        with self._lock:
            first = key not in self._asked
            asked, answered = self._asked.setdefault(key, (body, Future()))
        if asked != body:
            return 422, {}, b"this Idempotency-Key was used for another request"
        if first:
            answered.set_result(_answer(work))
        return answered.result()


def _answer(work: Callable[[], Answer]) -> Answer:
    try:
        return work()
    except Exception as error:              # those who wait must hear of it, and nobody may try again under this key
        return 500, {}, type(error).__name__.encode()
