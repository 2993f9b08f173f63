"""What weights in lower precision cost: perplexity and distance from float32 on real models.

    .venv/bin/python tests/bench/quality.py [--texts 32] [--tokens 128]

Texts are drawn from each model itself in float32, at temperature 1 with fixed seeds, so that their perplexity under it
is what its own uncertainty makes it. Then every precision scores the same texts. `top 1`: how often the likeliest token
is the same; `KL`: the mean divergence from float32's distribution, in nats per token. Pocket is in the package; the
other model is read from $AMBIDEX_SHARED (or `shared` beside the checkout), and left out where that is absent.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import Any

import torch

from ambidex import Request, Sampling, collect
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.model import Span

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.models import POCKET

REPOSITORY = Path(__file__).resolve().parents[2]

PRECISIONS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"dtype": "float32", "quantize": "int8"},
    "int4": {"dtype": "float32", "quantize": "int4"},
}


def drawn(folder: Path, texts: int, tokens: int) -> list[list[int]]:
    """Ids that the model writes when it may write anything."""
    backend = LocalBackend(str(folder), dtype="float32", device="cpu")
    start = backend.tokenizer.beginning or [3]
    written: list[list[int]] = []
    for seed in range(texts):
        sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0, seed=seed, min_tokens=tokens)
        request = Request(prompt=start, max_tokens=tokens, decoding=sampling, logprobs=0)
        scored = collect(backend.stream(request)).logprobs or ()
        written.append([*start, *(item.id for item in scored if item.id is not None)])
    backend.close()
    return written


def distributions(folder: Path, options: dict[str, Any], texts: list[list[int]]) -> tuple[list[torch.Tensor], int]:
    """Log probabilities [T - 1, V] for each text, and the bytes of the weights."""
    backend = LocalBackend(str(folder), device="cpu", cache_bytes=0, **options)
    model: Any = backend._runtime.engine._model
    found = []
    for ids in texts:
        cache = model.open(ids)
        found.append(model.forward([Span(ids, cache, len(ids))])[0][:-1].log_softmax(-1))
        model.release(cache, ids)
    backend.close()
    return found, model.nbytes


@torch.inference_mode()
def compare(label: str, folder: Path, texts: int, tokens: int) -> None:
    """Prints one table."""
    written = drawn(folder, texts, tokens)
    following = [torch.tensor(ids[1:]) for ids in written]
    exact, _ = distributions(folder, PRECISIONS["float32"], written)
    count = sum(len(ids) for ids in following)
    print(f"{label}: {texts} texts, {count} tokens")
    for name, options in PRECISIONS.items():
        found, nbytes = distributions(folder, options, written)
        loss = -sum(float(p.gather(1, ids[:, None]).sum()) for p, ids in zip(found, following, strict=True)) / count
        same = sum(int((p.argmax(-1) == q.argmax(-1)).sum()) for p, q in zip(found, exact, strict=True)) / count
        distance = sum(float((q.exp() * (q - p)).sum()) for p, q in zip(found, exact, strict=True)) / count
        print(
            f"  {name:<9} {nbytes / 1e6:7.2f} MB   perplexity {math.exp(loss):8.4f}   "
            f"top 1 {100 * same:6.2f} %   KL {distance:.5f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--texts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128)
    chosen = parser.parse_args()
    shared = Path(os.environ.get("AMBIDEX_SHARED") or REPOSITORY.parent / "shared") / "weights" / "stories260K"
    compare("Pocket", POCKET, chosen.texts, chosen.tokens)
    if shared.is_dir():
        compare("stories260K", shared, chosen.texts, chosen.tokens)
    else:
        print("stories260K is left out: the shared test data is not here")


if __name__ == "__main__":
    main()
