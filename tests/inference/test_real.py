"""The real engine: vLLM on this machine's CPU, held against the formula, the twin and a model in numpy."""

import os
import signal
import statistics

import psutil
import pytest

from labkit.inference import calibrate, engine, roofline, twin
from labkit.inference.engine import places
from labkit.inference.quantization import checkpoints, quality
from labkit.inference.quantization.llama import Llama
from labkit.wire import chat
from tests.inference.test_engine import gone, listening

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("engine")]
QUESTION = "What is the capital of France?"


def prompt(*parts, length=14):
    """Token numbers nobody else has used."""
    return [int(token) for part in parts for token in [*part]] + calibrate.Prompts(0)(length)


def test_it_says_what_the_numpy_model_says(real):
    asked = quality.post(f"http://127.0.0.1:{real.port}/tokenize",
                          {"model": real.model, "messages": [{"role": "user", "content": QUESTION}]})["tokens"]
    by_hand = Llama(places.models() / real.model).generate(asked, 8)
    said = chat.ask(real.base_url, real.model, QUESTION, 16)
    assert said.text == "The capital of France is Paris."
    assert quality.detokenize(real.base_url, real.model, by_hand).startswith(said.text)


def test_float32_gives_the_same_text_alone_and_in_company(real):
    words = ("rain", "debt", "tides", "rust", "yeast", "fog", "salt", "wind")
    questions = [f"Explain {word} in one sentence." for word in words]
    alone = [chat.ask(real.base_url, real.model, question, 24).text for question in questions]
    together = [a.text for a in chat.together(real.base_url, real.model, questions, 24)]
    assert alone == together


def test_memory_by_formula_is_what_the_engine_reports(real):
    """Blocks of 32 tokens, 2 x layers x KV heads x head size x 4 bytes a token: exactly."""
    info = real.metrics().labels("vllm:cache_config_info")
    block = 32 * roofline.kv_bytes_per_token(real.model, "FP32")
    assert int(info["block_size"]) == 32
    assert int(info["num_gpu_blocks"]) == real.settings.kv_bytes // block == 182
    assert int(info["kv_cache_size_tokens"]) == 182 * 32


def test_tokens_add_up(real):
    before = real.metrics()
    answers = chat.together(real.base_url, real.model, [prompt(length=20) for _ in range(8)], 16, ignore_eos=True)
    grown = real.metrics().since(before)
    assert grown["vllm:prompt_tokens_total"] == sum(a.prompt_tokens for a in answers) == 160
    assert grown["vllm:generation_tokens_total"] == sum(a.answer_tokens for a in answers) == 128
    assert grown["vllm:request_success_total"] == 8


def trio(e):
    """One long prefix asked cold, warm, and under another salt."""
    shared, before = calibrate.Prompts(1)(512), e.metrics()
    cold, warm, rival = (chat.ask(e.base_url, e.model, prompt(shared), 1, cache_salt=salt) for salt in "aab")
    assert (cold.cached_tokens, warm.cached_tokens, rival.cached_tokens) == (0, 512, 0)
    assert e.metrics().since(before)["vllm:prefix_cache_hits_total"] == 512
    return cold.ttft, warm.ttft, rival.ttft


@pytest.mark.alone
def test_a_warm_prefix_is_hit_and_saves_time_and_a_salt_keeps_it_apart(real):
    """A neighbour on the machine can spoil one measurement; the middle one of five it does not."""
    cold, warm, rival = (statistics.median(times) for times in zip(*(trio(real) for _ in range(5)), strict=True))
    assert warm < cold and warm < rival


def warm_over_cold(e):
    """The twin's ratio of warm to cold TTFT over the engine's: 1 is agreement."""
    speed = calibrate.measure(e.base_url, e.model).speed
    shared = calibrate.Prompts(2)(512)
    times = [chat.ask(e.base_url, e.model, prompt(shared), 1).ttft for _ in range(5)]
    model = twin.simulate([twin.Request(10.0 * i, twin.tokens(i, 526, 512), 1) for i in range(2)], speed).requests.ttft
    return (model[1] / model[0]) / (statistics.median(times[1:]) / times[0])


@pytest.mark.alone
def test_the_twin_calibrated_on_1_and_32_knows_what_a_warm_prefix_saves(real):
    """A neighbour on the machine can spoil one measurement; three in a row it does not. Rates: notebook 61."""
    found = []
    while len(found) < 3 and not (found and abs(found[-1] - 1) < 0.25):
        found.append(warm_over_cold(real))
    assert abs(found[-1] - 1) < 0.25, found


def test_an_awq_checkpoint_is_served_with_the_perplexity_of_its_weights(real):
    """Within what bfloat16 rounds away; INT8 is served in notebook 63, on which test_lessons looks."""
    name = quality.checkpoint(real.model, "-AWQ")
    source = places.models() / real.model
    tokens = quality.tokenize(real.base_url, real.model, quality.prose(0))[:120]
    with engine.running("vllm-cpu", model=name, dtype="bfloat16") as e:
        served = quality.perplexity(e.base_url, e.model, tokens)
    by_hand = checkpoints.restored(source.with_name(name), source).perplexity(tokens)
    assert served == pytest.approx(by_hand, rel=0.04)
    assert served > Llama(source).perplexity(tokens) * 0.98


def test_killed_in_mid_stream(real):
    """kill -9 while it answers: the client is told, nothing is left over, and the next start brings a new one."""
    family = [real.pid, *(child.pid for child in psutil.Process(real.pid).children(recursive=True))]
    pieces = chat.stream(real.base_url, real.model, "Tell me a long story.", 400)
    next(pieces)
    os.kill(real.pid, signal.SIGKILL)
    with pytest.raises(chat.StreamError, match=r"(was lost|ended the stream) after \d+ tokens"):
        for _ in pieces:
            pass
    assert all(gone(pid) for pid in [*family, real.keeper]) and not listening(real.port)
    again = engine.start("vllm-cpu")
    assert again.pid != real.pid
    assert chat.ask(again.base_url, again.model, QUESTION, 16).text == "The capital of France is Paris."
