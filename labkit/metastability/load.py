"""The load: new requests per second over time. Parameters, and the arrival times they stand for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from labkit import ranges

Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Load:
    """New requests per second over time, as Poisson arrivals; made by `constant`, `spike`, `ramp` or `trace`.

    knots: (time s, rate 1/s) pairs, linear in between, constant outside; two knots at one time are a jump.
    times: a fixed list of arrival times (s) instead. disturbance: (start, stop) in s of what is unusual.
    classes: the share of each class of requests, the most urgent first; see `with_classes`.
    """

    knots: tuple[tuple[float, float], ...]
    times: tuple[float, ...] | None = None
    disturbance: tuple[float, float] | None = None
    classes: tuple[float, ...] = ()

    @classmethod
    def constant(cls, rate: float) -> Load:
        """`rate` requests/s for ever."""
        ranges.number("Load.rate", rate, 0)
        return cls(((0.0, rate),))

    @classmethod
    def spike(cls, base: float, peak: float, start: float, length: float) -> Load:
        """`base` requests/s, but `peak` requests/s from `start` for `length` seconds."""
        for field, value in (("base", base), ("peak", peak), ("start", start), ("length", length)):
            ranges.number(f"Load.{field}", value, 0)
        stop = start + length
        return cls(((start, base), (start, peak), (stop, peak), (stop, base)), disturbance=(start, stop))

    @classmethod
    def ramp(cls, base: float, peak: float, start: float, up: float, down: float) -> Load:
        """From `base` at `start` linearly to `peak` in `up` seconds and back in `down` seconds."""
        for field, value in (("base", base), ("peak", peak), ("start", start), ("up", up), ("down", down)):
            ranges.number(f"Load.{field}", value, 0)
        top, stop = start + up, start + up + down
        return cls(((start, base), (top, peak), (stop, base)), disturbance=(start, stop))

    @classmethod
    def trace(cls, times: Sequence[float]) -> Load:
        """Requests at exactly these times (s), in rising order."""
        for time in times:
            ranges.number("Load.times", time, 0)
        if list(times) != sorted(times):
            raise ValueError("Load.times: must be in rising order")
        return cls(((0.0, 0.0),), times=tuple(float(time) for time in times))

    def with_classes(self, *shares: float) -> Load:
        """The same load, of which each request belongs to class 0, 1, ... with these shares; `Priority` serves class 0
        first. The shares are > 0 and add up to 1.

        >>> Load.constant(20).with_classes(0.1, 0.9).classes
        (0.1, 0.9)
        """
        for share in shares:
            ranges.number("Load.classes", share, 0, 1, above=True)
        if abs(sum(shares) - 1) > 1e-9:
            raise ValueError(f"Load.classes = {shares}: the shares must add up to 1")
        return replace(self, classes=tuple(float(share) for share in shares))

    def rate(self, time: float) -> float:
        """Requests/s at `time` (after the jump, if there is one)."""
        before = [knot for knot in self.knots if knot[0] <= time]
        after = [knot for knot in self.knots if knot[0] > time]
        if not before or not after:
            return (before[-1:] or after[:1])[0][1]
        (t0, r0), (t1, r1) = before[-1], after[0]
        return r0 + (r1 - r0) * (time - t0) / (t1 - t0)

    def arrivals(self, duration: float, rng: np.random.Generator) -> Times:
        """Arrival times in [0, duration), s: a unit-rate Poisson process run on the clock of the expected count.

        Stretching time, rather than thinning, keeps the same customers when a slider moves.
        """
        if self.times is not None:
            return np.array([time for time in self.times if time < duration])
        clock, mass = self._cumulative(duration)
        points = np.cumsum(rng.exponential(size=int(mass[-1] + 8 * math.sqrt(mass[-1]) + 20)))
        return np.asarray(np.interp(points[points < mass[-1]], mass, clock))

    def arrivals_in_pieces(self, duration: float, rng: np.random.Generator, size: int = 1 << 15) -> Iterator[Times]:
        """`arrivals`, bit for bit, at most `size` of them at a time: ten million would take a third of a gigabyte."""
        if self.times is not None:
            yield self.arrivals(duration, rng)
            return
        clock, mass = self._cumulative(duration)
        left, reached = int(mass[-1] + 8 * math.sqrt(mass[-1]) + 20), 0.0
        while left > 0:
            gaps = rng.exponential(size=min(left, size))
            gaps[0] += reached
            points = np.cumsum(gaps)
            left, reached = left - len(points), float(points[-1])
            yield np.asarray(np.interp(points[points < mass[-1]], mass, clock))
            if reached >= mass[-1]:
                return

    def later(self, time: float, amount: float, horizon: float) -> float:
        """When `amount` more requests than by `time` are expected; inf if not before `horizon`."""
        clock, mass = self._cumulative(horizon)
        goal = float(np.interp(time, clock, mass)) + amount
        return float(np.interp(goal, mass, clock)) if goal < mass[-1] else math.inf

    def _cumulative(self, duration: float) -> tuple[Times, Times]:
        """Clock (s) and expected requests so far; a slope is walked in at most 2,000 steps of >= 0.05 s."""
        clock = [0.0, duration]
        for (t0, r0), (t1, r1) in zip(self.knots, self.knots[1:], strict=False):
            steps = min(2000, max(1, int((t1 - t0) / 0.05))) if r0 != r1 else 1
            clock += list(np.linspace(t0, t1, steps + 1))
        grid = np.unique([time for time in clock if 0 <= time <= duration])
        middle = (grid[1:] + grid[:-1]) / 2
        rates = np.array([self.rate(time) for time in middle])
        return grid, np.concatenate([[0.0], np.cumsum(rates * np.diff(grid))])


def steady_rate(load: float | Load) -> float:
    """The undisturbed rate (1/s) of a load, or the number itself."""
    if isinstance(load, Load):
        return load.rate(-1.0)
    ranges.number("load", load, 0)
    return float(load)
