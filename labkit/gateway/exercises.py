"""The exercises of notebooks 64 to 69: each judges an answer in the terms of its lesson."""

from __future__ import annotations

from typing import Any

from labkit.course.quiz import Exercise, close_to
from labkit.gateway import cost, routing
from labkit.gateway.alerts import gameday
from labkit.gateway.budget import attack, designs

# ------------------------------------------------------------------------------------------------ 64


def _fooled(prompts: Any) -> str | None:
    router = routing.KeywordRouter()
    for prompt, tier in zip(prompts, routing.TIERS, strict=True):
        if router.tier(prompt) != tier:
            return f"{prompt!r} is {router.tier(prompt)} to the keywords, not {tier}"
    return None if len(prompts[0].split()) > len(prompts[2].split()) else \
        "make the one that passes for simple longer than the one that passes for complex"


FOOLED = Exercise("64.1", _fooled)
CASCADE = Exercise("64.2", close_to(
    (10 - 1) / 10, 0.0, "with more escalations than that the cascade is still cheaper than always the large model",
    "a cascade pays the small answer always and the large one for each escalation"))
ENOUGH = Exercise("64.3", lambda n: (
    "the half width shrinks with the square root of the number of prompts: from 0.11 to 0.03 is how many times as many?"
    if not 2500 <= n <= 3600 else None))

# ------------------------------------------------------------------------------------------------ 65
BREAKS = {"check, then act": "bursts", "reserve, release": "cancels", "reserve, settle": "errors"}


def _breaks(answer: Any) -> str | None:
    for design, what in BREAKS.items():
        if answer.get(design) != what:
            only = {name: 0.0 for name in ("cancels", "errors", "crashes")}
            given = answer.get(design)
            crowd = attack.Crowd(**(only | ({given: 0.3} if given in only else {})))
            got = attack.attack(designs.DESIGNS[design], crowd, seed=1).overspend
            return f"{design!r} under {given!r} alone bills {got:.2f} of its cap; look for what takes it over"
    return None


BREAKERS = Exercise("65.1", _breaks)
AT_ONCE = Exercise("65.2", close_to(
    50_000 // (200 * 0.2 + 1000 * 0.6), 0.0, "more fit: each holds 200 x 0.20 + 1,000 x 0.60 micro-dollars",
    "that many holds are more than 50,000 micro-dollars"))


def _budget(design: Any) -> str | None:
    found = [attack.attack(design, seed=seed) for seed in range(5)]
    worst = max(found, key=lambda one: one.overspend)
    if worst.overspend > 1:
        return f"billed {worst.overspend:.2f} of the cap; who was not counted?"
    if any(one.stuck for one in found):
        return f"{found[0].stuck} micro-dollars are held for ever: nobody settles for a handler that died"
    share = min(one.admitted / one.fair for one in found)
    return f"holds, but lets in only {share:.0%} of what the cap allows; 85 % can be had" if share < 0.85 else None


BUDGET = Exercise("65.3", _budget)

# ------------------------------------------------------------------------------------------------ 66
BUCKETS = (1000, 2500, 5000, 10000)
QUANTILE = Exercise("66.1", close_to(
    2500 + (5000 - 2500) * (0.5 * 11) / 10, 0.01, "rank 5.5 of 11 lies 5.5 tenths into the bucket from 2,500",
    "Prometheus takes the ten as spread evenly between 2,500 and 5,000; the 5.5th of 11 is where?"))


def _deaf(names: Any) -> str | None:
    wanted = {"vllm_requests_total", "vllm_cache_hit_rate", "vllm_queue_size"}
    extra, missing = set(names) - wanted, wanted - set(names)
    if extra:
        return f"{sorted(extra)[0]} is exported by somebody"
    return f"{len(missing)} more is heard by nobody" if missing else None


DEAF = Exercise("66.2", _deaf)
EXPRESSION = ("sum(rate(vllm_requests_total[5m])) > 10 * vllm:num_requests_running and vllm_cache_hit_rate < 0.5 "
              "or vllm_queue_size > gateway_queue_limit or up == 0")


def _page(minutes: Any) -> str | None:
    total, failed = gameday.incident(120, 0.5)
    came = gameday.burn_rate(total, failed)
    assert came is not None
    if abs(minutes - (came - 60)) <= 1:
        return None
    return "the hour's window is the slow one: half of the requests fail, and 14.4 % of an hour's must have failed"


PAGE = Exercise("66.3", _page)

# ------------------------------------------------------------------------------------------------ 67
BOUND_67 = Exercise("67.1", close_to(
    12 * (8 - 3), 0.0, "a longer queue still serves its last caller in time: throughput times what is left of 8 s",
    "whoever stands at the end of that queue is answered after eight seconds"))
AMPLIFIED = Exercise("67.2", close_to(
    1.1 * 3, 0.01, "the client multiplies, too: it tries three times whatever the gateway does",
    "with a budget of a tenth the gateway adds a tenth, not two more attempts; the client's three remain"))


def _fair(bucket: Any) -> str | None:
    clock = [0.0]
    one = bucket(10, 10, lambda: clock[0])
    got = {"loud": 0, "quiet": 0}
    for step in range(1000):
        clock[0] += 0.01
        for user, every in (("loud", 1), ("quiet", 50)):
            if step % every == 0:
                got[user] += not one.take(user)
    if got["loud"] > 115:
        return f"the loud one got {got['loud']} in ten seconds: at 10 a second and a burst of 10 that is too many"
    return None if got["quiet"] == 20 else f"the quiet one asked 20 times in ten seconds and got {got['quiet']}"


FAIR = Exercise("67.3", _fair)

# ------------------------------------------------------------------------------------------------ 68
ORDER_68 = ("key", "rate", "body", "route", "place", "hold", "engine", "settle")


def _stations(order: Any) -> str | None:
    given = list(order)
    if sorted(given) != sorted(ORDER_68):
        return f"each of {', '.join(ORDER_68)} once, please"
    for before, after, why in (
            ("key", "rate", "the limit belongs to a key: whose is it?"),
            ("rate", "body", "do not read a megabyte for somebody who asks too often"),
            ("body", "route", "the router reads the prompt"),
            ("place", "hold", "money held while one waits is money that others cannot spend"),
            ("route", "hold", "what is held depends on the model"),
            ("hold", "engine", "nothing runs that is not held"),
            ("engine", "settle", "what it cost is known afterwards")):
        if given.index(before) > given.index(after):
            return why
    return None


STATIONS = Exercise("68.1", _stations)
CORES = Exercise("68.2", close_to(
    0.54e-3 * 4000, 0.02, "4,000 requests a second times 0.54 ms are more CPU seconds a second than that",
    "a core does 1 / 0.54 ms requests a second"))
TOKENS = Exercise("68.3", close_to(
    int((0.5 - 0.1) * 41.5) + 1, 0.0, "more fit: 400 ms at 41.5 tokens/s, and the first one that came at 100 ms",
    "500 ms less 100 ms for the first leave room for so many more at 41.5 a second"))

# ------------------------------------------------------------------------------------------------ 69
UTILIZED = Exercise("69.1", close_to(
    cost.per_million(0.45, 934.4) / 0.60, 0.02, "at that use it is dearer than $0.60 per million",
    "at that use it is cheaper already"))
MACHINES = Exercise("69.2", close_to(
    cost.Own(throughput=934.4, spare=1).machines(cost.Traffic(daily=500_000, answer=100, peak=3)), 0.0,
    "the busiest hour needs 500,000 x 100 / 86,400 x 3 tokens/s, and there is a spare one",
    "fewer will do: an L4 makes 934 tokens/s"))


def _honest(answer: Any) -> str | None:
    wanted = {"same quality", "today's prices", "busiest hour", "spare machine", "people"}
    if extra := set(answer) - wanted:
        return f"{sorted(extra)[0]!r} changes nothing in the comparison"
    return f"{len(wanted - set(answer))} more would change it" if set(answer) != wanted else None


HONEST = Exercise("69.3", _honest)
