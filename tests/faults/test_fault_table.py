"""The table of faults that anyone can print: `tests/bench/faults.py`."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from tests.conftest import REPOSITORY
from tests.faults.peers import PEERS, Told, judged

from ambidex.testing.faults import FAULTS


def printed(*options: str, seconds: float) -> str:
    command = [sys.executable, str(REPOSITORY / "tests/bench/faults.py"), *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def totals(table: str, name: str) -> dict[str, int]:
    """Of the line of one client."""
    (line,) = re.findall(rf"^  {name} +(.*)$", table, re.MULTILINE)
    return {what: int(number) for number, what in re.findall(r"(\d+) (\w+)", line)}


def test_the_command_prints_a_row_for_each_fault_and_says_who_is_not_there() -> None:
    table = printed("--only", "ok", "cut_clean", "tls_expired", "--peers", "openai", "smolagents", seconds=300)
    assert totals(table, "ambidex") == {"runs": 14, "silent": 0, "foreign": 0, "late": 0, "hung": 0, "otherwise": 0}
    assert [line.split()[:3] for line in table.splitlines() if line[:3].strip().isdecimal()] == [
        ["0", "ok", "......"],
        ["7", "tls_expired", "...."],
        ["53", "cut_clean", "...."],
    ]
    for name in ("openai", "smolagents"):
        assert f"without {name}: " in table or totals(table, name)["runs"] == 3


def test_what_a_peer_did_is_judged_by_what_the_catalogue_says() -> None:
    right, cut = FAULTS["ok"].expected, FAULTS["cut_clean"].expected
    call = FAULTS["calls_that_stop"].expected
    assert judged(Told(0.1, (right.text or "", [])), right, 1.5, 0.25) == "."
    assert judged(Told(0.1, ("Hel", [])), right, 1.5, 0.25) == "s"
    assert judged(Told(0.1, ("Hel", [])), cut, 1.5, 0.25) == "s"
    assert judged(Told(0.1, error="ours.Error", is_own=True), cut, 1.5, 0.25) == "."
    assert judged(Told(0.1, error="builtins.ValueError"), cut, 1.5, 0.25) == "f"
    assert judged(Told(2.0, error="ours.Error", is_own=True), cut, 1.5, 0.25) == "l"
    assert judged(Told(8.0), cut, 1.5, 0.25) == "h"
    assert judged(Told(0.1, ("", [("add", '{"x":1}')])), call, 1.5, 0.25) == "."
    assert judged(Told(0.1, ("", [("add", '{"x":')])), call, 1.5, 0.25) == "s"


@pytest.mark.nightly
def test_the_whole_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = printed("--peers", *PEERS, seconds=3600)
    with capsys.disabled():
        print(f"\n{table}")
    found = totals(table, "ambidex")
    assert found.pop("runs") >= 250
    assert set(found.values()) == {0}
