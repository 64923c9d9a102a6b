"""What quantization costs: size, speed and perplexity of the small model's checkpoints, on the real engine."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from labkit import files, ranges
from labkit.inference import calibrate, engine
from labkit.inference.engine import launch, places
from labkit.inference.quantization import checkpoints
from labkit.progress import progress
from labkit.wire import chat

SAMPLE = 400                # tokens of text whose perplexity is measured
QUESTION = "What is the capital of France?"
FORMS = {"float32": ("", "float32"), "bfloat16": ("", "bfloat16"), "INT8": ("-INT8", "bfloat16"),
         "4 bits, rounded": ("-RTN", "bfloat16"), "4 bits, AWQ": ("-AWQ", "bfloat16")}


def prose(part: int) -> str:
    """Part 0 (to be measured) or 1 (to calibrate on) of `data/prose.txt`, text from this course."""
    return files.data("prose.txt").read_text(encoding="utf-8").split("=====")[part].strip()


def tokenize(base_url: str, model: str, text: str) -> list[int]:
    """The token numbers of a text, by the engine's own tokenizer."""
    return [int(token) for token in post(base_url.removesuffix("/v1") + "/tokenize",
                                          {"model": model, "prompt": text})["tokens"]]


def detokenize(base_url: str, model: str, tokens: Sequence[int]) -> str:
    """The text of token numbers."""
    return str(post(base_url.removesuffix("/v1") + "/detokenize", {"model": model, "tokens": [*tokens]})["prompt"])


def perplexity(base_url: str, model: str, tokens: Sequence[int]) -> float:
    """exp of the mean surprise (-ln p) at each token but the first; EngineError on the twin, which has no model."""
    answer = post(f"{base_url}/completions", {"model": model, "prompt": [*tokens], "max_tokens": 1, "temperature": 0,
                                               "prompt_logprobs": 0})
    logs = answer["choices"][0].get("prompt_logprobs")
    if not logs:
        raise engine.EngineError("this engine gives no probabilities of a prompt: the twin has no model inside")
    return math.exp(-sum(entry[str(token)]["logprob"] for entry, token in zip(logs[1:], tokens[1:], strict=True))
                    / (len(tokens) - 1))


def compare(forms: Sequence[str] = tuple(FORMS)) -> Iterator[dict[str, Any]]:
    """One row per form, as it is measured: MB of the file, tokens/s for 1 and 8 callers, perplexity, and one answer.

    Builds the checkpoints if need be and starts one engine after the other: about 20 s each on two cores, AWQ 40 s the
    first time. ValueError for a form that is none of `FORMS`.
    """
    for form in forms:
        ranges.one_of("form", form, FORMS)
    source = places.models() / launch.Settings("vllm-cpu").model
    for form, (ending, dtype) in progress([(form, FORMS[form]) for form in forms], "checkpoints", len(forms)):
        with engine.running("vllm-cpu", dtype=dtype, model=checkpoint(source.name, ending)) as e:
            sample = tokenize(e.base_url, e.model, prose(0))[:SAMPLE]
            yield {"form": form, "MB": round(_size(source.name, ending, dtype) / 1e6),
                   **{f"tokens/s, {n} at once": round(max(calibrate.throughput(e.base_url, e.model, n)
                                                          for _ in range(2)), 1) for n in (1, 8)},
                   "perplexity": round(perplexity(e.base_url, e.model, sample), 2),
                   "answer": chat.ask(e.base_url, e.model, QUESTION, 14).text}


def checkpoint(name: str, ending: str) -> str:
    """Build what `ending` names, with the source model's own tokenizer, unless it is there."""
    source = places.models() / name
    if ending and not (places.models() / f"{name}{ending}" / "complete").exists():
        text: list[int] = []
        if ending == "-AWQ":
            with engine.running("vllm-cpu") as e:
                text = tokenize(e.base_url, e.model, prose(1))[:SAMPLE]
        checkpoints.build(source, ending[1:], text)
    return name + ending


def _size(name: str, ending: str, dtype: str) -> float:
    """Bytes of the weights as the engine holds them: the file's, or half for a float32 file read as 16-bit."""
    bytes_ = (places.models() / f"{name}{ending}" / "model.safetensors").stat().st_size
    return bytes_ / 2 if not ending and dtype != "float32" else bytes_


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST JSON and read JSON; EngineError in one line if the engine refuses or is not there."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise engine.EngineError(f"the engine refused ({error.code}): {error.read().decode()[:300]}") from None
    except OSError as error:
        raise engine.EngineError(f"no engine answers at {url}: {error}") from None
