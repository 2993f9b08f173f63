"""Stage 2: next-token prediction on everything.

The model sees whole dialogues as plain text and predicts every token of them: the tools, the user's words, the
results. A share of the texts are copying exercises ("a b c, a b c"); they make the attention heads that look up what
followed an earlier occurrence of the same word appear within the first minutes (induction heads: Olsson and others
2022), and those heads do the copying later. In the log that is the second fall of the loss, after one without progress.

What comes out is a base model: it goes on with texts. As most of them were dialogues, it already writes in their form,
ends turns and even writes calls, for the user, the tool and the assistant alike; what it says is seldom right. Its
attention was spread over everything: the next stage spends it on what the assistant has to say.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from . import words
from .data import copying_text, training_families
from .dataset import LENGTH, Encoder, Piece, Rows, pack
from .model import Pocket
from .tokenizer import letter_pieces
from .train import Recipe, train

SEED = 11
FAMILIES = 1000  # in one shard, and six copying exercises for each


def pieces(encoder: Encoder, number: int) -> Iterator[Piece]:
    """What shard ``number`` is made of."""
    letters = letter_pieces(encoder.tokenizer)
    source = words.Words(random.Random(1000 * SEED + number), pieces=letters)
    for family in islice(training_families(1000 * SEED + number, letters), FAMILIES):
        yield from encoder.pieces(family)
        for _ in range(6):
            yield encoder.alone(copying_text(source))


def pretrain(
    model: Pocket, tokenizer: PreTrainedTokenizerFast, folder: Path, tokens: int, compiled: bool = True
) -> None:
    """Run the stage on ``tokens`` tokens. The rate hardly falls: the next stage begins where this one is."""
    encoder = Encoder(tokenizer, LENGTH, everything=True)

    def shard(number: int) -> Rows:
        return pack(pieces(encoder, number), LENGTH, tokenizer.pad_token_id)

    train(model, shard, folder, Recipe(rate=2e-3, decay_share=0.01, final_share=0.5, seed=SEED), tokens, compiled)
