"""Fewer bits per weight: rounding by hand, checkpoints that vLLM serves, a numpy model as oracle, and what it costs."""

from labkit.inference.quantization.quality import checkpoint, compare, perplexity, tokenize
from labkit.inference.quantization.rounding import asymmetric, awq_scale, output_error, symmetric

__all__ = ["asymmetric", "awq_scale", "checkpoint", "compare", "output_error", "perplexity", "symmetric", "tokenize"]
