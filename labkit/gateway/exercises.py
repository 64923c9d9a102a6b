"""The exercises of notebooks 64 to 69: each judges an answer in the terms of its lesson."""

from __future__ import annotations

from typing import Any

from labkit.course.quiz import Exercise, close_to
from labkit.gateway import alerts, cost, routing
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
    (10 - 1) / 10, 1e-9, "with more escalations than that the cascade is still cheaper than always the large model",
    "a cascade pays the small answer always and the large one for each escalation",
    [(90, "a share between 0 and 1 is wanted, not per cent")]))
ENOUGH = Exercise("64.3", lambda n: (
    "the half width shrinks with the square root of the number of prompts: from 0.11 to 0.03 is how many times as many?"
    if not 2500 <= n <= 3600 else None))

# ------------------------------------------------------------------------------------------------ 65
ATTACKS = ("cancels", "errors", "crashes")
ATTACKED = ("reserve, release", "reserve, settle", "reserve three")


def _alone(design: str, what: str) -> float:
    """What a design bills at worst, as a share of its cap, if only this attack comes, at 30 % of the requests."""
    crowd = attack.Crowd(**({name: 0.0 for name in ATTACKS} | {what: 0.3}))  # type: ignore[arg-type]
    return max(attack.attack(designs.DESIGNS[design], crowd, seed=seed).overspend for seed in range(5))


def _breaks(answer: Any) -> str | None:
    if not isinstance(answer, dict) or set(answer) != set(ATTACKED):
        return f"a dict is wanted with a set of attacks for each of {', '.join(map(repr, ATTACKED))}"
    for design, given in answer.items():
        named = {given} if isinstance(given, str) else set(given)
        if named - set(ATTACKS):
            return f"{sorted(map(str, named - set(ATTACKS)))[0]!r} is none of the attacks {', '.join(ATTACKS)}"
        for what in sorted(named):
            if _alone(design, what) <= 1:
                return f"{design!r} bills at most {_alone(design, what):.2f} of its cap if only {what!r} come: it holds"
        missed = sum(_alone(design, what) > 1 for what in ATTACKS) - len(named)
        if missed:
            return f"{design!r}: {missed} more of the three takes it past its cap, alone"
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
EXPRESSION = ("sum(rate(vllm_requests_total[5m])) > 10 * vllm:num_requests_running and vllm_cache_hit_rate < 0.5 "
              "or vllm_queue_size > gateway_queue_limit or up == 0")
QUANTILE = Exercise("66.1", close_to(
    2500 + (5000 - 2500) * (0.75 * 11) / 10, 0.002, "rank 0.75 x 11 lies further into the bucket that begins at 2,500",
    "it is not that far into the bucket from 2,500 to 5,000: ten of the eleven lie in it, spread evenly for Prometheus",
    [(4837.5, "that is the true one; the histogram knows only that ten of eleven lie between 2,500 and 5,000"),
     (2500 + 2500 * 0.75, "that is rank 7.5, three quarters of the ten in the bucket; there are eleven requests"),
     (3875, "that is the median it says; here three quarters are asked for"),
     (5000 * 0.75, "the bucket does not begin at 0: nothing was faster than 2,500 ms"),
     (5000, "that is the upper bound of the bucket; the line inside it is not at its end yet"),
     (0.75 * 11, "that is the rank; where does it lie between 2,500 and 5,000?"),
     (4.5625, "in milliseconds, please")]))


def _deaf(names: Any) -> str | None:
    wanted = {"vllm_requests_total", "vllm_cache_hit_rate", "vllm_queue_size"}
    if isinstance(names, str):
        return "a set of names is wanted, even if it is only one"
    given = set(names)
    if extra := given - set(alerts.names(EXPRESSION)):
        return f"{sorted(map(str, extra))[0]!r} is not a series of this expression"
    if extra := given - wanted:
        return f"{sorted(extra)[0]!r} is exported by " + (
            "Prometheus itself" if extra & {"up"} else "the gateway or by vLLM")
    missing = len(wanted - given)
    return f"nobody exports {missing} more of them" if missing else None


DEAF = Exercise("66.2", _deaf)
_CROSSES = 0.144 * 60 / 0.25        # minutes until 14.4 % of the hour's requests have failed
PAGE = Exercise("66.3", close_to(
    _CROSSES + 2, 1 / _CROSSES, "by then less than 14.4 % of the hour's requests have failed, or not for two minutes",
    "it comes sooner: a quarter fails, and 14.4 % of an hour's must have failed, for two minutes",
    [(_CROSSES, "then both windows are over the threshold; the rule waits until that has lasted (`for: 2m`)"),
     (0.144 * 60 + 2, "that is if everything fails; here it is a quarter"),
     (0.144 * 60 / 0.5 + 2, "that is if half of them fail; here it is a quarter"),
     (0.144 * 5 / 0.25 + 2, "that is the window of five minutes; the one of an hour must be over the threshold, too"),
     (0.144 * 60 * 0.25 + 2, "a smaller share takes longer, not shorter: divide by it"),
     (_CROSSES / 60 + 2 / 60, "in minutes, please")]))

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
SYMPTOMS = {
    "memory": "A caller who is far over the limit still fills the gateway's memory, a megabyte a request.",
    "limit": "Somebody without any valid key uses up what a team may ask in a second.",
    "tier": "'auto' sends every request to the same model, whatever it asks.",
    "bill": "The engine answers, and then nobody has the money."}
_TOO_EARLY = {"memory": "body", "limit": "rate", "tier": "route", "bill": "engine"}
_EARLY = {"key": "nothing would be worse: it is the first already",
          "rate": "it would count requests of which nobody knows whose they are",
          "body": "it would be read for everybody, whether they may ask or not",
          "route": "a model would be chosen before anybody has read the prompt",
          "place": "places would be taken by requests that cannot be served",
          "hold": "money would lie idle while its owner waits",
          "engine": "work would begin that nobody has agreed to pay",
          "settle": "a cost would be written down that nobody knows yet"}


def _stations(answer: Any) -> str | None:
    if not isinstance(answer, dict) or set(answer) != set(_TOO_EARLY):
        return f"a dict is wanted with one station for each of {', '.join(_TOO_EARLY)}"
    for symptom, station in answer.items():
        if station not in _EARLY:
            return f"{station!r} is none of the stations {', '.join(_EARLY)}"
        if station != _TOO_EARLY[symptom]:
            return f"{symptom}: if {station!r} came too early, {_EARLY[station]}; that looks different"
    return None


STATIONS = Exercise("68.1", _stations)
CORES = Exercise("68.2", close_to(
    0.54e-3 * 4000, 0.02, "4,000 requests a second times 0.54 ms are more CPU seconds a second than that",
    "a core does 1 / 0.54 ms requests a second"))
TOKENS = Exercise("68.3", close_to(
    1 + int((2.0 - 0.3) * 25), 1e-9, "more are there: the first came at 0.3 s, and for others 1.7 s are left",
    "not so many: only 1.7 s are left after the first one, at 25 a second",
    [(42, "those came after the first; count the first one, too"), (42.5, "whole tokens, and the first one as well"),
     (43.5, "whole tokens: the next one comes only after 2 s"), (44, "the 44th comes at 2.02 s"),
     (50, "that is 2 s at 25 a second: in the first 0.3 s there is nothing"),
     (51, "that is 2 s at 25 a second: in the first 0.3 s there is nothing")]))

# ------------------------------------------------------------------------------------------------ 69
_FULL = cost.per_million(0.85, 600)
UTILIZED = Exercise("69.1", close_to(
    _FULL / 1.00, 0.01, "at that use it is dearer than $1.00 per million", "at that use it is cheaper already",
    [(100 * _FULL, "a share between 0 and 1 is wanted, not per cent"),
     (1 / _FULL, "the other way round: a card that is used less makes fewer tokens for the same money"),
     (cost.per_million(0.85, 934.4), "that is with 934.4 tokens/s; this engine makes 600"),
     (cost.per_million(0.45, 600), "that is at the spot price of $0.45; here it is $0.85")]))
_BUSY = 800_000 * 150 / 86_400 * 4 / 934.4
MACHINES = Exercise("69.2", close_to(
    cost.Own(throughput=934.4, spare=1).machines(cost.Traffic(daily=800_000, answer=150, peak=4)), 1e-9,
    "the busiest hour needs 800,000 x 150 / 86,400 x 4 tokens/s, and there is a spare one",
    "fewer will do: an L4 makes 934.4 tokens/s",
    [(6, "enough for the busiest hour as long as none of them dies: and the spare one?"),
     (_BUSY, "whole machines, and a spare one"), (_BUSY + 1, "whole machines"),
     (3, "that is two for the mean hour and a spare one: the busiest hour is four times as busy"),
     (2, "that is for the mean hour; the busiest is four times as busy, and there is a spare one")]))
FACTORS = {"same quality": True, "today's prices": True, "busiest hour": True, "spare machine": True, "people": True,
           "parameter count": False, "cost of training": False}


def _honest(answer: Any) -> str | None:
    if isinstance(answer, str) or set(answer) - set(FACTORS):
        return f"a set of some of these is wanted: {', '.join(FACTORS)}"
    wanted = {factor for factor, counts in FACTORS.items() if counts}
    if extra := set(answer) - wanted:
        return f"{sorted(extra)[0]!r} changes nothing in what you pay from today on, or in what you get for it"
    return f"{len(wanted - set(answer))} more would change it" if set(answer) != wanted else None


HONEST = Exercise("69.3", _honest)
