"""A Llama in numpy: what the engine computes, on one screen, slowly. The oracle for texts, activations and perplexity.

The architecture is that of Touvron et al., "LLaMA: open and efficient foundation language models", 2023, section 2.2,
with grouped-query attention. Arrays are (tokens, ...); everything is float32.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

Floats = npt.NDArray[np.float32]
Tap = Callable[[str, Floats], None]


class Llama:
    """The model in `folder` (config.json and model.safetensors). `cache`: keys and values of each layer so far."""

    def __init__(self, folder: Path):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights: dict[str, Floats] = load_file(folder / "model.safetensors")
        self.reset()

    def reset(self) -> None:
        """Forget all tokens."""
        self.cache: list[tuple[Floats, Floats] | None] = [None] * self.config["num_hidden_layers"]

    @property
    def seen(self) -> int:
        """Tokens in the cache."""
        return 0 if self.cache[0] is None else len(self.cache[0][0])

    def __call__(self, tokens: Sequence[int], tap: Tap | None = None) -> Floats:
        """Logits (tokens, vocabulary) after `tokens`, which follow those in the cache.

        tap: called with the name of each matrix and its inputs (tokens, inputs) before they are multiplied.
        """
        embedding = self.weights["model.embed_tokens.weight"]
        x = embedding[list(tokens)]
        angles = self._angles(np.arange(self.seen, self.seen + len(tokens)))
        for i in range(len(self.cache)):
            x = x + self._attention(i, self._norm(x, f"model.layers.{i}.input_layernorm"), angles, tap)
            x = x + self._mlp(i, self._norm(x, f"model.layers.{i}.post_attention_layernorm"), tap)
        return self._norm(x, "model.norm") @ self.weights.get("lm_head.weight", embedding).T

    def generate(self, tokens: Sequence[int], count: int) -> list[int]:
        """`count` tokens after `tokens`, always the likeliest; prefill once, then a token at a time from the cache."""
        self.reset()
        made = [int(self(tokens)[-1].argmax())]
        while len(made) < count:
            made.append(int(self(made[-1:])[-1].argmax()))
        return made

    def perplexity(self, tokens: Sequence[int]) -> float:
        """exp of the mean surprise (-ln p) at each token but the first, given those before it."""
        self.reset()
        logits = self(tokens)[:-1]
        peak = logits.max(1)
        total = peak + np.log(np.exp(logits - peak[:, None]).sum(1))
        return float(np.exp(np.mean(total - logits[np.arange(len(logits)), list(tokens[1:])])))

    def _norm(self, x: Floats, name: str) -> Floats:
        scale = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + self.config["rms_norm_eps"])
        return np.asarray(x / scale * self.weights[f"{name}.weight"], np.float32)

    def _matrix(self, name: str, x: Floats, tap: Tap | None) -> Floats:
        if tap:
            tap(name, x)
        return x @ self.weights[f"{name}.weight"].T

    def _angles(self, positions: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Cosine and sine of the rotary embedding, (tokens, 1, head size)."""
        half = self.config["head_dim"] // 2
        speed = self.config["rope_theta"] ** (-np.arange(half) / half)
        turn = np.concatenate([positions[:, None] * speed] * 2, axis=1)[:, None]
        return np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32)

    def _attention(self, i: int, x: Floats, angles: tuple[Floats, Floats], tap: Tap | None) -> Floats:
        c, name = self.config, f"model.layers.{i}.self_attn"
        q, k, v = (self._matrix(f"{name}.{p}_proj", x, tap).reshape(len(x), -1, c["head_dim"]) for p in "qkv")
        q, k = _rotated(q, angles), _rotated(k, angles)
        if (past := self.cache[i]) is not None:
            k, v = np.concatenate([past[0], k]), np.concatenate([past[1], v])
        self.cache[i] = k, v
        share = c["num_attention_heads"] // c["num_key_value_heads"]        # queries per pair of key and value
        keys, values = k.repeat(share, 1).transpose(1, 2, 0), v.repeat(share, 1).transpose(1, 0, 2)
        scores = q.transpose(1, 0, 2) @ keys / np.sqrt(c["head_dim"])
        later = np.arange(len(k))[None] > np.arange(len(k) - len(x), len(k))[:, None]
        scores = np.exp(np.where(later, -np.inf, scores) - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ values
        return self._matrix(f"{name}.o_proj", mixed.transpose(1, 0, 2).reshape(len(x), -1).astype(np.float32), tap)

    def _mlp(self, i: int, x: Floats, tap: Tap | None) -> Floats:
        name = f"model.layers.{i}.mlp"
        gate = self._matrix(f"{name}.gate_proj", x, tap)
        return self._matrix(f"{name}.down_proj",
                            gate / (1 + np.exp(-gate)) * self._matrix(f"{name}.up_proj", x, tap), tap)


def _rotated(x: Floats, angles: tuple[Floats, Floats]) -> Floats:
    """Each pair (i, i + half) of a head turned by its angle."""
    half = x.shape[-1] // 2
    turned: Floats = np.concatenate([-x[..., half:], x[..., :half]], -1)
    return np.asarray(x * angles[0] + turned * angles[1], np.float32)
