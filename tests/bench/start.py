"""From the start of a process to Pocket's first token, beside the import of PyTorch alone; and its peak of memory.

    .venv/bin/python tests/bench/start.py [--model local:pocket] [--rounds 7] [--cache-mib 64]

Every figure is of a process of its own; the two kinds take turns, and medians are printed. Memory is what lies above a
process that has imported the same libraries: to be compared with the weights and the memory for keys and values.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.models import random_model

ONLY_TORCH = """
import torch
print("{}")
"""

FIRST_TOKEN = """
import json, sys
from ambidex import Request, User, connect
name, cache_bytes, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
backend = connect(name, device="cpu", cache_bytes=cache_bytes)
stream = backend.stream(Request([User("Hello!")], max_tokens=tokens))
next(stream)
print("{}", flush=True)
"""

MEMORY = """
import json, re, sys
from pathlib import Path

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

from ambidex import Greedy, Request, connect, collect
import ambidex_backends.local.runtime, ambidex_backends.local.answer, ambidex_backends.local.batch
import torch
torch.nn.functional.linear(torch.ones(64, 64), torch.ones(64, 64))
imported = peak()
name, cache_bytes, dtype = sys.argv[1], int(sys.argv[2]), sys.argv[3]
backend = connect(name, device="cpu", cache_bytes=cache_bytes, dtype=dtype)
loaded = peak()
room = (backend.capabilities.context_length or 2048) - 8
for start in range(40):
    ids = [100 + (start * 7 + index) % 300 for index in range(min(room, 400))]
    collect(backend.stream(Request(prompt=ids, max_tokens=8, decoding=Greedy(min_tokens=8))))
print(json.dumps({"imported": imported, "loaded": loaded, "used": peak()}))
"""


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Byte code is kept, as it is of an installed package."""


def run(program: str, *arguments: str) -> tuple[float, float, dict[str, Any]]:
    """Seconds from the start of the process to its line; what it took of the processors, to its end; and the line."""
    start, before = time.perf_counter(), os.times()
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"the process ended with {process.returncode}")
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, busy, json.loads(line)


def weights_bytes(name: str, dtype: str) -> int:
    """The size of the weights in memory, in that dtype."""
    program = """
import sys
from pathlib import Path
from safetensors import safe_open
from ambidex_backends.local.weights import find_folder
count = 0
for path in find_folder(sys.argv[1]).glob("*.safetensors"):
    with safe_open(path, framework="pt") as file:
        for key in file.keys():
            size = 1
            for length in file.get_slice(key).get_shape():
                size *= length
            count += size
print(count)
"""
    count = int(
        subprocess.run([sys.executable, "-c", program, name], capture_output=True, text=True, check=True).stdout
    )
    return count * {"float32": 4, "bfloat16": 2}[dtype]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--model", default="local:pocket")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--cache-mib", type=int, default=64)
    options.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    chosen = options.parse_args()
    cache_bytes = chosen.cache_mib << 20
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    run(ONLY_TORCH)
    run(FIRST_TOKEN, chosen.model, str(cache_bytes), "8")  # byte code, the disk's cache, compiled kernels
    torch_only, whole = list[tuple[float, float]](), list[tuple[float, float]]()
    for _ in range(chosen.rounds):
        torch_only.append(run(ONLY_TORCH)[:2])
        whole.append(run(FIRST_TOKEN, chosen.model, str(cache_bytes), "8")[:2])
    for index, what in enumerate(("elapsed", "of the processors")):
        alone, first = [times[index] for times in torch_only], [times[index] for times in whole]
        more = statistics.median(b - a for a, b in zip(alone, first, strict=True))
        print(
            f"import torch {statistics.median(alone):.2f} s   first token of {chosen.model} "
            f"{statistics.median(first):.2f} s   difference {more:.2f} s   ({what})"
        )
    if not os.path.exists("/proc/self/status"):
        print("memory: skipped, this system has no /proc")
        return
    with tempfile.TemporaryDirectory() as scratch:
        shape = str(random_model("SmolLM2-135M", Path(scratch)).resolve())
        for label, model in ((chosen.model, chosen.model), ("SmolLM2-135M shape", f"local:{shape}")):
            _, _, used = run(MEMORY, model, str(cache_bytes), chosen.dtype)
            weights = weights_bytes(model.removeprefix("local:"), chosen.dtype)
            loaded, above = used["loaded"] - used["imported"], used["used"] - used["imported"]
            mib = 1 << 20
            print(
                f"{label}, {chosen.dtype}: peak memory above the imports {loaded / mib:.1f} MiB loaded, "
                f"{above / mib:.1f} MiB after 40 prompts; weights {weights / mib:.1f} MiB, keys and values at most "
                f"{chosen.cache_mib} MiB: {above / (weights + cache_bytes):.2f} of their sum",
                flush=True,
            )


if __name__ == "__main__":
    main()
