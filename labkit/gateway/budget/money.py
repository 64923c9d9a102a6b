"""Money as whole micro-dollars: what tokens cost, and how an amount is said to people."""

from __future__ import annotations

import math

from labkit import ranges

MICRO = 1_000_000           # micro-dollars in a dollar


def dollars(micro: float) -> str:
    """Micro-dollars for people.

    >>> dollars(4_200_000), dollars(20)
    ('$4.20', '$0.00002')
    """
    amount = micro / MICRO
    return f"${amount:,.2f}" if abs(amount) >= 0.1 or not micro else f"${amount:.6f}".rstrip("0")


def price(input_tokens: int, output_tokens: int, usd_per_million_input: float, usd_per_million_output: float,
          cached_tokens: int = 0, usd_per_million_cached_input: float | None = None) -> int:
    """Cost in whole micro-dollars, rounded up.

    input_tokens: of the prompt, those found in a cache included.
    output_tokens: of the answer.
    usd_per_million_input, usd_per_million_output: dollars per million tokens, >= 0.
    cached_tokens: of the input, 0 to input_tokens.
    usd_per_million_cached_input: dollars per million of those; None: as the other input.

    >>> price(1000, 500, 0.10, 0.40), price(1000, 500, 0.10, 0.40, 800, 0.01)
    (300, 228)
    """
    ranges.number("usd_per_million_input", usd_per_million_input, 0)
    ranges.number("usd_per_million_output", usd_per_million_output, 0)
    ranges.whole("cached_tokens", cached_tokens, 0, input_tokens)
    cached = usd_per_million_input if usd_per_million_cached_input is None else usd_per_million_cached_input
    ranges.number("usd_per_million_cached_input", cached, 0)
    # $1 per million tokens is one micro-dollar a token
    return math.ceil(round((input_tokens - cached_tokens) * usd_per_million_input + cached_tokens * cached
                           + output_tokens * usd_per_million_output, 6))
