"""A share with the interval that belongs to it: how many of how many, and what that says about the next ones."""

from __future__ import annotations

import math

from labkit import ranges


def wilson(count: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval for a share (1927); 95 % for z = 1.96. ValueError unless 0 <= count <= of and of >= 1.

    >>> tuple(round(x, 3) for x in wilson(11, 55))
    (0.116, 0.324)
    """
    ranges.whole("wilson: of", of, 1)
    ranges.whole("wilson: count", count, 0, of)
    share, weight = count / of, z * z / of
    middle, half = share + weight / 2, z * math.sqrt(share * (1 - share) / of + weight / (4 * of))
    return max(0.0, (middle - half) / (1 + weight)), min(1.0, (middle + half) / (1 + weight))


def share(count: int, of: int) -> str:
    """`count` of `of`, with its 95 % interval by Wilson, as a text. ValueError unless 0 <= count <= of and of >= 1.

    >>> print(share(3, 40))
    3 of 40 (95 %: 3 to 20 %)
    """
    low, high = wilson(count, of)
    return f"{count} of {of} (95 %: {100 * low:.0f} to {100 * high:.0f} %)"
