"""Seconds of the soak, as it runs for hours: `tests/bench/soak.py`."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import REPOSITORY


def test_the_soak_runs_and_passes() -> None:
    command = [sys.executable, str(REPOSITORY / "tests/bench/soak.py"), "--minutes", "0.1", "--faults", "0.2"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.rstrip().endswith("PASS")
