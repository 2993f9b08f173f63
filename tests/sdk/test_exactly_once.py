"""However a run breaks, and however often: no call is executed twice, none is lost unreported, none runs from an
incomplete answer."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.sdk.exactly_once import World


def live(seeds: range) -> Counter[str]:
    summary: Counter[str] = Counter()
    for seed in seeds:
        world = World(seed, summary)
        try:
            world.check(world.live())
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    return summary


def show(summary: Counter[str]) -> None:
    zeros = ("duplicate executions", "unreported lost executions", "executions from incomplete answers")
    for name in sorted({*summary, *zeros}):
        print(f"{summary[name]:8} {name}")


def test_runs_that_break_anywhere_execute_each_call_once() -> None:
    summary = live(range(300))
    show(summary)
    assert summary["calls reported in doubt"] > 10
    assert summary["times gone on"] > 300


@pytest.mark.nightly
def test_ten_thousand_runs_that_break_anywhere_execute_each_call_once(capsys: pytest.CaptureFixture[str]) -> None:
    summary = live(range(1_000_000, 1_010_000))
    with capsys.disabled():
        print("\n10,000 agent runs:")
        show(summary)
