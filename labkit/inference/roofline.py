"""What the hardware allows: a decode step reads every weight once and every key and value of the batch.

The time of a step is at least the larger of (bytes read / bandwidth) and (operations / peak rate): the roofline of
Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", CACM 52(4), 2009, section 3.
It is a bound, so anything measured above it was measured wrongly; good engines reach 0.7 to 0.85 of it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from labkit import ranges
from labkit.inference import catalogue
from labkit.inference.catalogue import Gpu, Model

# bits a weight of the layers takes. AWQ and GPTQ: 4 bits, and per group of 128 weights a 16-bit scale and a 4-bit zero
BITS = {"FP32": 32.0, "FP16": 16.0, "FP8": 8.0, "INT8": 8.0, "AWQ": 4 + 20 / 128, "GPTQ": 4 + 20 / 128}
OVERHEAD = 1.2              # GiB that CUDA, activations and captured graphs take beside weights and KV (vLLM, L4)
GIB = 2**30


def weight_bytes(model: str | Model, quantization: str = "FP16") -> float:
    """Bytes of the weights in memory: the layers as quantized, embedding and output in 16 bits (32 for FP32).

    >>> round(weight_bytes("Mistral-7B", "AWQ") / 1e9, 2)
    4.15
    """
    m, bits = catalogue.model(model), _bits(quantization)
    outer = 4 if quantization == "FP32" else 2
    return m.linear * bits / 8 + m.embedding * outer * (1 if m.tied else 2)


def read_bytes(model: str | Model, quantization: str = "FP16") -> float:
    """Bytes of weights a decode step reads: all but the embedding, of which it looks up a row per sequence."""
    m, bits = catalogue.model(model), _bits(quantization)
    return m.linear * bits / 8 + m.embedding * (4 if quantization == "FP32" else 2)


def kv_bytes_per_token(model: str | Model, quantization: str = "FP16") -> int:
    """Bytes of keys and values one token leaves behind: 2 x layers x KV heads x head size x bytes of a number.

    quantization: of the weights, one of `BITS`. Keys and values stay in the arithmetic of the activations: 4 bytes for
    FP32, 2 for all others.

    >>> kv_bytes_per_token("Phi-2") // 1024, kv_bytes_per_token("Llama-3-8B") // 1024
    (320, 128)
    """
    m, width = catalogue.model(model), 4 if _bits(quantization) == 32 else 2
    return 2 * m.layers * m.kv_heads * m.head_size * width


class StepSeconds(NamedTuple):
    """The least time of one decode step, taken apart, in seconds: reading weights and keys and values, arithmetic."""

    weights: float
    kv: float
    compute: float

    @property
    def reading(self) -> float:
        """Seconds of memory traffic."""
        return self.weights + self.kv

    @property
    def bound(self) -> float:
        """Seconds the step takes at least: reading and computing overlap."""
        return max(self.reading, self.compute)


def step_seconds(model: str | Model, gpu: str | Gpu, batch: int = 1, context: int = 512,
                 quantization: str = "FP16") -> StepSeconds:
    """The parts of a decode step; parameters and errors as in `decode_bound`."""
    ranges.whole("batch", batch, 1)
    ranges.whole("context", context, 0)
    m, g = catalogue.model(model), catalogue.gpu(gpu)
    bandwidth = g.bandwidth * 1e9
    return StepSeconds(read_bytes(m, quantization) / bandwidth,
                       kv_bytes_per_token(m, quantization) * batch * context / bandwidth,
                       2 * m.active * batch / peak_rate(g, quantization))


def decode_bound(model: str | Model, gpu: str | Gpu, batch: int = 1, context: int = 512,
                 quantization: str = "FP16") -> float:
    """Most tokens per second, over all sequences, that decoding can reach.

    batch: sequences in a step (>= 1). context: tokens each has behind it (>= 0). Keys and values are 16-bit (32 for
    FP32). FP8 multiplies at the FP8 rate where the card has one. ValueError for an unknown name or a bad number.

    >>> round(decode_bound("Phi-2", "L4")), round(decode_bound("Mistral-7B", "L4", quantization="AWQ"))
    (55, 76)
    """
    return batch / step_seconds(model, gpu, batch, context, quantization).bound


def prefill_bound(model: str | Model, gpu: str | Gpu, prompt: int = 512, quantization: str = "FP16") -> float:
    """Most prompt tokens per second that one prefill of `prompt` tokens can reach.

    Two operations per weight of the layers and token, the attention of each token to those before it, and the output
    matrix once; or the time to read the weights, for short prompts.

    >>> round(500 / prefill_bound("Phi-2", "L4", 500) * 1000)           # ms at the full 121 TFLOP/s
    21
    """
    ranges.whole("prompt", prompt, 1)
    m, g = catalogue.model(model), catalogue.gpu(gpu)
    attention = 2 * m.layers * m.heads * m.head_size * prompt**2        # scores and values, half of them masked
    work = 2 * m.linear * prompt + 2 * m.embedding + attention
    return prompt / max(work / peak_rate(g, quantization), read_bytes(m, quantization) / (g.bandwidth * 1e9))


def kv_tokens(model: str | Model, gpu: str | Gpu, utilization: float = 0.9, quantization: str = "FP16") -> int:
    """Tokens whose keys and values fit beside the weights; 0 if not even the weights do.

    utilization: share of the memory the engine may take (vLLM's gpu_memory_utilization), in (0, 1].
    """
    ranges.number("utilization", utilization, 0, 1, above=True)
    m, g = catalogue.model(model), catalogue.gpu(gpu)
    room = (g.memory * utilization - OVERHEAD) * GIB - weight_bytes(m, quantization)
    return max(0, int(room / kv_bytes_per_token(m, quantization)))


def max_sequences(model: str | Model, gpu: str | Gpu, context: int = 2048, utilization: float = 0.9,
                  quantization: str = "FP16") -> int:
    """Sequences of `context` tokens that fit at the same time.

    >>> max_sequences("Llama-3-8B", "L4"), max_sequences("Llama-3-8B", "L4", quantization="AWQ")
    (16, 54)
    """
    ranges.whole("context", context, 1)
    return kv_tokens(model, gpu, utilization, quantization) // context


def table(gpus: Sequence[str] = ("T4", "L4", "A100-40", "A100-80", "H100", "H200"), batch: int = 1,
          context: int = 512, names: Sequence[str] = ("Phi-2", "Mistral-7B", "Llama-3-8B"),
          formats: Sequence[str] = ("FP16", "FP8", "AWQ")) -> pd.DataFrame:
    """Bounds in tokens/s for each model and format (rows) on each GPU (columns); NaN where it does not fit."""
    rows = {(name, form): [decode_bound(name, gpu, batch, context, form)
                           if kv_tokens(name, gpu, quantization=form) >= batch * context else float("nan")
                           for gpu in gpus] for name in names for form in formats}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(gpus)).rename_axis("model, format")


def judge(table: str | pd.DataFrame | Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Hold any benchmark table against the bound.

    table: CSV text, rows or a DataFrame with `model`, `gpu` and `tokens_per_s`, and, where known, `quantization`
    (FP16), `batch` (1) and `context` (512). Returns it with `bound` and `ratio`, and `verdict`: "impossible" above the
    bound, "does not fit" in the card's memory, "too good" above 0.9 (no engine we know of gets there), "plausible", or
    "slow" below 0.3 (something else is the limit); and `note`, which names rows that are an exact multiple of the
    batch-1 row, as measurements never are. ValueError names the row and the field that is wrong.
    """
    rows = pd.read_csv(io.StringIO(table.strip())) if isinstance(table, str) else pd.DataFrame(table).copy()
    rows.columns = [str(name).strip() for name in rows.columns]
    missing = [name for name in ("model", "gpu", "tokens_per_s") if name not in rows]
    if missing:
        raise ValueError(f"table: columns {', '.join(missing)} missing; it has {', '.join(rows.columns)}")
    for name, usual in (("quantization", "FP16"), ("batch", 1), ("context", 512)):
        rows[name] = (rows[name] if name in rows else pd.Series(usual, index=rows.index)).fillna(usual)
    rows = rows.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    found = [_judge(i, row) for i, (_, row) in enumerate(rows.iterrows())]
    rows = rows.assign(bound=[f[0] for f in found], ratio=[f[1] for f in found], verdict=[f[2] for f in found])
    return rows.assign(note=_interpolated(rows))


def _judge(i: int, row: pd.Series[Any]) -> tuple[float, float, str]:
    try:
        rate, batch, context = float(row["tokens_per_s"]), int(row["batch"]), int(row["context"])
        ranges.number("tokens_per_s", rate, 0, above=True)
        bound = decode_bound(row["model"], row["gpu"], batch, context, row["quantization"])
        room = kv_tokens(row["model"], row["gpu"], 1.0, row["quantization"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"table, row {i + 1}: {error}") from None
    ratio = rate / bound
    if room < batch * context:
        return bound, ratio, "does not fit"
    return bound, ratio, ("impossible" if ratio > 1 else "too good" if ratio > 0.9 else
                          "slow" if ratio < 0.3 else "plausible")


def _interpolated(rows: pd.DataFrame) -> list[str]:
    """Notes on rows whose rate is batch x that of batch 1, to a tenth of a percent: the cost of company is missing."""
    notes = []
    for _, row in rows.iterrows():
        same = rows[(rows.model == row.model) & (rows.gpu == row.gpu) & (rows.quantization == row.quantization)]
        one = same.loc[same.batch == 1, "tokens_per_s"]
        exact = row.batch > 1 and any(abs(row.tokens_per_s / (rate * row.batch) - 1) < 1e-3 for rate in one)
        notes.append(f"exactly {row.batch} x batch 1" if exact else "")
    return notes


def _bits(quantization: str) -> float:
    ranges.one_of("quantization", quantization, BITS)
    return BITS[quantization]


def peak_rate(gpu: Gpu, quantization: str) -> float:
    """Operations per second of the data sheet; weights of 4 bits are widened to 16 before they are multiplied."""
    return (gpu.fp8 if quantization == "FP8" and gpu.fp8 else gpu.fp16) * 1e12
