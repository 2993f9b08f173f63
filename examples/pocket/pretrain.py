"""Stage 2: next-token prediction on everything.

The model sees whole dialogues as plain text and predicts every token of them: the tools, the user's words, the
results. A share of the texts are copying exercises ("a b c, a b c"); they make the attention heads that look up what
followed an earlier occurrence of the same word appear within the first minutes, and those heads do the copying later.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from . import words
from .data import copying_text, training_dialogues
from .dataset import Corpus, build_corpus, render
from .train import Recipe, train

SEED = 11


def texts(tokenizer: PreTrainedTokenizerFast) -> Iterator[str]:
    """Dialogues written as text, mixed with copying exercises."""
    rng = random.Random(SEED)
    source = words.Words(rng)
    for dialogue in training_dialogues(SEED + 1):
        for _ in range(2):
            yield copying_text(source)
        yield render(tokenizer, dialogue)


def pretrain(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, tokens: int) -> None:
    """Run the stage."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "corpus.safetensors"
    if not file.exists():
        build_corpus(tokenizer, texts(tokenizer), tokens, only_assistant=False).save(file)
    recipe = Recipe(decay_share=0.01, final_rate=0.5, seed=SEED)
    train(model, Corpus.load(file), folder, recipe, tokenizer.pad_token_id, tokens)
