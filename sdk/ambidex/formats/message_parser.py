"""Reads answers that consist of messages, each with a header that says whose it is: reasoning, text, or a tool's.

Strategy: a header is everything up to the tag behind which its message stands; the family's `route` says from its text
what the message is. The prompt has begun the first header, so that an answer starts inside one; an answer that does
not look like that is text. Tags are control tokens here, which nothing quotes, so that any of them ends a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ambidex.events import Event, ReasoningDelta, TextDelta
from ambidex.tools import Tool

from .call_events import CallEvents, OfferedTools, offered
from .json_calls import Header, JSONBlock, JSONCalls
from .markers import Markers
from .turn_parser import Body, NewBody, Space

MAX_HEADER = 1000
"""Characters of a header; a longer one is text."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a message is.

    kind   what its text is told as
    named  it is the arguments of this call
    calls  what reads a call in it, by the tag that opens it
    """

    kind: type[TextDelta | ReasoningDelta] = TextDelta
    named: Header | None = None
    calls: Mapping[str, NewBody] = field(default_factory=dict[str, NewBody])


@dataclass(frozen=True)
class MessageGrammar:
    """What a family's messages are made of.

    starts   the tags that begin a header
    message  the tag that ends it
    ends     the tags that end a message
    first    how the rest of the first header may begin, after space
    route    what the message behind a header is
    calls    the tags that open calls inside messages, as in any `Route.calls`
    """

    starts: Sequence[str]
    message: str
    ends: Sequence[str]
    first: Sequence[str]
    route: Callable[[str], Route]
    calls: Sequence[str] = ()
    in_header: Markers = field(init=False)
    in_message: Markers = field(init=False)
    in_tool_message: Markers = field(init=False)
    arguments: JSONCalls = field(init=False)

    def __post_init__(self) -> None:
        tags = (*self.starts, *self.ends)
        object.__setattr__(self, "in_header", Markers((self.message, *self.ends)))
        object.__setattr__(self, "in_message", Markers(tags))
        object.__setattr__(self, "in_tool_message", Markers((*tags, *self.calls)))
        arguments = JSONCalls(closing=self.ends, openings=self.starts, open_ended=True, control=True)
        object.__setattr__(self, "arguments", arguments)

    def parser(self, tools: OfferedTools | None = None, *, starts_in_reasoning: bool = False) -> MessageParser:
        return MessageParser(self, offered(tools), starts_in_reasoning=starts_in_reasoning)


class MessageParser:
    """`feed` text as it comes, `close` at its end; each gives the events that are certain by then."""

    def __init__(self, grammar: MessageGrammar, tools: Mapping[str, Tool], *, starts_in_reasoning: bool) -> None:
        self._grammar = grammar
        self._calls = CallEvents(tools)
        self._state: Callable[[str, int], int] = self._first
        self._header: list[str] = []
        self._header_length = 0
        self._route = Route()
        self._markers = grammar.in_message
        self._space = Space(drop_first=True)
        self._body: Body | None = None
        self._tags_in_strings = False
        self._unread = ""
        if starts_in_reasoning:
            self._begin_message(Route(ReasoningDelta), "")

    def feed(self, text: str) -> list[Event]:
        self._read(text)
        return self._take()

    def close(self) -> list[Event]:
        """The output is over; what is held is told now. Call it once."""
        self._finish()
        return self._take()

    def _take(self) -> list[Event]:
        events, self._calls.events = self._calls.events, []
        return events

    def _read(self, text: str) -> None:
        text = self._unread + text
        at = 0
        while at < len(text):
            state, read = self._state, self._state(text, at)
            if self._body is not None and self._body.ended and (rest := self._leave(self._body)):
                text, read = rest + text[read:], 0
            elif read == at and state == self._state:
                break
            at = read
        self._unread = text[at:]

    def _finish(self) -> None:
        unread, self._unread = self._unread, ""
        if self._body is not None:
            body = self._body
            body.close(unread)
            if rest := self._leave(body):
                self._read(rest)
                self._finish()
        elif self._state == self._in_message:
            self._say(unread)
            if space := self._space.end():
                self._say_all(space)
        else:
            header = "".join(self._header) + unread
            if header.strip() and not any(tag in header for tag in self._grammar.starts):  # it was none
                self._say_all(header)

    def _first(self, text: str, start: int) -> int:
        """Whether the answer begins with the rest of a header."""
        words = text[start:].lstrip()
        if len(text) - start < MAX_HEADER and any(beginning.startswith(words) for beginning in self._grammar.first):
            return start
        if words.startswith(tuple(self._grammar.first)):
            self._state = self._in_header
        else:
            self._begin_message(Route(), "")
            self._space = Space()
        return start

    def _in_header(self, text: str, start: int) -> int:
        at, marker = self._grammar.in_header.search(text, start)
        limit = start + MAX_HEADER - self._header_length
        self._header.append(text[start : min(at, limit)])
        self._header_length += len(self._header[-1])
        header = "".join(self._header)
        if at > limit:
            self._begin_message(Route(), "")
            self._say(header)
            return limit
        if marker is None:
            return at
        if marker == self._grammar.message:
            self._begin_message(self._grammar.route(header), header + marker)
        else:
            self._begin_header("")
        return at + len(marker)

    def _begin_message(self, route: Route, opening: str) -> None:
        """`opening` is the whole header with its tags."""
        self._route = route
        self._state = self._in_message
        self._space = Space(drop_first=True)
        self._markers = self._grammar.in_tool_message if route.calls else self._grammar.in_message
        if route.named is not None:
            arguments = self._grammar.arguments
            self._begin_call(
                JSONBlock(arguments, self._calls, opening, tags_in_strings=self._tags_in_strings, named=route.named)
            )

    def _begin_header(self, tag: str) -> None:
        self._header, self._header_length = [tag], len(tag)
        self._route = Route()
        self._state = self._in_header

    def _in_message(self, text: str, start: int) -> int:
        at, marker = self._markers.search(text, start)
        self._say(text[start:at])
        if marker is None:
            return at
        if new_body := self._route.calls.get(marker):
            self._begin_call(new_body(self._calls, marker, tags_in_strings=self._tags_in_strings))
        else:
            self._begin_header(marker if marker in self._grammar.starts else "")
        return at + len(marker)

    def _begin_call(self, body: Body) -> None:
        self._space.at_tag()
        self._body = body
        self._state = self._in_call

    def _in_call(self, text: str, start: int) -> int:
        assert self._body is not None
        return self._body.feed(text, start)

    def _leave(self, body: Body) -> str:
        """The call is over. Returns what is to be read once more."""
        self._body = None
        self._say(body.text)
        if self._route.named is None:
            self._state = self._in_message
        else:
            self._begin_header("")
        self._tags_in_strings |= body.rest != ""
        return body.rest

    def _say(self, text: str) -> None:
        if text := self._space.feed(text):
            self._say_all(text)

    def _say_all(self, text: str) -> None:
        if text:
            self._calls.events.append(self._route.kind(text))
