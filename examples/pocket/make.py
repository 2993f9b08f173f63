"""Make Pocket with one command, or go on from the model in the box.

    python -m examples.pocket.make --out RUN_DIR             # from nothing
    python -m examples.pocket.make --out RUN_DIR --go-on     # from the weights that come with the package

Stages: train the tokenizer, pretrain, fine-tune, export, evaluate; with ``--go-on`` the first two are left out. The same
command again goes on where a run has stopped, and repeats export and evaluation. A run may get more or fewer ``--tokens``
than it began with while its rate is still flat: later the rate would jump.
"""

from __future__ import annotations

import argparse
import json
import math
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from .data import training_dialogues
from .dataset import render
from .evaluate import evaluate, whole_number
from .export import SHIPPED, export
from .finetune import SEED, finetune
from .model import Pocket, Shape
from .pretrain import pretrain
from .tokenizer import train_tokenizer
from .train import Recipe, layers_of, load_model, weights_of

KEPT = ("go_on", "layers", "pretrain_tokens", "tokenizer_dialogues", "seed", "rate", "decay")  # through all of a run


def make_tokenizer(folder: Path, dialogues: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer once, on the text of so many training dialogues, which are written down by the chat template;
    an untrained tokenizer is enough to hold that."""
    if not (folder / "tokenizer.json").exists():
        blank = train_tokenizer([])
        texts = [render(blank, dialogue) for dialogue in islice(training_dialogues(1), dialogues)]
        train_tokenizer(texts).save_pretrained(folder)
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return tokenizer


def count(text: str) -> int:
    """A whole number above 0, for an option."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def positive(text: str) -> float:
    """A number above 0, for an option."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def share(text: str) -> float:
    """A number above 0 and at most 1, for an option."""
    if positive(text) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is above 1")
    return float(text)


def options_of(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command's options."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for checkpoints, logs and the finished model")
    add("--go-on", action="store_true", help="start from the model in the box instead of from nothing")
    add("--tokens", type=count, default=60_000_000, help="of fine-tuning")
    add("--minutes", type=positive, default=math.inf, help="of fine-tuning, if they are over before the tokens")
    add("--rate", type=positive, default=1.5e-3, help="of fine-tuning, before it falls")
    add("--decay", type=share, default=0.6, help="share of the fine-tuning in which the rate falls")
    add("--seed", type=int, default=SEED, help="another one for every time you go on: other dialogues")
    add("--pretrain-tokens", type=count, default=3_000_000)
    add("--tokenizer-dialogues", type=count, default=12_000)
    add("--layers", type=count, help="8 from nothing; with --go-on those of the model in the box, or more of them")
    add(
        "--per-skill",
        type=whole_number,
        default=100,
        help="held-out dialogues of each skill in the evaluation; 0: tasks only",
    )
    add("--eager", action="store_true", help="do not compile the model: slower, but no C++ compiler is needed")
    add("--threads", type=count, default=2)
    options = parser.parse_args()
    if options.layers is None:
        options.layers = layers_of(weights_of(SHIPPED / "model.safetensors")) if options.go_on else Shape.layers
    return options


def check_run(options: argparse.Namespace, file: Path) -> None:
    """See that the run of which ``file`` tells, if there is one, is this one.

    :raises SystemExit: if it was another one.
    """
    if not file.exists():
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    now = run_of(options)
    other = [
        f"--{key.replace('_', '-')} was {before.get(key)}, is {now[key]}" for key in now if before.get(key) != now[key]
    ]
    if other:
        raise SystemExit(f"{file.parent} holds another run ({'; '.join(other)}): give its options, or another --out.")


def run_of(options: argparse.Namespace) -> dict[str, Any]:
    """What makes a run what it is, to be kept in ``run.json``."""
    return {name: getattr(options, name) for name in KEPT}


def begin(options: argparse.Namespace, vocabulary: int, checkpoint: Path) -> Pocket:
    """The model to train: that of ``checkpoint`` if a run has stopped there, else the one in the box or a new one.

    :raises SystemExit: if the model in the box cannot get as many layers as are asked for.
    """
    if checkpoint.exists():
        return load_model(checkpoint, "weights")
    if not options.go_on:
        return Pocket(Shape(vocabulary, layers=options.layers))
    model = load_model(SHIPPED / "model.safetensors")
    have = model.shape.layers
    if not have <= options.layers <= 2 * have:
        raise SystemExit(f"--layers {options.layers}: the model in the box has {have}; it may get up to as many more.")
    model.grow(options.layers - have)
    return model


def main() -> None:
    """Run all stages."""
    formatter = argparse.RawDescriptionHelpFormatter
    options = options_of(argparse.ArgumentParser(description=__doc__, formatter_class=formatter))
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)  # the same weights again, on the same processor and threads
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a module's property
    out: Path = options.out
    base, tuned = (out / stage / "checkpoint.safetensors" for stage in ("pretrain", "finetune"))
    check_run(options, out / "run.json")

    words = SHIPPED if options.go_on else out / "tokenizer"
    tokenizer = make_tokenizer(words, options.tokenizer_dialogues)
    model = begin(options, len(tokenizer), tuned if tuned.exists() else base)
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").write_text(json.dumps(run_of(options), indent=1) + "\n", encoding="utf-8")
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens in the vocabulary",
        flush=True,
    )
    if not options.go_on:
        pretrain(model, tokenizer, base.parent, options.pretrain_tokens, not options.eager)
        export(words, base, out / "pretrained")
        print(f"pretraining done: {out / 'pretrained'}", flush=True)
        model.load_state_dict(weights_of(base))
    recipe = Recipe(rate=options.rate, decay_share=options.decay, seed=options.seed, minutes=options.minutes)
    finetune(model, tokenizer, tuned.parent, options.tokens, recipe, not options.eager)
    export(words, tuned, out / "pocket")
    print(f"fine-tuning done: {out / 'pocket'}", flush=True)
    report = evaluate(str(out / "pocket"), options.per_skill)
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
