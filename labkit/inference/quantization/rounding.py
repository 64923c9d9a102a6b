"""Fewer bits per weight: int8 per row, int4 per group, and AWQ's trick of protecting the channels that matter.

Shapes: a weight is (outputs, inputs), as torch and Hugging Face store it; inputs are (tokens, inputs).
AWQ: Lin et al., "AWQ: Activation-aware weight quantization for on-device LLM compression and acceleration",
MLSys 2024, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labkit import ranges

Floats = npt.NDArray[np.float32]
ALPHAS = tuple(np.linspace(0, 1, 11).round(1).tolist())


@dataclass(frozen=True)
class Quantized:
    """Whole numbers and what turns them back: (numbers - zeros) * scales.

    numbers: (outputs, groups, group size). scales, zeros: (outputs, groups, 1). bits: of one number.
    """

    numbers: npt.NDArray[np.int16]
    scales: Floats
    zeros: npt.NDArray[np.int16]
    bits: int

    @property
    def bits_per_weight(self) -> float:
        """Bits in memory per weight: the number, and its share of a 16-bit scale and of a zero, if there is one."""
        extra = 16 + (self.bits if self.zeros.any() else 0)
        return float(self.bits + extra / self.numbers.shape[2])

    def weight(self) -> Floats:
        """The weight that is left, (outputs, inputs)."""
        restored = (self.numbers - self.zeros) * self.scales
        return restored.reshape(restored.shape[0], -1).astype(np.float32)


def symmetric(weight: Floats, bits: int = 8, group: int = 0) -> Quantized:
    """Round to whole multiples of a scale, zero staying zero. group: inputs that share a scale; 0 = the whole row."""
    blocks = _blocks(weight, bits, group)
    top = 2 ** (bits - 1) - 1
    scales = np.maximum(np.abs(blocks).max(2, keepdims=True) / top, 1e-8).astype(np.float32)
    numbers = np.clip(np.round(blocks / scales), -top - 1, top).astype(np.int16)
    return Quantized(numbers, scales, np.zeros_like(scales, np.int16), bits)


def asymmetric(weight: Floats, bits: int = 4, group: int = 32) -> Quantized:
    """Round to 2**bits levels between the smallest and the largest weight of each group (zero is always a level)."""
    blocks = _blocks(weight, bits, group)
    top = 2**bits - 1
    high, low = np.maximum(blocks.max(2, keepdims=True), 0), np.minimum(blocks.min(2, keepdims=True), 0)
    scales = np.maximum((high - low) / top, 1e-8).astype(np.float32)
    zeros = np.clip(np.round(-low / scales), 0, top).astype(np.int16)
    numbers = np.clip(np.round(blocks / scales) + zeros, 0, top).astype(np.int16)
    return Quantized(numbers, scales, zeros, bits)


def output_error(weight: Floats, other: Floats, inputs: Floats) -> float:
    """How far the outputs of `other` are from those of `weight` on `inputs`: RMS of the difference over RMS."""
    return float(np.sqrt(np.mean((inputs @ (other - weight).T) ** 2) / np.mean((inputs @ weight.T) ** 2)))


def awq_scale(weights: Sequence[Floats], inputs: Floats,
              rounded: Callable[[Floats], Quantized]) -> tuple[Floats, float]:
    """The factor per input channel, from a family of eleven, with the smallest output error after rounding.

    Multiply the columns of large inputs before rounding and divide the inputs: nothing changes but the rounding, and
    those columns get finer steps. The family is mean(|input|)**alpha for alpha in 0, 0.1 ... 1. weights: all that read
    the same inputs. Returns (factors, alpha).
    """
    size = np.abs(inputs).mean(0) + 1e-6
    best, chosen = np.inf, (np.ones_like(size), 0.0)
    for alpha in ALPHAS:
        factor = (size**alpha).astype(np.float32)
        factor /= np.sqrt(factor.max() * factor.min())
        error = sum(output_error(w, rounded(w * factor).weight() / factor, inputs) ** 2 for w in weights)
        if error < best:
            best, chosen = error, (factor, alpha)
    return chosen


def _blocks(weight: Floats, bits: int, group: int) -> Floats:
    ranges.whole("bits", bits, 2, 8)
    outputs, inputs = weight.shape
    group = group or inputs
    if group < 1 or inputs % group:
        raise ValueError(f"group = {group}: must divide the {inputs} inputs")
    return weight.reshape(outputs, inputs // group, group)
