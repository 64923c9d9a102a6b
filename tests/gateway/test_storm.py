"""The spike of part 1 through the gateway: built as usual it stays down, as shipped it comes back."""

import pytest

from labkit import gateway
from labkit.gateway.trial import storm
from labkit.inference import engine

pytestmark = [pytest.mark.live, pytest.mark.alone]
# the engine below answers about ten a second; clients wait two seconds and try three times
SPIKE = storm.Spike(calm=5, peak=30, start=2, length=4, duration=18, patience=2.0, max_tokens=48)


@pytest.fixture
def sick(own_cache, monkeypatch):
    monkeypatch.setenv("LABKIT_TWIN_HURRY", "2")
    with engine.running("twin", max_sequences=8) as found:
        yield found


@pytest.mark.parametrize("built", ["as usual", "as shipped"])
def test_a_retry_storm(sick, built):
    model = {"name": "small", "served": sick.model, "base_url": sick.base_url,
             "usd_per_million_input": 0.1, "usd_per_million_output": 0.4}
    tables = {**storm.NAIVE, "timeouts": {"attempt": 2.0, "cancel": False}} if built == "as usual" else {}
    with gateway.running([model], **tables) as g:
        found = storm.run(g.base_url, SPIKE, g.key)
    before, after = found.iloc[:2], found.iloc[-6:]
    assert before.answered.sum() >= 0.9 * before.arrivals.sum()
    if built == "as usual":
        assert storm.recovered(found, SPIKE) == float("inf")
        assert after.answered.sum() < 0.3 * after.arrivals.sum()
        assert after.attempts.sum() > 1.8 * after.arrivals.sum()
    else:
        assert storm.recovered(found, SPIKE) <= 30
        assert after.answered.sum() >= 0.9 * after.arrivals.sum()
