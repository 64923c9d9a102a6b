"""Routers, and whether the judge is fair."""

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from labkit.files import data
from labkit.gateway import routing


@pytest.fixture(scope="module")
def outcomes():
    return routing.outcomes()


def test_the_essays_classifier_gets_nine_of_its_eleven_right_by_its_own_labels():
    essay = routing.prompts("essay")
    found = [routing.KeywordRouter().tier(prompt) for prompt in essay.prompt]
    assert sum(a == b for a, b in zip(found, essay.tier, strict=True)) == 9
    wrong = essay.prompt[[a != b for a, b in zip(found, essay.tier, strict=True)]]
    assert [prompt.split()[0] for prompt in wrong] == ["Compare", "Provide"]


def test_our_set_has_two_hundred_prompts_with_an_answer_that_can_be_checked():
    ours = routing.prompts()
    assert len(ours) >= 200 and set(ours.tier) == set(routing.TIERS) and ours.prompt.is_unique
    assert ours.tier.value_counts().min() >= 70 and (ours.expected != "").all()
    assert not any(routing.right(expected, "") for expected in ours.expected)


def test_substrings_mislead_the_keywords():
    tier = routing.KeywordRouter().tier
    assert tier("What is a playlist?") == "medium" and tier("Is it unpredictable?") == "complex"
    assert tier("Derive the Black-Scholes formula") == "simple" and tier("word " * 151) == "complex"
    assert tier("word " * 51) == "medium" and tier("word " * 50) == "simple"


def test_on_our_set_the_keywords_are_no_better_than_length_and_the_intervals_are_honest(outcomes):
    found = routing.evaluate(routing.KeywordRouter(), outcomes)
    assert found.verdict == "no better than prompt length" and found.auc_interval[0] < 0.5 < found.auc_interval[1]
    assert 0.4 < found.auc < 0.65 and (found.prompts, found.needs) == (221, 40)


def test_the_learned_router_is_judged_on_prompts_it_never_saw(outcomes):
    needs = (outcomes.strong > outcomes.weak).tolist()
    known = routing.evaluate(routing.LearnedRouter.train(outcomes.prompt.tolist(), needs), outcomes)
    unseen = routing.evaluate(routing.out_of_fold(outcomes), outcomes)
    assert known.auc > 0.9 > 0.75 > unseen.auc > 0.5           # on its own training set any router looks wise
    assert unseen.verdict in ("better than prompt length", "no better than prompt length")


def test_tier_labels_are_easy_to_learn_and_outcomes_are_not(outcomes):
    labelled = outcomes.assign(weak=0, strong=(outcomes.tier == "complex").astype(int))
    assert routing.evaluate(routing.out_of_fold(labelled), labelled).auc > 0.9


def test_scores_of_the_saved_router_are_scikit_learns(tmp_path, outcomes):
    prompts, needs = outcomes.prompt.tolist(), (outcomes.strong > outcomes.weak).to_numpy()
    router = routing.LearnedRouter.train(prompts, needs.tolist())
    router.save(tmp_path / "r.json")
    again = routing.LearnedRouter.load(tmp_path / "r.json")
    reference = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
                              LogisticRegression(C=1.0, max_iter=2000)).fit(prompts, needs)
    asked = [*prompts, "", "What, what? WHAT is a cache?"]
    assert np.allclose([again.score(p) for p in asked], reference.predict_proba(asked)[:, 1], atol=1e-5)
    shipped = routing.LearnedRouter.load(data("router.json"))
    assert np.allclose([shipped.score(p) for p in asked], [router.score(p) for p in asked], atol=1e-3)


def test_the_area_under_the_curve_is_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, needs = rng.integers(0, 6, 50) / 5, rng.random(50) < 0.4
        assert routing.auc(scores, needs) == pytest.approx(roc_auc_score(needs, scores))


def synthetic(n=400, seed=0, signal=True):
    rng = np.random.default_rng(seed)
    hard = rng.random(n) < 0.4
    words = ["hard" if h else "easy" for h in (hard if signal else rng.permutation(hard))]
    return pd.DataFrame({"prompt": [f"{w} {'x ' * int(rng.integers(1, 30))}{i}" for i, w in enumerate(words)],
                         "weak": (~hard).astype(int), "strong": 1, "weak_cost": 0.001, "strong_cost": 0.01,
                         "confidence": np.where(hard, -2.0, -0.1)})


def test_a_router_that_knows_beats_length_and_one_that_does_not_is_said_not_to():
    def knows(prompt):
        return float("hard" in prompt)
    good = routing.evaluate(knows, synthetic())
    assert good.auc == 1 and good.verdict == "better than prompt length" and good.half == pytest.approx(0.2, abs=0.05)
    assert routing.evaluate(knows, synthetic(signal=False)).verdict == "no better than prompt length"
    assert routing.evaluate(lambda prompt: -knows(prompt), synthetic()).verdict == "worse than prompt length"


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    def noisy(prompt):                                          # a fixed router with a true AUC of about 0.7
        return float("hard" in prompt) + 2 * (hash_of(prompt) % 1000) / 1000

    def hash_of(prompt):
        import zlib
        return zlib.crc32(prompt.encode())

    truth = routing.evaluate(noisy, synthetic(20_000, seed=99), resamples=100).auc
    found = [routing.evaluate(noisy, synthetic(200, seed=s), resamples=200).auc_interval for s in range(60)]
    assert 0.85 <= np.mean([low <= truth <= high for low, high in found]) <= 1.0


def test_a_cascade_pays_for_both_answers_and_looks_at_the_evidence():
    table = synthetic()
    cascade = routing.evaluate(routing.CascadeRouter(), table)
    oracle = routing.evaluate(lambda prompt: float("hard" in prompt), table)
    assert cascade.auc == 1
    assert cascade.curve.cost.iloc[-1] == pytest.approx(11.0) and oracle.curve.cost.iloc[-1] == pytest.approx(10.0)
    assert cascade.curve.cost.iloc[0] == oracle.curve.cost.iloc[0] == pytest.approx(1.0)
    why = routing.CascadeRouter(-0.5).escalate
    assert [why("fine", -0.1), why("fine", -0.9), why(" ", 0), why("fine", 0, "length"), why("I'm sorry, but", 0)] == [
        "", "unsure", "empty", "cut off", "refusal"]


@pytest.mark.parametrize(("call", "message"), [
    (lambda: routing.evaluate(routing.LengthRouter(), pd.DataFrame({"prompt": []})),
     "outcomes: must have the columns strong, weak"),
    (lambda: routing.evaluate(routing.CascadeRouter(), synthetic().drop(columns="confidence")),
     "outcomes: must have the columns confidence"),
    (lambda: routing.evaluate(routing.LengthRouter(), synthetic().assign(weak=1)),
     "outcomes: 0 of 400 prompts need the strong model; there is nothing to route"),
    (lambda: routing.LearnedRouter.train(["a", "b"], [True, True]),
     "needs_strong: must have both outcomes, or there is nothing to tell apart"),
    (lambda: routing.LengthRouter(0), "half = 0: must be a number > 0"),
    (lambda: routing.CascadeRouter(1), "CascadeRouter.least = 1: must be a number >= -inf and <= 0"),
    (lambda: routing.prompts("theirs"), "origin = 'theirs': must be one of 'ours', 'essay'"),
])
def test_bad_input_names_what_is_wrong(call, message):
    with pytest.raises(ValueError) as refused:
        call()
    assert str(refused.value) == message


def test_a_file_that_is_no_router_is_said_to_be_none(tmp_path):
    (tmp_path / "r.json").write_text("{}")
    with pytest.raises(ValueError, match=r"r\.json': must be a router saved by LearnedRouter\.save"):
        routing.LearnedRouter.load(tmp_path / "r.json")
