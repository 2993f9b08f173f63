"""Models that the measurements run on: shapes of real ones with random weights, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "SmolLM2-135M": (
        "llama",
        {
            "vocab_size": 49152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "head_dim": 64,
            "max_position_embeddings": 8192,
        },
    ),
    "Qwen2.5-0.5B": (
        "qwen2",
        {
            "vocab_size": 151936,
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
        },
    ),
    "Qwen3-MoE-1B": (
        "qwen3_moe",
        {
            "vocab_size": 49152,
            "hidden_size": 1024,
            "moe_intermediate_size": 384,
            "num_hidden_layers": 12,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "num_experts": 64,
            "num_experts_per_tok": 8,
            "norm_topk_prob": True,
            "max_position_embeddings": 8192,
        },
    ),
}
"""Name -> kind of architecture and its settings; embeddings are tied, and nothing ends a text. The last one is half as
wide and a quarter as deep as Qwen3-30B-A3B, with half of its experts."""

GPU_SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama-3-8B": (
        "llama",
        {
            "vocab_size": 128256,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 8192,
        },
    ),
}
"""Made in bfloat16, and only where they are asked for."""

POCKET = Path(__file__).parents[2] / "backends" / "ambidex_backends" / "local" / "pocket"


def random_model(name: str, folder: Path) -> Path:
    """A model of that shape in `folder`, unless it is there; speed does not depend on values."""
    if (folder / "tokenizer.json").exists():
        return folder
    kind, settings = {**SHAPES, **GPU_SHAPES}[name]
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, **settings, tie_word_embeddings=True, bos_token_id=None, eos_token_id=None, pad_token_id=None
    )
    dtype = torch.bfloat16 if name in GPU_SHAPES else torch.float32
    AutoModelForCausalLM.from_config(config, dtype=dtype).save_pretrained(folder)
    words = {f"w{index}": index for index in range(settings["vocab_size"] - 64)}  # room for control tokens
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w0").save_pretrained(folder)
    return folder


def some_ids(count: int, seed: int = 1) -> list[int]:
    """A prompt of ids that every shape has."""
    ids: list[int] = torch.randint(10, 1000, (count,), generator=torch.Generator().manual_seed(seed)).tolist()
    return ids
