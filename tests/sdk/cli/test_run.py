"""`ambidex run`, as a person or a script starts it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Done, Terminal

Run = Callable[..., Any]


def test_the_answer_is_all_there_is_on_stdout(ambidex: Callable[..., Done], tool_file: Path) -> None:
    done = ambidex("run", "the weather?", "-m", "scripted:weather", "--tools", str(tool_file))
    assert done.code == 0
    assert done.out == "It is sunny \x1b[31m in Paris.\n"  # in a pipe nothing is changed
    assert "the tool file is loaded" in done.err
    assert "the tool prints" in done.err
    assert '→ weather({"city": "Paris"})' in done.err
    assert "← weather: sunny" in done.err


def test_quiet_says_nothing_else(ambidex: Callable[..., Done]) -> None:
    done = ambidex("run", "hello", "-m", "scripted:echo", "-q")
    assert done == type(done)(0, "hello\n", "")


def test_json_is_one_object(ambidex: Callable[..., Done], tool_file: Path) -> None:
    done = ambidex("run", "the weather?", "-m", "scripted:weather", "--tools", str(tool_file), "--json")
    found = json.loads(done.out)
    assert found["answer"] == "It is sunny \x1b[31m in Paris."
    assert found["finish_reason"] == "stop"
    assert found["steps"] == 2
    assert found["model"] == "scripted:weather"
    assert found["usage"]["cost"] is None
    (call,) = found["tool_calls"]
    assert call == {
        "name": "weather",
        "arguments": {"city": "Paris"},
        "result": "sunny \x1b[31m in Paris",
        "is_error": False,
    }


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_the_task_comes_from_a_pipe(ambidex: Callable[..., Done], arguments: tuple[str, ...]) -> None:
    done = ambidex("run", *arguments, "-m", "scripted:echo", "-s", "Be brief.", stdin="two\nlines ✓")
    assert (done.code, done.out) == (0, "Be brief. | two\nlines ✓\n")


def test_a_task_leaves_the_input_alone(ambidex: Callable[..., Done]) -> None:
    assert ambidex("run", "asked", "-m", "scripted:echo", stdin="not this").out == "asked\n"


@pytest.mark.parametrize(
    "arguments", [("run", ""), ("run", "-"), ("run", "x", "--nonsense"), ("run", "a", "b"), ("nix",)]
)
def test_wrong_usage_exits_2(ambidex: Callable[..., Done], arguments: tuple[str, ...]) -> None:
    done = ambidex(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-m", "pocket"), "Did you mean 'local:pocket'?"),
        (("-m", "local:./nowhere"), "nowhere"),
        (("-m", "scripted:echo", "--temperature", "-1"), "temperature must be at least 0"),
        (("-m", "scripted:echo", "--max-tokens", "0"), "max_tokens must be at least 1"),
        (("-m", "scripted:echo", "--max-steps", "0"), "max_steps must be at least 1"),
        (("-m", "scripted:echo", "--tools", "missing.py"), "There is no file 'missing.py'"),
        (("-m", "scripted:error"), "Too many requests."),
    ],
)
def test_an_error_is_one_line_and_exits_1(
    ambidex: Callable[..., Done], arguments: tuple[str, ...], expected: str
) -> None:
    done = ambidex("run", "hello", *arguments)
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert expected in done.err
    assert done.err.count("\n") == 1


def test_input_that_is_no_text_is_refused(ambidex: Callable[..., Done]) -> None:
    done = ambidex("run", "-m", "scripted:echo", stdin=b"caf\xe9")
    assert (done.code, done.out) == (1, "")
    assert "not UTF-8 text (byte 3)" in done.err


def test_an_answer_that_was_cut_off_says_so(ambidex: Callable[..., Done]) -> None:
    done = ambidex("run", "count", "-m", "scripted:long", "--max-tokens", "2")
    assert (done.code, done.out) == (0, "one two \n")
    assert "cut off at its limit of tokens" in done.err


def test_reasoning_is_no_part_of_the_answer(ambidex: Callable[..., Done]) -> None:
    done = ambidex("run", "?", "-m", "scripted:thinks")
    assert done.out == "42\n"
    assert "[reasoning] let me see\n" in done.err


def test_a_terminal_is_shown_no_escape_sequence_of_the_model(on_terminal: Callable[..., Terminal]) -> None:
    shown = on_terminal("run", "?", "-m", "scripted:escapes", NO_COLOR="1").end().out
    assert "red ␛[31mtext␇ <U+009B>1m <U+202E> end\n" in shown
    assert "\x1b" not in shown


def test_a_terminal_is_shown_no_escape_sequence_of_a_tool(
    on_terminal: Callable[..., Terminal], tool_file: Path
) -> None:
    shown = on_terminal("run", "?", "-m", "scripted:weather", "-t", str(tool_file), NO_COLOR="1").end().out
    assert "I look. \n→ weather(" in shown  # streamed as it comes, each thing on its line
    assert "← weather: sunny ␛[31m in Paris" in shown
    assert shown.count("It is sunny ␛[31m in Paris.") == 1
    assert "\x1b" not in shown


def test_a_terminal_has_style_that_ends(on_terminal: Callable[..., Terminal]) -> None:
    done = on_terminal("run", "?", "-m", "scripted:long").end()
    assert done.code == 0
    assert "\x1b[2m" in done.out
    assert done.out.count("\x1b[?25l") == done.out.count("\x1b[?25h")  # the cursor is shown again


def test_ctrl_c_exits_130_without_a_traceback(on_terminal: Callable[..., Terminal]) -> None:
    terminal = on_terminal("run", "?", "-m", "scripted:slow", NO_COLOR="1")
    terminal.until("begun")
    terminal.interrupt()
    done = terminal.end()
    assert done.code == 130
    assert "Traceback" not in done.out


def test_without_a_task_on_a_terminal_it_says_what_to_write(on_terminal: Callable[..., Terminal]) -> None:
    done = on_terminal("run").end()
    assert done.code == 2
    assert 'ambidex run "..."' in done.out


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"PYTHONPATH": "without-rich"}])
def test_a_terminal_without_style_is_shown_the_same(
    on_terminal: Callable[..., Terminal], environment: dict[str, str], tmp_path: Path, variables: dict[str, str]
) -> None:
    if "PYTHONPATH" in variables:
        hidden = tmp_path / "hidden"
        hidden.mkdir()
        (hidden / "rich.py").write_text("raise ImportError('rich')")
        variables = {"PYTHONPATH": f"{hidden}{os.pathsep}{environment['PYTHONPATH']}"}
    done = on_terminal("run", "count", "-m", "scripted:long", **variables).end()
    assert done.code == 0
    assert done.out.startswith("one two three four five six\n")
    assert "\x1b" not in done.out


def test_the_line_of_the_readme_with_the_model_in_the_box(ambidex: Callable[..., Done]) -> None:
    example = Path(__file__).resolve().parents[3] / "examples" / "quickstart.py"
    done = ambidex("run", "What is the weather in Paris?", "--tools", str(example))
    assert done.code == 0
    assert "18 degrees and rain" in done.out
    assert '→ weather({"city": "Paris"})' in done.err
