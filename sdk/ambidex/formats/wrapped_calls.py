"""Calls inside a JSON object of their own: `{"tool_call": {...}}`, `{"tool_calls": [...]}`; `{"response": "text"}`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .call_events import CallEvents
from .json_calls import JSONBlock, JSONCalls
from .string_text import StringText
from .turn_parser import Body

MAX_KEY = 200
"""Characters up to the value of the object's first member."""

_KEY = re.compile(r"\s*+\{\s*+\"(tool_calls?|response)\"\s*+:\s*+")
_MAY_BE_KEY = re.compile(r"\s*+(?:\{\s*+(?:\"[a-z_]{0,12}+(?:\"\s*+)?)?)?")
_CALL = JSONCalls(closing=("}",), must_close=True)
_CALLS = JSONCalls(closing=("}",), must_close=True, wrapper="list")


@dataclass(frozen=True)
class WrappedCalls:
    """Makes the body that reads such an object, or what `other` reads if it is none.

    fence  what closes the fence that the opening tag has opened
    """

    other: JSONCalls
    fence: str = ""

    def __call__(self, calls: CallEvents, opening: str, *, tags_in_strings: bool = False) -> Body:
        return _Choice(self, calls, opening)


class _Choice:
    """The object's beginning, until its first member says what it is; then that."""

    def __init__(self, form: WrappedCalls, calls: CallEvents, opening: str) -> None:
        self.ended = False
        self.text = ""
        self.rest = ""
        self._form = form
        self._calls = calls
        self._opening = opening
        self._beginning = "{" if opening == "{" else ""
        self._body: Body | None = None
        self._fence = ""  # as far as it came, after the object
        self._is_over = False

    def feed(self, text: str, start: int) -> int:
        at = start
        while at < len(text) and self._body is None:
            self._beginning += text[at]
            at += 1
            self._choose()
        if self._body is not None and not self._is_over:
            at = self._body.feed(text, at)
            self._is_over = self._body.ended
        if self._is_over:
            at = self._close_fence(text, at)
        return at

    def close(self, unread: str) -> None:
        if self._body is None:
            self._read_other()
        assert self._body is not None
        if not self._is_over:
            self._body.close(unread)
        self._end()

    def _choose(self) -> None:
        beginning = self._beginning
        if found := _KEY.fullmatch(beginning):
            opening = beginning if self._opening == "{" else self._opening + beginning
            if found[1] == "response":
                self._body = StringText(opening)
            else:
                self._body = JSONBlock(_CALL if found[1] == "tool_call" else _CALLS, self._calls, opening)
        elif len(beginning) >= MAX_KEY or not _MAY_BE_KEY.fullmatch(beginning):
            self._read_other()

    def _read_other(self) -> None:
        """What was read is no beginning of calls: another body reads it once more."""
        self._body = JSONBlock(self._form.other, self._calls, self._opening)
        read = self._beginning.removeprefix("{") if self._opening == "{" else self._beginning
        self._body.feed(read, 0)
        self._is_over = self._body.ended

    def _close_fence(self, text: str, start: int) -> int:
        """After the object; space and the fence's end belong to it."""
        fence = self._form.fence
        assert self._body is not None
        if isinstance(self._body, JSONBlock) and self._body.form is self._form.other:
            fence = ""
        at = start
        while at < len(text) and fence and not self._fence.endswith(fence):
            written = self._fence + text[at]
            if written.strip() and not fence.startswith(written.lstrip()):
                break
            self._fence = written
            at += 1
        if not fence or self._fence.endswith(fence) or at < len(text):
            self._end()
        return at

    def _end(self) -> None:
        assert self._body is not None
        self.ended = True
        self.text, self.rest = self._body.text, self._body.rest
