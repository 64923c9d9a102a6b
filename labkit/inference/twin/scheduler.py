"""Continuous batching: every step runs one token of each running sequence and as much prefill as fits beside them.

The rules of vLLM's scheduler (v1/core/sched/scheduler.py in release 0.32, read, not copied): running sequences first,
in order of arrival; when blocks run out the youngest is preempted, its blocks freed, its work to be done again; then
waiting ones are admitted, the cached beginning of their prompt skipped, the rest cut into chunks that fill the step.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from labkit import ranges
from labkit.inference.twin.blocks import BlockPool, block_hashes


@dataclass
class Request:
    """One prompt and its answer.

    arrival: s. prompt: token numbers. answer: tokens to generate (>= 1). salt: keeps its blocks from other salts'.
    The rest is filled in as it is served. cached: prompt tokens that needed no work. times: s, of each token.
    """

    arrival: float
    prompt: list[int]
    answer: int
    salt: str = ""
    number: int = 0
    computed: int = 0
    cached: int = 0
    preempted: int = 0
    asked: bool = False
    blocks: list[int] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    made: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def known(self) -> int:
        """Tokens it has: prompt, and answer so far."""
        return len(self.prompt) + len(self.made)

    @property
    def done(self) -> bool:
        return len(self.made) >= self.answer


@dataclass(frozen=True)
class Schedule:
    """What one run of the model computes. work: (request, tokens) pairs. context: tokens whose KV it reads."""

    work: list[tuple[Request, int]]
    tokens: int
    context: int


class Scheduler:
    """Decides what each step computes, over a pool of KV blocks.

    step_tokens: most tokens a step computes (vLLM's max_num_batched_tokens). sequences: most that run at once.
    """

    def __init__(self, pool: BlockPool, step_tokens: int = 2048, sequences: int = 64):
        ranges.whole("Scheduler.step_tokens", step_tokens, 1)
        ranges.whole("Scheduler.sequences", sequences, 1)
        self.pool, self.step_tokens, self.sequences = pool, step_tokens, sequences
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self.queries = self.hits = self.preemptions = 0         # the first two in tokens, as vLLM counts
        self._count = 0

    def add(self, request: Request) -> None:
        """Queue a request; ValueError if it could never fit."""
        need = self._blocks(len(request.prompt) + request.answer)
        if need > self.pool.size:
            raise ValueError(f"a prompt of {len(request.prompt)} and an answer of {request.answer} tokens need {need} "
                             f"blocks; the pool has {self.pool.size}")
        self._count += 1
        request.number = self._count
        request.hashes = block_hashes(request.prompt, self.pool.block_size, request.salt) if self.pool.caching else []
        self.waiting.append(request)

    def drop(self, request: Request) -> None:
        """Its caller has gone: stop working for it."""
        if request in self.running:
            self.running.remove(request)
            self._release(request)
        elif request in self.waiting:
            self.waiting.remove(request)

    def schedule(self) -> Schedule:
        """The next step, empty if there is nothing to do."""
        budget = self.step_tokens
        work: list[tuple[Request, int]] = []
        short, i, context = False, 0, 0
        while i < len(self.running) and budget:
            request = self.running[i]
            left = len(request.prompt) + len(request.made) - request.computed       # `known`, on the hot path
            tokens = left if left < budget else budget
            while not self._grow(request, tokens):
                short = True
                self._preempt()
                if len(self.running) <= i:                      # it was the youngest itself
                    break
            else:
                work.append((request, tokens))
                budget -= tokens
                context += request.computed + tokens
                i += 1
        while not short and self.waiting and budget and len(self.running) < self.sequences:
            tokens = self._admit(self.waiting[0], budget)
            if not tokens:
                break
            request = self.waiting.popleft()
            self.running.append(request)
            work.append((request, tokens))
            budget -= tokens
            context += request.computed + tokens
        return Schedule(work, self.step_tokens - budget, context)

    def complete(self, step: Schedule, now: float) -> list[Request]:
        """The step is over at `now`; the requests that got a token from it."""
        served = []
        for request, tokens in step.work:
            if not request.blocks:                              # dropped meanwhile
                continue
            request.computed += tokens
            if request.computed == len(request.prompt) + len(request.made):
                request.made.append(-request.number * 1_000_000 - len(request.made))     # nobody else's token
                request.times.append(now)
                served.append(request)
                if len(request.made) >= request.answer:
                    self.running.remove(request)
                    self._release(request)
        return served

    def _admit(self, request: Request, budget: int) -> int:
        """Find what is cached, take blocks for the rest; tokens to compute now, 0 if there is no room."""
        # the last token is always computed: its output is the first token of the answer
        found = self.pool.find(request.hashes[:(request.known - 1) // self.pool.block_size])
        cached = len(found) * self.pool.block_size
        tokens = min(request.known - cached, budget)
        if not self.pool.available(self._blocks(cached + tokens) - len(found), found):
            return 0
        self.pool.share(found)
        request.blocks, request.computed = list(found), cached
        if not request.asked:
            request.asked, request.cached = True, cached
            self.queries += len(request.prompt)
            self.hits += cached
        self._grow(request, tokens)
        return tokens

    def _grow(self, request: Request, tokens: int) -> bool:
        """Have blocks for `tokens` more; False if there are not enough."""
        start, size = request.computed, self.pool.block_size
        end = start + tokens
        missing = -(-end // size) - len(request.blocks)
        if missing > 0:
            if not self.pool.available(missing):
                return False
            request.blocks += self.pool.take(missing)
        # a block is named when the step that fills it is planned: others in the same step can share it already
        for i in range(start // size, min(end // size, len(request.hashes))):
            self.pool.name(request.blocks[i], request.hashes[i])
        return True

    def _preempt(self) -> None:
        """The youngest loses its blocks and starts over, first in the queue."""
        victim = self.running.pop()
        self._release(victim)
        victim.preempted += 1
        self.preemptions += 1
        self.waiting.appendleft(victim)

    def _release(self, request: Request) -> None:
        self.pool.give_back(request.blocks)
        request.blocks, request.computed = [], 0

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.pool.block_size)
