"""docs/formats.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from ambidex import formats

from .format_table import PAGE, rows, streams, with_table


def test_the_page_is_current(shared: Path) -> None:
    """If this fails: AMBIDEX_SHARED=... .venv/bin/python -m tests.sdk.formats.format_table"""
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page, shared) == page
    assert len([*rows(shared)]) == len(formats.names()) + 2


def test_arguments_stream_in_every_family() -> None:
    assert [name for name in formats.names() if not streams(name)] == []
