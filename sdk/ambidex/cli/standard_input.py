"""What comes in: a task as a whole, or a conversation line by line; typed by a person or from a pipe."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Generator, Iterator

from ambidex.errors import InvalidRequest


def is_typed() -> bool:
    """Whether a person types."""
    return sys.stdin.isatty()


def whole() -> str:
    """Everything until the end of the input."""
    with _readable():
        return _decoded(sys.stdin.buffer.read())


def lines(prompt: str) -> Iterator[str]:
    """Line by line, each without its newline; a person is shown `prompt` on stderr or, with line editing, stdout."""
    if not is_typed():
        with _readable():
            yield from (_decoded(line).rstrip("\r\n") for line in sys.stdin.buffer)
        return
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # gives input() its line editing and history
    while True:
        shown = prompt if sys.stdout.isatty() else ""
        if not shown:
            sys.stderr.write(prompt)
            sys.stderr.flush()
        try:
            yield input(shown)
        except EOFError:
            sys.stderr.write("\n")
            return


@contextlib.contextmanager
def _readable() -> Generator[None]:
    try:
        yield
    except OSError as problem:
        raise InvalidRequest(f"The input cannot be read: {problem.strerror or problem}.") from None


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InvalidRequest(f"The input is not UTF-8 text (byte {problem.start}): convert it first.") from None
