"""Decoding with guesses ahead beside the same without: one model, one prompt, the same tokens.

    .venv/bin/python tests/bench/speculative.py [--rounds 5] [--tokens 96] [--dtype float32]

Random weights in the shape of SmolLM2-135M. What guessing gains depends on how often it is right, which random weights
cannot tell; so it is measured at both ends: where look-up in the prompt copies what repeats (greedy answers of such a
model soon repeat themselves), where it finds nothing (the answer is drawn at a high temperature), and with a draft
model of a few of the same layers. Runs are interleaved; the median of the rounds' ratios is printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ambidex import Greedy, Request, Sampling, collect
from ambidex_backends.local import LocalBackend

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.models import random_model

DRAFT_LAYERS = 3


def draft_model(folder: Path, target: Path) -> Path:
    """The first layers of `target` alone, which agree with it as often as it happens."""
    model: Any = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32)
    model.model.layers = model.model.layers[:DRAFT_LAYERS]
    model.config.num_hidden_layers = DRAFT_LAYERS
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(target).save_pretrained(folder)
    return folder


def timed(backend: LocalBackend, request: Request) -> tuple[float, str, int, int]:
    """Seconds, text, tokens guessed and found right."""
    start = time.perf_counter()
    reply = collect(backend.stream(request))
    usage = reply.usage
    return time.perf_counter() - start, reply.text, usage.drafted_tokens or 0, usage.accepted_tokens or 0


def compare(label: str, plain: LocalBackend, guessing: LocalBackend, request: Request, rounds: int) -> None:
    """Prints the median of the ratios, and how many guesses were right."""
    timed(plain, request)
    timed(guessing, request)
    pairs = [(timed(plain, request), timed(guessing, request)) for _ in range(rounds)]
    ratio = statistics.median(one[0] / two[0] for one, two in pairs)
    tokens = request.max_tokens or 1
    mine, theirs = (tokens / statistics.median(side[0] for side in sides) for sides in zip(*pairs, strict=True))
    last = pairs[-1][1]
    same = all(one[1] == two[1] for one, two in pairs)
    print(
        f"{label:<34} without {mine:6.1f} tok/s   with {theirs:6.1f} tok/s   ratio {ratio:4.2f}   "
        f"right: {last[3]} of {last[2]}   same text: {'yes' if same else 'no'}",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--tokens", type=int, default=96)
    options.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    chosen = options.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        target = random_model("SmolLM2-135M", Path(scratch) / "target")
        small = draft_model(Path(scratch) / "draft", target)

        def backend(draft: Path | str | None) -> LocalBackend:
            name = None if draft is None else str(draft)
            return LocalBackend(str(target), dtype=chosen.dtype, device="cpu", draft=name)

        prompt = torch.randint(10, 1000, (64,), generator=torch.Generator().manual_seed(1)).tolist()
        greedy = Request(prompt=prompt, max_tokens=chosen.tokens, decoding=Greedy())
        drawn = Request(prompt=prompt, max_tokens=chosen.tokens, decoding=Sampling(temperature=5.0, seed=1))
        plain, looking, drafting = backend(None), backend("prompt"), backend(small)
        compare("look-up, an answer that repeats", plain, looking, greedy, chosen.rounds)
        compare("look-up, an answer that does not", plain, looking, drawn, chosen.rounds)
        compare(f"{DRAFT_LAYERS} layers draft, greedy", plain, drafting, greedy, chosen.rounds)
        compare(f"{DRAFT_LAYERS} layers draft, drawn at random", plain, drafting, drawn, chosen.rounds)
        for one in (plain, looking, drafting):
            one.close()


if __name__ == "__main__":
    main()
