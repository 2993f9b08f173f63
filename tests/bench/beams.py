"""Beam search beside `transformers.generate(num_beams=...)`: the same weights, prompt, width and length.

    .venv/bin/python tests/bench/beams.py [--model FOLDER] [--width 4] [--tokens 32] [--rounds 5]

Without --model: random weights in the shape of SmolLM2-135M, made on the spot, and Pocket; float32. Runs are
interleaved; each round gives a ratio, and their median is printed. Both must find the same ids.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from ambidex import Beams, Request, collect
from ambidex_backends.local import LocalBackend

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.models import POCKET, random_model


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(label: str, folder: Path, *, width: int, tokens: int, rounds: int) -> None:
    """Prints the medians over `rounds` of both times and of their ratio."""
    backend = LocalBackend(str(folder.resolve()), dtype="float32", device="cpu", cache_bytes=0)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompt = torch.randint(10, 1000, (1, 64), generator=torch.Generator().manual_seed(1))
    decoding = Beams(width=width, min_tokens=tokens)
    request = Request(prompt=prompt[0].tolist(), max_tokens=tokens, decoding=decoding)
    scored = Request(prompt=prompt[0].tolist(), max_tokens=tokens, decoding=decoding, logprobs=0)

    def generate() -> torch.Tensor:
        ids: torch.Tensor = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=tokens,
            min_new_tokens=tokens if model.generation_config.eos_token_id is not None else None,
            num_beams=width,
            do_sample=False,
            pad_token_id=0,
        )
        return ids

    ours = [item.id for item in collect(backend.stream(scored)).logprobs or ()]
    same = ours == generate()[0, prompt.shape[1] :].tolist()
    pairs = [(seconds(lambda: collect(backend.stream(request))), seconds(generate)) for _ in range(rounds)]
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    mine, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"{label:<14} width {width:<3} ambidex {1000 * mine / tokens:7.1f} ms/token   generate "
        f"{1000 * theirs / tokens:7.1f} ms/token   ratio {ratio:4.2f}   same ids: {'yes' if same else 'no'}",
        flush=True,
    )
    backend.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--model", type=Path)
    options.add_argument("--width", type=int, action="append")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--tokens", type=int, default=32)
    chosen = options.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"SmolLM2 shape": random_model("SmolLM2-135M", Path(scratch)), "Pocket": POCKET}
        if chosen.model:
            folders = {str(chosen.model): chosen.model}
        for label, folder in folders.items():
            for width in chosen.width or [4]:
                compare(label, folder, width=width, tokens=chosen.tokens, rounds=chosen.rounds)


if __name__ == "__main__":
    main()
