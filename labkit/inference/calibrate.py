"""Measure this machine and its engine, so that bound, twin and real engine can stand in one picture.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np

from labkit.inference import catalogue, roofline
from labkit.inference.catalogue import Gpu
from labkit.inference.twin.simulate import Speed
from labkit.wire import chat

BATCHES = (1, 32)           # where the engine is measured; all other batch sizes are the twin's to predict
LONG, SHORT = 512, 32       # tokens of the long prompt, and of those of a batch
VOCABULARY = 40_000         # made-up prompts use token numbers below this


def copy_bandwidth(megabytes: int = 256, rounds: int = 5) -> float:
    """GB/s of memory traffic, reading plus writing, of the fastest of some copies of an array by one thread."""
    source = np.ones(megabytes * 131_072)
    target = np.empty_like(source)
    return 2 * source.nbytes / _fastest(lambda: np.copyto(target, source), rounds) / 1e9


def matmul_rate(size: int = 1536, rounds: int = 5) -> float:
    """TFLOP/s of the fastest of some products of two float32 matrices of `size` x `size`, with numpy's own threads."""
    a = np.random.default_rng(0).random((size, size), dtype=np.float32)
    return float(2 * size**3 / _fastest(lambda: a @ a, rounds) / 1e12)


def this_cpu() -> Gpu:
    """This machine as a row of the table of accelerators, measured just now (about a second)."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / roofline.GIB
    return Gpu("this CPU", copy_bandwidth(), memory, matmul_rate(), None, 0.0, f"measured here, {date.today()}")


@dataclass(frozen=True)
class Calibration:
    """The speed of an engine, from batches of 1 and 32, and what it came from, in seconds.

    step: batch size to the time of a decode step. tiny, long: time to first token of a prompt of 1 and of 512 tokens,
    alone.
    """

    speed: Speed
    step: dict[int, float]
    tiny: float
    long: float

    def efficiency(self, machine: Gpu, model: str, quantization: str = "FP32") -> tuple[float, float]:
        """Shares of the machine's bandwidth (while decoding) and of its matmul rate (during prefill) it reaches."""
        m = catalogue.model(model)
        return (roofline.read_bytes(m, quantization) / self.speed.weights / (machine.bandwidth * 1e9),
                2 * m.linear / self.speed.token / (machine.fp16 * 1e12))


def measure(base_url: str, model: str, answer: int = 32, seed: int = 0) -> Calibration:
    """Measure an engine that nobody else uses just now (10 to 30 s on a CPU). StreamError if it fails."""
    prompts = Prompts(seed)
    chat.ask(base_url, model, prompts(SHORT), 2, ignore_eos=True)                     # the first is always slow
    tiny = statistics.median(chat.ask(base_url, model, prompts(1), 1).ttft for _ in range(5))
    long = statistics.median(chat.ask(base_url, model, prompts(LONG), 1).ttft for _ in range(3))
    step = {n: decode_step([prompts(SHORT) for _ in range(n)], base_url, model, answer) for n in BATCHES}
    return Calibration(solve(step, tiny, long), step, tiny, long)


def solve(step: dict[int, float], tiny: float, long: float) -> Speed:
    """Speed from the time of decode steps at two batch sizes and the TTFT of prompts of 1 and of 512 tokens.

    With w the weights, t a token, s a sequence and r a request: step(n) = w + n (t + s), TTFT(p) = r + w + p t + s.
    The context's share is left at 0: at the few hundred tokens of these lessons it hides in the others.

    >>> v = solve({1: 0.042, 32: 0.104}, tiny=0.049, long=0.56)
    >>> [round(x * 1000, 2) for x in (v.weights, v.token, v.sequence, v.request)]
    [40.0, 1.0, 1.0, 7.0]
    """
    (few, first), (many, last) = sorted(step.items())
    each = max(0.0, (last - first) / (many - few))
    # times of a busy machine may fit no such sum
    weights, token = max(0.0, first - few * each), max(0.0, (long - tiny) / (LONG - 1))
    return Speed(weights, 0.0, token, max(0.0, each - token), max(0.0, tiny - weights - max(token, each)))


def decode_step(prompts: list[list[int]], base_url: str, model: str, answer: int = 32) -> float:
    """Median seconds between two tokens while all of `prompts` are being answered together."""
    answers = chat.together(base_url, model, prompts, answer, ignore_eos=True)
    start, stop = max(a.times[0] for a in answers), min(a.times[-1] for a in answers)
    gaps = [b - a for one in answers for a, b in zip(one.times, one.times[1:], strict=False)
            if start <= a and b <= stop]
    return statistics.median(gaps or [gap for one in answers for gap in one.gaps])


def throughput(base_url: str, model: str, batch: int, prompt: int = SHORT, answer: int = 64, seed: int = 0) -> float:
    """Answer tokens per second of `batch` callers at once, from the first request to the last token."""
    prompts = Prompts(1000 * batch + seed)
    answers = chat.together(base_url, model, [prompts(prompt) for _ in range(batch)], answer, ignore_eos=True)
    span = max(a.times[-1] for a in answers) - min(a.sent for a in answers)
    return sum(a.answer_tokens for a in answers) / span


class Prompts:
    """Prompts of random tokens, no two alike, so that nothing is found in the cache."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng([seed, time.time_ns() % 2**32])

    def __call__(self, length: int) -> list[int]:
        return [int(token) for token in self.rng.integers(1000, VOCABULARY, length)]


def _fastest(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
