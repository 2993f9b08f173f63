"""Stage 3: supervised fine-tuning on dialogues, with the loss on the assistant's tokens only.

What the user says and what a tool returns is given, not learnt. The model learns its own turns: calls, answers,
questions, refusals, and the ``<|im_end|>`` with which a turn stops.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from .data import training_families
from .dataset import LENGTH, Encoder, Rows, pack
from .model import Pocket
from .tokenizer import letter_pieces
from .train import Recipe, train

SEED = 21
FAMILIES = 2000  # in one shard


def finetune(
    model: Pocket, tokenizer: PreTrainedTokenizerFast, folder: Path, tokens: int, recipe: Recipe, compiled: bool = True
) -> None:
    """Run the stage on ``tokens`` tokens."""
    encoder = Encoder(tokenizer, LENGTH)
    letters = letter_pieces(tokenizer)

    def shard(number: int) -> Rows:
        families = islice(training_families(1000 * recipe.seed + number, letters), FAMILIES)
        return pack((piece for family in families for piece in encoder.pieces(family)), LENGTH, tokenizer.pad_token_id)

    train(model, shard, folder, recipe, tokens, compiled)
