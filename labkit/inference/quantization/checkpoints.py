"""Quantized checkpoints of the small model, built here and served by vLLM: AWQ with 4 bits, and INT8.

The file formats are AutoAWQ's "gemm" and compressed-tensors' "int-quantized", as vLLM 0.32 reads them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from labkit import ranges
from labkit.inference.quantization import rounding
from labkit.inference.quantization.llama import Llama
from labkit.progress import progress

Floats = npt.NDArray[np.float32]
GROUP = 32                  # inputs that share a scale; AWQ's usual 128 does not divide this model's 576
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)        # how AutoAWQ lays eight 4-bit numbers into 32 bits
FORMATS = ("AWQ", "RTN", "INT8")
INT8 = {"quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
        "ignore": ["lm_head"], "config_groups": {"group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False},
            "input_activations": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token",
                                  "dynamic": True}}}}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm",
       "modules_to_not_convert": None}


def build(source: Path, form: str, text: Sequence[int] = ()) -> Path:
    """The checkpoint of `source` in `form`, beside it; built once, in 5 to 40 s.

    form: "INT8" (8-bit weights per row, inputs rounded on the fly), "RTN" (4-bit groups, just rounded) or "AWQ" (the
    same, after scaling by what the inputs are like on `text`, token numbers, a few hundred). A half-built folder never
    counts. ValueError for a bad form, or AWQ without text.
    """
    ranges.one_of("form", form, FORMATS)
    if form == "AWQ" and len(text) < 16:
        raise ValueError(f"text = {len(text)} tokens: AWQ needs at least 16 to see what the inputs are like")
    target = source.with_name(f"{source.name}-{form}")
    if (target / "complete").exists():
        return target
    half = source.with_name(f"{target.name}.half")
    for folder in (target, half):
        shutil.rmtree(folder, ignore_errors=True)
    half.mkdir()
    weights = load_file(source / "model.safetensors")
    if form == "AWQ":
        scale(weights, source, text)
    save_file(_int8(weights) if form == "INT8" else _int4(weights), half / "model.safetensors",
              metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config |= {"dtype": "bfloat16", "quantization_config": INT8 if form == "INT8" else AWQ}
    (half / "config.json").write_text(json.dumps(config, indent=1))
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(source / name, half)
    (half / "complete").touch()
    half.rename(target)
    return target


def restored(folder: Path, source: Path) -> Llama:
    """The numpy model with the weights a quantized checkpoint stands for: its perplexity without any engine."""
    model = Llama(source)
    stored = load_file(folder / "model.safetensors")
    for name in model.weights:
        stem = name.removesuffix(".weight")
        if f"{stem}.qweight" in stored:
            model.weights[name] = _unpack(stored, stem)
        elif f"{name}_scale" in stored:
            model.weights[name] = (stored[name] * stored[f"{name}_scale"]).astype(np.float32)
        else:
            model.weights[name] = stored[name].astype(np.float32)
    return model


def scale(weights: dict[str, Floats], source: Path, text: Sequence[int]) -> None:
    """AWQ: multiply the columns of important inputs, and divide what produces those inputs by the same."""
    inputs: dict[str, Floats] = {}
    model = Llama(source)
    model(text, lambda name, x: inputs.__setitem__(name, x))
    layers = range(model.config["num_hidden_layers"])
    for i in progress(layers, "AWQ, layer", len(layers)):
        at = f"model.layers.{i}"
        for producer, readers in ((f"{at}.input_layernorm", [f"{at}.self_attn.{p}_proj" for p in "qkv"]),
                                  (f"{at}.post_attention_layernorm", [f"{at}.mlp.gate_proj", f"{at}.mlp.up_proj"]),
                                  (f"{at}.mlp.up_proj", [f"{at}.mlp.down_proj"])):
            # o_proj is left as it is: its inputs come from fewer heads than it has, so nothing can be divided
            factor, _ = rounding.awq_scale([weights[f"{r}.weight"] for r in readers], inputs[readers[0]],
                                           lambda w: rounding.asymmetric(w, 4, GROUP))
            for reader in readers:
                weights[f"{reader}.weight"] = weights[f"{reader}.weight"] * factor
            made = weights[f"{producer}.weight"]
            weights[f"{producer}.weight"] = made / (factor[:, None] if made.ndim == 2 else factor)


def _int8(weights: dict[str, Floats]) -> dict[str, npt.NDArray[Any]]:
    found: dict[str, npt.NDArray[Any]] = {}
    for name, weight in weights.items():
        if name.endswith("_proj.weight"):
            q = rounding.symmetric(weight, 8)
            found[name], found[f"{name}_scale"] = q.numbers[:, 0].astype(np.int8), q.scales[:, 0]
        else:
            found[name] = weight.astype(np.float16)
    return found


def _int4(weights: dict[str, Floats]) -> dict[str, npt.NDArray[Any]]:
    found: dict[str, npt.NDArray[Any]] = {}
    for name, weight in weights.items():
        stem = name.removesuffix(".weight")
        if name.endswith("_proj.weight"):
            q = rounding.asymmetric(weight, 4, GROUP)
            found[f"{stem}.qweight"] = _pack(q.numbers.reshape(weight.shape).T)
            found[f"{stem}.qzeros"] = _pack(q.zeros[:, :, 0].T)
            found[f"{stem}.scales"] = np.ascontiguousarray(q.scales[:, :, 0].T).astype(np.float16)
        else:
            found[name] = weight.astype(np.float16)
    return found


def _pack(numbers: npt.NDArray[np.int16]) -> npt.NDArray[np.int32]:
    """(rows, columns) of numbers 0 to 15 as (rows, columns / 8) of 32 bits."""
    eights = numbers.reshape(numbers.shape[0], -1, 8).astype(np.uint32)
    packed = np.zeros(eights.shape[:2], np.uint32)
    for place, column in enumerate(ORDER):
        packed |= eights[:, :, column] << np.uint32(4 * place)
    return packed.view(np.int32)


def _unpack(stored: dict[str, npt.NDArray[Any]], stem: str) -> Floats:
    """The weight (outputs, inputs) of a packed matrix."""
    def numbers(packed: npt.NDArray[np.int32]) -> Floats:
        eights = np.empty((*packed.shape, 8), np.float32)
        for place, column in enumerate(ORDER):
            eights[:, :, column] = (packed.view(np.uint32) >> np.uint32(4 * place)) & np.uint32(15)
        return eights.reshape(packed.shape[0], -1)

    zeros, scales = (numbers(stored[f"{stem}.qzeros"]).repeat(GROUP, 0),
                     stored[f"{stem}.scales"].astype(np.float32).repeat(GROUP, 0))
    return np.ascontiguousarray(((numbers(stored[f"{stem}.qweight"]) - zeros) * scales).T)
