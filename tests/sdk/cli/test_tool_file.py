"""Which tools a file has, and what is said of files that have none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ambidex.cli.tool_file import load_tools
from ambidex.errors import ConfigError


@pytest.fixture(autouse=True)
def same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader puts the file's folder on the path, as Python does for a program."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def written(folder: Path, text: str, name: str = "some_tools.py") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_tools_come_in_their_order_once_each(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
from ambidex import Tool, tool

@tool
def second(x: int) -> int: return x

@tool(name="first one")
def first(x: int) -> int: return x

again = second
_hidden = Tool("hidden", "", {})
by_hand = Tool("by_hand", "", {}, run=print)
""",
    )
    assert [tool.name for tool in load_tools(file)] == ["second", "first one", "by_hand"]


def test_the_file_may_import_its_neighbours_and_look_itself_up(tmp_path: Path) -> None:
    written(tmp_path, "FACTOR = 3", "neighbour_of_tools.py")
    file = written(
        tmp_path,
        """
from __future__ import annotations
from dataclasses import dataclass
from neighbour_of_tools import FACTOR
from ambidex import tool

@dataclass
class Point:
    x: int

@tool
def scale(point: Point) -> int:
    return point.x * FACTOR
""",
    )
    (scale,) = load_tools(file)
    assert scale(**scale.bind({"point": {"x": 2}})) == 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1", "has no tools"),
        ("def weather(city: str) -> str: ...", "decorated with @tool"),
        ("\n\n1 / 0", "(line 3): ZeroDivisionError: division by zero"),
        ("def f(:\n", "(line 1): SyntaxError"),
        ("import module_that_is_not_there", "ModuleNotFoundError"),
        ("import sys\nsys.exit(3)", "(line 2): SystemExit: 3"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tools(written(tmp_path, text))
    assert expected in str(caught.value)
    assert "some_tools.py" in str(caught.value)


def test_a_missing_file_a_folder_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.py", tmp_path, written(tmp_path, "", "tools.txt")):
        with pytest.raises(ConfigError, match="--tools takes a Python file"):
            load_tools(path)
