"""A simulated twin of the engine: vLLM's scheduler as a discrete-event model, with a step time from the roofline.

In virtual time (`simulate`, on SimPy) it answers in milliseconds what takes the real engine minutes; in real time,
behind the OpenAI protocol, it stands in for the engine on machines that cannot run one (`twin.server`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import simpy

from labkit import files, ranges
from labkit.inference import catalogue, roofline
from labkit.inference.catalogue import Gpu, Model
from labkit.inference.twin.blocks import BlockPool
from labkit.inference.twin.scheduler import Request, Schedule, Scheduler


@dataclass(frozen=True)
class Speed:
    """How long a step takes, in seconds.

    weights: reading the model, once a step. context: reading the KV of one token. token: computing one token.
    sequence: what each sequence costs besides (sampling, the output matrix, Python). request: what a request costs
    before and after the engine (HTTP, tokenizing). overlap: whether reading and computing go on at the same time, as on
    a GPU; on a CPU the same cores do both. source: where the numbers are from.
    """

    weights: float
    context: float
    token: float
    sequence: float = 0.0
    request: float = 0.0
    overlap: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("weights", "context", "token", "sequence", "request"):
            ranges.number(f"Speed.{name}", getattr(self, name), 0)

    def __str__(self) -> str:
        parts = ((self.weights, "for the weights"), (self.token, "a token"), (self.sequence, "a sequence"),
                 (self.request, "a request"))
        return "; ".join(f"{seconds * 1000:.2f} ms {what}" for seconds, what in parts)

    def seconds(self, tokens: int, context: int, sequences: int) -> float:
        """Of a step that computes `tokens` tokens of `sequences` sequences with `context` tokens behind them."""
        reading, computing = self.weights + self.context * context, self.token * tokens
        return (max(reading, computing) if self.overlap else reading + computing) + self.sequence * sequences


def from_roofline(model: str | Model, gpu: str | Gpu, quantization: str = "FP16", memory: float = 0.8,
                  compute: float = 0.5, sequence: float = 0.0, overlap: bool = True) -> Speed:
    """The roofline times an efficiency: `memory` and `compute` are the shares of bandwidth and peak rate reached.

    0.8 of the bandwidth is what four published measurements and NVIDIA's own planner agree on for an L4.
    """
    ranges.number("memory", memory, 0, 1, above=True)
    ranges.number("compute", compute, 0, 1, above=True)
    m, g = catalogue.model(model), catalogue.gpu(gpu)
    bandwidth, rate = g.bandwidth * 1e9 * memory, roofline.peak_rate(g, quantization) * compute
    kv = roofline.kv_bytes_per_token(m, quantization)
    return Speed(roofline.read_bytes(m, quantization) / bandwidth, kv / bandwidth, 2 * m.active / rate, sequence,
                 overlap=overlap, source=f"roofline of {m.name} {quantization} on {g.name}, {memory:.0%} of bandwidth")


def measured(dtype: str = "float32") -> Speed:
    """Of SmolLM2-135M under vLLM on the CPU that `data/measured_cpu.json` names: what the twin is by default."""
    record = json.loads(files.data("measured_cpu.json").read_text())
    speed = record["speeds"].get(dtype) or record["speeds"]["float32"]
    return Speed(**speed, source=f"{record['engine']} measured on {record['machine']}, {record['date']}")


@dataclass(frozen=True)
class Result:
    """What happened. requests: a row each, in order of arrival, times in s. steps: a row per step of the engine.

    requests: arrival, ttft, itl (mean of the gaps), e2e, prompt, cached, answer, preempted.
    steps: start, seconds, tokens, sequences, waiting, usage (share of the KV blocks).
    """

    requests: pd.DataFrame
    steps: pd.DataFrame
    scheduler: Scheduler

    @property
    def span(self) -> float:
        """Seconds from the first arrival to the last token."""
        return float((self.requests.arrival + self.requests.e2e).max() - self.requests.arrival.min())

    @property
    def throughput(self) -> float:
        """Answer tokens per second over the whole run."""
        return float(self.requests.answer.sum() / self.span)


def simulate(requests: Sequence[Request], speed: Speed, blocks: int = 182, block_size: int = 32, caching: bool = True,
             step_tokens: int = 2048, sequences: int = 64, patience: float = float("inf")) -> Result:
    """Serve `requests` in virtual time, until all are answered or `patience` s have passed.

    blocks, block_size: of the KV pool; the defaults are what 256 MiB give SmolLM2 in float32. ValueError for a request
    that could never fit.
    """
    scheduler = Scheduler(BlockPool(blocks, block_size, caching), step_tokens, sequences)
    env = simpy.Environment()
    news = [env.event()]
    steps: list[tuple[float, float, int, int, int, float]] = []

    def arrive() -> Iterator[Any]:
        for request in sorted(requests, key=lambda r: r.arrival):
            yield env.timeout(max(0.0, request.arrival + speed.request - env.now))
            scheduler.add(request)
            if not news[0].triggered:
                news[0].succeed()

    def serve() -> Iterator[Any]:
        while True:
            step = scheduler.schedule()
            if not step.work:
                news[0] = env.event()
                yield news[0]
                continue
            seconds = duration(step, speed)
            steps.append((env.now, seconds, step.tokens, len(step.work), len(scheduler.waiting), scheduler.pool.usage))
            yield env.timeout(seconds)
            scheduler.complete(step, env.now)

    arrivals = env.process(arrive())
    env.process(serve())
    if patience < float("inf"):
        env.run(until=patience)
    else:
        env.run(until=arrivals)
        while scheduler.waiting or scheduler.running:
            env.step()
    return Result(_table(requests), pd.DataFrame(
        steps, columns=["start", "seconds", "tokens", "sequences", "waiting", "usage"]), scheduler)


def duration(step: Schedule, speed: Speed) -> float:
    """Seconds the step takes."""
    return speed.seconds(step.tokens, step.context, len(step.work))


def burst(count: int, prompt: int = 32, answer: int = 64, shared: int = 0) -> list[Request]:
    """`count` requests at time 0; the first `shared` of their `prompt` tokens are the same, the rest their own."""
    return [Request(0.0, tokens(i, prompt, shared), answer) for i in range(count)]


def poisson(rate: float, duration: float, prompt: int = 32, answer: int = 64, shared: int = 0,
            seed: int = 0) -> list[Request]:
    """Requests arriving at random, `rate` per second on average, for `duration` seconds; at least one."""
    ranges.number("rate", rate, 0, above=True)
    ranges.number("duration", duration, 0, above=True)
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, max(1, int(rate * duration * 2 + 20))))
    kept = times[times < duration] if times[0] < duration else times[:1]
    return [Request(float(t), tokens(i, prompt, shared), answer) for i, t in enumerate(kept)]


def tokens(number: int, length: int, shared: int = 0) -> list[int]:
    """A prompt of `length` made-up tokens; the first `shared` are the same for every `number`."""
    ranges.whole("prompt", length, 1)
    ranges.whole("shared", shared, 0, length)
    return [*range(shared), *(1_000_000 * (number + 1) + i for i in range(shared, length))]


def _table(requests: Sequence[Request]) -> pd.DataFrame:
    rows = [(r.arrival, r.times[0] - r.arrival, (r.times[-1] - r.times[0]) / max(1, len(r.times) - 1),
             r.times[-1] - r.arrival, len(r.prompt), r.cached, len(r.times), r.preempted)
            for r in sorted(requests, key=lambda r: r.arrival) if r.times]
    return pd.DataFrame(rows, columns=["arrival", "ttft", "itl", "e2e", "prompt", "cached", "answer", "preempted"])
