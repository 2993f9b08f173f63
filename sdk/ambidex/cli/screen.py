"""Where a command writes: the answer to stdout, everything else to stderr."""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self, TextIO

from ambidex.errors import AmbidexError

from .control_characters import visible

if TYPE_CHECKING:
    from rich.console import Console


class Screen:
    """Writes for a person on a terminal and for a program in a pipe.

    On a terminal control characters are made visible, and stderr has style where rich (the extra `cli`) is installed
    and NO_COLOR is not set. In a pipe the answer is what the model said, with a newline at its end.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._out, self._err = sys.stdout, sys.stderr
        self._console = _styled(self._err)
        self._quiet = quiet
        self._line_is_open = False  # the answer's last line has no newline yet
        self._reasons = False
        self._stop_waiting: Callable[[], None] | None = None

    @property
    def shows_answers(self) -> bool:
        """Whether a person reads the answer as it comes."""
        return self._out.isatty()

    @property
    def err(self) -> TextIO:
        """Where tools may print."""
        return self._err

    def answer(self, text: str) -> None:
        """A piece of the answer."""
        self._interrupt()
        self._out.write(visible(text) if self._out.isatty() else text)
        self._out.flush()
        self._line_is_open = not text.endswith("\n") if text else self._line_is_open

    def value(self, value: object) -> None:
        """The answer as JSON, in ASCII where the output is not UTF-8."""
        is_utf_8 = codecs.lookup(self._out.encoding or "utf-8").name == "utf-8"
        self.answer(json.dumps(value, ensure_ascii=not is_utf_8, indent=2) + "\n")

    def end_answer(self) -> None:
        """Ends the answer's last line."""
        self._interrupt()
        if self._line_is_open:
            self.answer("\n")

    def reasoning(self, text: str) -> None:
        """A piece of what the model thinks before it answers."""
        if self._quiet:
            return
        self._wait_no_more()
        if not self._reasons:
            self._break_line()
            text = f"[reasoning] {text}"
        self._reasons = True
        self._write_err(text, "dim italic", end="")

    def note(self, text: str, style: str = "dim") -> None:
        """A line beside the answer."""
        if not self._quiet:
            self._interrupt()
            self._break_line()
            self._write_err(text, style)

    def error(self, error: AmbidexError) -> None:
        """What went wrong, on one line."""
        self._interrupt()
        self._break_line()
        text = " ".join(line.strip() for line in error.message.splitlines())
        self._write_err(f"error: {visible(text)}", "bold red")

    def wait(self, text: str) -> None:
        """Shows that something is awaited, until something is written; on a styled terminal only."""
        if self._console is not None and not self._quiet:
            status = self._console.status(visible(text), spinner="dots", spinner_style="dim")
            status.start()
            self._stop_waiting = status.stop

    def table(self, title: str, rows: Sequence[Sequence[str]]) -> None:
        """Rows of equally many cells, on stdout; lines too long for the terminal are left for it to wrap."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        self.answer("\n".join([title, *lines, ""]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._interrupt()

    def _interrupt(self) -> None:
        """Ends what was being shown on stderr."""
        self._wait_no_more()
        if self._reasons:
            self._reasons = False
            self._write_err("", "")

    def _wait_no_more(self) -> None:
        stop, self._stop_waiting = self._stop_waiting, None
        if stop is not None:
            stop()

    def _break_line(self) -> None:
        """Starts a new line on the terminal that shows both the answer and what stands beside it."""
        if self._line_is_open and self._out.isatty() and self._err.isatty():
            self.answer("\n")

    def _write_err(self, text: str, style: str, end: str = "\n") -> None:
        if self._err.isatty():
            text = visible(text)
        if self._console is None:
            self._err.write(text + end)
            self._err.flush()
        else:
            from rich.text import Text

            self._console.print(Text(text, style=style), end=end, soft_wrap=True)


def _styled(stream: TextIO) -> Console | None:
    """rich's console on a terminal; None where rich is missing or the person wants none."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, highlight=False)
