"""Time to the first token in each turn of a chat that grows, beside transformers, which computes the history again.

    .venv/bin/python tests/bench/turns.py [--model FOLDER] [--turns 10] [--tokens 4000] [--dtype float32] [--rounds 3]

Without --model: random weights in the shape of SmolLM2-135M. In each turn some ids are asked and some are answered, so
that the last turn ends at `--tokens`. Both see the same ids; the turns take turns, with a pause before each, as people
and tools make one.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from ambidex import Greedy, Request
from ambidex_backends.local import LocalBackend

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.models import random_model


def first_token_seconds(backend: LocalBackend, ids: list[int], answer: int) -> tuple[float, int]:
    """Until the first token, and how many ids of the prompt were cached; the whole answer is read."""
    request = Request(prompt=ids, max_tokens=answer, decoding=Greedy(min_tokens=answer), logprobs=0)
    start = time.perf_counter()
    stream = backend.stream(request)
    next(stream)
    seconds = time.perf_counter() - start
    for _ in stream:
        pass
    ids += [scored.id for scored in stream.reply.logprobs or () if scored.id is not None]
    return seconds, stream.reply.usage.cached_tokens or 0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--model", type=Path)
    options.add_argument("--turns", type=int, default=10)
    options.add_argument("--tokens", type=int, default=4000)
    options.add_argument("--answer", type=int, default=32)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--pause", type=float, default=0.1, help="seconds before each turn")
    options.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options.add_argument("--no-kernels", action="store_true", help="compute with transformers' forward pass")
    options.add_argument("--peer-every", type=int, default=1, help="transformers in each so-manieth turn only")
    options.add_argument("--no-peer", action="store_true", help="leave transformers away")
    chosen = options.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    asked = chosen.tokens // chosen.turns - chosen.answer
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.model or random_model("SmolLM2-135M", Path(scratch))
        backend = LocalBackend(
            str(folder.resolve()), dtype=chosen.dtype, device="cpu", kernels=False if chosen.no_kernels else None
        )
        model: Any = None
        if not chosen.no_peer:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, chosen.dtype)).eval()
        mine: list[list[float]] = [[] for _ in range(chosen.turns)]
        theirs: list[list[float]] = [[] for _ in range(chosen.turns)]
        lengths, cached = [0] * chosen.turns, [0] * chosen.turns
        for number in range(chosen.rounds):
            draw = random.Random(number)
            ids: list[int] = []
            for turn in range(chosen.turns):
                ids += [draw.randrange(10, 1000) for _ in range(asked)]
                lengths[turn] = len(ids)
                if model is not None and (turn + 1) % chosen.peer_every == 0:
                    row = torch.tensor([ids])
                    time.sleep(chosen.pause)
                    start = time.perf_counter()
                    model.generate(row, attention_mask=torch.ones_like(row), max_new_tokens=1, do_sample=False)
                    theirs[turn].append(time.perf_counter() - start)
                time.sleep(chosen.pause)
                seconds, cached[turn] = first_token_seconds(backend, ids, chosen.answer)
                mine[turn].append(seconds)
        backend.close()
    name = chosen.model or "SmolLM2-135M shape"
    print(f"{name}, {chosen.dtype}, {chosen.pause} s before each turn; milliseconds to the first token")
    for turn in range(chosen.turns):
        line = f"turn {turn + 1:2}  history {lengths[turn]:5}  cached {cached[turn]:5}  "
        line += f"ambidex {1000 * statistics.median(mine[turn]):8.1f}"
        if theirs[turn]:
            ratio = statistics.median(b / a for a, b in zip(mine[turn], theirs[turn], strict=True))
            line += f"   transformers {1000 * statistics.median(theirs[turn]):8.1f}   ratio {ratio:5.1f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
