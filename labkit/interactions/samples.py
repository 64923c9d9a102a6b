"""Sample data for learners: orders with the awkward things in them that real ones have, as many as you ask for."""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal

from labkit import ranges

PLAIN = ("Ann", "Ben", "Carla", "Dave", "Emma", "Frank")
ACCENTED = ("Zoë", "Łukasz", "José", "Sørensen", "Renée", "Müller")


@dataclass(frozen=True)
class Order:
    """name; born: ms since 1970; amount: EUR, exact; seconds: how long the other side needs for it; size: bytes."""

    name: str
    born: int
    amount: Decimal
    seconds: float
    size: int


def orders(n: int = 1000, accents: float = 0.1, before_1978: float = 0.3, slow: float = 0.1,
           seed: int = 1) -> list[Order]:
    """`n` orders; accents: share of names that are not ASCII; before_1978: share of births before 12 January 1978;
    slow: share that needs more than 1 s at the other side. Shares are 0 to 1, else ValueError."""
    ranges.whole("samples.orders: n", n, 1)
    for name, share in (("accents", accents), ("before_1978", before_1978), ("slow", slow)):
        ranges.number(f"samples.orders: {name}", share, 0, 1)
    rng = random.Random(seed)
    limit = 253_402_300_799                 # ms as a number; as seconds, the last second of the year 9999
    return [Order(rng.choice(ACCENTED if rng.random() < accents else PLAIN),
                  rng.randint(0, limit) if rng.random() < before_1978 else rng.randint(limit + 1, 10**12),
                  Decimal(rng.randint(1, 99_999)) / 100 if rng.random() < 0.5 else Decimal(rng.randint(1, 9999)) / 1000,
                  rng.uniform(1.01, 3) if rng.random() < slow else rng.uniform(0.05, 0.95),
                  rng.choice([200, 900, 4000])) for _ in range(n)]
