"""Splits a model's answer into reasoning, text and calls, as it comes, whatever the cuts.

Strategy: outside of calls only a format's few tags matter; what may be the beginning of one is held back. A call's
opening tag hands over to the body kind (see `json_object_calls.py`), which says where the call ends. Space next to a
tag belongs to the syntax and is dropped. Calls in reasoning are drafts: from an opening tag on, reasoning is held
until it is closed. If it never is, the first complete call of a known tool has ended it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ambidex.events import Event, ReasoningDelta, TextDelta, ToolCalled
from ambidex.tools import Tool

from .call_events import CallEvents, new_call_id
from .markers import Markers

MAX_SPACE = 1000
"""Characters of a run of space; a longer one is text, even next to a tag."""

MAX_HELD = 1 << 22
"""Characters of unclosed reasoning held after an opening tag; beyond, it is reasoning."""

_SPACE = " \t\r\n"
_MAX_SPACE_AFTER_STOP = 16


class Body(Protocol):
    """A call from its opening tag on, as `JSONObjectCalls`."""

    ended: bool
    text: str
    rest: str

    def feed(self, text: str, start: int) -> int: ...

    def close(self, unread: str) -> None: ...


class NewBody(Protocol):
    """Makes a body that tells its calls to `calls`."""

    def __call__(self, calls: CallEvents, *, tags_in_strings: bool = False) -> Body: ...


class TurnParser:
    """`feed` text as it comes, `close` at its end; each gives the events that are certain by then.

    opening        the tag that begins a call
    body           reads a call
    reasoning      the tags around reasoning, which is looked for only before any text and call
    stop_tokens    dropped where one ends the answer
    tools          by name; empty: every name is known
    """

    def __init__(
        self,
        *,
        opening: str,
        body: NewBody,
        reasoning: tuple[str, str],
        stop_tokens: Sequence[str],
        tools: Mapping[str, Tool],
        starts_in_reasoning: bool,
        new_id: Callable[[], str] = new_call_id,
    ) -> None:
        self._tools = tools
        self._calls = CallEvents(tools, new_id)
        self._new_body = body
        self._opening = opening
        self._reasoning = reasoning
        self._stop = _StopToken(stop_tokens)
        self._in_text = Markers((opening,))
        self._at_start = Markers((opening, reasoning[0]))
        self._in_reasoning = Markers((opening, reasoning[1]))
        self._reasoning_end = Markers((reasoning[1],))
        self._state: Callable[[str, int], int] = self._reason if starts_in_reasoning else self._text
        self._body: Body | None = None
        self._tags_in_strings = False
        self._spoken = False  # text or a call has come: no reasoning begins any more
        self._space = _Space(drop_first=starts_in_reasoning)
        self._held: list[str] = []
        self._held_length = 0
        self._unread = ""
        self._again = ""  # what is to be read once more, before anything else

    def feed(self, text: str) -> list[Event]:
        self._read(self._stop.feed(text))
        return self._take()

    def close(self) -> list[Event]:
        """The output is over; what is held is told now. Call it once."""
        self._read(self._stop.close())
        self._finish()
        return self._take()

    def _take(self) -> list[Event]:
        events, self._calls.events = self._calls.events, []
        return events

    def _read(self, text: str) -> None:
        text = self._again + self._unread + text
        self._again = ""
        at = 0
        while at < len(text):
            state, read = self._state, self._state(text, at)
            if self._again:
                text, read, self._again = self._again + text[read:], 0, ""
            elif read == at and state == self._state:
                break
            at = read
        self._unread = text[at:]

    def _finish(self) -> None:
        unread, self._unread = self._unread, ""
        if self._state == self._hold:
            self._resolve("".join(self._held) + unread)
        elif self._state == self._reason:
            self._say(ReasoningDelta, unread)
        elif self._body is None:
            self._say(TextDelta, unread)
            if space := self._space.end():
                self._calls.events.append(TextDelta(space))
        else:
            body = self._body
            body.close(unread)
            self._leave(body)
            self._read("")
            self._finish()

    def _text(self, text: str, start: int) -> int:
        at, marker = (self._in_text if self._spoken else self._at_start).search(text, start)
        self._spoken |= not text[start:at].isspace() and at > start
        self._say(TextDelta, text[start:at])
        if marker is None:
            return at
        if marker == self._opening:
            self._spoken = True
            self._body = self._new_body(self._calls, tags_in_strings=self._tags_in_strings)
            self._state = self._call
        elif self._spoken:
            self._say(TextDelta, marker)
        else:
            self._space = _Space(drop_first=True)
            self._state = self._reason
        return at + len(marker)

    def _call(self, text: str, start: int) -> int:
        assert self._body is not None
        at = self._body.feed(text, start)
        if self._body.ended:
            self._leave(self._body)
        return at

    def _leave(self, body: Body) -> None:
        self._body = None
        self._state = self._text
        if body.rest:  # from here on a string cannot swallow tags any more, so no text is read three times
            self._again, self._tags_in_strings = body.rest, True
        if body.text:
            self._say(TextDelta, body.text)
        else:
            self._space = _Space(drop_first=True)

    def _reason(self, text: str, start: int) -> int:
        at, marker = self._in_reasoning.search(text, start)
        self._say(ReasoningDelta, text[start:at])
        if marker is None:
            return at
        if marker == self._opening:
            self._state = self._hold
            return at
        self._leave_reasoning()
        return at + len(marker)

    def _leave_reasoning(self) -> None:
        self._space = _Space(drop_first=True)
        self._state = self._text

    def _hold(self, text: str, start: int) -> int:
        """From an opening tag in reasoning on, until the reasoning is closed."""
        at, marker = self._reasoning_end.search(text, start)
        limit = start + MAX_HELD - self._held_length
        self._held.append(text[start : min(at, limit)])
        self._held_length += len(self._held[-1])
        if marker is None and at < limit:
            return at
        self._say(ReasoningDelta, "".join(self._held))
        self._held, self._held_length = [], 0
        if at > limit or marker is None:
            self._state = self._reason
            return limit
        self._leave_reasoning()
        return at + len(marker)

    def _resolve(self, text: str) -> None:
        """Reasoning that was never closed, from its first opening tag on."""
        self._held = []
        at = self._first_complete_call(text)
        self._say(ReasoningDelta, text if at is None else text[:at])
        self._leave_reasoning()
        if at is not None:
            self._read(text[at:])
        self._finish()

    def _first_complete_call(self, text: str) -> int | None:
        at = text.find(self._opening)
        while at >= 0:
            tried = CallEvents(self._tools)
            body = self._new_body(tried, tags_in_strings=True)
            end = body.feed(text, at + len(self._opening))
            body.close("")
            calls = [event.call for event in tried.events if isinstance(event, ToolCalled)]
            if any(not self._tools or call.name in self._tools for call in calls):
                return at
            at = text.find(self._opening, end)
        return None

    def _say(self, kind: type[TextDelta | ReasoningDelta], text: str) -> None:
        if text := self._space.feed(text):
            self._calls.events.append(kind(text))


class _Space:
    """Holds back a run of space until it is known whether a tag follows; `drop_first`: after a tag."""

    def __init__(self, *, drop_first: bool) -> None:
        self._drop = drop_first
        self._held = ""
        self._too_long = False  # this run is text

    def feed(self, text: str) -> str:
        if self._drop:
            text = text.lstrip(_SPACE)
            self._drop = not text
        text = self._held + text
        words = text.rstrip(_SPACE)
        self._held = text[len(words) :]
        self._too_long = len(self._held) > MAX_SPACE or (self._too_long and not words)
        if self._too_long:
            words, self._held = text, ""
        return words

    def end(self) -> str:
        """What is still held: it is text if the output ends here."""
        held, self._held = self._held, ""
        return held


class _StopToken:
    """Drops a stop token at the very end of the output, and a little space after it; anywhere else it is text."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tuple(tokens)
        self._markers = Markers(self._tokens)
        self._held = ""

    def feed(self, text: str) -> str:
        text = self._held + text
        words = text.rstrip(_SPACE)
        at = len(text)
        for token in self._tokens:
            if words.endswith(token) and len(text) - len(words) <= _MAX_SPACE_AFTER_STOP:
                at = len(words) - len(token)
        if at == len(text):
            at = self._markers.partial(text, 0)
        self._held = text[at:]
        return text[:at]

    def close(self) -> str:
        return "" if self._held.startswith(self._tokens) else self._held
