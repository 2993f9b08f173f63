"""Sixteen mixed requests at once, beside our own one after another, transformers' static and continuous batches.

    .venv/bin/python tests/bench/batch.py [--model FOLDER] [--dtype bfloat16] [--requests 16] [--rounds 3] [--no-peer]

Without --model: random weights in the shape of SmolLM2-135M. Prompts of 32 to 256 ids, answers of 32 to 96, seeds and
temperatures of their own. The peers answer the same prompts: `generate_batch` (continuous) with the same lengths, and
`generate` over one padded batch, all to the longest length, of which only the wanted tokens count. Rounds are
interleaved, medians are printed. At the end: the share of answers that differ from those given alone, in each dtype,
with and without `deterministic=True`.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from ambidex import Request, Sampling, collect
from ambidex.errors import AmbidexError
from ambidex_backends.local import LocalBackend

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.models import random_model


def mixed(count: int, seed: int) -> list[Request]:
    """Requests of several lengths, each with its own sampling and seed. Raw ids, so that peers get the same."""
    draw = random.Random(seed)
    requests = []
    for index in range(count):
        tokens = draw.choice([32, 48, 64, 96])
        prompt = [draw.randrange(10, 1000) for _ in range(draw.choice([32, 64, 128, 256]))]
        sampling = Sampling(temperature=draw.choice([0.7, 1.0]), seed=index, min_tokens=tokens)
        requests.append(Request(prompt=prompt, max_tokens=tokens, decoding=sampling))
    return requests


def ids_of(request: Request) -> list[int]:
    prompt = request.prompt
    assert isinstance(prompt, (list, tuple))
    return [id for id in prompt if isinstance(id, int)]


class Ours:
    """Our engine: all at once, or one after another."""

    def __init__(self, backend: LocalBackend) -> None:
        self.backend = backend

    def together(self, requests: list[Request]) -> list[float]:
        """Each request's seconds from the common start to its end."""
        start, ends = time.perf_counter(), [0.0] * len(requests)

        def answer(index: int) -> None:
            collect(self.backend.stream(requests[index]))
            ends[index] = time.perf_counter() - start

        threads = [threading.Thread(target=answer, args=(index,)) for index in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ends

    def in_batch(self, requests: list[Request]) -> list[float]:
        start = time.perf_counter()
        outcomes = self.backend.batch(requests)
        assert not any(isinstance(outcome, AmbidexError) for outcome in outcomes), outcomes
        return [time.perf_counter() - start] * len(requests)

    def one_by_one(self, requests: list[Request]) -> list[float]:
        start, ends = time.perf_counter(), []
        for request in requests:
            collect(self.backend.stream(request))
            ends.append(time.perf_counter() - start)
        return ends


class Static:
    """One padded batch of `generate`."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, requests: list[Request]) -> list[float]:
        longest = max(len(ids_of(request)) for request in requests)
        rows = [[0] * (longest - len(ids_of(request))) + ids_of(request) for request in requests]
        mask = [[0] * (longest - len(ids_of(request))) + [1] * len(ids_of(request)) for request in requests]
        tokens = max(request.max_tokens or 0 for request in requests)
        start = time.perf_counter()
        self._model.generate(
            torch.tensor(rows), attention_mask=torch.tensor(mask), max_new_tokens=tokens, do_sample=True, pad_token_id=0
        )
        return [time.perf_counter() - start] * len(requests)


class Continuous:
    """`generate_batch`; it takes one length for all, so the mean one."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, requests: list[Request]) -> list[float]:
        tokens = sum(request.max_tokens or 0 for request in requests) // len(requests)
        settings = GenerationConfig(max_new_tokens=tokens, do_sample=True, eos_token_id=-1, pad_token_id=0)
        start = time.perf_counter()
        outputs = self._model.generate_batch(
            [ids_of(request) for request in requests], generation_config=settings, progress_bar=False
        )
        seconds = time.perf_counter() - start
        made = [len(output.generated_tokens) for output in outputs.values()]
        if made != [tokens] * len(requests):
            raise RuntimeError(f"generate_batch gave {made} tokens instead of {tokens} each")
        return [seconds] * len(requests)


def measure(ways: dict[str, Callable[[list[Request]], list[float]]], count: int, rounds: int) -> None:
    """Runs the ways in turns; prints tokens/s, latencies and ratios to the first."""
    requests = mixed(count, 0)
    total = sum(request.max_tokens or 0 for request in requests)
    times: dict[str, list[list[float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in list(ways.items()):
            try:
                ends = way(mixed(count, number))
            except Exception as error:
                print(f"{name}: skipped, {type(error).__name__}: {str(error).splitlines()[0][:100]}")
                del ways[name]
                continue
            if number:  # the first is warm-up
                times[name].append(ends)
    first = next(iter(ways))
    for name in ways:
        seconds = statistics.median(max(ends) for ends in times[name])
        ratio = statistics.median(max(other) / max(mine) for mine, other in zip(times[first], times[name], strict=True))
        flat = sorted(end for ends in times[name] for end in ends)
        p50, p95 = flat[len(flat) // 2], flat[int(len(flat) * 0.95)]
        print(
            f"{name:<28} {total / seconds:7.1f} tok/s   p50 {p50:6.2f} s   p95 {p95:6.2f} s   "
            f"{first} is {ratio:4.2f} times as fast",
            flush=True,
        )


def differing(folder: Path, dtype: str, count: int, **options: Any) -> str:
    """How many of the seeded requests give another answer in a batch than alone."""
    options = {key: value for key, value in options.items() if value is not None}
    backend = LocalBackend(str(folder.resolve()), dtype=dtype, device="cpu", max_batch=count, **options)
    requests = mixed(count, 7)
    together = backend.batch(requests)
    backend.close()
    cold = LocalBackend(str(folder.resolve()), dtype=dtype, device="cpu", cache_bytes=0, **options)
    alone = [collect(cold.stream(request)) for request in requests]
    cold.close()
    differ = sum(
        isinstance(mine, AmbidexError) or mine.text != other.text for mine, other in zip(together, alone, strict=True)
    )
    return f"{differ} of {count}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--model", type=Path)
    options.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    options.add_argument("--requests", type=int, default=16)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--no-peer", action="store_true")
    options.add_argument("--no-kernels", action="store_true", help="compute with transformers' forward pass")
    options.add_argument("--no-sameness", action="store_true")
    chosen = options.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    kernels = False if chosen.no_kernels else None
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.model or random_model("SmolLM2-135M", Path(scratch))
        backend = LocalBackend(str(folder.resolve()), dtype=chosen.dtype, device="cpu", cache_bytes=0, kernels=kernels)
        ours = Ours(backend)
        ways: dict[str, Callable[[list[Request]], list[float]]] = {
            "together": ours.together,
            "batch()": ours.in_batch,
            "one by one": ours.one_by_one,
        }
        if not chosen.no_peer:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, chosen.dtype)).eval()
            ways["transformers generate"] = Static(model)
            ways["transformers generate_batch"] = Continuous(model)
        print(f"{chosen.model or 'SmolLM2-135M shape'}, {chosen.dtype}, {chosen.requests} requests")
        measure(ways, chosen.requests, chosen.rounds)
        backend.close()
        if chosen.no_sameness:
            return
        for dtype in ("float32", "bfloat16"):
            for path, how in (("kernels", None), ("transformers' pass", False)):
                plain = differing(folder, dtype, chosen.requests, kernels=how)
                strict = differing(folder, dtype, chosen.requests, kernels=how, deterministic=True)
                print(
                    f"{dtype:<9} {path:<19} differ from alone: {plain}; with deterministic=True: {strict}", flush=True
                )


if __name__ == "__main__":
    main()
