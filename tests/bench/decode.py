"""Decode speed beside `transformers.generate`: the same weights, prompt and length, in the same process.

    .venv/bin/python tests/bench/decode.py [--model FOLDER] [--rounds 7] [--tokens 64] [--dtype float32]

Without --model: random weights in the shape of SmolLM2-135M, made on the spot, and Pocket. Runs are interleaved;
each round gives a ratio, and their median is printed. Both decode greedily, and both must give the same ids.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from ambidex import Greedy, Request, collect
from ambidex_backends.local import LocalBackend

VOCABULARY = 49152
SMOLLM2_135M = {
    "vocab_size": VOCABULARY,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
    "eos_token_id": None,
    "bos_token_id": None,
}


def random_model(folder: Path) -> Path:
    """A Llama of SmolLM2-135M's shape with random weights; speed does not depend on their values."""
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **SMOLLM2_135M)).save_pretrained(folder)
    words = {f"w{index}": index for index in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w0").save_pretrained(folder)
    return folder


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(label: str, folder: Path, *, dtype: str, prompt_length: int, tokens: int, rounds: int) -> None:
    """Prints the medians over `rounds` of both speeds and of their ratio."""
    backend = LocalBackend(str(folder.resolve()), dtype=dtype, device="cpu", cache_bytes=0)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    prompt = torch.randint(10, 1000, (1, prompt_length), generator=torch.Generator().manual_seed(1))
    request = Request(prompt=prompt[0].tolist(), max_tokens=tokens, decoding=Greedy(min_tokens=tokens), logprobs=0)
    plain = Request(prompt=prompt[0].tolist(), max_tokens=tokens, decoding=Greedy(min_tokens=tokens))

    def generate() -> torch.Tensor:
        ids: torch.Tensor = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=tokens,
            min_new_tokens=tokens if model.generation_config.eos_token_id is not None else None,
            do_sample=False,
            pad_token_id=0,
        )
        return ids

    ours = [scored.id for scored in collect(backend.stream(request)).logprobs or ()]
    same = ours == generate()[0, prompt_length:].tolist()
    pairs = [(seconds(lambda: collect(backend.stream(plain))), seconds(generate)) for _ in range(rounds)]
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    mine, theirs = (tokens / statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"{label:<14} {dtype:<9} ambidex {mine:7.1f} tok/s   generate {theirs:7.1f} tok/s   "
        f"ratio {ratio:4.2f}   same ids: {'yes' if same else 'no'}",
        flush=True,
    )
    backend.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--model", type=Path)
    options.add_argument("--dtype", action="append", choices=["float32", "bfloat16"])
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--tokens", type=int, default=64)
    options.add_argument("--prompt", type=int, default=64, help="tokens of the prompt")
    chosen = options.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    pocket = Path(__file__).parents[2] / "backends" / "ambidex_backends" / "local" / "pocket"
    with tempfile.TemporaryDirectory() as scratch:
        folders = {str(chosen.model): chosen.model} if chosen.model else {"SmolLM2 shape": random_model(Path(scratch))}
        if not chosen.model and (pocket / "config.json").is_file():
            folders["Pocket"] = pocket
        for label, folder in folders.items():
            for dtype in chosen.dtype or ["float32", "bfloat16"]:
                sizes = {"prompt_length": chosen.prompt, "tokens": chosen.tokens, "rounds": chosen.rounds}
                compare(label, folder, dtype=dtype, **sizes)


if __name__ == "__main__":
    main()
