"""The model's shape: a small Llama.

Deep enough to compose "find the matching tool" with "copy its name" (six layers), narrow enough for two CPU cores.
Input and output embeddings are one matrix, and the vocabulary is small, so nearly all parameters do work in the layers.
"""

from __future__ import annotations

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .tokenizer import CONTEXT, END, END_OF_TEXT


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> LlamaForCausalLM:
    """A freshly initialised Pocket."""
    torch.manual_seed(seed)
    end, pad = (tokenizer.get_vocab()[token] for token in (END, END_OF_TEXT))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        initializer_range=0.04,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=[end, pad], pad_token_id=pad, bos_token_id=None, do_sample=False, max_new_tokens=256
    )
    return model
