"""Programs killed by SIGKILL at every point of the journal: what finished is not run again, what had started and is
unknown is reported. `journal_kill.py` is the program; it forks, so it runs by itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("journal_kill.py")


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: a process's death is survived there as well, and many are to die."""
    if not Path("/dev/shm").is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def kill(folder: Path, rounds: int, seconds: float) -> Any:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), str(rounds)], capture_output=True, text=True, timeout=seconds
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_a_kill_at_any_point_is_survived(scratch: Path) -> None:
    outcome = kill(scratch, 3, 300)
    assert outcome["violations"] == []
    assert outcome["seen"]["kills"] >= 3 * (outcome["points"] - 1)
    assert outcome["seen"]["reported in doubt"] >= 3 * 12


@pytest.mark.nightly
def test_two_hundred_kills_at_every_point_are_survived(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = kill(scratch, 200, 7200)
    with capsys.disabled():
        print(f"\nSIGKILL at each of {outcome['points']} points x 200: {outcome['seen']}")
        print(f"violations: {outcome['violations'] or 'none'}")
    assert outcome["violations"] == []
