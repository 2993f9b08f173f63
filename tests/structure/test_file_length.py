"""Files stay short, and each name says what the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST = 600
NAMES_THAT_SAY_NOTHING = {"utils.py", "common.py", "base.py", "types.py", "core.py"}


def files() -> Iterator[Path]:
    for folder in ("sdk", "backends", "tests", "examples"):
        yield from sorted((REPOSITORY / folder).rglob("*.py"))


def test_no_file_is_longer_than_600_lines() -> None:
    lengths = {
        str(file.relative_to(REPOSITORY)): len(file.read_text(encoding="utf-8").splitlines()) for file in files()
    }
    assert lengths
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_file_name_says_what_the_file_holds() -> None:
    assert [str(file.relative_to(REPOSITORY)) for file in files() if file.name in NAMES_THAT_SAY_NOTHING] == []
