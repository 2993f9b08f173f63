"""What a request and a streamed chunk cost in CPU time, beside other clients: `tests/bench/wire.py`."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from tests.conftest import REPOSITORY

pytest.importorskip("openai", reason="the official client is not installed: pip install openai")


def measured(*options: str, seconds: float) -> tuple[str, dict[str, dict[str, float]]]:
    """What it prints, and the ratios by workload and peer."""
    command = [sys.executable, str(REPOSITORY / "tests/bench/wire.py"), *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    ratios: dict[str, dict[str, float]] = {}
    for line in result.stdout.splitlines():
        if line.startswith(("plain request", "streamed chunk")):
            ratios[line.partition(", ")[0] if line.startswith("plain") else ",".join(line.split(",")[:2])] = {}
        elif found := re.match(r"  ambidex +[\d.]+ us +(\S.*?) +[\d.]+ us +ratio +([\d.]+)$", line):
            ratios[next(reversed(ratios))][found[1]] = float(found[2])
    return result.stdout, ratios


def test_the_benchmark_runs_and_nothing_costs_a_multiple() -> None:
    """Few rounds on a busy machine; that it is less than the others, the nightly one says."""
    _, ratios = measured("--pairs", "60", "--streams", "3", "--chunks", "200", seconds=300)
    assert ratios["plain request"]["httpx"] < 2.5
    assert ratios["streamed chunk, each by itself"]["openai"] < 1.0
    assert ratios["streamed chunk, all at once"]["openai"] < 1.0


@pytest.mark.nightly
def test_two_thousand_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    said, ratios = measured(seconds=3600)
    with capsys.disabled():
        print(f"\n{said}")
    assert ratios["plain request"]["httpx"] <= 1.15
    assert ratios["streamed chunk, each by itself"]["openai"] <= 0.5
    assert ratios["streamed chunk, all at once"]["openai"] <= 0.5
