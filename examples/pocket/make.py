"""Make Pocket from nothing with one command: ``python -m examples.pocket.make --out RUN_DIR``.

Stages: train the tokenizer, pretrain, fine-tune, export, evaluate. Finished stages are skipped and a stopped one is
continued, so the same command can simply be run again.
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
from .evaluate import evaluate, transformers_decoder
from .export import export
from .finetune import finetune
from .model import build_model
from .pretrain import pretrain
from .tokenizer import train_tokenizer
from .train import load_weights

TEMPLATE = Path(__file__).resolve().parent / "chat_template.jinja"


def make_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Train the tokenizer once, on the text of 12,000 training dialogues."""
    if not (folder / "tokenizer.json").exists():
        blank = train_tokenizer([], TEMPLATE)
        texts = [render(blank, dialogue) for dialogue in islice(training_dialogues(1), 12_000)]
        train_tokenizer(texts, TEMPLATE).save_pretrained(folder)
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return tokenizer


def main() -> None:
    """Run all stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, logs and the finished model")
    parser.add_argument("--pretrain-tokens", type=int, default=3_000_000)
    parser.add_argument("--finetune-tokens", type=int, default=24_000_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    out: Path = options.out

    tokenizer = make_tokenizer(out / "tokenizer")
    model = build_model(tokenizer)
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens in the vocabulary",
        flush=True,
    )
    pretrain(model, tokenizer, out / "pretrain", options.pretrain_tokens)
    print("pretraining done", flush=True)
    if not (out / "finetune" / "weights.safetensors").exists():
        load_weights(out / "pretrain", model)
    finetune(model, tokenizer, out / "finetune", options.finetune_tokens)
    print("fine-tuning done", flush=True)
    export(out / "tokenizer", out / "finetune", out / "pocket")
    report = evaluate(transformers_decoder(out / "pocket"))
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    for label, score in report["scores"].items():
        print(f"{label:45}{score['right']:5} of {score['of']:5}")


if __name__ == "__main__":
    main()
