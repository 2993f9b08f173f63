"""What it costs to hold an answer to a form: per token, at the start, and what forced tokens save.

    .venv/bin/python tests/bench/constraint.py [--rounds 7] [--tokens 96] [--dtype float32]

Random weights in the shape of SmolLM2-135M, with GPT-2's 50,257 tokens ($AMBIDEX_SHARED, or `shared` beside the
checkout). Per token: an answer in which little is forced (one long text) beside a free answer, interleaved; the median
of the rounds' ratios, by the clock and by the processor's time, which other work on the machine changes less. Start:
from nothing to the first token's mask, then once more by another model with the same tokens. Forced: tokens per second
of an object with many keys beside those of a free answer.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from ambidex import Greedy, Reply, Request, Sampling, collect
from ambidex.output import form
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.grammars import Grammars
from ambidex_backends.local.tokenizer import Tokenizer

SHARED = Path(os.environ.get("AMBIDEX_SHARED") or Path(__file__).resolve().parents[3] / "shared")
GPT2 = SHARED / "data" / "tokenizers" / "gpt2"
SMOLLM2_135M = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
    "bos_token_id": None,
}


@dataclass
class Note:
    """One long text, in which nothing is forced."""

    text: str


@dataclass
class Facts:
    """Long keys, short values: what tool calls mostly are."""

    has_been_paid_in_full: bool
    was_sent_by_mail: bool
    is_from_a_new_customer: bool
    needs_a_second_signature: bool
    was_checked_by_accounting: bool


def random_model(folder: Path) -> Path:
    """Speed does not depend on the weights' values."""
    tokenizer = AutoTokenizer.from_pretrained(str(GPT2))
    torch.manual_seed(0)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    config = AutoConfig.for_model("llama", vocab_size=len(tokenizer), eos_token_id=end, **SMOLLM2_135M)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def seconds_per_token(run: Callable[[], Reply[Any]], forced: int = 0) -> tuple[float, float]:
    """Of decoding, and of the processor; `forced` tokens cost nothing, and do not count."""
    used = time.process_time()
    seconds, reply = timed(run)
    used = time.process_time() - used
    drawn = (reply.usage.output_tokens or 0) - forced
    return (seconds - (reply.timings.first_token or 0.0)) / (drawn - 1), used / drawn


def measure_start(folder: Path) -> None:
    """Without the model: what comes beside loading its weights."""

    def first_mask() -> Grammars:
        tokenizer = Tokenizer(AutoTokenizer.from_pretrained(str(folder)))
        begun, used = time.perf_counter(), time.process_time()
        grammars = Grammars(tokenizer, frozenset({tokenizer.special["<|endoftext|>"]}), tokenizer.vocab_size)
        grammars.constraint(form(Facts), 200).masked(torch.zeros(tokenizer.vocab_size))
        took.extend((time.perf_counter() - begun, time.process_time() - used))
        return grammars

    took: list[float] = []
    kept = first_mask(), first_mask()
    first, of_cpu, again, again_cpu = (f"{1e3 * seconds:4.0f} ms" for seconds in took)
    print(
        f"start     first {first} (processor {of_cpu})   same tokens again {again} (processor {again_cpu})", flush=True
    )
    del kept


def measure_tokens(backend: LocalBackend, *, tokens: int, rounds: int) -> None:
    prompt = torch.randint(10, 1000, (64,), generator=torch.Generator().manual_seed(1)).tolist()
    quotes = {id: -100.0 for id, data in enumerate(backend.tokenizer.vocabulary_bytes) if b'"' in data or b"\n" in data}
    decoding = Sampling(temperature=1.0, seed=1, logit_bias=quotes)  # so that the text does not end
    common: dict[str, Any] = {"prompt": prompt, "max_tokens": tokens}

    def free() -> Reply[Any]:
        return collect(backend.stream(Request(**common, decoding=decoding)))

    def held() -> Reply[Any]:
        return collect(backend.stream(Request(**common, decoding=decoding, output=Note)))

    assert (held().usage.output_tokens or 0) > tokens // 2
    free()
    forced = len(backend.tokenizer.encode('{"text": "')) + len(backend.tokenizer.encode('"}'))
    pairs = [(seconds_per_token(free), seconds_per_token(held, forced)) for _ in range(rounds)]
    for at, what in enumerate(("per token", "processor")):
        ratio = statistics.median(mine[at] / plain[at] for plain, mine in pairs)
        plain, mine = (1e3 * statistics.median(item[at] for item in items) for items in zip(*pairs, strict=True))
        print(f"{what} free {plain:6.1f} ms   held {mine:6.1f} ms   ratio {ratio:4.2f}", flush=True)


def measure_forced(backend: LocalBackend, *, rounds: int) -> None:
    prompt = torch.randint(10, 1000, (64,), generator=torch.Generator().manual_seed(1)).tolist()

    def held() -> Reply[Any]:
        return collect(backend.stream(Request(prompt=prompt, max_tokens=200, decoding=Greedy(), output=Facts)))

    tokens = held().usage.output_tokens or 0

    def free() -> Reply[Any]:
        return collect(backend.stream(Request(prompt=prompt, max_tokens=tokens, decoding=Greedy(min_tokens=tokens))))

    free()
    pairs = [(timed(free)[0], timed(held)[0]) for _ in range(rounds)]
    ratio = statistics.median(plain / mine for plain, mine in pairs)
    plain, mine = (tokens / statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"forced    free {plain:6.1f} tok/s   object {mine:6.1f} tok/s   ratio {ratio:4.2f}   ({tokens} tokens)")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--tokens", type=int, default=96)
    chosen = options.parse_args()
    if not GPT2.is_dir():
        print(f"skipped: no tokenizer at {GPT2}")
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = random_model(Path(scratch))
        measure_start(folder)
        backend = LocalBackend(str(folder), dtype=chosen.dtype, device="cpu", cache_bytes=0)
        measure_tokens(backend, tokens=chosen.tokens, rounds=chosen.rounds)
        measure_forced(backend, rounds=chosen.rounds)
        backend.close()


if __name__ == "__main__":
    main()
