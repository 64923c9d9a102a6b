"""What a token costs when you own the GPU, when somebody else does, and where the two meet.

A GPU is paid by the hour and delivers tokens only while somebody asks: the price of a token is the price of an hour,
divided by what the hour really made. All prices are dollars, all dates are in the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labkit import ranges
from labkit.files import data

HOURS = 730.0               # of a mean month: 8,760 / 12
SPOT, ON_DEMAND = 0.45, 0.85
"""$ per hour of an L4 (g2-standard-8): the essay's spot price (its repository, 2025), and about what the on-demand
price was (from memory, 2026; look it up before you plan with it)."""


def per_million(hourly: float, throughput: float, utilization: float = 1.0) -> float:
    """$ per million answer tokens: hourly price / (3,600 s * throughput * utilization) * 1e6.

    hourly: $ per hour, >= 0. throughput: tokens/s of the engine when it is busy, > 0. utilization: share of the hour in
    which it is as busy as that, in (0, 1].

    >>> round(per_million(0.45, 934.4), 3), round(per_million(0.45, 41.5), 2)
    (0.134, 3.01)
    """
    ranges.number("hourly", hourly, 0)
    ranges.number("throughput", throughput, 0, above=True)
    ranges.number("utilization", utilization, 0, 1, above=True)
    return hourly / (3600 * throughput * utilization) * 1e6


@dataclass(frozen=True)
class Traffic:
    """What is asked. daily: requests a day. prompt, answer: tokens of each. peak: how much busier the busiest hour is
    than the mean one, >= 1."""

    daily: float = 10_000
    prompt: float = 100
    answer: float = 100
    peak: float = 3.0

    def __post_init__(self) -> None:
        for name in ("daily", "prompt", "answer"):
            ranges.number(f"Traffic.{name}", getattr(self, name), 0)
        ranges.number("Traffic.peak", self.peak, 1)

    @property
    def busiest(self) -> float:
        """Answer tokens per second in the busiest hour."""
        return self.daily * self.answer / 86_400 * self.peak


@dataclass(frozen=True)
class Own:
    """Machines of your own. hourly: $ of one GPU. throughput: answer tokens/s of one when full, measured with your
    lengths. spare: machines more than the busiest hour needs. people: $ a month for those who keep it running."""

    hourly: float = SPOT
    throughput: float = 934.4
    spare: int = 1
    people: float = 0.0

    def __post_init__(self) -> None:
        ranges.number("Own.hourly", self.hourly, 0)
        ranges.number("Own.throughput", self.throughput, 0, above=True)
        ranges.whole("Own.spare", self.spare, 0)
        ranges.number("Own.people", self.people, 0)

    def machines(self, load: Traffic) -> int:
        """GPUs for the busiest hour, and the spare ones; at least one."""
        return max(1, math.ceil(load.busiest / self.throughput - 1e-9)) + self.spare

    def monthly(self, load: Traffic) -> float:
        """$ a month, whatever is asked: machines cost as much at night."""
        return self.machines(load) * self.hourly * HOURS + self.people

    def utilization(self, load: Traffic) -> float:
        """Share of what the machines could make that is asked for, on average."""
        return load.busiest / load.peak / (self.machines(load) * self.throughput)


def hosted(load: Traffic, prompt: float, answer: float) -> float:
    """$ a month at somebody else's. prompt, answer: $ per million tokens of each."""
    ranges.number("prompt", prompt, 0)
    ranges.number("answer", answer, 0)
    return load.daily * HOURS / 24 * (load.prompt * prompt + load.answer * answer) / 1e6


def break_even(own: Own, load: Traffic, prompt: float, answer: float) -> float:
    """Requests a day from which on your own machines are never dearer again; inf up to ten million.

    Own machines come in steps, so the curves may cross more than once; this is the last crossing.
    """
    days = np.unique(np.round(np.logspace(0, 7, 2001)))
    gap = [hosted(_at(load, day), prompt, answer) - own.monthly(_at(load, day)) for day in days]
    dearer = np.flatnonzero(np.array(gap) < 0)
    if len(dearer) == 0:
        return float(days[0])
    return float(days[dearer[-1] + 1]) if dearer[-1] + 1 < len(days) else math.inf


def _at(load: Traffic, daily: float) -> Traffic:
    return Traffic(float(daily), load.prompt, load.answer, load.peak)


def prices() -> pd.DataFrame:
    """Hosted prices, $ per million tokens: provider, model, prompt, answer, read (month), source."""
    return pd.read_csv(data("hosted_prices.csv"))


# ------------------------------------------------------------------------- the essay's tables, row by row

def essay_monthly() -> pd.DataFrame:
    """The essay's table "Cost Analysis" for 10,000 requests a day: each row as stated, how its number comes about, and
    what has to be paid for what the row describes. $ a month."""
    day = 0.45 * 24
    machine = day * 30
    rows = [
        ("OpenAI GPT-4", 666, 0.444 / 200 * 10_000 * 30, 666.0, "0.444 for 200 requests"),
        ("OpenAI GPT-3.5", 15, 0.010 / 200 * 10_000 * 30, 15.0, "0.010 for the same 200"),
        ("vLLM Phi-2 (FP16)", 324, machine, machine, "one L4, spot, 720 hours"),
        ("vLLM + AWQ", 87, machine / 3.7, machine, "/ 3.7: 27 % of a GPU"),
        ("vLLM + AWQ + caching", 65, machine / 3.7 * 0.75, machine, "x 0.75: a fifth of a GPU"),
        ("all optimizations", 45, machine / 3.7 * 0.75 * 0.7, machine, "x 0.7: a seventh of a GPU"),
    ]
    return pd.DataFrame(rows, columns=["row", "stated", "rebuilt", "payable", "how"]).set_index("row").assign(
        against_gpt4=lambda t: t.payable / 666 - 1, against_gpt35=lambda t: t.payable / 15)


def essay_requests() -> pd.DataFrame:
    """The essay's "extrapolated monthly costs", from the one per-request cost its files hold without the assumed
    discount: 0.00042007 for eleven requests."""
    full, discounted = 0.00042007 / 11, 0.00010031 / 11
    rows = [("without caching", 0.91, full * 10_000), ("with caching (91 % hits)", 0.18, discounted * 10_000),
            ("with AWQ", 0.09, discounted * 10_000), ("all optimizations", 0.09, discounted * 10_000)]
    return pd.DataFrame(rows, columns=["row", "stated, $ a day", "from its files, $ a day"]).set_index("row")


def essay_roi(months_of_work: float = 0.0, month: float = 15_000.0) -> pd.DataFrame:
    """The essay's return on investment for 50,000 requests a day, as stated and recomputed.

    months_of_work: engineer-months of setting up (the essay states two days here, and "5-7 months" at its top). month:
    $ of one.
    """
    ranges.number("months_of_work", months_of_work, 0)
    ranges.number("month", month, 0)
    gpt4 = 0.009 * 50_000 * 30 * 12
    vllm = (328 + 13.65) * 12
    setup = 2000 if months_of_work == 0 else months_of_work * month
    costs = setup + 200 * 12
    saving = gpt4 - vllm
    rows = [("GPT-4 a year", 162_000, gpt4), ("vLLM a year", 4_100, vllm), ("saving", 157_900, saving),
            ("setup and maintenance", 4_400, costs), ("net, first year", 153_500, saving - costs),
            ("return", 35.0, (saving - costs) / costs),
            ("GPT-4 a year, ten times the load", 1_350_000, 0.009 * 500_000 * 30 * 12)]
    return pd.DataFrame(rows, columns=["row", "stated", "recomputed"]).set_index("row")
