"""The client and the load test, against the twin's server and against servers that misbehave."""

import asyncio
import contextlib
import itertools
import json
import socket
import threading
import warnings

import pytest
from aiohttp import web

from labkit.inference import engine, loadtest, twin
from labkit.wire import chat


@pytest.fixture(scope="module")
def e(own_cache):
    with engine.running("twin") as one:
        yield one


@contextlib.contextmanager
def server(handler):
    """A server that answers every POST with `handler`."""
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), {}

    async def serve():
        app = web.Application()
        app.router.add_post("/{path:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found["port"] = site._server.sockets[0].getsockname()[1]
        ready.set()

    threading.Thread(target=lambda: (loop.run_until_complete(serve()), loop.run_forever()), daemon=True).start()
    ready.wait(10)
    yield f"http://127.0.0.1:{found['port']}/v1"
    loop.call_soon_threadsafe(loop.stop)


def event(text, finish=None):
    return f"data: {json.dumps({'choices': [{'text': text, 'finish_reason': finish}]})}\n\n".encode()


def test_an_answer_and_its_times(e):
    answer = chat.ask(e.base_url, e.model, list(range(100)), 12)
    assert answer.prompt_tokens == 100 and answer.answer_tokens == len(answer.times) == 12
    assert answer.finish == "length" and 0 < answer.ttft < answer.e2e and answer.text.startswith("I am the twin")
    assert answer.itl == pytest.approx(sum(answer.gaps) / 11)


def test_text_goes_as_a_chat_with_the_template(e):
    answer = chat.ask(e.base_url, e.model, "What is a cache?", 3)
    assert 32 < answer.prompt_tokens < 60 and "tokens in" in repr(answer)


def test_streaming_piece_by_piece(e):
    assert "".join(chat.stream(e.base_url, e.model, "hello", 8)).startswith("I am the twin of the engine")


def test_what_is_cached_is_counted_by_both_sides(e):
    before = e.metrics()
    shared = list(range(5000, 5512))
    answers = [chat.ask(e.base_url, e.model, [*shared, i, i, i], 2) for i in range(4)]
    assert [a.cached_tokens for a in answers] == [0, 512, 512, 512]
    grown = e.metrics().since(before)
    assert grown["vllm:prefix_cache_hits_total"] == 3 * 512
    assert grown["vllm:prefix_cache_queries_total"] == grown["vllm:prompt_tokens_total"] == 4 * 515
    assert grown["vllm:generation_tokens_total"] == 8


def test_a_caller_who_hangs_up_frees_the_engine(e):
    pieces = chat.stream(e.base_url, e.model, "hello", 1000)
    next(pieces)
    pieces.close()
    for _ in range(100):
        if e.metrics()["vllm:num_requests_running"] == 0:
            break
        threading.Event().wait(0.05)
    assert e.metrics()["vllm:num_requests_running"] == 0
    assert e.metrics().by("vllm:request_success_total", "finished_reason")["abort"] == 1


@pytest.mark.parametrize("prompt, tokens, model, message", [
    ("hello", 5000, "", "the engine refused (400): This model's maximum context length is 2048 tokens"),
    ([1], 5, "gpt-4", "the engine refused (404): The model `gpt-4` does not exist.")])
def test_a_refusal_is_told(e, prompt, tokens, model, message):
    with pytest.raises(chat.StreamError) as caught:
        chat.ask(e.base_url, model or e.model, prompt, tokens)
    assert str(caught.value).startswith(message)


def test_a_stream_that_breaks_says_after_how_many_tokens():
    read = threading.Event()

    async def breaks(http):
        response = web.StreamResponse()
        await response.prepare(http)
        await response.write(event("one ") + event("two "))
        await asyncio.to_thread(read.wait)
        http.transport.abort()
        return response

    with server(breaks) as url, pytest.raises(chat.StreamError, match=r"was lost after 2 tokens") as caught:
        for number, _ in enumerate(chat.stream(url, "m", [1], 5)):
            if number == 1:
                read.set()
    assert caught.value.answer.text == "one two "


def test_a_stream_that_ends_early_is_not_taken_for_an_answer():
    async def stops(http):
        response = web.StreamResponse()
        await response.prepare(http)
        await response.write(event("one ") + b"data: [DONE]\n\n")
        return response

    with server(stops) as url, pytest.raises(chat.StreamError, match="ended the stream after 1 tokens, unfinished"):
        chat.ask(url, "m", [1], 5)


def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))                    # bound, not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(chat.StreamError, match="was lost after 0 tokens"):
            chat.ask(url, "m", [1], 5)
        with pytest.raises(chat.StreamError, match="no engine answers at"):
            loadtest.run(url, rate=5, duration=0.2)


def test_open_loop_keeps_its_promise_to_arrive(e):
    table = loadtest.run(e.base_url, rate=20, prompts=[list(range(20))], duration=2, max_tokens=4, seed=1)
    assert list(table.columns) == loadtest.COLUMNS and table.attrs["loop"] == "open"
    assert 20 <= len(table) <= 60 and (table.error == "").all() and (table.answer_tokens == 4).all()
    assert (table.sent >= table.due - 1e-3).all() and (table.ttft > 0).all() and (table.e2e >= table.ttft).all()
    again = loadtest.run(e.base_url, rate=20, prompts=[list(range(20))], duration=2, max_tokens=4, seed=1)
    assert list(again.due) == list(table.due)           # the schedule is the seed's
    assert loadtest.summary(table).failed == 0


def test_a_late_start_counts_as_waiting():
    """The load generator was held up for a second: the caller it stands for has waited that second, too."""
    async def one(base):
        async with chat.session() as session:
            load = loadtest._Load(base.base_url, base.model, itertools.cycle([[1, 2]]), {"max_tokens": 2}, session)
            load.start -= 1.0
            await load.one(0.0)
            return dict(zip(loadtest.COLUMNS, load.rows[0], strict=True))

    with engine.running("twin") as base:
        row = chat.wait_for(one(base))
    assert row["due"] == 0.0 and row["sent"] >= 1.0 and 1.0 < row["ttft"] < row["e2e"]


def test_closed_loop_warns_of_coordinated_omission(e):
    with pytest.warns(UserWarning, match="coordinated omission"):
        table = loadtest.run(e.base_url, concurrency=3, prompts=[[1, 2, 3]], duration=1, max_tokens=4)
    assert table.attrs["loop"] == "closed" and len(table) >= 3


def test_failures_are_rows():
    async def refuses(http):
        return web.json_response({"error": {"message": "busy"}}, status=503)

    with server(refuses) as url:
        table = loadtest.run(url, rate=20, prompts=[[1]], duration=0.5, model="m")
    assert set(table.error) == {"the engine refused (503): busy"}
    assert loadtest.summary(table).failed == len(table)


@pytest.mark.parametrize("arguments, message", [
    ({}, "rate = None, concurrency = None: give one of them"),
    ({"rate": 1, "concurrency": 1}, "rate = 1, concurrency = 1: give one of them"),
    ({"rate": 0}, "rate = 0: must be a number > 0"),
    ({"concurrency": 0}, "concurrency = 0: must be a whole number >= 1 and <= 10000"),
    ({"rate": 1, "duration": 0}, "duration = 0: must be a number > 0"),
    ({"rate": 1, "prompts": []}, "prompts = (): must have at least one")])
def test_bad_input_gets_one_clear_line(arguments, message):
    with pytest.raises(ValueError) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loadtest.run("http://127.0.0.1:1/v1", **arguments)
    assert str(caught.value) == message


def test_the_server_keeps_the_time_of_the_simulation(e):
    """Never faster than the same requests in virtual time; how much slower depends on what else the machine does."""
    prompts = [twin.tokens(i + 50, 32) for i in range(8)]
    answers = chat.together(e.base_url, e.model, prompts, 32)
    virtual = twin.simulate(twin.burst(8, 32, 32), twin.measured()).requests
    assert max(a.e2e for a in answers) > 0.9 * virtual.e2e.max()
