"""Body kind 1: a call is a JSON object, `{"name": ..., "arguments": {...}}`, between two tags.

Strategy: the object is read piece by piece by the lenient reader, which knows where it ends, so that tags inside its
strings are text. The name is told when its string is closed, the arguments as they come. Several objects, or an array
of them, between one pair of tags are as many calls. When something was repaired, or the end tag is missing, the call
is flagged; when the object is broken or cut off, the call fails and its text is kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from .call_events import CallEvents
from .lenient_json import Fragment, LenientReader, strict_object
from .markers import Markers

MAX_CALL = 1 << 20
"""Characters between two tags. A longer call fails, and its raw text is kept up to here."""

MAX_FALSE_START = 1000
"""Characters without an object after which an opening tag was no call, but text."""


@dataclass(frozen=True, slots=True)
class ObjectTags:
    """How a family writes it. Of the names, the first is the right one; another is a repair."""

    opening: str
    closing: str
    name: Sequence[str] = ("name",)
    arguments: Sequence[str] = ("arguments", "parameters")
    ends: Markers = field(init=False)
    ends_or_object: Markers = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ends", Markers((self.opening, self.closing)))
        object.__setattr__(self, "ends_or_object", Markers((self.opening, self.closing, "{")))


class JSONObjectCalls:
    """Everything between one opening tag and its end: `feed` until `ended`, or `close` at the end of the output.

    Then `text` is what was no call after all, and `rest` what a string without an end had swallowed: to be read once
    more, with `tags_in_strings=True`.
    """

    def __init__(self, tags: ObjectTags, calls: CallEvents, *, tags_in_strings: bool = False) -> None:
        self.ended = False
        self.text = ""
        self.rest = ""
        self._tags = tags
        self._calls = calls
        self._tags_in_strings = tags_in_strings
        self._raw = [tags.opening]
        self._length = 0
        self._object: _Object | None = None
        self._complete: _Object | None = None  # waits for the end tag
        self._is_odd = False  # there is more than one object and space
        self._is_false_start = False
        self._problem: str | None = None

    def feed(self, text: str, start: int) -> int:
        """Returns how far it read: to the end of the block, of the text, or to what may be the beginning of a tag."""
        at = start
        while at < len(text) and not self.ended:
            read = self._between(text, at) if self._object is None else self._inside(text, at)
            if read == at:
                break
            at = read
        return at

    def close(self, unread: str) -> None:
        """The output is over: what was begun is cut off, unless its object is complete. `unread` may begin a tag."""
        if self.ended:
            return
        self._keep(unread)
        self._is_odd |= unread != ""
        if self._object is not None and self._tags.closing in "".join(self._raw):
            self._give_up("a string in it does not end")
        if not self.ended:
            self._end(None)

    def _between(self, text: str, start: int) -> int:
        """Outside an object, or after a problem, where only a tag matters."""
        no_object = self._problem is not None or self._is_false_start
        at, marker = (self._tags.ends if no_object else self._tags.ends_or_object).search(text, start)
        other = text[start:at]
        self._keep(other)
        if other.strip() and not no_object:
            self._is_odd = True
            self._is_false_start = self._complete is None and bool(other.strip("[,; \t\r\n"))
            if self._is_false_start:
                return at
        if self._is_false_start and self._length > MAX_FALSE_START:
            self._end(None)
        elif marker == "{":
            return self._inside(text, at)
        elif marker is not None:
            self._end(marker)
            at += len(marker) if marker == self._tags.closing else 0
        return at

    def _inside(self, text: str, start: int) -> int:
        if self._object is None:
            if self._complete is not None:
                self._is_odd = True
                self._finish_call()
                self._raw = [self._tags.opening]
            self._object = _Object(self._tags, self._calls)
        tag_at, tag = self._tags.ends.search(text, start) if self._tags_in_strings else (len(text), None)
        at = self._object.read(text, start, min(tag_at, start + MAX_CALL - self._length))
        self._keep(text[start:at])
        if self._object.complete:
            self._object, self._complete = None, self._object
        elif self._object.problem is not None:
            self._give_up(self._object.problem)
        elif self._length >= MAX_CALL:
            self._give_up(f"longer than {MAX_CALL} characters")
        elif tag is not None:
            self._give_up("a tag stands inside it")
        return at

    def _keep(self, text: str) -> None:
        self._raw.append(text[: max(0, MAX_CALL - self._length)])
        self._length += len(text)

    def _give_up(self, problem: str) -> None:
        """The object is broken: only a tag ends it now, or has ended it already, inside a string without an end."""
        is_broken = self._object is not None and not self._object.is_read
        self._object = None
        self._problem = f"the call is malformed: {problem}"
        cut, tag, rest = "".join(self._raw).partition(self._tags.closing)
        if tag and is_broken:
            self._raw, self.rest = [cut, tag], rest
            self._end(None)

    def _finish_call(self) -> None:
        """The object that was complete becomes a call."""
        assert self._complete is not None
        self._complete.finish(odd=self._is_odd, raw="".join(self._raw))
        self._complete = None

    def _end(self, marker: str | None) -> None:
        """At a tag, or at the end of the output."""
        self.ended = True
        closed = marker == self._tags.closing
        if closed:
            self._raw.append(self._tags.closing)
        if self._problem is not None:
            self._calls.fail("".join(self._raw), self._problem)
        elif self._object is not None:
            self._calls.fail("".join(self._raw), "the call was cut off before it was complete")
        elif self._complete is not None:
            self._is_odd |= not closed
            self._finish_call()
        elif closed:
            self._calls.fail("".join(self._raw), "there is no JSON object between the tags")
        elif self._is_false_start:
            self.text = "".join(self._raw)
        else:
            self._calls.fail("".join(self._raw), "the call was cut off before it began")


class _Object:
    """One call's object as far as it came."""

    def __init__(self, tags: ObjectTags, calls: CallEvents) -> None:
        self.problem: str | None = None
        self._tags = tags
        self._calls = calls
        self._reader = LenientReader()
        self._name: list[str] = []
        self._arguments_key: str | None = None
        self._is_object = False  # the arguments are one, and can be told as they come
        self._held: list[str] = []  # arguments that wait for the name, or for their end
        self._repaired = False

    @property
    def complete(self) -> bool:
        return self._reader.complete and self.problem is None

    @property
    def is_read(self) -> bool:
        """Whether it is a whole JSON object, of a call or not."""
        return self._reader.complete

    def read(self, text: str, start: int, end: int) -> int:
        at = self._reader.feed(text, start, end)
        fragments, self._reader.fragments = self._reader.fragments, []
        for fragment in fragments:
            if fragment.member in self._tags.name:
                self._read_name(fragment)
            elif fragment.member in self._tags.arguments:
                self._read_arguments(fragment)
        if self._is_object and self._calls.started:
            self._calls.arguments("".join(self._held))
            self._held = []
        self.problem = self.problem or self._reader.problem
        if self._reader.complete and not self._calls.started:
            self.problem = self.problem or f"it has no {self._tags.name[0]!r}"
        return at

    def finish(self, *, odd: bool, raw: str) -> None:
        repaired = odd or self._repaired or self._reader.repaired
        if not self._is_object:
            written = _arguments_in("".join(self._held))
            if written is None:
                self._calls.fail(raw, f"{self._arguments_key!r} is not a JSON object")
                return
            repaired = True
            self._calls.arguments(written)
        self._calls.complete(repaired=repaired, raw=raw)

    def _read_name(self, fragment: Fragment) -> None:
        self._name.append(fragment.text)
        if fragment.ends:
            name = json.loads("".join(self._name))
            if not isinstance(name, str) or not name.strip():
                self.problem = self.problem or "its name is not a text"
            elif not self._calls.started:
                self._calls.start(name.strip())
            self._repaired |= fragment.member != self._tags.name[0]

    def _read_arguments(self, fragment: Fragment) -> None:
        if self._arguments_key is None:
            self._arguments_key = fragment.member
            self._is_object = fragment.text.startswith("{")
            self._repaired |= fragment.member != self._tags.arguments[0]
        if fragment.member != self._arguments_key:
            self.problem = self.problem or f"it has both {self._arguments_key!r} and {fragment.member!r}"
        self._held.append(fragment.text)


def _arguments_in(written: str) -> str | None:
    """The object that was written as a JSON text in a string, once or twice; nothing at all stands for {}."""
    for _ in range(3):
        value = json.loads(written) if written else None
        if value is None or value == "":
            return "{}"
        if not isinstance(value, str):
            return None
        if (repaired := strict_object(value)) is not None:
            return repaired[0]
        written = value if value.lstrip().startswith('"') else "0"
    return None
