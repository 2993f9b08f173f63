"""`ambidex chat`, typed by a person and from a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Done, Terminal


def test_from_a_pipe_each_line_is_answered_with_what_came_before(ambidex: Callable[..., Done]) -> None:
    done = ambidex("chat", "-m", "scripted:echo", stdin="a\n\nb\r\n/reset\nc")
    assert done.code == 0
    assert done.out == "a\na | a | b\nc\n"


def test_quit_ends_it(ambidex: Callable[..., Done]) -> None:
    assert ambidex("chat", "-m", "scripted:echo", stdin="a\n/quit\nb\n").out == "a\n"


def test_the_instructions_stay_after_a_reset(ambidex: Callable[..., Done]) -> None:
    done = ambidex("chat", "-m", "scripted:echo", "-s", "S", stdin="a\n/reset\nb\n")
    assert done.out == "S | a\nS | b\n"


def test_what_looks_like_a_command_is_text_in_a_pipe(ambidex: Callable[..., Done]) -> None:
    assert ambidex("chat", "-m", "scripted:echo", stdin="/etc/passwd\n").out == "/etc/passwd\n"


def test_an_error_ends_a_chat_from_a_pipe(ambidex: Callable[..., Done]) -> None:
    done = ambidex("chat", "-m", "scripted:fails-second", stdin="a\nb\nc\n")
    assert (done.code, done.out, done.err) == (1, "fine\n", "error: Too many requests.\n")


def test_tools_are_called(ambidex: Callable[..., Done], tool_file: Path) -> None:
    done = ambidex("chat", "-m", "scripted:weather", "-t", str(tool_file), stdin="the weather?\n")
    assert done.code == 0
    assert "It is sunny" in done.out
    assert "→ weather(" in done.err


def test_a_person_goes_on_after_an_error(on_terminal: Callable[..., Terminal]) -> None:
    terminal = on_terminal("chat", "-m", "scripted:fails-second", NO_COLOR="1")
    terminal.until("> ")
    terminal.type("first\n")
    assert "fine\n" in terminal.until("> ")
    terminal.type("second\n")
    assert "error: Too many requests.\n" in terminal.until("> ")
    terminal.type("/nonsense\n")
    assert "There is no command '/nonsense'" in terminal.until("> ")
    terminal.type("/reset\n")
    terminal.until("> ")
    terminal.type("third\n")
    assert "fine\n" in terminal.until("> ")
    terminal.type("\x04")  # Ctrl-D
    assert terminal.end().code == 0


def test_ctrl_c_stops_the_answer_and_at_the_prompt_the_program(on_terminal: Callable[..., Terminal]) -> None:
    terminal = on_terminal("chat", "-m", "scripted:slow", NO_COLOR="1")
    terminal.until("> ")
    terminal.type("go\n")
    terminal.until("begun")
    terminal.interrupt()
    assert "Stopped" in terminal.until("> ")
    time.sleep(0.5)  # a person's; readline shows its prompt a moment before it listens for signals
    terminal.interrupt()
    done = terminal.end()
    assert done.code == 130
    assert "Traceback" not in done.out
