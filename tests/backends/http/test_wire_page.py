"""docs/wire.md says what the code does."""

from __future__ import annotations

from tests.backends.http.dialect_table import PAGE, page_with_tables


def test_the_tables_are_those_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page_with_tables(text), "run `python -m tests.backends.http.dialect_table`"
