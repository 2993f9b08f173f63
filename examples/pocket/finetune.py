"""Stage 3: supervised fine-tuning on dialogues, with the loss on the assistant's tokens only.

What the user says and what a tool returns is given, not learnt. The model learns its own turns: calls, answers,
questions, refusals, and the ``<|im_end|>`` with which a turn stops.

    python -m examples.pocket.finetune --out RUN_DIR --tokens 8000000     # goes on from the weights that are shipped
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from .data import training_families
from .dataset import Encoder, Rows, pack
from .export import SHIPPED
from .model import Pocket, Shape
from .train import Recipe, load_weights, train

SEED = 21
LENGTH = 384
FAMILIES = 2000  # in one shard


def finetune(
    model: Pocket, tokenizer: PreTrainedTokenizerFast, folder: Path, tokens: int, recipe: Recipe, compiled: bool = True
) -> None:
    """Run the stage on ``tokens`` tokens."""
    encoder = Encoder(tokenizer, LENGTH)

    def shard(number: int) -> Rows:
        families = islice(training_families(1000 * recipe.seed + number), FAMILIES)
        return pack((piece for family in families for piece in encoder.pieces(family)), LENGTH, tokenizer.pad_token_id)

    train(model, shard, folder, recipe, tokens, compiled)


def main() -> None:
    """Go on from the weights that are shipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and logs")
    parser.add_argument("--tokens", type=int, default=8_000_000)
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="end after so much training, if that is earlier"
    )
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--parts", type=int, default=1, help="a step sees so many times 10 rows")
    parser.add_argument("--decay", type=float, default=0.5, help="share of the run in which the rate falls")
    parser.add_argument("--seed", type=int, default=SEED, help="another one for every sitting")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(SHIPPED)
    model = Pocket(Shape(len(tokenizer)))
    load_weights(SHIPPED / "model.safetensors", model)
    recipe = Recipe(
        rate=options.rate, parts=options.parts, decay_share=options.decay, seed=options.seed, minutes=options.minutes
    )
    finetune(model, tokenizer, options.out, options.tokens, recipe)


if __name__ == "__main__":
    main()
