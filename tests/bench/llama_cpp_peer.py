"""The same weights in llama.cpp, by its Python package: a GGUF file is written from a folder, then decoded greedily.

Needs `llama-cpp-python` and `gguf`, which the project itself does not use; `absent()` says what is missing.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

TYPES = {"float32": "F32", "bfloat16": "BF16", "int8": "Q8_0", "int4": "Q4_0"}


def absent() -> str | None:
    """Why it cannot run; None if it can."""
    missing = [name for name in ("llama_cpp", "gguf") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed (pip install llama-cpp-python gguf)" if missing else None


def write_gguf(folder: Path, kind: str, path: Path) -> Path:
    """The Llama, Qwen 2 or Qwen 3 MoE in `folder` as a GGUF file without a vocabulary, matrices in that type."""
    gguf: Any = importlib.import_module("gguf")

    config = json.loads((folder / "config.json").read_text("utf-8"))
    family, heads, kv_heads = config["model_type"], config["num_attention_heads"], config["num_key_value_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    writer = gguf.GGUFWriter(path, family.replace("_", ""))
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    if experts := config.get("num_local_experts", 0):
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config["num_experts_per_tok"])
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
        writer.add_key_length(head_size)
        writer.add_value_length(head_size)
    wanted = gguf.GGMLQuantizationType[TYPES[kind]]
    names = {"embed_tokens": "token_embd", "norm": "output_norm"}
    inner = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        "mlp.gate": "ffn_gate_inp",
        "mlp.experts.gate_proj": "ffn_gate_exps",
        "mlp.experts.up_proj": "ffn_up_exps",
        "mlp.experts.down_proj": "ffn_down_exps",
    }
    for name, tensor in _with_stacked_experts(load_file(folder / "model.safetensors"), experts).items():
        if name == "lm_head.weight":
            continue
        stem, _, what = name.removeprefix("model.").rpartition(".")
        if stem.startswith("layers."):
            _, index, part = stem.split(".", 2)
            target = f"blk.{index}.{inner[part]}.{what}"
            if family == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj"):
                tensor = _permuted(tensor, heads if "q_proj" in part else kv_heads)
        else:
            target = f"{names[stem]}.{what}"
        numbers = tensor.float().numpy()
        if tensor.dim() == 1 or stem.endswith("mlp.gate"):
            writer.add_tensor(target, numbers)
        else:
            writer.add_tensor(target, gguf.quants.quantize(numbers, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class LlamaCpp:
    """A GGUF model, decoded one token at a time by the C functions themselves."""

    def __init__(self, path: Path, *, context: int, threads: int) -> None:
        llama_cpp: Any = importlib.import_module("llama_cpp")

        self._library = llama_cpp
        self._silent = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self._silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = context
        settings.n_batch = settings.n_ubatch = 512
        settings.n_threads = settings.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, settings)
        assert self._context, "llama.cpp did not load the model"
        self._size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))

    def greedy(self, prompt: list[int], count: int) -> tuple[list[int], float, float]:
        """The ids, and the seconds until the first one and in all."""
        self._library.llama_memory_clear(self._library.llama_get_memory(self._context), True)
        start = time.perf_counter()
        ids = [self._next(prompt)]
        first = time.perf_counter() - start
        while len(ids) < count:
            ids.append(self._next(ids[-1:]))
        return ids, first, time.perf_counter() - start

    def close(self) -> None:
        self._library.llama_free(self._context)
        self._library.llama_model_free(self._model)

    def _next(self, ids: list[int]) -> int:
        tokens = (self._library.llama_token * len(ids))(*ids)
        failed = self._library.llama_decode(self._context, self._library.llama_batch_get_one(tokens, len(ids)))
        assert not failed
        logits = np.ctypeslib.as_array(self._library.llama_get_logits_ith(self._context, -1), shape=(self._size,))
        return int(logits.argmax())


def _with_stacked_experts(tensors: dict[str, torch.Tensor], experts: int) -> dict[str, torch.Tensor]:
    """The experts' matrices of a layer as one tensor each: "...mlp.experts.gate_proj.weight"."""
    whole = {name: tensor for name, tensor in tensors.items() if ".experts." not in name}
    for name in [name for name in tensors if ".experts.0." in name]:
        parts = [tensors[name.replace(".experts.0.", f".experts.{index}.")] for index in range(experts)]
        whole[name.replace(".experts.0.", ".experts.")] = torch.stack(parts)
    return whole


def _permuted(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of each head in pairs, as llama.cpp turns them for Llama."""
    return weight.view(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)
