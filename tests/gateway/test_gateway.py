"""The gateway as a process, in front of an engine that fails as told: status, message, and what was (not) charged."""

import asyncio
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import openai
import psutil
import pytest

from labkit import gateway
from labkit.gateway.budget import price, reconcile
from labkit.gateway.keys import Keys
from labkit.gateway.telemetry import audit
from labkit.gateway.trial import scripted
from labkit.loopback import ProgramError, free_port
from labkit.wire import chat

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("gateway")]      # they share servers

FAST = {"attempts": 3, "wait": 0.01, "max_wait": 0.02, "jitter": 0.0}
PATIENT = {"on": False}
CALLERS = (("ada", "eng"), ("bob", "ops"))


@pytest.fixture(scope="module")
def engine():
    with scripted.running() as found:
        yield found


def models(engine, names=("small", "large"), **more):
    return [{"name": name, "served": "scripted", "base_url": engine.base_url, "usd_per_million_input": 0.1 * (i + 1),
             "usd_per_million_output": 0.4 * (i + 1), "max_tokens": 64, **more} for i, name in enumerate(names)]


@pytest.fixture(scope="module")
def plain(engine):
    """A gateway with retries that do not wait and no breaker, so that tests do not disturb each other."""
    with gateway.running(models(engine), callers=CALLERS, retry=FAST, breaker=PATIENT,
                         router={"kind": "keyword"}, server={"max_body_bytes": 50_000},
                         timeouts={"request": 60, "idle": 0.6}, rate={"per_second": 1000, "burst": 1000},
                         cache={"entries": 0}, budgets={"global": {"day": 50}, "user:*": {"month": 20}}) as found:
        yield found


def post(g, content="hello", model="auto", key=None, headers=None, raw=None, **more):
    """Status, headers and parsed body."""
    body = raw if raw is not None else json.dumps(
        {"model": model, "messages": [{"role": "user", "content": content}], **more}).encode()
    request = urllib.request.Request(f"{g.base_url}/chat/completions", body, {
        "content-type": "application/json", "authorization": f"Bearer {key or g.key}", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
            return answer.status, dict(answer.headers), text if more.get("stream") else json.loads(text)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.loads(error.read())


def written(g, headers):
    """The audit record of the request that was answered with these headers; it is written after the answer."""
    def found():
        return [record for record in g.audit() if record["request"] == headers["x-request-id"]]
    wait_until(found)
    return found()[0]


def wait_until(true, seconds=120.0):
    """The limit is for what hangs, not for what is slow."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refuses(port):
    """Whether nobody listens at that port (any more)."""
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except OSError:
        return True
    return False


def refused(g, *args, **kwargs):
    """Status, code and message of a refusal, and micro-dollars it cost by the ledger."""
    before = g.ledger().totals()["charged"]
    status, headers, body = post(g, *args, **kwargs)
    written(g, headers)
    return status, body["error"]["code"], body["error"]["message"], g.ledger().totals()["charged"] - before


# --------------------------------------------------------------------------------------------- what goes well
def test_an_answer_says_who_gave_it_and_what_it_cost(plain):
    before = plain.ledger().totals()
    status, headers, body = post(plain, "What is EBITDA?", headers={"x-request-id": "mine-1"}, max_tokens=8)
    assert status == 200 and body["choices"][0]["message"]["content"].startswith("Every request has a price")
    assert headers["x-request-id"] == "mine-1" and headers["x-labkit-model"] == "small"
    assert headers["x-labkit-microdollars"] == "6"              # 20 * 0.1 + 8 * 0.4 = 5.2, rounded up
    after = plain.ledger().totals()
    assert {name: after[name] - before[name] for name in ("attempts", "charged", "held")} == {
        "attempts": 1, "charged": 6, "held": 0}
    assert post(plain, "Compare a and b")[1]["x-labkit-model"] == "large"
    assert post(plain, "Compare a and b", model="small")[1]["x-labkit-model"] == "small"


def test_a_stream_is_passed_on_and_its_usage_only_to_those_who_asked(plain):
    status, headers, text = post(plain, "hello", stream=True, max_tokens=5)
    events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    assert status == 200 and events[-1] == "[DONE]" and len(events) == 6
    assert all(json.loads(event)["choices"] for event in events[:-1])
    asked = post(plain, "hello", stream=True, max_tokens=5, stream_options={"include_usage": True})[2]
    assert json.loads(asked.splitlines()[-4][6:])["usage"]["completion_tokens"] == 5


def test_our_own_client_and_the_ledger_agree_with_the_engine_to_the_token(engine):
    with gateway.running(models(engine), budgets={"global": {"day": 1}}) as g:
        before = engine.metrics()

        async def all_of_them():
            async with aiohttp.ClientSession(headers=g.headers) as session:
                return await asyncio.gather(*(chat.answer(g.base_url, "auto", f"hello {i}", 3 + i, using=session)
                                              for i in range(10)))

        answers = asyncio.run(all_of_them())
        assert [a.answer_tokens for a in answers] == [3 + i for i in range(10)]
        assert all(a.finish == "stop" and a.prompt_tokens == 20 for a in answers)
        found = reconcile(g.ledger(), engine.metrics().since(before))
        assert found.note.tolist() == ["agrees", "agrees"]


def test_the_openai_sdk_streams_uses_tools_and_raises_its_own_errors(plain):
    with openai.OpenAI(base_url=plain.base_url, api_key=plain.key, max_retries=0) as sdk:
        assert [m.id for m in sdk.models.list()] == ["auto", "small", "large"]
        ask = [{"role": "user", "content": "hello"}]
        whole = sdk.chat.completions.create(model="auto", messages=ask, max_tokens=4)
        assert whole.choices[0].message.content == "Every request has a" and whole.usage.completion_tokens == 4
        stream = sdk.chat.completions.create(model="auto", messages=ask, max_tokens=4, stream=True,
                                             stream_options={"include_usage": True})
        pieces = list(stream)
        assert "".join(p.choices[0].delta.content for p in pieces if p.choices) == "Every request has a "
        assert pieces[-1].usage.total_tokens == 24
        tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
        called = sdk.chat.completions.create(model="auto", messages=ask, tools=tools)
        assert called.choices[0].message.tool_calls[0].function.name == "weather"

        def fails(kind, content="hello", model="auto", using=sdk, **more):
            with pytest.raises(kind) as error:
                list(using.chat.completions.create(model=model, messages=[{"role": "user", "content": content}],
                                                   **more) or [])
            return error.value

        assert fails(openai.NotFoundError, model="gpt-9").code == "model_not_found"
        assert fails(openai.BadRequestError, temperature=9).param == "temperature"
        assert fails(openai.InternalServerError, "fault: 503").status_code == 502
        assert fails(openai.APIError, "fault: error", stream=True).code == "upstream_error"
        with openai.OpenAI(base_url=plain.base_url, api_key="lk-nobody-x", max_retries=0) as nobody:
            assert fails(openai.AuthenticationError, using=nobody).code == "invalid_api_key"


# --------------------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(("body", "message", "param"), [
    (b"{", "the body is not JSON: EOF while parsing an object at line 1 column 1", None),
    (b"[]", " = '[]': Input should be an object", ""),
    (b'{"model": "auto"}', "messages: Field required", "messages"),
    (b'{"model": "auto", "messages": []}',
     "messages = '[]': List should have at least 1 item after validation, not 0", "messages"),
    (b'{"model": "auto", "messages": [{"role": "boss", "content": "x"}]}',
     "messages.0.role = 'boss': Input should be 'system', 'developer', 'user', 'assistant' or 'tool'",
     "messages.0.role"),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "x"}], "max_token": 5}',
     "max_token = '5': Extra inputs are not permitted", "max_token"),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "x"}], "max_tokens": 65}',
     "max_tokens = 65: must be a whole number >= 1 and <= 64", "max_tokens"),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "x"}], "n": 9}',
     "n = '9': Input should be less than or equal to 8", "n"),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "x"}], "cache_salt": "theirs"}',
     "cache_salt = 'theirs': Extra inputs are not permitted", "cache_salt"),
])
def test_an_invalid_body_is_400_and_free(plain, body, message, param):
    before = plain.ledger().totals()["attempts"]
    status, headers, found = post(plain, raw=body)
    assert status == 400 and found["error"]["message"] == message and found["error"]["param"] == param
    assert plain.ledger().totals()["attempts"] == before


def test_an_oversized_body_is_413_whether_it_says_so_or_not(plain):
    assert refused(plain, "x" * 60_000) == (413, "request_too_large", "the body has more than 50,000 bytes", 0)

    async def chunked():
        async def parts():
            for _ in range(100):
                yield b"x" * 1000

        async with aiohttp.ClientSession(headers=plain.headers) as session, session.post(
                f"{plain.base_url}/chat/completions", data=parts()) as response:
            return response.status

    assert asyncio.run(chunked()) == 413


def test_wrong_headers_are_refused(plain):
    for value in ("soon", "0", "-1", "nan", "inf"):
        assert refused(plain, headers={"x-timeout-seconds": value}) == (
            400, "invalid_request", f"x-timeout-seconds = '{value}': must be a number >= 0.1", 0)
    assert post(plain, headers={"x-request-id": "no\tgood <script>"})[1]["x-request-id"].isalnum()


def test_a_key_nobody_has_an_expired_one_and_none_are_401(plain):
    keys = Keys(plain.home / "keys.json")
    old = keys.new("eve", "eng", days=-1)
    wrong = plain.key[:-1] + ("0" if plain.key[-1] != "0" else "1")
    wait_until(lambda: "expired" in refused(plain, key=old)[2])     # the file is looked at once a second
    assert refused(plain, key=old) == (401, "invalid_api_key", "this API key has expired", 0)
    assert refused(plain, key=wrong) == (401, "invalid_api_key", "this API key is not known", 0)
    assert refused(plain, key="sk-something") == (401, "invalid_api_key", "this API key is not known", 0)
    status, headers, body = post(plain, headers={"authorization": "Basic abc"})
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert body["error"]["message"] == "give an API key: Authorization: Bearer lk-..."
    gone = keys.new("eve", "eng")
    wait_until(lambda: post(plain, key=gone)[0] == 200)
    keys.revoke(gone.split("-")[1])
    wait_until(lambda: post(plain, key=gone)[0] == 401)         # without a restart


def test_unknown_addresses_and_methods_have_the_shape_of_all_errors(plain):
    assert json.loads(plain.get("/v2/nothing")[1])["error"]["code"] == "not_found"
    assert plain.get("/v1/chat/completions")[0] == 405 and plain.get("/v1/models")[0] == 401


def test_one_key_that_asks_too_often_is_told_when_to_come_back_and_others_are_not(engine):
    with gateway.running(models(engine), callers=CALLERS, rate={"per_second": 0.5, "burst": 2}) as g:
        assert [post(g)[0] for _ in range(2)] == [200, 200]
        status, headers, body = post(g)
        assert (status, headers["retry-after"], body["error"]["code"]) == (429, "2", "rate_limit_exceeded")
        assert post(g, key=g.keys["bob"])[0] == 200


# ------------------------------------------------------------------------------------------------ budgets
def test_a_spent_budget_is_402_with_scope_and_numbers_and_nothing_is_sent(engine):
    with gateway.running(models(engine), callers=CALLERS, budgets={"user:*": {"day": 0.0001}}) as g:
        sent = engine.metrics()["vllm:requests_total"]
        statuses = [post(g, model="small", max_tokens=16)[0] for _ in range(12)]
        assert statuses.count(200) == engine.metrics()["vllm:requests_total"] - sent > 2
        status, code, message, charged = refused(g, model="small", max_tokens=16)
        assert (status, code, charged) == (402, "budget_exceeded", 0)
        assert re.fullmatch(r"user:ada has \$0\.0000\d+ of \$0\.0001 left today \(\$0\.0000\d+ spent, \$0\.00 held\); "
                            r"this attempt may cost \$0\.0000\d+; nothing was charged", message)
        assert post(g, model="small", key=g.keys["bob"])[0] == 200
        told = [(line["level"], line["percent"]) for line in g.log() if line["event"] == "budget"]
        assert told[0] == ("warning", 80) and set(told) <= {("warning", 80), ("warning", 100)}


def test_one_hundred_callers_at_once_never_get_past_the_cap(engine):
    with gateway.running(models(engine), budgets={"team:eng": {"day": 0.001}},
                         rate={"per_second": 1e5, "burst": 1e5}) as g:
        with ThreadPoolExecutor(100) as pool:
            statuses = list(pool.map(lambda i: post(g, f"hello {i}", model="large", max_tokens=16)[0], range(200)))
        account = next(a for a in g.ledger().accounts("ada", "eng") if a.cap)
        assert set(statuses) == {200, 402} and account.spent + account.held <= account.cap == 1000
        assert account.spent == 17 * statuses.count(200)        # 20 * 0.2 + 16 * 0.8 = 16.8
        assert account.spent > 850


def test_auto_goes_to_the_cheaper_model_when_only_that_fits_and_says_so(engine):
    with gateway.running(models(engine), router={"kind": "keyword"}, budgets={"request": 0.00008}) as g:
        status, headers, _ = post(g, "Compare a and b", max_tokens=64)
        assert (status, headers["x-labkit-model"]) == (200, "small")
        assert headers["x-labkit-degraded"].startswith("budget: request: one attempt may cost $0.00008 at most")
        assert refused(g, "Compare a and b", model="large", max_tokens=64)[:2] == (402, "budget_exceeded")


# ---------------------------------------------------------------------------------------------- engines that fail
def test_a_503_storm_is_502_after_three_attempts_and_free(plain):
    before = plain.ledger().totals()["attempts"]
    assert refused(plain, "fault: 503", model="small") == (
        502, "upstream_error", "no model could answer (small: the engine answered 503); nothing was charged", 0)
    assert plain.ledger().totals()["attempts"] - before == 3
    assert post(plain, "fault: first 503 and then well")[0] == 200


def test_errors_that_may_have_been_billed_are_charged_in_full_each_time(plain):
    status, code, message, charged = refused(plain, "fault: 500", model="small", max_tokens=10)
    attempts = [a for a in plain.audit() if a["status"] == 502][-1]
    assert (status, code, attempts["attempts"]) == (502, "upstream_error", 3)
    assert charged == attempts["microdollars"] > 3 * 10 * 0.4
    assert message == f"no model could answer (small: the engine answered 500); ${charged / 1e6:.6f} was charged"


def test_a_hung_engine_is_504_at_the_deadline_and_charged_in_full(plain):
    status, code, message, charged = refused(plain, "fault: hang", model="small", headers={"x-timeout-seconds": "0.5"})
    assert (status, code) == (504, "deadline_exceeded")
    assert message == f"the deadline of 0.5 s passed at the engine; ${charged / 1e6:.6f} was charged" and charged > 0


def test_a_refusal_of_the_engine_is_400_and_free(plain):
    assert refused(plain, "fault: 400", model="small") == (
        400, "invalid_request", "the engine refused: as told: 400", 0)


def test_an_answer_that_is_a_web_page_is_502_and_not_tried_again(plain):
    status, code, message, charged = refused(plain, "fault: html", model="small")
    assert (status, code) == (502, "upstream_error") and charged > 0
    assert message.startswith("no model could answer (small: the engine's answer is not a chat completion); $")
    assert plain.audit()[-1]["attempts"] == 1


def test_a_port_nobody_listens_on_is_502_and_free(engine):
    dead = [{**models(engine)[0], "base_url": f"http://127.0.0.1:{free_port()}/v1"}]
    with gateway.running(dead, retry=FAST) as g:
        assert refused(g) == (502, "upstream_error", "no model could answer (small: the engine cannot be reached "
                              "(ClientConnectorError)); nothing was charged", 0)


@pytest.mark.parametrize(("fault", "why"), [
    ("cut", "the engine ended the stream early"),
    ("malformed", "the engine sent something that is not an event of a chat"),
    ("error", "the engine failed in the middle of the answer"),
])
def test_a_stream_that_breaks_ends_with_an_error_and_costs_what_came(plain, fault, why):
    before = plain.ledger().totals()["charged"]
    _, headers, text = post(plain, f"fault: {fault}", model="small", stream=True)
    last = json.loads([line for line in text.splitlines() if line.startswith("data: ")][-1][6:])
    assert "[DONE]" not in text and text.count("delta") == 3
    assert last["error"]["message"] == f"{why} after 3 pieces; $0.000004 was charged"       # 20 * 0.1 + 3 * 0.4
    written(plain, headers)
    assert plain.ledger().totals()["charged"] - before == 4
    assert written(plain, headers)["attempts"] == 1             # never again after the caller has seen a piece


def test_a_stream_that_says_nothing_is_dead(plain):
    status, code, message, charged = refused(plain, "fault: silent", model="small", stream=True)
    assert (status, code) == (502, "upstream_error") and "sent nothing for 0.6 s" in message


def test_a_slow_stream_ends_at_the_deadline(engine):
    with gateway.running(models(engine), timeouts={"idle": 60}) as g:   # a busy machine's pauses are no silence
        text = post(g, "fault: slow", model="small", stream=True, headers={"x-timeout-seconds": "2"})[2]
    pieces = text.count("delta")                                # seven, if the machine is not busy; 16 would be all
    cost = price(20, pieces, 0.1, 0.4)
    assert f"the deadline of 2 s passed in the stream; ${cost / 1e6:.6f} was charged" in text and 1 <= pieces < 16


def test_a_smaller_model_answers_for_a_failed_one_then_the_cache_then_an_honest_message(engine):
    port = free_port()
    large = {**models(engine)[1], "base_url": f"http://127.0.0.1:{port}/v1"}
    with scripted.running() as second:
        small = {**models(engine)[0], "base_url": second.base_url}
        with gateway.running([small, large], retry=FAST, breaker={"minimum": 3, "open_for": 60},
                             router={"kind": "keyword"}) as g:
            why = "large: the engine cannot be reached (ClientConnectorError)"
            status, headers, body = post(g, "Compare a and b")
            assert (status, headers["x-labkit-model"], headers["x-labkit-degraded"]) == (
                200, "small", f"smaller model: {why}")
            good = post(g, "hello")
            assert good[0] == 200 and "x-labkit-degraded" not in good[1]
            second.program.kill()
            wait_until(lambda: refuses(second.port))
            status, headers, body = post(g, "hello")
            assert status == 200 and body == good[2]
            assert headers["x-labkit-degraded"].startswith("cached: an answer of ")
            assert headers["x-labkit-microdollars"] == "0"
            text = post(g, "hello", stream=True)[2]
            assert "Every request has" in text and text.rstrip().endswith("data: [DONE]")
            status, code, message, charged = refused(g, "never asked before")
            assert (status, charged) == (503, 0) and code == "unavailable"
            assert message.startswith("no model could answer (small: the circuit breaker is open for")
            assert refused(g, "Compare c and d", model="large")[1] == "unavailable"
            by = g.metrics().by("gateway_requests_total", "outcome")
            assert by["degraded"] == 3 and by["upstream_error"] == 2
            assert g.metrics().by("gateway_breaker", "tier") == {"small": 2, "large": 2}


def test_a_crowd_beyond_the_queue_is_turned_away_at_once(engine):
    with gateway.running(models(engine), admission={"running": 2, "queue": 3}, timeouts={"request": 8},
                         rate={"per_second": 1e5, "burst": 1e5}) as g, ThreadPoolExecutor(12) as pool:
        inside = [pool.submit(refused, g, "fault: hang", model="small") for _ in range(5)]
        wait_until(lambda: [g.metrics()[f"gateway_{name}"] for name in ("running", "queue")] == [2, 3])
        for _ in range(7):
            status, code, message, _ = refused(g, "hello", model="small")
            assert (status, code) == (503, "overloaded")
            assert message.startswith("3 requests are waiting already; the queue is full")
        assert not any(one.done() for one in inside)            # at once: before any of those let in
        assert [one.result()[1] for one in inside] == ["deadline_exceeded"] * 5
        assert [a["attempts"] for a in g.audit() if a["outcome"] == "overloaded"] == [0] * 7


# --------------------------------------------------------------------------------------- callers who leave, and we
def test_a_caller_who_hangs_up_stops_the_engine_and_pays_for_what_came(engine):
    with gateway.running(models(engine), tracing={"to": "local"}, budgets={"global": {"day": 1}}) as g:
        async def hang_up():
            async with aiohttp.ClientSession(headers=g.headers) as session:
                body = {"model": "small", "stream": True, "messages": [{"role": "user", "content": "fault: slow"}]}
                async with session.post(f"{g.base_url}/chat/completions", json=body) as response:
                    for _ in range(5):                          # three pieces, with blank lines between
                        await response.content.readline()
                    assert engine.metrics()["vllm:num_requests_running"] == 1

        before = engine.metrics()
        asyncio.run(hang_up())
        wait_until(lambda: not engine.metrics()["vllm:num_requests_running"])
        wait_until(lambda: g.ledger().totals()["held"] == 0 and g.audit())
        totals, made = g.ledger().totals(), engine.metrics().since(before)
        # three pieces, one more if the machine was busy; never the sixteen it would have been, and no request again
        assert 3 <= totals["answer_tokens"] <= made["vllm:generation_tokens_total"] < 16
        assert totals["charged"] == price(20, totals["answer_tokens"], 0.1, 0.4) and made["vllm:aborted_total"] == 1
        assert (g.audit()[-1]["outcome"], g.audit()[-1]["status"]) == ("cancelled", 499)
        assert g.metrics().by("gateway_requests_total", "outcome") == {"cancelled": 1}
        import sqlite3
        wait_until(lambda: sqlite3.connect(g.home / "traces.db").execute(
            "SELECT message FROM generation").fetchall() == [("cancelled",)])


def test_sigterm_lets_requests_finish_says_so_and_takes_no_new_ones(engine):
    with gateway.running(models(engine), server={"drain_seconds": 20}) as g:
        found = []
        slow = threading.Thread(target=lambda: found.append(post(g, "fault: slow", model="small", stream=True)))
        slow.start()
        wait_until(lambda: len(g.ledger().holds()) == 1)
        os.kill(g.pid, signal.SIGTERM)
        wait_until(lambda: any(line["event"] == "draining" for line in g.log()))
        wait_until(lambda: refuses(g.port))
        assert not found                                        # the slow one is still on its way
        slow.join()
        assert found[0][0] == 200 and "[DONE]" in found[0][2]
        g.program.process.wait(120)
        assert g.ledger().totals()["held"] == 0
        stopped = next(line for line in g.log() if line["event"] == "stopped")
        assert audit.verify(g.home / "audit.jsonl", records=stopped["audit_records"]) == ""


def test_a_killed_gateway_leaves_a_hold_that_is_charged_when_its_time_is_over(engine):
    with gateway.running(models(engine), timeouts={"request": 2}, hold_seconds=2.5) as g:
        thread = threading.Thread(target=lambda: pytest.raises(OSError, post, g, "fault: hang"))
        thread.start()
        wait_until(lambda: len(g.ledger().holds()) == 1)
        os.kill(g.pid, signal.SIGKILL)
        thread.join()
        book = g.ledger()
        assert book.totals()["held"] > 0
        wait_until(lambda: book.expire() == 1)
        assert book.totals()["expired_charged"] == book.totals()["charged"] > 0 == book.totals()["held"]


def test_the_same_idempotency_key_is_answered_and_paid_once(engine):
    with gateway.running(models(engine)) as g:
        first = post(g, "hello", headers={"idempotency-key": "k1"})
        again = post(g, "hello", headers={"idempotency-key": "k1"})
        assert first[2] == again[2] and again[1]["x-labkit-microdollars"] == "0"
        assert g.ledger().totals()["attempts"] == 1
        assert refused(g, "another", headers={"idempotency-key": "k1"})[:2] == (422, "idempotency_reused")
        assert post(g, "hello", stream=True, headers={"idempotency-key": "k2"})[0] == 200
        assert refused(g, "hello", stream=True, headers={"idempotency-key": "k2"})[:2] == (409, "idempotency_conflict")
        assert refused(g, headers={"idempotency-key": "x" * 201})[:2] == (400, "invalid_request")
        with ThreadPoolExecutor(1) as pool:
            def ask():
                return post(g, "fault: hang", model="small", headers={"idempotency-key": "k3",
                                                                      "x-timeout-seconds": "5"})[0]
            first = pool.submit(ask)
            wait_until(lambda: len(g.ledger().holds()) == 1)
            assert ask() == 409 and not first.done()
            assert first.result() == 504


# ------------------------------------------------------------------------------------- ledger, traces, secrets
def test_a_ledger_that_cannot_be_written_refuses_everything_and_is_not_ready(engine):
    with gateway.running(models(engine), callers=CALLERS) as g:
        assert post(g)[0] == 200
        blocker = g.ledger()
        blocker.store.db.execute("DROP TABLE hold")             # as good as a disk that is gone
        sent = engine.metrics()["vllm:requests_total"]
        status, headers, body = post(g)
        assert (status, headers["retry-after"], body["error"]["code"]) == (503, "5", "ledger_unavailable")
        assert body["error"]["message"] == ("the ledger cannot be written, so nothing may be spent; nothing was "
                                            "charged")
        assert engine.metrics()["vllm:requests_total"] == sent
        assert g.get("/readyz") == (503, "the ledger does not answer\n") and g.get("/healthz") == (200, "alive\n")
        assert g.metrics()["gateway_ledger_errors_total"] >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="limits the files of another process with prlimit: Linux only")
def test_a_full_disk_is_503_and_an_answer_on_its_way_is_settled_when_there_is_room(engine):
    import resource
    with gateway.running(models(engine), timeouts={"request": 20}) as g:
        assert post(g)[0] == 200
        results = []
        thread = threading.Thread(target=lambda: results.append(post(g, "fault: slow", model="small", stream=True)))
        thread.start()
        wait_until(lambda: len(g.ledger().holds()) == 1)
        before = resource.prlimit(g.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(g.pid, resource.RLIMIT_FSIZE, (0, before[1]))      # no file may grow any more
        try:
            status, _, body = post(g, model="small")            # the audit log cannot grow either: see the log
            assert (status, body["error"]["code"]) == (503, "ledger_unavailable")
            thread.join()
            assert "[DONE]" in results[0][2]                    # who was let in gets the answer
            assert len(g.ledger().holds()) == 1
        finally:
            resource.prlimit(g.pid, resource.RLIMIT_FSIZE, before)
        wait_until(lambda: len(g.ledger().holds()) == 0)        # the timer settles what was kept
        assert g.ledger().totals()["answer_tokens"] == 32 and g.ledger().totals()["expired"] == 0
        assert post(g)[0] == 200


def test_a_langfuse_that_hangs_or_is_gone_delays_nobody_and_is_counted(engine, monkeypatch):
    with socket.create_server(("127.0.0.1", 0), backlog=50) as deaf:    # takes connections, says nothing
        deaf.settimeout(120)
        monkeypatch.setenv("LANGFUSE_BASE_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
        monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk")
        with gateway.running(models(engine), tracing={"to": "langfuse", "queue": 20},
                             rate={"per_second": 1e5, "burst": 1e5}) as g:
            def answered_meanwhile():
                """Whether five requests were answered while one export waited for its answer."""
                assert post(g, model="small")[0] == 200
                export, _ = deaf.accept()
                with export:
                    assert export.recv(1)
                    assert [post(g, model="small")[0] for _ in range(5)] == [200] * 5
                    return still_open(export)

            wait_until(answered_meanwhile)
            wait_until(lambda: g.metrics().by("gateway_traces_total", "result")["dropped"] > 0)


def still_open(line):
    """Whether the other side still waits at this connection."""
    line.setblocking(False)
    try:
        while line.recv(65_536):
            pass
    except BlockingIOError:
        return True
    return False


SECRETS = ("sk-proj-AbCdEf0123456789AbCdEf01", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "ada@example.org",
           "AKIAIOSFODNN7EXAMPLE", "536-90-4399", "hunter2secret9")


def test_no_secret_is_in_any_log_trace_metric_audit_record_or_error(engine):
    with gateway.running(models(engine, key="engine-key-0815-secret"), tracing={"to": "local"}, retry=FAST,
                         cache={"entries": 0}) as g:
        text = f"my data: {' and '.join(SECRETS[:-1])} and password: {SECRETS[-1]}"
        seen = [post(g, text), post(g, f"{text} fault: 500"), post(g, text, temperature=text),
                post(g, f"{text} fault: cut", stream=True), post(g, text, model=text), post(g, key=f"lk-{SECRETS[0]}")]
        errors = json.dumps([body for status, _, body in seen if status >= 500 or status == 401])
        wait_until(lambda: g.metrics().by("gateway_traces_total", "result").get("sent", 0) >= 5)
        everything = {file.name: file.read_bytes().decode(errors="replace") for file in g.home.iterdir()
                      if file.name not in ("gateway.toml", "audit.jsonl.key")}
        everything |= {"errors": errors, "metrics": g.get("/metrics")[1], "models": g.get("/openapi.json")[1]}
        for secret in (*SECRETS, g.key, g.key.split("-")[2], "engine-key-0815-secret"):
            assert [name for name, found in everything.items() if secret in found] == [], secret
        assert "[email]" in everything["traces.db"] + everything.get("traces.db-wal", "")
        assert hashlib.sha256(g.key.encode()).hexdigest() in everything["keys.json"]
        for name in ("keys.json", "audit.jsonl.key"):
            assert (g.home / name).stat().st_mode & 0o077 == 0


def test_it_listens_on_this_machine_only_unless_told_otherwise(plain):
    connections = psutil.Process(plain.pid).net_connections("tcp")
    assert {c.laddr for c in connections if c.status == psutil.CONN_LISTEN} == {("127.0.0.1", plain.port)}


def test_a_gateway_or_an_engine_that_cannot_start_says_why(engine):
    said = "(?s)-m labkit.gateway ended with code [13]; it says: .*address already in use"
    with (socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ProgramError, match=said),
          gateway.running(models(engine), server={"port": taken.getsockname()[1]})):
        pass
    with pytest.raises(ProgramError, match="(?s)scripted ended with code 1; it says: .*could not convert"):
        scripted.running("soon").__enter__()


def test_schemathesis_finds_nothing(plain, tmp_path):
    run = subprocess.run([Path(sys.executable).with_name("st"), "run", f"http://127.0.0.1:{plain.port}/openapi.json",
                          "--header", f"Authorization: Bearer {plain.key}", "--max-examples", "30", "--seed", "1",
                          "--generation-database", "none", "--no-color"], capture_output=True, text=True, timeout=1200,
                         cwd=tmp_path)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]


def test_impatient_callers_do_not_open_the_breaker_for_the_others(engine):
    with gateway.running(models(engine), breaker={"minimum": 3}, retry=FAST) as g:
        for _ in range(6):
            assert post(g, "fault: hang", model="small", headers={"x-timeout-seconds": "0.1"})[0] == 504
        assert post(g, "hello", model="small")[0] == 200


def test_a_body_that_does_not_arrive_is_408(engine):
    with gateway.running(models(engine), timeouts={"body": 0.3}) as g, socket.create_connection(
            ("127.0.0.1", g.port)) as line:
        line.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {g.key}\r\n"
                     "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode())
        assert b"408" in line.recv(200)


def test_a_downgraded_attempt_is_in_the_report_under_the_model_that_answered(engine):
    with gateway.running(models(engine), router={"kind": "keyword"}, budgets={"request": 0.00008}) as g:
        assert post(g, "Compare a and b", max_tokens=64)[1]["x-labkit-model"] == "small"
        assert list(g.ledger().report(by="tier").index) == ["small"]
