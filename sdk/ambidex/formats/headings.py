"""What stands before a message's content: the name of its recipient, which is no text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .call_events import CallEvents
from .json_calls import Header, JSONBlock, JSONCalls
from .markers import Markers
from .turn_parser import Body, NewBody

MAX_NAME = 200
"""Characters of a heading; what is longer is text."""

_NAME = re.compile(r"[\w.:\-]*")


@dataclass(frozen=True)
class TaggedHeading:
    """Makes the body that reads a heading of one word, up to one of `tags`, which is not read; else it is text."""

    tags: Sequence[str]
    ends: Markers = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ends", Markers(self.tags))

    def __call__(self, calls: CallEvents, opening: str, *, tags_in_strings: bool = False) -> Body:
        return _TaggedHeading(self)


class _TaggedHeading:
    def __init__(self, form: TaggedHeading) -> None:
        self.ended = False
        self.text = ""
        self.rest = ""
        self._form = form

    def feed(self, text: str, start: int) -> int:
        at, marker = self._form.ends.search(text, start)
        name = _NAME.match(text, start, at)
        name_end = start if name is None else name.end()
        room = MAX_NAME - len(self.text)
        if name_end < at or at - start > room:
            at = min(name_end, start + room)
            self.text += text[start:at]
            self.ended = True
        elif marker is None:
            self.text += text[start:at]
        else:
            self.ended, self.text = True, ""
        return at

    def close(self, unread: str) -> None:
        if not self.ended:
            self.ended = True
            self.text += unread


@dataclass(frozen=True)
class LineHeading:
    """Makes the body that reads a line with the recipient's name, and the call behind it.

    calls  what reads the call to some recipients
    other  reads the arguments for any other
    text   the recipients whose message is text
    """

    other: JSONCalls
    calls: Mapping[str, NewBody]
    text: Sequence[str]

    def __call__(self, calls: CallEvents, opening: str, *, tags_in_strings: bool = False) -> Body:
        return _LineHeading(self, calls, opening, tags_in_strings)


class _LineHeading:
    def __init__(self, form: LineHeading, calls: CallEvents, opening: str, tags_in_strings: bool) -> None:
        self.ended = False
        self.text = ""
        self.rest = ""
        self._form = form
        self._calls = calls
        self._opening = opening
        self._tags_in_strings = tags_in_strings
        self._name = ""
        self._body: Body | None = None

    def feed(self, text: str, start: int) -> int:
        if self._body is not None:
            return self._feed_body(self._body, text, start)
        name = _NAME.match(text, start, start + MAX_NAME + 1 - len(self._name))
        at = start if name is None else name.end()
        self._name += text[start:at]
        if len(self._name) > MAX_NAME or (at < len(text) and (text[at] != "\n" or not self._name)):
            self.ended, self.text = True, self._opening + self._name
        elif at < len(text):
            at += 1
            if self._name in self._form.text:
                self.ended = True
            else:
                self._body = self._new_body(self._name)
        return at

    def close(self, unread: str) -> None:
        if self.ended:
            return
        self.ended = True
        if self._body is None:
            self.text = self._opening + self._name + unread
            return
        self._body.close(unread)
        self.text, self.rest = self._body.text, self._body.rest

    def _new_body(self, name: str) -> Body:
        opening = f"{self._opening}{name}\n"
        if new_body := self._form.calls.get(name):
            return new_body(self._calls, opening, tags_in_strings=self._tags_in_strings)
        tags_in_strings, named = self._tags_in_strings, Header(name)
        return JSONBlock(self._form.other, self._calls, opening, tags_in_strings=tags_in_strings, named=named)

    def _feed_body(self, body: Body, text: str, start: int) -> int:
        at = body.feed(text, start)
        if body.ended:
            self.ended, self.text, self.rest = True, body.text, body.rest
        return at
