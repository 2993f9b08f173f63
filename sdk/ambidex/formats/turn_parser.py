"""Splits a model's answer into reasoning, text and calls, as it comes, whatever the cuts.

Strategy: outside of calls only a format's few tags matter; what may be the beginning of one is held back. A call's
opening tag hands over to a body (see `json_calls.py`), which says where the call ends. Space beside a tag is told only
if text follows it. Calls in reasoning are drafts: from an opening tag on, reasoning is held until it is closed. If it
never is, the first complete call of a known tool has ended it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ambidex.events import Event, ReasoningDelta, TextDelta, ToolCalled
from ambidex.tools import Tool

from .call_events import CallEvents, OfferedTools, new_call_id, offered
from .markers import Markers

MAX_SPACE = 1000
"""Characters of a run of space; a longer one is text, even next to a tag."""

MAX_HELD = 1 << 22
"""Characters of unclosed reasoning held after an opening tag; beyond, it is reasoning."""

_SPACE = " \t\r\n"
_MAX_SPACE_AFTER_STOP = 16


class Body(Protocol):
    """A call, or several, from the opening tag on.

    ended  nothing more belongs to it; then
    text   what was read after all is text, not a call
    rest   what is to be read once more, behind `text`. In `tags_in_strings` mode there is none without `text`
    """

    ended: bool
    text: str
    rest: str

    def feed(self, text: str, start: int) -> int:
        """Reads from `start`; returns how far: to its end, the end of `text`, or what may be the beginning of a tag."""
        ...

    def close(self, unread: str) -> None:
        """The output is over; `unread` is what `feed` left. Nothing that is not complete becomes a call."""
        ...


class NewBody(Protocol):
    """Makes a body that tells its calls to `calls`. `opening` is the tag that was read.

    tags_in_strings  a tag ends the call even inside a string: an earlier string without an end had swallowed tags
    """

    def __call__(self, calls: CallEvents, opening: str, *, tags_in_strings: bool = False) -> Body: ...


@dataclass(frozen=True)
class TurnGrammar:
    """What a family's answers are made of.

    calls        what reads a call, by the tag that opens it
    bare         the same for openings that count only where nothing but reasoning and calls came before: `{`, for one
    reasoning    pairs of tags around reasoning; a prompt that opens it does so with the first pair
    reasons_late reasoning may begin after text and calls too; else its tags are text there
    dropped      tags that carry nothing: of sections, of the answer's text
    closings     tags that end calls: one more of them directly behind a call carries nothing either
    stop_tokens  dropped where one ends the answer
    first        what reads the beginning of the answer, whose tag the prompt has written
    """

    calls: Mapping[str, NewBody]
    bare: Mapping[str, NewBody] = field(default_factory=dict[str, NewBody])
    reasoning: Sequence[tuple[str, str]] = (("<think>", "</think>"),)
    reasons_late: bool = False
    dropped: Sequence[str] = ()
    closings: Sequence[str] = ()
    stop_tokens: Sequence[str] = ()
    first: NewBody | None = None
    at_start: Markers = field(init=False)
    in_text: Markers = field(init=False)
    after_call: Markers = field(init=False)
    in_reasoning: Mapping[str, Markers] = field(init=False)
    call_openings: Markers = field(init=False)

    def __post_init__(self) -> None:
        thinks = [opening for opening, _ in self.reasoning]
        late = thinks if self.reasons_late else []
        tags = [*self.calls, *self.dropped]
        made = {
            "at_start": Markers([*tags, *self.bare, *thinks]),
            "in_text": Markers([*tags, *late]),
            "after_call": Markers([*tags, *self.bare, *late, *self.closings]),
            "in_reasoning": {closing: Markers([*tags, closing]) for _, closing in self.reasoning},
            "call_openings": Markers(self.calls),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def parser(self, tools: OfferedTools | None = None, *, starts_in_reasoning: bool = False) -> TurnParser:
        return TurnParser(self, offered(tools), starts_in_reasoning=starts_in_reasoning)


class TurnParser:
    """`feed` text as it comes, `close` at its end; each gives the events that are certain by then.

    tools  by name; empty: every name is known
    """

    def __init__(
        self,
        grammar: TurnGrammar,
        tools: Mapping[str, Tool],
        *,
        starts_in_reasoning: bool,
        new_id: Callable[[], str] = new_call_id,
    ) -> None:
        self._grammar = grammar
        self._tools = tools
        self._calls = CallEvents(tools, new_id)
        self._stop = StopToken(grammar.stop_tokens)
        self._markers = grammar.at_start  # that count in text now
        self._state: Callable[[str, int], int] = self._text
        self._reasoning_end = ""
        self._body: Body | None = None
        self._tags_in_strings = False
        self._space = Space()
        self._held: list[str] = []
        self._held_length = 0
        self._unread = ""
        self._again = ""  # what is to be read once more, before anything else
        if starts_in_reasoning and grammar.reasoning:
            self._begin_reasoning(grammar.reasoning[0][1])
        elif grammar.first is not None:
            self._body = grammar.first(self._calls, "")
            self._state = self._call

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
            self._finish_text(unread)
        else:
            body = self._body
            body.close(unread)
            self._leave(body)
            self._read("")
            self._finish()

    def _finish_text(self, unread: str) -> None:
        """`unread` could still have become a longer tag."""
        at, marker = self._markers.search(unread, 0, at_end=True)
        if marker is not None:
            self._say(TextDelta, unread[:at])
            self._tag(marker)
            self._read(unread[at + len(marker) :])
            self._finish()
            return
        self._say(TextDelta, unread)
        if space := self._space.end():
            self._calls.events.append(TextDelta(space))

    def _text(self, text: str, start: int) -> int:
        counted = self._markers
        at, marker = counted.search(text, start)
        self._say_text(text[start:at])
        if marker is None or counted is not self._markers:
            return at
        self._tag(marker)
        return at + len(marker)

    def _say_text(self, text: str) -> None:
        if text and not text.isspace():
            self._markers = self._grammar.in_text
        self._say(TextDelta, text)

    def _tag(self, marker: str) -> None:
        """One of the tags that count now was read."""
        grammar = self._grammar
        if new_body := grammar.calls.get(marker) or grammar.bare.get(marker):
            self._space.at_tag()
            self._body = new_body(self._calls, marker, tags_in_strings=self._tags_in_strings)
            self._state = self._call
        elif marker in grammar.dropped or marker in grammar.closings:
            self._space.at_tag()
        else:
            self._begin_reasoning(dict(grammar.reasoning)[marker])

    def _call(self, text: str, start: int) -> int:
        assert self._body is not None
        at = self._body.feed(text, start)
        if self._body.ended:
            self._leave(self._body)
        return at

    def _leave(self, body: Body) -> None:
        self._body = None
        self._state = self._text
        self._markers = self._grammar.after_call
        if body.rest:
            self._again = body.rest
            if not body.text:  # from here on a string cannot swallow tags any more, so no text is read three times
                self._tags_in_strings = True
        self._say_text(body.text)

    def _begin_reasoning(self, closing: str) -> None:
        self._reasoning_end = closing
        self._space = Space(drop_first=True)
        self._state = self._reason

    def _leave_reasoning(self) -> None:
        self._space = Space(drop_first=True)
        self._state = self._text

    def _reason(self, text: str, start: int) -> int:
        at, marker = self._grammar.in_reasoning[self._reasoning_end].search(text, start)
        self._say(ReasoningDelta, text[start:at])
        if marker is None:
            return at
        if marker != self._reasoning_end:
            self._state = self._hold
            return at
        self._leave_reasoning()
        return at + len(marker)

    def _hold(self, text: str, start: int) -> int:
        """From an opening tag in reasoning on, until the reasoning is closed."""
        at = text.find(self._reasoning_end, start)
        is_closed = at >= 0
        if not is_closed:
            at = max(start, len(text) - len(self._reasoning_end) + 1)
        limit = start + MAX_HELD - self._held_length
        self._held.append(text[start : min(at, limit)])
        self._held_length += len(self._held[-1])
        if not is_closed and at < limit:
            return at
        self._say(ReasoningDelta, "".join(self._held))
        self._held, self._held_length = [], 0
        if at > limit or not is_closed:
            self._state = self._reason
            return limit
        self._leave_reasoning()
        return at + len(self._reasoning_end)

    def _resolve(self, text: str) -> None:
        """Reasoning that was never closed, from its first opening tag on."""
        self._held, self._held_length = [], 0
        at = self._first_complete_call(text)
        thought = text if at is None else self._without_dropped_at_end(text[:at])
        self._say(ReasoningDelta, thought)
        self._leave_reasoning()
        if at is not None:
            self._read(text[at:])
        self._finish()

    def _first_complete_call(self, text: str) -> int | None:
        openings = self._grammar.call_openings
        at, opening = openings.search(text, 0)
        while opening is not None:
            tried = CallEvents(self._tools)
            body = self._grammar.calls[opening](tried, opening, tags_in_strings=True)
            end = body.feed(text, at + len(opening))
            body.close("")
            calls = [event.call for event in tried.events if isinstance(event, ToolCalled)]
            if any(not self._tools or call.name in self._tools for call in calls):
                return at
            at, opening = openings.search(text, end)
        return None

    def _without_dropped_at_end(self, text: str) -> str:
        """Without the tags of the section that a call has opened."""
        while text.rstrip(_SPACE).endswith(tuple(self._grammar.dropped)):
            text = text.rstrip(_SPACE)
            text = text[: -max(len(tag) for tag in self._grammar.dropped if text.endswith(tag))]
        return text

    def _say(self, kind: type[TextDelta | ReasoningDelta], text: str) -> None:
        if text := self._space.feed(text):
            self._calls.events.append(kind(text))


class Space:
    """Holds back space: it is told with the text that follows it, or at the end, unless a tag stood beside it there.

    drop_first  space at the beginning is never told
    """

    def __init__(self, *, drop_first: bool = False) -> None:
        self._drop = drop_first
        self._said = False
        self._held = ""
        self._too_long = False  # this run is text
        self._beside_tag = False

    def feed(self, text: str) -> str:
        if self._drop:
            text = text.lstrip(_SPACE)
            self._drop = not text
        if not text:
            return ""
        text = self._held + text
        words = text.rstrip(_SPACE)
        self._held = text[len(words) :]
        self._too_long = len(self._held) > MAX_SPACE or (self._too_long and not words)
        if self._too_long:
            words, self._held = text, ""
        if words:
            self._said, self._beside_tag = True, False
        return words

    def at_tag(self) -> None:
        """A tag was read."""
        if not self._said:
            self._drop, self._held = True, ""
        self._beside_tag = True

    def end(self) -> str:
        """What is still held: it is text if the output ends here."""
        held, self._held = self._held, ""
        return "" if self._beside_tag else held


class StopToken:
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
