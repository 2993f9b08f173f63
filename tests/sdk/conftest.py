"""Fixtures of the SDK's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sdk.agent_twin import Twin
from tests.sdk.journal_runner import AnyJournal, Runner

from ambidex.journal import MemoryJournal
from ambidex.sqlite_journal import SQLiteJournal


@pytest.fixture(params=["sync", "async"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Each test that takes it runs once with `Agent` and once with `AsyncAgent`."""
    return Twin(request.param == "async")


@pytest.fixture(params=["memory", "file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyJournal]:
    if request.param == "memory":
        yield MemoryJournal()
    else:
        with SQLiteJournal(tmp_path / "runs.sqlite") as opened:
            yield opened


@pytest.fixture
def runner(twin: Twin, journal: AnyJournal) -> Runner:
    return Runner(twin, journal)
