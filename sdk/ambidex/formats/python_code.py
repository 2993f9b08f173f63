"""A call whose one argument is code, written as it is up to the end of the answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from .call_events import CallEvents
from .markers import Markers

MAX_CODE = 1 << 20
"""Characters of code. Longer code fails, and its raw text is kept up to here."""


@dataclass(frozen=True)
class PythonCode:
    """Makes the body that reads code for the tool `name`, up to one of `ends`, which is not read."""

    name: str
    ends: Sequence[str] = ()
    argument: str = "code"

    def __call__(self, calls: CallEvents, opening: str, *, tags_in_strings: bool = False) -> CodeBlock:
        return CodeBlock(self, calls, opening)


class CodeBlock:
    """The code, told as it comes, as the text of a JSON object."""

    def __init__(self, form: PythonCode, calls: CallEvents, opening: str) -> None:
        self.ended = False
        self.text = ""
        self.rest = ""
        self._form = form
        self._calls = calls
        self._ends = Markers(form.ends)
        self._raw = [opening]
        self._length = 0

    def feed(self, text: str, start: int) -> int:
        at, marker = self._ends.search(text, start)
        self._tell(text[start:at])
        if marker is not None:
            self._end()
        return at

    def close(self, unread: str) -> None:
        if not self.ended:
            self._tell(unread)
            self._end()

    def _tell(self, code: str) -> None:
        if code and not self._calls.started:
            self._calls.start(self._form.name)
            self._calls.arguments("{" + json.dumps(self._form.argument) + ':"')
        room = MAX_CODE - self._length
        self._length += len(code)
        self._raw.append(code[: max(0, room)])
        if self._length <= MAX_CODE:
            self._calls.arguments(json.dumps(code, ensure_ascii=False)[1:-1])

    def _end(self) -> None:
        self.ended = True
        if self._length > MAX_CODE:
            self._calls.fail("".join(self._raw), f"longer than {MAX_CODE} characters")
        elif self._calls.started:
            self._calls.arguments('"}')
            self._calls.complete(repaired=False, raw="".join(self._raw))
        else:
            self.text = "".join(self._raw)
