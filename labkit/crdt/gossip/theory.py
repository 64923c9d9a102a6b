"""How long a rumour takes: exact where that is known, leading order where not, and a recursion that beats both."""

from __future__ import annotations

import math

from labkit import ranges

MODES = ("push", "pull", "push_pull")


def exchanges(n: int) -> float:
    """Mean number of random pair exchanges until one rumour is known to all `n` (>= 2): exactly (n-1) H(n-1).

    With i informed, an exchange informs a new one with chance 2 i (n-i) / (n (n-1)); the sum over i of the inverse
    telescopes to (n-1) times the harmonic number. The exchange is the random phone call of Frieze & Grimmett (1985).

    >>> round(exchanges(8), 2)
    18.15
    """
    ranges.whole("theory.exchanges: n", n, 2)
    return (n - 1) * sum(1 / k for k in range(1, n))


def exchanges_variance(n: int) -> float:
    """Variance of that number: the waits are independent and geometric with the chances above."""
    ranges.whole("theory.exchanges_variance: n", n, 2)
    chances = [2 * i * (n - i) / (n * (n - 1)) for i in range(1, n)]
    return sum((1 - p) / p**2 for p in chances)


def closed_form(n: int, mode: str, p: float = 1.0) -> float:
    """Leading order of the mean number of synchronous rounds, when each contact succeeds with chance `p` in (0, 1].

    push: log_{1+p} n + ln n / p (Pittel 1987; p < 1: Doerr & Kostrygin 2017, section 3)
    pull: log2 n + log2 ln n for p = 1, else log_{1+p} n + ln n / -ln(1-p)
    push_pull: log3 n + log2 ln n for p = 1 (Karp et al. 2000), else log_{1+2p} n + ln n / (p - ln(1-p))

    >>> round(closed_form(128, "push_pull", 0.5), 2)
    11.07
    """
    check(n, mode, p)
    grow = {"push": 1 + p, "pull": 1 + p, "push_pull": 1 + 2 * p}[mode]
    start = math.log(n) / math.log(grow)
    if mode == "push":
        return start + math.log(n) / p
    if p == 1:
        return start + math.log2(max(math.log(n), 1.0))
    return start + math.log(n) / ((p if mode == "push_pull" else 0) - math.log(1 - p))


def mean_field(n: int, mode: str, p: float = 1.0) -> list[float]:
    """Informed replicas after 0, 1, 2 ... rounds, as if each round did just what is expected; ends within 1/2 of n.

    An uninformed one stays so if none of the i informed calls it, (1 - p/(n-1))^i, and if it calls none of them,
    1 - p i/(n-1).
    """
    check(n, mode, p)
    informed = [1.0]
    while n - informed[-1] >= 0.5:
        i = informed[-1]
        stay = (1 - p / (n - 1)) ** i if mode != "pull" else 1.0
        if mode != "push":
            stay *= 1 - p * i / (n - 1)
        informed.append(n - (n - i) * stay)
    return informed


def check(n: int, mode: str, p: float) -> None:
    """Refuse what no formula here is about."""
    ranges.whole("gossip.theory: n", n, 2)
    ranges.one_of("gossip.theory: mode", mode, MODES)
    ranges.number("gossip.theory: p", p, 0, 1, above=True)
