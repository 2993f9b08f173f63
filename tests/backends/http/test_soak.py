"""Seconds of the soak, and an hour of it: `tests/bench/soak.py`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.conftest import REPOSITORY


def soaked(minutes: float, faults: float) -> str:
    """What it prints."""
    command = [
        sys.executable,
        str(REPOSITORY / "tests/bench/soak.py"),
        "--minutes",
        f"{minutes}",
        "--faults",
        f"{faults}",
    ]
    seconds = 120 + 1.5 * 60 * minutes
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.rstrip().endswith("PASS")
    return result.stdout


def test_the_soak_runs_and_passes() -> None:
    soaked(0.1, 0.2)


@pytest.mark.nightly
def test_an_hour(capsys: pytest.CaptureFixture[str]) -> None:
    """Five percent of faults: memory, descriptors, threads and tasks stay as they were."""
    said = soaked(60, 0.05)
    with capsys.disabled():
        print("\n" + said[said.rindex(" requests in ") - 12 :])
