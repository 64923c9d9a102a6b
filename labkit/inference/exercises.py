"""The exercises of notebooks 60 to 63: each judges an answer in the terms of its lesson."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.course.quiz import Exercise, close_to, kind
from labkit.inference import roofline, twin
from labkit.inference.quantization import rounding
from labkit.inference.twin.blocks import block_hashes
from labkit.inference.twin.scheduler import Request

# ------------------------------------------------------------------------------------------------ 60
BOUND = Exercise("60.1", close_to(
    1 / (0.5 * 4.02e9 / 320e9), 0.04, "too slow: half a byte a weight is 2.01 GB to read; a T4 reads 320 GB a second",
    "faster than memory allows: every weight is read for every token"))
SLO = Exercise("60.2", close_to(
    int((0.5 - 0.08) * 41.5) + 1, 0.0, "more fit: after the first token 420 ms are left, and one takes 24.1",
    "that is more than fits: the first token comes at 80 ms, and every other takes 24.1 ms"))

TABLE = """model,gpu,quantization,batch,context,tokens_per_s
Qwen3-8B,L4,FP16,1,200,16.1
Qwen3-8B,L4,AWQ,1,200,71.0
Qwen3-8B,L4,AWQ,8,200,310.0
Llama-3-8B,A100-40,FP16,1,200,140.0
Llama-3-8B,H100,FP8,1,200,260.0"""


def _liars(rows: Any) -> str | None:
    judged = roofline.judge(TABLE)
    wrong = {i + 1 for i in range(len(judged)) if judged.verdict[i] == "impossible"}
    if isinstance(rows, str) or not all(isinstance(row, int | np.integer) for row in rows):
        return "a list of row numbers is wanted, such as [1, 3]"
    given = set(rows)
    if given - set(range(1, len(judged) + 1)):
        return f"the table has the rows 1 to {len(judged)}"
    if given - wrong:
        return f"row {min(given - wrong)} is below its bound: possible, whatever else it is"
    return f"{len(wrong - given)} more cannot be true" if wrong - given else None


LIARS = Exercise("60.3", _liars)

# ------------------------------------------------------------------------------------------------ 61
_EACH = (32 / 934.4 - 1 / 41.5) / 31
_STEP = 1 / 41.5 + 11 * _EACH
TWELVE = Exercise("61.1", close_to(
    12 / _STEP, 0.01, "a step for twelve takes less than that: 24.1 ms, and 11 times what one more caller adds",
    "a step for twelve takes longer than that: each caller adds a third of a millisecond to it",
    [(12 * 41.5, "that is twelve callers for the price of one: each adds something to the step"),
     (41.5 + 11 / 31 * (934.4 - 41.5), "it is the time of a step that grows in a straight line with the callers; their "
      "tokens per second do not"),
     (12 / 32 * 934.4, "that is three eighths of batch 32, as if the step took as long: with fewer callers it is "
      "shorter"),
     (1 / _STEP, "that is what each of them gets; all together?"),
     (_STEP, "that is how long the step takes, in seconds; how many tokens does it make?"),
     (_STEP * 1000, "that is how long the step takes, in milliseconds; how many tokens does it make?")]))
SEQUENCES = Exercise("61.2", close_to(
    roofline.max_sequences("Qwen3-8B", "L4", 4096), 0.0,
    "more fit: 2 x layers x KV heads x head size x 2 bytes a token, in what is left of 0.9 of the memory",
    "that many do not fit beside 16.4 GB of weights and 1.2 GiB of overhead",
    [(6.73, "whole conversations: one that fits only in part does not run")]))


def _smallest_pool(mib: Any) -> str | None:
    def preemptions(size: float) -> int:
        blocks = int(size * 2**20 // (32 * roofline.kv_bytes_per_token("SmolLM2-135M-Instruct", "FP32")))
        return twin.simulate(twin.burst(16, 40, 150), twin.measured(), blocks).scheduler.preemptions

    if preemptions(mib):
        return f"with {mib} MiB the twin preempts {preemptions(mib)} times"
    return None if preemptions(mib * 0.97) else "less would do: count the blocks of 32 tokens that 190 tokens need"


POOL = Exercise("61.3", _smallest_pool)

# ------------------------------------------------------------------------------------------------ 62


def _shared_blocks(numbers: Any) -> str | None:
    base = list(range(100))
    others = [base[:64] + [7] * 40, [9, *base], base[:], base[:96] + [5] * 4]
    for i, (other, given) in enumerate(zip(others, list(numbers), strict=True)):
        same = sum(a == b for a, b in zip(block_hashes(base, 32), block_hashes(other, 32), strict=False))
        same = min(same, (len(other) - 1) // 32)
        if given != same:
            return f"prompt {i + 1}: a block is found only if it is full and everything before it is equal, too"
    return None


SHARED = Exercise("62.1", _shared_blocks)


def _halves(prefix: Any) -> str | None:
    def saved(length: int) -> float:
        speed = twin.measured()
        pair = [Request(60.0 * i, twin.tokens(i, length + 20, length), 16) for i in range(2)]
        rows = twin.simulate(pair, speed, blocks=400).requests
        return float(1 - rows.e2e[1] / rows.e2e[0])

    if isinstance(prefix, bool | str) or not hasattr(prefix, "__float__"):
        return f"a number of tokens is wanted; this is {kind(prefix)}"
    if prefix % 32 or prefix <= 0:
        return "only full blocks of 32 tokens are found again"
    prefix = int(prefix)
    if saved(prefix) < 0.5:
        return f"a prefix of {prefix} tokens saves {saved(prefix):.0%} of the whole answer"
    return None if saved(prefix - 32) < 0.5 else "one block less would do"


HALVES = Exercise("62.2", _halves)
PARTS = {"instructions": 1, "handbook": 2, "history": 3, "time": 4, "question": 5}


def _order(parts: Any) -> str | None:
    if sorted(parts) != sorted(PARTS):
        return f"each of {', '.join(PARTS)} once, please"
    order = [PARTS[part] for part in parts]
    if parts.index("time") < 3:
        return "the time changes with every request: nothing after it is ever found again"
    if parts.index("history") < 2:
        return "the history belongs to one conversation: what all conversations share comes before it"
    return None if order in ([1, 2, 3, 4, 5], [2, 1, 3, 4, 5], [1, 2, 3, 5, 4], [2, 1, 3, 5, 4]) else \
        "what changes least comes first"


ORDER = Exercise("62.3", _order)

# ------------------------------------------------------------------------------------------------ 63
BITS = Exercise("63.1", close_to(
    4 + 8 / 16, 0.002, "each number has its four bits, and a share of what its group of sixteen has in common",
    "sixteen numbers share one scale of eight bits, and there is no zero",
    [(4.0, "the scale has to be stored, too: eight bits for each group"),
     (4 + 20 / 16, "that is with a scale of 16 bits and a zero of 4, as in the cell above; here it is 8 and none"),
     (4 + 16 / 16, "that is with a scale of 16 bits; here it has 8"),
     (4 + 12 / 16, "that is with a zero of 4 bits; here there is none"),
     (4 + 8 / 32, "that is with groups of 32: MXFP4, the sister format; here sixteen share a scale"),
     (4.0 + 8, "the scale is not stored for each number: sixteen share it"),
     (16 * 4 + 8, "that is a whole group; how many bits is that for one of its numbers?")]))


def matrix(outliers: float = 20.0, seed: int = 5) -> tuple[Any, Any]:
    """A weight (256, 512) and inputs (128, 512) of which eight channels are `outliers` times as large, as in LLMs."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 0.02, (256, 512)).astype(np.float32)
    inputs = rng.normal(0, 1, (128, 512)).astype(np.float32)
    inputs[:, rng.choice(512, 8, replace=False)] *= outliers
    return weight, inputs


def _cheapest(answer: Any) -> str | None:
    bits, group = answer
    weight, inputs = matrix()

    def cost(b: int, g: int) -> tuple[float, float]:
        q = rounding.asymmetric(weight, b, g)
        return q.bits_per_weight, rounding.output_error(weight, q.weight(), inputs)

    size, error = cost(bits, group)
    if error > 0.05:
        return f"{bits} bits in groups of {group} are off by {error:.1%}"
    better = [(b, g) for b in range(2, 9) for g in (16, 32, 64, 128, 256, 512)
              if cost(b, g)[1] <= 0.05 and cost(b, g)[0] < size - 1e-9]
    return f"good enough, at {size:.2f} bits a weight; there is something smaller" if better else None


CHEAPEST = Exercise("63.2", _cheapest)


def _card(answer: Any) -> str | None:
    gpu, form = answer
    order = ["T4", "L4", "A10G", "A100-40", "A100-80", "H100", "H200"]
    if roofline.max_sequences("Llama-3-8B", gpu, 2048, quantization=form) < 20:
        return (f"{form} on {gpu}: room for {roofline.max_sequences('Llama-3-8B', gpu, 2048, quantization=form)} "
                "conversations of 2,048 tokens")
    bound = roofline.decode_bound("Llama-3-8B", gpu, 20, 2048, form)
    if bound * 0.8 / 20 < 20:
        return f"{form} on {gpu}: {bound * 0.8 / 20:.0f} tokens/s for each of twenty, at four fifths of the bound"
    smaller = [g for g in order[:order.index(gpu)] for f in ("FP16", "FP8", "AWQ")
               if roofline.max_sequences("Llama-3-8B", g, 2048, quantization=f) >= 20
               and roofline.decode_bound("Llama-3-8B", g, 20, 2048, f) * 0.8 / 20 >= 20]
    return "that will do, and so would a smaller card" if smaller else None


CARD = Exercise("63.3", _card)
