"""Stage 3: supervised fine-tuning on dialogues, with the loss on the assistant's tokens only.

What the user says and what a tool returns is given, not learnt. The model learns its own turns: calls, answers,
questions, refusals, and the ``<|im_end|>`` with which a turn stops.
"""

from __future__ import annotations

from pathlib import Path

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from .data import training_dialogues
from .dataset import Corpus, build_corpus, render
from .train import Recipe, train

SEED = 21


def finetune(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, tokens: int) -> None:
    """Run the stage."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "corpus.safetensors"
    if not file.exists():
        texts = (render(tokenizer, dialogue) for dialogue in training_dialogues(SEED))
        build_corpus(tokenizer, texts, tokens, only_assistant=True).save(file)
    train(
        model,
        Corpus.load(file),
        folder,
        Recipe(rate=1.2e-3, batch_tokens=4096, decay_share=0.5, seed=SEED, save_every=200),
        tokenizer.pad_token_id,
        tokens,
    )
