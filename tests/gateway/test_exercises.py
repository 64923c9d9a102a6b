"""What the exercises of 64 to 69 say: right forms pass, each known mistake gets its own true sentence."""

import numpy as np
import pytest

from labkit.course import check
from labkit.gateway import exercises

BROKEN = {"reserve, release": {"cancels", "errors"}, "reserve, settle": {"errors"}, "reserve three": set()}
EARLY = {"memory": "body", "limit": "rate", "tier": "route", "bill": "engine"}
HONEST = ["same quality", "today's prices", "busiest hour", "spare machine", "people"]
NAMES = ["vllm_requests_total", "vllm_cache_hit_rate", "vllm_queue_size"]
FULL = 0.85 / (3600 * 600) * 1e6
RIGHT = [
    (exercises.CASCADE, [0.9, 9 / 10, np.float64(0.9)]),
    (exercises.BREAKERS, [BROKEN, {k: list(v) for k, v in BROKEN.items()},
                          BROKEN | {"reserve, settle": "errors", "reserve three": ()}]),
    (exercises.QUANTILE, [4562.5, np.float32(4562.5), 4563, 2500 + 2500 * 8.25 / 10]),
    (exercises.DEAF, [set(NAMES), NAMES, tuple(NAMES), dict.fromkeys(NAMES)]),
    (exercises.PAGE, [36, 37, 36.56, np.float64(36.56)]),
    (exercises.STATIONS, [EARLY]),
    (exercises.TOKENS, [43, 43.0, np.int64(43)]),
    (exercises.UTILIZED, [FULL, np.float32(FULL), 0.39, 0.394]),
    (exercises.MACHINES, [7, 7.0, np.int64(7)]),
    (exercises.HONEST, [set(HONEST), HONEST, tuple(HONEST)]),
]
WRONG = [
    (exercises.CASCADE, 90, "not per cent"), (exercises.CASCADE, "0.9", "this is a text"),
    (exercises.BREAKERS, BROKEN | {"reserve, release": "cancels"}, "1 more of the three"),
    (exercises.BREAKERS, BROKEN | {"reserve, release": {"errors"}}, "1 more of the three"),
    (exercises.BREAKERS, BROKEN | {"reserve, settle": {"errors", "cancels"}}, "if only 'cancels' come: it holds"),
    (exercises.BREAKERS, BROKEN | {"reserve three": {"crashes"}}, "if only 'crashes' come: it holds"),
    (exercises.BREAKERS, BROKEN | {"reserve, settle": set()}, "1 more of the three"),
    (exercises.BREAKERS, BROKEN | {"reserve three": {"bursts"}}, "'bursts' is none of the attacks"),
    (exercises.BREAKERS, {}, "for each of 'reserve, release'"), (exercises.BREAKERS, "errors", "a dict is wanted"),
    (exercises.QUANTILE, 4837.5, "the true one"), (exercises.QUANTILE, 4375, "rank 7.5"),
    (exercises.QUANTILE, 3875, "the median it says"), (exercises.QUANTILE, 3750, "does not begin at 0"),
    (exercises.QUANTILE, 5000, "upper bound"), (exercises.QUANTILE, 8.25, "that is the rank"),
    (exercises.QUANTILE, 4.5625, "in milliseconds"), (exercises.QUANTILE, 4975, "not that far into the bucket"),
    (exercises.QUANTILE, 4200, "further into the bucket"), (exercises.QUANTILE, "4562.5 ms", "this is a text"),
    (exercises.DEAF, {"bogus"}, "'bogus' is not a series of this expression"), (exercises.DEAF, set(), "3 more"),
    (exercises.DEAF, {*NAMES, "up"}, "by Prometheus itself"), (exercises.DEAF, NAMES[:1], "2 more"),
    (exercises.DEAF, {*NAMES, "gateway_queue_limit"}, "by the gateway or by vLLM"),
    (exercises.DEAF, "vllm_queue_size", "a set of names"),
    (exercises.PAGE, 34.56, "for: 2m"), (exercises.PAGE, 10.64, "everything fails"), (exercises.PAGE, 19.28, "half"),
    (exercises.PAGE, 4.88, "window of five minutes"), (exercises.PAGE, 4.16, "divide by it"),
    (exercises.PAGE, 36.56 / 60, "in minutes"), (exercises.PAGE, 30, "less than 14.4 %"),
    (exercises.PAGE, 60, "it comes sooner"), (exercises.PAGE, "36 min", "this is a text"),
    (exercises.STATIONS, EARLY | {"memory": "place"}, "memory: if 'place' came too early"),
    (exercises.STATIONS, EARLY | {"limit": "key"}, "limit: if 'key' came too early"),
    (exercises.STATIONS, EARLY | {"tier": "body"}, "tier: if 'body' came too early"),
    (exercises.STATIONS, EARLY | {"bill": "hold"}, "money would lie idle"),
    (exercises.STATIONS, EARLY | {"bill": "money"}, "none of the stations"),
    (exercises.STATIONS, ["key", "rate"], "a dict is wanted"), (exercises.STATIONS, {}, "one station for each"),
    (exercises.TOKENS, 42, "count the first one"), (exercises.TOKENS, 42.5, "whole tokens"),
    (exercises.TOKENS, 43.5, "only after 2 s"), (exercises.TOKENS, 44, "2.02 s"), (exercises.TOKENS, 50, "first 0.3 s"),
    (exercises.TOKENS, 30, "more are there"), (exercises.TOKENS, 80, "not so many"),
    (exercises.TOKENS, "43 tokens", "this is a text"),
    (exercises.UTILIZED, 100 * FULL, "not per cent"), (exercises.UTILIZED, 1 / FULL, "the other way round"),
    (exercises.UTILIZED, 0.2527, "934.4"), (exercises.UTILIZED, 0.2083, "spot price"),
    (exercises.UTILIZED, 0.3, "dearer than $1.00"), (exercises.UTILIZED, 0.5, "cheaper already"),
    (exercises.UTILIZED, "39 %", "this is a text"),
    (exercises.MACHINES, 6, "the spare one?"), (exercises.MACHINES, 5.946, "whole machines, and a spare one"),
    (exercises.MACHINES, 6.946, "whole machines"), (exercises.MACHINES, 3, "two for the mean hour"),
    (exercises.MACHINES, 2, "for the mean hour"), (exercises.MACHINES, 8, "fewer will do"),
    (exercises.MACHINES, 4, "800,000 x 150"), (exercises.MACHINES, "7", "this is a text"),
    (exercises.HONEST, {*HONEST, "parameter count"}, "'parameter count' changes nothing"),
    (exercises.HONEST, {*HONEST, "cost of training"}, "'cost of training' changes nothing"),
    (exercises.HONEST, HONEST[:3], "2 more would change it"), (exercises.HONEST, {"logo"}, "some of these"),
    (exercises.HONEST, "people", "some of these"), (exercises.HONEST, [], "5 more"),
]


@pytest.mark.parametrize(("exercise", "answers"), RIGHT, ids=lambda value: getattr(value, "name", ""))
def test_the_right_answer_passes_in_every_form(exercise, answers):
    for answer in answers:
        assert check(exercise, answer), check(exercise, answer)


@pytest.mark.parametrize(("exercise", "answer", "said"), WRONG, ids=[f"{one.name}-{said}" for one, _, said in WRONG])
def test_a_mistake_is_told_apart(exercise, answer, said):
    verdict = check(exercise, answer)
    assert not verdict and said in verdict.text, verdict
