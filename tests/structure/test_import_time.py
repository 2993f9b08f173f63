"""`import ambidex` is quick, prints nothing and pulls in nothing heavy."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

GOAL = 0.12  # seconds, on a quiet machine
CEILING = 3 * GOAL  # what a busy one is allowed
HEAVY = ("torch", "transformers", "huggingface_hub", "httpx", "pydantic", "jinja2", "rich")


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, in a folder that holds no source of ours."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )


def seconds(code: str, folder: Path) -> float:
    """The median wall time of five fresh interpreters."""

    def once() -> float:
        start = time.perf_counter()
        run(code, folder)
        return time.perf_counter() - start

    once()  # writes the byte code and warms the disk
    return statistics.median(once() for _ in range(5))


def test_importing_pulls_in_nothing_heavy_and_prints_nothing(tmp_path: Path) -> None:
    done = run(f"import sys, ambidex\nassert not (found := set({HEAVY!r}) & set(sys.modules)), found", tmp_path)
    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_importing_is_quick(tmp_path: Path) -> None:
    assert seconds("import ambidex", tmp_path) - seconds("pass", tmp_path) < CEILING
