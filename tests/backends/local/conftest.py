"""Small models made in the test: real architectures with random weights, and a byte-level tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from ambidex_backends.local import LocalBackend
from ambidex_backends.local.cuda.dense import DenseReader
from ambidex_backends.local.cuda.model import CudaModel
from ambidex_backends.local.cuda.step_graphs import Recorder
from ambidex_backends.local.native.architecture import read_architecture
from ambidex_backends.local.native.checkpoint import Checkpoint
from ambidex_backends.local.native.weights import Weights

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCABULARY = 384

SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

ARCHITECTURES: dict[str, dict[str, object]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "mistral": {"sliding_window": 16},
    "gemma2": {"sliding_window": 16, "query_pre_attn_scalar": 12},
    "gemma3_text": {"sliding_window": 16, "query_pre_attn_scalar": 12, "sliding_window_pattern": 2},
    "phi3": {},
    "gpt2": {"n_embd": 48, "n_layer": 4, "n_head": 4, "n_positions": 256},
    "smollm3": {"no_rope_layer_interval": 2},
    "granite": {"embedding_multiplier": 2.0, "attention_multiplier": 0.3, "logits_scaling": 2.0},
    "olmo2": {},
    "gpt_neox": {},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "gpt_oss": {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "cohere2": {"sliding_window": 16},
    "llama4_text": {"num_local_experts": 2, "attention_chunk_size": 16},
}
"""Attention in every layer: our own cache."""

MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 12, "mamba_d_state": 8, "mamba_n_groups": 1}

HYBRIDS: dict[str, dict[str, object]] = {
    "lfm2": {"layer_types": ["conv", "full_attention", "conv", "full_attention"]},
    "mamba": {"state_size": 8},
    "jamba": {
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 8,
        "use_mamba_kernels": False,
    },
    "bamba": {"attn_layer_indices": [1, 3], **MAMBA2},
    "granitemoehybrid": {
        "layer_types": ["mamba", "attention", "mamba", "attention"],
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "shared_intermediate_size": 32,
        **MAMBA2,
    },
    "qwen3_next": {
        "layer_types": ["linear_attention", "full_attention"] * 2,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 12,
        "linear_value_head_dim": 12,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32,
    },
}
"""Layers with a running state: transformers' own cache rules."""

BY_TRANSFORMERS = ("mixtral", "gpt_oss")
"""Computed by transformers in tests of the engine, though there are kernels: its way has experts and sinks, too."""

BY_CUDA = "qwen3"
"""Computed as on a GPU in tests of the engine, but on the CPU."""

PATHS = ("llama", "gemma3_text", "gpt2", "gpt_oss", BY_CUDA)
"""An architecture for each way in which logits are computed and keys and values kept: what holds, holds for all."""


def text_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE: every text encodes; control tokens as in ChatML."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        ["the rain in the north and the sun in the south, and a wind from the sea"] * 4, trainer
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=256
    )


def save_model(folder: Path, kind: str, settings: Mapping[str, object], *, chat_template: str | None = CHATML) -> Path:
    """A random model of architecture `kind` in `folder`, with tokenizer and chat template."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**SMALL, **settings})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for name, parameter in model.named_parameters():  # biases and norms start at 0 and 1: make them matter
        if "bias" in name or (parameter.dim() == 1 and "norm" in name):
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder)
    tokenizer = text_tokenizer()
    tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small random model of an architecture, made once."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            settings = ARCHITECTURES.get(kind) or HYBRIDS.get(kind) or {}
            made[kind] = save_model(tmp_path_factory.mktemp(kind), kind, settings)
        return made[kind]

    return folder


def cuda_model_on(
    folder: Path,
    *,
    cache_bytes: int = 1 << 22,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    recorder: Recorder | None = None,
) -> CudaModel:
    """A model as a GPU computes it, on another device."""
    shape = read_architecture(AutoConfig.from_pretrained(folder))
    assert shape is not None
    reader = DenseReader(Checkpoint(folder), dtype, torch.device(device))
    return CudaModel(shape, Weights(shape, reader, dtype), cache_bytes, recorder)


def _as_on_a_gpu(
    folder: Path, config: object, device: object, dtype: torch.dtype, quantize: None, wanted: None, cache_bytes: int
) -> CudaModel:
    """Instead of `native_model`."""
    return cuda_model_on(folder, cache_bytes=min(cache_bytes, 1 << 24), dtype=dtype)


class OpenBackend(Protocol):
    """Opens a backend over a small random model; it is closed after the test."""

    def __call__(self, kind: str = "llama", **options: Any) -> LocalBackend: ...


@pytest.fixture
def open_backend(model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenBackend]:
    opened: list[LocalBackend] = []

    def open(kind: str = "llama", **options: Any) -> LocalBackend:
        settings: dict[str, Any] = {"device": "cpu", "dtype": "float32", **options}
        if kind in BY_TRANSFORMERS:
            settings.setdefault("kernels", False)
        folder = model_folder(kind)
        with monkeypatch.context() as patch:
            if kind == BY_CUDA and settings.keys().isdisjoint({"kernels", "quantize", "deterministic"}):
                patch.setattr("ambidex_backends.local.weights.native_model", _as_on_a_gpu)
            backend = LocalBackend(str(folder), **settings)
        opened.append(backend)
        return backend

    yield open
    for backend in opened:
        backend.close()
