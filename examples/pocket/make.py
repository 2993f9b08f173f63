"""Make Pocket from nothing with one command: ``python -m examples.pocket.make --out RUN_DIR``.

Stages: train the tokenizer, pretrain, fine-tune, export, evaluate. Finished stages are skipped and a stopped one is
continued, so the same command can simply be run again, also with more tokens than before. ``finetune.py`` alone goes on
from the model in the box.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from .data import training_dialogues
from .dataset import render
from .evaluate import evaluate
from .export import export
from .finetune import SEED, finetune
from .model import Pocket, Shape
from .pretrain import pretrain
from .tokenizer import train_tokenizer
from .train import Recipe, load_weights

TEMPLATE = Path(__file__).resolve().parent / "chat_template.jinja"


def make_tokenizer(folder: Path, dialogues: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer once, on the text of so many training dialogues."""
    if not (folder / "tokenizer.json").exists():
        blank = train_tokenizer([], TEMPLATE)
        texts = [render(blank, dialogue) for dialogue in islice(training_dialogues(1), dialogues)]
        train_tokenizer(texts, TEMPLATE).save_pretrained(folder)
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return tokenizer


def main() -> None:
    """Run all stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, logs and the finished model")
    parser.add_argument("--pretrain-tokens", type=int, default=3_000_000)
    parser.add_argument("--finetune-tokens", type=int, default=32_000_000)
    parser.add_argument("--tokenizer-dialogues", type=int, default=12_000)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--per-skill", type=int, default=100, help="held-out dialogues of each skill; 0: tasks only")
    parser.add_argument("--eager", action="store_true", help="do not compile the model: no C++ compiler is needed")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    out: Path = options.out
    base, tuned = (out / stage / "checkpoint.safetensors" for stage in ("pretrain", "finetune"))

    tokenizer = make_tokenizer(out / "tokenizer", options.tokenizer_dialogues)
    model = Pocket(Shape(len(tokenizer), layers=options.layers))
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens in the vocabulary",
        flush=True,
    )
    pretrain(model, tokenizer, base.parent, options.pretrain_tokens, not options.eager)
    export(out / "tokenizer", base, out / "pretrained", options.layers)
    print(f"pretraining done: {out / 'pretrained'}", flush=True)
    load_weights(base, model)
    finetune(
        model,
        tokenizer,
        tuned.parent,
        options.finetune_tokens,
        Recipe(rate=1.5e-3, decay_share=0.5, seed=SEED),
        not options.eager,
    )
    export(out / "tokenizer", tuned, out / "pocket", options.layers)
    print(f"fine-tuning done: {out / 'pocket'}", flush=True)
    report = evaluate(str(out / "pocket"), options.per_skill)
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
