"""The catalogue: every model and every accelerator the lessons name, with the numbers their limits follow from.

Plain Python, nothing imported, so that `gpu_setup/measure_gpu.py` can use it on a machine with torch alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A decoder-only transformer, from its config.json.

    parameters: how many, all of them.
    layers: the depth.
    hidden, mlp: widths of the residual stream and of the MLP.
    heads, kv_heads: of queries, and of keys and values.
    head_size: numbers per head.
    vocabulary: tokens.
    tied: whether the output matrix is the embedding.
    licence: of the weights.
    hub: name at huggingface.co.
    gated: whether the MLP has three matrices (Llama) or two (Phi-2).
    checkpoints: ready quantized ones, (format, name at the hub).
    """

    name: str
    parameters: int
    layers: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    tied: bool
    licence: str
    hub: str
    gated: bool = True
    checkpoints: tuple[tuple[str, str], ...] = ()

    @property
    def embedding(self) -> int:
        """Parameters of one embedding matrix."""
        return self.vocabulary * self.hidden

    @property
    def linear(self) -> int:
        """Parameters of the layers, which quantization shrinks; embedding and output stay in 16 bits."""
        return self.parameters - self.embedding * (1 if self.tied else 2)

    @property
    def active(self) -> int:
        """Parameters a token is multiplied with: the layers and the output matrix; the embedding is looked up."""
        return self.linear + self.embedding


@dataclass(frozen=True)
class Gpu:
    """An accelerator, or a CPU seen as one, from its data sheet unless measured.

    bandwidth: GB/s (1e9 bytes) of its memory.
    memory: GiB that programs can use.
    fp16, fp8: dense TFLOP/s of matrix products, fp8 None where there is none.
    capability: NVIDIA's compute capability, 0 for a CPU.
    """

    name: str
    bandwidth: float
    memory: float
    fp16: float
    fp8: float | None
    capability: float
    source: str


# parameters, layers, hidden, mlp, heads, kv_heads, head_size, vocabulary, tied: config.json at the named hub page,
# read in the years given; the number of parameters follows from them (a test recounts it)
MODELS = {model.name: model for model in (
    # the tiers of the essay of 2025
    Model("Phi-2", 2_779_683_840, 32, 2560, 10240, 32, 32, 80, 51200, False, "MIT", "microsoft/phi-2", gated=False),
    Model("Mistral-7B", 7_241_732_096, 32, 4096, 14336, 32, 8, 128, 32000, False, "Apache-2.0",
          "mistralai/Mistral-7B-Instruct-v0.2", checkpoints=(("AWQ", "TheBloke/Mistral-7B-Instruct-v0.2-AWQ"),)),
    Model("Llama-3-8B", 8_030_261_248, 32, 4096, 14336, 32, 8, 128, 128256, False, "Llama 3 Community",
          "meta-llama/Meta-Llama-3-8B-Instruct", checkpoints=(
              ("AWQ", "casperhansen/llama-3-8b-instruct-awq"),
              ("FP8", "RedHatAI/Meta-Llama-3-8B-Instruct-FP8"))),
    # today's choice for the same tiers, and what runs on any laptop
    Model("SmolLM2-135M-Instruct", 134_515_008, 30, 576, 1536, 9, 3, 64, 49152, True, "Apache-2.0",
          "HuggingFaceTB/SmolLM2-135M-Instruct"),
    Model("Qwen3-0.6B", 596_049_920, 28, 1024, 3072, 16, 8, 128, 151936, True, "Apache-2.0", "Qwen/Qwen3-0.6B"),
    Model("Qwen3-1.7B", 1_720_574_976, 28, 2048, 6144, 16, 8, 128, 151936, True, "Apache-2.0", "Qwen/Qwen3-1.7B"),
    Model("Qwen3-4B", 4_022_468_096, 36, 2560, 9728, 32, 8, 128, 151936, True, "Apache-2.0", "Qwen/Qwen3-4B",
          checkpoints=(("AWQ", "Qwen/Qwen3-4B-AWQ"),)),
    Model("Qwen3-8B", 8_190_735_360, 36, 4096, 12288, 32, 8, 128, 151936, False, "Apache-2.0", "Qwen/Qwen3-8B",
          checkpoints=(("AWQ", "Qwen/Qwen3-8B-AWQ"), ("FP8", "Qwen/Qwen3-8B-FP8"))),
    Model("Llama-3.2-1B", 1_235_814_400, 16, 2048, 8192, 32, 8, 64, 128256, True, "Llama 3.2 Community",
          "meta-llama/Llama-3.2-1B-Instruct"),
    Model("Llama-3.2-3B", 3_212_749_824, 28, 3072, 8192, 24, 8, 128, 128256, True, "Llama 3.2 Community",
          "meta-llama/Llama-3.2-3B-Instruct"),
)}

# usable memory is what the driver reports, a little less than the name on the box
GPUS = {gpu.name: gpu for gpu in (
    Gpu("T4", 320, 15.0, 65, None, 7.5, "NVIDIA T4 data sheet, 2019"),
    Gpu("L4", 300, 22.49, 121, 242, 8.9, "NVIDIA L4 data sheet, 2023"),
    Gpu("A10G", 600, 22.3, 70, None, 8.6, "NVIDIA A10G data sheet, 2021"),
    Gpu("A100-40", 1555, 39.4, 312, None, 8.0, "NVIDIA A100 data sheet, 2020"),
    Gpu("A100-80", 2039, 79.2, 312, None, 8.0, "NVIDIA A100 data sheet, 2021"),
    Gpu("H100", 3350, 79.1, 989, 1979, 9.0, "NVIDIA H100 SXM data sheet, 2023"),
    Gpu("H200", 4800, 139.8, 989, 1979, 9.0, "NVIDIA H200 data sheet, 2024"),
)}


def model(name: str | Model) -> Model:
    """The model called `name`; ValueError lists the catalogue."""
    if isinstance(name, Model):
        return name
    if name not in MODELS:
        raise ValueError(f"model = {name!r}: must be one of " + ", ".join(map(repr, MODELS)))
    return MODELS[name]


def gpu(name: str | Gpu) -> Gpu:
    """The accelerator called `name`; ValueError lists them."""
    if isinstance(name, Gpu):
        return name
    if name not in GPUS:
        raise ValueError(f"gpu = {name!r}: must be one of " + ", ".join(map(repr, GPUS)))
    return GPUS[name]


def counted(m: Model) -> int:
    """The parameters of `m`, counted from its shapes. Qwen3 normalizes queries and keys; Phi-2 has biases."""
    inner, outer = m.heads * m.head_size, m.kv_heads * m.head_size
    matrices = 2 * m.hidden * inner + 2 * m.hidden * outer + (3 if m.gated else 2) * m.hidden * m.mlp
    if m.gated:
        extra, end = 2 * m.hidden + (2 * m.head_size if m.name.startswith("Qwen3") else 0), m.hidden
    else:
        extra = 2 * m.hidden + inner + 2 * outer + m.hidden + m.mlp + m.hidden
        end = 2 * m.hidden + m.vocabulary
    return m.layers * (matrices + extra) + end + m.embedding * (1 if m.tied else 2)
