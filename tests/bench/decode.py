"""Decoding one answer: beside `transformers.generate` and llama.cpp, with the same weights, prompt and length.

    .venv/bin/python tests/bench/decode.py [--shape SmolLM2-135M] [--kind int8] [--rounds 5] [--tokens 48] [--prompt 64]
    .venv/bin/python tests/bench/decode.py --device cuda --shape Llama-3-8B --kind bfloat16

In one process, interleaved, all greedily on all cores; medians over the rounds of tokens per second after the first
token, of the seconds until the first one, and of the ratios within each round. `generate` computes in float32 and
bfloat16 only: quantised weights stand beside its bfloat16. llama.cpp has Q8_0 and Q4_0 for them. The limit is that of
reading all weights of a token once, at the speed at which this machine's cores, or its GPU, add up a large array,
measured in each round too.
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
from transformers import AutoModelForCausalLM

from ambidex import Greedy, Request, collect
from ambidex_backends.local import LocalBackend

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import llama_cpp_peer
from tests.bench.models import GPU_SHAPES, POCKET, SHAPES, random_model, some_ids

KINDS = ("float32", "bfloat16", "int8", "int4")
Times = tuple[list[int], float, float]
"""The ids, and the seconds until the first one and in all."""


class Ours:
    """`LocalBackend`, as a program uses it."""

    name = "ambidex"

    def __init__(self, folder: Path, kind: str, device: str) -> None:
        quantised: Any = kind if kind.startswith("int") else None
        dtype = "bfloat16" if quantised else kind
        self._backend = LocalBackend(
            str(folder), dtype=dtype, quantize=quantised, device=device, cuda_graphs=device != "cpu", cache_bytes=0
        )
        self.nbytes: int = getattr(self._backend._runtime.engine._model, "nbytes_for_token", 0)

    def greedy(self, prompt: list[int], count: int) -> Times:
        request = Request(prompt=prompt, max_tokens=count, decoding=Greedy(min_tokens=count))
        reply = collect(self._backend.stream(request))
        first, total = reply.timings.first_token, reply.timings.total
        assert first is not None
        assert total is not None
        assert reply.usage.output_tokens == count
        return [], first, total

    def ids(self, prompt: list[int], count: int) -> list[int]:
        """What it decodes; asked for apart, since scores cost time."""
        request = Request(prompt=prompt, max_tokens=count, decoding=Greedy(min_tokens=count), logprobs=0)
        return [scored.id or 0 for scored in collect(self._backend.stream(request)).logprobs or ()]

    def close(self) -> None:
        self._backend.close()


class Generate:
    """`transformers.generate`."""

    name = "generate"

    def __init__(self, folder: Path, kind: str, device: str) -> None:
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, kind))
        self._model = model.to(device).eval()

    def greedy(self, prompt: list[int], count: int) -> Times:
        _, first = self._timed(prompt, 1)
        ids, total = self._timed(prompt, count)
        return ids, first, total

    def close(self) -> None:
        del self._model

    def _timed(self, prompt: list[int], count: int) -> tuple[list[int], float]:
        ids = torch.tensor([prompt], device=self._model.device)
        start = time.perf_counter()
        out = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            min_new_tokens=count if self._model.generation_config.eos_token_id is not None else None,
            do_sample=False,
            pad_token_id=0,
        )
        return out[0, len(prompt) :].tolist(), time.perf_counter() - start


def read_speed(device: str) -> float:
    """Bytes per second at which it adds up an array far larger than the caches; the best of some tries."""
    numbers = torch.ones((1 << 30) if device.startswith("cuda") else 64 << 20, device=device)
    best = 0.0
    for _ in range(4):
        start = time.perf_counter()
        numbers.sum().item()
        best = max(best, numbers.nbytes / (time.perf_counter() - start))
    return best


def compare(label: str, folder: Path, kind: str, scratch: Path, options: argparse.Namespace) -> None:
    """Prints one table for a model in one precision."""
    prompt, count = some_ids(options.prompt), options.tokens
    ours = Ours(folder, kind, options.device)
    theirs = Generate(folder, kind if not kind.startswith("int") else "bfloat16", options.device)
    peers: list[Any] = [ours, theirs]
    if options.device == "cpu" and llama_cpp_peer.absent() is None and label in SHAPES:
        file = scratch / f"{label}-{kind}.gguf"
        if not file.exists():
            llama_cpp_peer.write_gguf(folder, kind, file)
        peer: Any = llama_cpp_peer.LlamaCpp(file, context=options.prompt + count + 8, threads=torch.get_num_threads())
        peer.name = "llama.cpp"
        peers.append(peer)
    rates: dict[str, list[float]] = {peer.name: [] for peer in peers}
    firsts: dict[str, list[float]] = {peer.name: [] for peer in peers}
    shares: list[float] = []
    expected: dict[str, list[int]] = {"ambidex": ours.ids(prompt, count)}
    for peer in peers:  # caches, threads and pages are warm afterwards
        peer.greedy(prompt, 4)
    for _ in range(options.rounds):
        for peer in peers:
            ids, first, total = peer.greedy(prompt, count)
            rates[peer.name].append((count - 1) / (total - first))
            firsts[peer.name].append(first)
            expected.setdefault(peer.name, ids)
        if ours.nbytes:
            shares.append(rates["ambidex"][-1] * ours.nbytes / read_speed(options.device))
    print(f"{label}, {kind}, prompt {options.prompt}, {count} tokens", flush=True)
    for peer in peers:
        ratio = statistics.median(m / t for m, t in zip(rates["ambidex"], rates[peer.name], strict=True))
        sooner = statistics.median(t / m for m, t in zip(firsts["ambidex"], firsts[peer.name], strict=True))
        same = "" if peer is ours else f"   same ids {'yes' if expected[peer.name] == expected['ambidex'] else 'no'}"
        beside = "" if peer is ours else f"   ambidex is {ratio:5.2f} x as fast, first token {sooner:5.2f} x"
        print(
            f"  {peer.name:<10} {statistics.median(rates[peer.name]):7.1f} tok/s"
            f"   first {1000 * statistics.median(firsts[peer.name]):7.1f} ms{beside}{same}",
            flush=True,
        )
    if shares:
        print(f"  share of the limit {statistics.median(shares):.2f}", flush=True)
    for peer in peers:
        peer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", action="append", choices=[*SHAPES, *GPU_SHAPES, "Pocket"])
    parser.add_argument("--model", type=Path, help="a folder instead of the shapes")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--prompt", type=int, default=64, help="tokens of the prompt; 512 for the speed of prefill")
    parser.add_argument("--device", default="cpu", help="with cuda, llama.cpp is left out")
    parser.add_argument("--keep", type=Path, help="a folder where made models stay, for the next time")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    if reason := llama_cpp_peer.absent():
        print(f"llama.cpp is left out: {reason}")
    with tempfile.TemporaryDirectory() as temporary:
        scratch = options.keep or temporary
        for label in [str(options.model)] if options.model else options.shape or [*SHAPES, "Pocket"]:
            if options.model:
                folder = options.model.resolve()
            else:
                folder = POCKET if label == "Pocket" else random_model(label, Path(scratch) / label)
            for kind in options.kind or KINDS:
                compare(label, folder, kind, Path(scratch), options)


if __name__ == "__main__":
    main()
