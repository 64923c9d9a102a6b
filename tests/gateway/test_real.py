"""The gateway in front of the real engine: books that agree, and a hang-up that reaches it."""

import time

import pytest

from labkit import gateway
from labkit.gateway.budget import price, reconcile
from labkit.wire import chat

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("engine")]


@pytest.fixture(scope="module")
def shop(real):
    model = {"name": "small", "served": real.model, "base_url": real.base_url,
             "usd_per_million_input": 0.1, "usd_per_million_output": 0.4,
             "max_tokens": 256}
    with gateway.running([model], tracing={"to": "local"}) as found:
        yield found


def wait_until(true, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ledger_and_engine_agree_to_the_token(real, shop):
    before, since = real.metrics(), time.time()
    for i in range(4):
        assert chat.post(shop.base_url, f"Name {i + 2} colours.", shop.headers, max_tokens=12).status == 200
        answer = chat.ask(shop.base_url, "auto", f"Name {i + 2} rivers.", 12, headers=shop.headers)
        assert answer.headers["x-labkit-model"] == "small" and answer.prompt_tokens > 30
    wait_until(lambda: set(reconcile(shop.ledger(), real.metrics().since(before), since=since).note) == {"agrees"})


def test_a_hang_up_stops_the_real_engine_and_pays_for_what_came(real, shop):
    before = real.metrics()
    for number, _ in enumerate(chat.stream(shop.base_url, "auto", "Tell a very long story.", 200,
                                             headers=shop.headers)):
        if number == 4:
            assert real.metrics()["vllm:num_requests_running"] == 1
            break
    wait_until(lambda: real.metrics()["vllm:num_requests_running"] == 0)
    wait_until(lambda: shop.audit()[-1]["outcome"] == "cancelled")
    paid = shop.audit()[-1]
    made = real.metrics().since(before)["vllm:generation_tokens_total"]
    assert 5 <= paid["answer_tokens"] <= made < 200             # else it would have gone on to the end
    assert paid["microdollars"] == price(paid["prompt_tokens"], paid["answer_tokens"], 0.1, 0.4)
    assert shop.ledger().totals()["held"] == 0
    wait_until(lambda: "cancelled" in set(shop.traces("SELECT message FROM generation").message))
