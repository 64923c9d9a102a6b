"""How near does plain torch come to the bound? Decode-shaped steps of the catalogue's models, with random weights.

    python gpu_setup/measure_gpu.py --out l4.json               every model that fits, batch 1 to 64
    python gpu_setup/measure_gpu.py --models Qwen3-0.6B --batches 1,8 --context 512 --quick

Needs torch and nothing else. Each step reads every weight of a model once and the keys and values of the batch, as an
engine's does; there is no tokenizer and no scheduler: what is missing to the bound is the hardware's and the kernels'.
On a GPU a step is captured as a CUDA graph. Writes JSON: machine, date, versions, a row per model and batch.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from labkit.inference import catalogue

NAMES = {"T4": "T4", "L4": "L4", "A10G": "A10G", "A100-SXM4-40": "A100-40", "A100-PCIE-40": "A100-40",
         "A100-SXM4-80": "A100-80", "A100 80": "A100-80", "H100": "H100", "H200": "H200"}


class Decoder:
    """The matrices of a model, random, and one decode step over them."""

    def __init__(self, m: catalogue.Model, device: str, dtype: torch.dtype):
        def matrix(rows: int, columns: int) -> torch.Tensor:
            return torch.randn(rows, columns, device=device, dtype=dtype) * 0.02

        inner, outer = m.heads * m.head_size, m.kv_heads * m.head_size
        self.m, self.device, self.dtype = m, device, dtype
        self.layers = [(matrix(inner + 2 * outer, m.hidden), matrix(m.hidden, inner),
                        matrix((2 if m.gated else 1) * m.mlp, m.hidden), matrix(m.hidden, m.mlp))
                       for _ in range(m.layers)]
        self.output = matrix(m.vocabulary, m.hidden)

    def bytes(self) -> int:
        """Of all matrices: what a step reads of weights."""
        return sum(w.nbytes for layer in self.layers for w in layer) + self.output.nbytes

    def cache(self, batch: int, context: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of `context` tokens for each of `batch` sequences, in every layer."""
        shape = (batch, self.m.kv_heads, context, self.m.head_size)
        return [(torch.randn(shape, device=self.device, dtype=self.dtype),
                 torch.randn(shape, device=self.device, dtype=self.dtype)) for _ in self.layers]

    def step(self, x: torch.Tensor, cache: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """One token for each row of `x` (batch, hidden)."""
        m, inner = self.m, self.m.heads * self.m.head_size
        for (qkv, out, up, down), (keys, values) in zip(self.layers, cache, strict=True):
            q = F.linear(x, qkv)[:, :inner].view(-1, m.kv_heads, m.heads // m.kv_heads, m.head_size)
            # the queries of a group see the same keys: they are the rows of one product, and the keys are read once
            mixed = F.scaled_dot_product_attention(q, keys, values).reshape(-1, inner)
            x = x + F.linear(mixed, out)
            wide = F.linear(x, up)
            wide = F.silu(wide[:, :m.mlp]) * wide[:, m.mlp:] if m.gated else F.gelu(wide)
            x = F.rms_norm(x + F.linear(wide, down), (m.hidden,))
        return F.linear(x, self.output)


def seconds(decoder: Decoder, batch: int, context: int, rounds: int) -> float:
    """Median seconds of a step."""
    x = torch.randn(batch, decoder.m.hidden, device=decoder.device, dtype=decoder.dtype)
    cache = decoder.cache(batch, context)
    cuda = decoder.device == "cuda"
    for _ in range(2):
        decoder.step(x, cache)
    work = lambda: decoder.step(x, cache)                       # noqa: E731
    if cuda:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            decoder.step(x, cache)
        work = graph.replay
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def copy_bandwidth(device: str) -> float:
    """GB/s, reading plus writing, of a copy of 1 GiB (128 MiB on a CPU)."""
    source = torch.ones((1 << 30 if device == "cuda" else 1 << 27) // 4, device=device)
    target, best = torch.empty_like(source), float("inf")
    for _ in range(5):
        start = time.perf_counter()
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best / 1e9


def rows(m: catalogue.Model, batches: list[int], context: int, device: str, card: catalogue.Gpu | None, rounds: int,
         bandwidth: float) -> list[dict[str, object]]:
    """A row per batch size that fits in memory."""
    found: list[dict[str, object]] = []
    dtype = torch.float16 if device == "cuda" else torch.float32
    try:
        decoder = Decoder(m, device, dtype)
        for batch in batches:
            took = seconds(decoder, batch, context, rounds)
            kv = 2 * m.layers * m.kv_heads * m.head_size * dtype.itemsize * batch * context
            least = (decoder.bytes() + kv) / ((card.bandwidth if card else bandwidth) * 1e9)
            memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else float("nan")
            found.append({"model": m.name, "batch": batch, "context": context, "ms": round(took * 1000, 3),
                          "tokens_per_s": round(batch / took, 1), "bound": round(batch / least, 1),
                          "ratio": round(least / took, 3), "GiB": None if memory != memory else round(memory, 2)})
            print("  ".join(f"{key} {value}" for key, value in found[-1].items()), flush=True)
    except torch.OutOfMemoryError:
        print(f"{m.name}: does not fit" + (f" beyond batch {found[-1]['batch']}" if found else ""), flush=True)
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return found


def main() -> int:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(catalogue.MODELS), help="names of the catalogue, by comma")
    parser.add_argument("--batches", default="1,2,4,8,16,32,64")
    parser.add_argument("--context", type=int, default=512, help="tokens each sequence has behind it")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="5 steps instead of 30")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    try:
        wanted = [catalogue.model(name) for name in chosen.models.split(",")]
        batches = [int(batch) for batch in chosen.batches.split(",")]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    name = torch.cuda.get_device_name() if chosen.device == "cuda" else platform.processor() or platform.machine()
    card = next((catalogue.GPUS[short] for sign, short in NAMES.items() if sign in name), None)
    bandwidth = copy_bandwidth(chosen.device)
    print(f"{name}: copy {bandwidth:.0f} GB/s" + (f", data sheet {card.bandwidth:.0f}" if card else ""), flush=True)
    with torch.inference_mode():
        found = [row for m in wanted for row in rows(m, batches, chosen.context, chosen.device, card,
                                                     5 if chosen.quick else 30, bandwidth)]
    record = {"machine": name, "date": str(date.today()), "torch": torch.__version__,
              "bound": f"{card.name} data sheet" if card else "copy bandwidth measured",
              "copy_GB_per_s": round(bandwidth, 1), "rows": found}
    if chosen.out:
        chosen.out.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
