"""What a gateway remembers of earlier requests: answers for bad days, and keys of requests that must happen once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from labkit import ranges

Value = TypeVar("Value")


class AnswerCache(Generic[Value]):
    """The last `max_entries` answers, for `ttl` seconds; used when no model can answer, and marked with their age."""

    def __init__(self, max_entries: int = 1000, ttl: float = 3600.0, clock: Callable[[], float] = time.monotonic):
        ranges.whole("max_entries", max_entries, 0)
        ranges.number("ttl", ttl, 0, above=True)
        self.max_entries, self.ttl, self.clock = max_entries, ttl, clock
        self._kept: OrderedDict[str, tuple[float, Value]] = OrderedDict()

    def put(self, key: str, answer: Value) -> None:
        """Remember a good answer."""
        self._kept[key] = (self.clock(), answer)
        self._kept.move_to_end(key)
        while len(self._kept) > self.max_entries:
            self._kept.popitem(last=False)

    def get(self, key: str) -> tuple[float, Value] | None:
        """Its age in seconds and the answer, or None."""
        found = self._kept.get(key)
        if found is None or (age := self.clock() - found[0]) > self.ttl:
            self._kept.pop(key, None)
            return None
        return age, found[1]

    def __len__(self) -> int:
        return len(self._kept)


class InFlight(RuntimeError):
    """A request with this idempotency key is still being answered."""


class Reused(RuntimeError):
    """This idempotency key was used for another request."""


@dataclass
class _Entry(Generic[Value]):
    at: float
    fingerprint: str
    answer: Value | None = None


class IdempotencyKeys(Generic[Value]):
    """Idempotency keys: the same request twice is answered, and paid for, once. In memory, for `ttl` seconds.

    Source: draft-ietf-httpapi-idempotency-key-header-07, 2025, section 2.
    """

    def __init__(self, max_entries: int = 10_000, ttl: float = 86_400.0, clock: Callable[[], float] = time.monotonic):
        ranges.whole("max_entries", max_entries, 1)
        ranges.number("ttl", ttl, 0, above=True)
        self.max_entries, self.ttl, self.clock = max_entries, ttl, clock
        self._kept: OrderedDict[str, _Entry[Value]] = OrderedDict()

    def begin(self, key: str, fingerprint: str) -> Value | None:
        """The answer given before, or None: answer it, then `finish` or `forget`. InFlight or Reused otherwise."""
        entry = self._kept.get(key)
        if entry is None or self.clock() - entry.at > self.ttl:
            self._kept[key] = _Entry(self.clock(), fingerprint)
            self._shrink()
            return None
        if entry.fingerprint != fingerprint:
            raise Reused(key)
        if entry.answer is None:
            raise InFlight(key)
        return entry.answer

    def finish(self, key: str, answer: Value) -> None:
        """This is the answer from now on."""
        if key in self._kept:
            self._kept[key].answer = answer

    def forget(self, key: str) -> None:
        """It came to nothing; the key is free again."""
        self._kept.pop(key, None)

    def _shrink(self) -> None:
        """Drop the oldest finished one; those in flight are never dropped."""
        if len(self._kept) > self.max_entries:
            oldest = next((key for key, entry in self._kept.items() if entry.answer is not None), None)
            if oldest is not None:
                del self._kept[oldest]
