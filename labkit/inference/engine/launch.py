"""What an engine is asked to be, and the command line that makes it so."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from labkit import ranges
from labkit.inference import catalogue
from labkit.inference.engine import install, places

KINDS = ("vllm-gpu", "vllm-cpu", "twin")
DTYPES = ("float32", "bfloat16", "float16", "auto")
MIB = 2**20


@dataclass(frozen=True)
class Settings:
    """One engine. Two processes that ask for equal settings share one.

    kind: "vllm-gpu", "vllm-cpu" or "twin". model: a name of the catalogue, or the folder of a checkpoint.
    dtype: of the arithmetic; float32 gives the same text at every batch size, bfloat16 is faster where the CPU has AMX.
    kv_bytes: memory for keys and values; always set on a CPU, for vLLM would take nearly all there is (22 of 24 GB).
    max_sequences: how many run in one step. context: tokens a sequence may have, prompt included.
    prefix_caching: whether equal beginnings are computed once. threads: of the arithmetic, 0 = chosen by `threads_for`.
    """

    kind: str
    model: str = install.DEFAULT_MODEL
    dtype: str = "float32"
    kv_bytes: int = 256 * MIB
    max_sequences: int = 64
    context: int = 2048
    prefix_caching: bool = True
    threads: int = 0

    def __post_init__(self) -> None:
        ranges.one_of("Settings.kind", self.kind, KINDS)
        ranges.one_of("Settings.dtype", self.dtype, DTYPES)
        ranges.whole("Settings.kv_bytes", self.kv_bytes, MIB)
        ranges.whole("Settings.max_sequences", self.max_sequences, 1, 1024)
        ranges.whole("Settings.context", self.context, 64)
        ranges.whole("Settings.threads", self.threads, 0, 256)

    @property
    def key(self) -> str:
        """Name of its folder: equal settings, equal name."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:10]
        return f"{self.kind}-{digest}"

    @property
    def name(self) -> str:
        """What a client calls the model."""
        return Path(self.model).name


def threads_for(settings: Settings) -> int:
    """Threads of the arithmetic on a CPU: all cores but one for the rest of us, and one if the machine is busy.

    vLLM's threads wait for each other in busy loops: with two threads and one busy neighbour on two cores not one
    batch finished in 44 s, with one thread it ran at full speed.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0] > cores / 2
    return settings.threads or (1 if busy else max(1, min(cores - 1, 8)))


def command(settings: Settings, port: int) -> tuple[list[str], dict[str, str | None]]:
    """The command line of the engine, listening on 127.0.0.1:`port`, and variables to set (None: to remove) for it."""
    if settings.kind == "twin":
        return ([sys.executable, "-m", "labkit.inference.twin.server", str(port), json.dumps(asdict(settings))],
                {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)})
    arguments = [install.python(install.platform_of(settings.kind)), "-m", "vllm.entrypoints.openai.api_server",
                 "--host", "127.0.0.1", "--port", port, "--model", checkpoint(settings.model),
                 "--served-model-name", settings.name, "--dtype", settings.dtype, "--max-model-len", settings.context,
                 "--max-num-seqs", settings.max_sequences, "--enable-prompt-tokens-details",
                 "--enable-prefix-caching" if settings.prefix_caching else "--no-enable-prefix-caching"]
    # the first start compiles the modules, the next ones need not; a KV size in the environment would overrule ours
    variables: dict[str, str | None] = {
        "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "WARNING", "PYTHONPATH": None,
        "PYTHONDONTWRITEBYTECODE": None, "VLLM_CPU_KVCACHE_SPACE": None}
    if Path(checkpoint(settings.model)).is_dir():
        variables |= {"HF_HUB_OFFLINE": "1"}
    if settings.kind == "vllm-cpu":
        # 32 is the smallest block the CPU's attention takes; compiling would take a minute to save a tenth
        arguments += ["--enforce-eager", "--block-size", 32, "--kv-cache-memory-bytes", settings.kv_bytes]
        variables |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": str(threads_for(settings)),
                      "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return [*map(str, arguments)], variables


def checkpoint(model: str) -> str:
    """What vLLM is to load: the folder given, or one in the cache, or the model's name at the hub."""
    cached = places.models() / model
    if Path(model).is_dir() or not cached.is_dir():
        return catalogue.MODELS[model].hub if model in catalogue.MODELS else model
    return str(cached)
