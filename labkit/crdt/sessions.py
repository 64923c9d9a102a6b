"""The same random editing sessions in `Text` and in pycrdt, the Python binding of Yjs' Rust port."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pycrdt

from labkit.crdt.text import Text

STEPS = 40      # insertions, deletions and exchanges in a session


class Session:
    """Each of `writers` people holds one document twice: ours and pycrdt's, under the same client id."""

    def __init__(self, writers: int) -> None:
        if writers < 2:
            raise ValueError(f"Session: writers = {writers}: must be at least 2")
        self.ours = [Text(i + 1) for i in range(writers)]
        self.docs: list[Any] = [pycrdt.Doc(client_id=i + 1) for i in range(writers)]
        self.theirs: list[Any] = [doc.get("text", type=pycrdt.Text) for doc in self.docs]

    def sync(self, a: int, b: int) -> None:
        """Writer `a` takes in what writer `b` has, in both programs."""
        self.ours[a].merge(self.ours[b])
        self.docs[a].apply_update(self.docs[b].get_update(self.docs[a].get_state()))

    def step(self, rng: np.random.Generator) -> None:
        """One random exchange (1 in 4), deletion, or insertion of three letters at the start, middle or end."""
        a, b = map(int, rng.choice(len(self.ours), 2, replace=False))
        length, chance = len(self.ours[a]), rng.random()
        at = int(rng.choice([0, length // 2, length]))
        if chance < 0.25:
            self.sync(a, b)
        elif chance < 0.4 and at < length:
            self.ours[a].delete(at)
            del self.theirs[a][at]
        else:
            word = "".join(rng.choice(list("abcdefgh"), 3))
            self.ours[a].insert(at, word)
            self.theirs[a].insert(at, word)


def play(seed: int, writers: int) -> Session:
    """A session of `STEPS` random steps, after which everybody has heard from everybody."""
    rng, session = np.random.default_rng(seed), Session(writers)
    for _ in range(STEPS):
        session.step(rng)
    for a, b in 2 * list(permutations(range(writers), 2)):
        session.sync(a, b)
    return session


def same_text(seed: int, writers: int) -> bool:
    """Whether the session of that seed ends in the same text in both programs."""
    session = play(seed, writers)
    return session.ours[0].value() == str(session.theirs[0])


def seconds(insert: Callable[[int, str], Any], delete: Callable[[int], Any], count: int = 3000) -> float:
    """Time (s) for `count` edits at uniformly random places, three in ten of them deletions, one character each."""
    rng, length, start = np.random.default_rng(1), 0, time.perf_counter()
    for _ in range(count):
        if length and rng.random() < 0.3:
            delete(int(rng.integers(length)))
            length -= 1
        else:
            insert(int(rng.integers(length + 1)), "x")
            length += 1
    return time.perf_counter() - start
