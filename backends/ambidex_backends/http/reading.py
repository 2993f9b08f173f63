"""`Reading`: one response as events. Its bytes are decoded and handed to a reader as the events are asked for.

No I/O: it says when more bytes are needed. The `Reader` knows the wire (`chunks.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Protocol

from ambidex.errors import AmbidexError, DeadlineExceeded, StreamInterrupted, TransportError
from ambidex.events import Event, ReasoningDelta, TextDelta, ToolCallStarted
from ambidex.reply import Timings

from .client import AnyResponse
from .content import Content
from .sse import Decoder, ServerSentEvent


class Reader(Protocol):
    """Turns server-sent events into ours. No I/O.

    finished  a finish reason came: the answer is whole, however the connection ends
    done      nothing more is to be read
    """

    finished: bool
    done: bool

    def begin(self, headers: Mapping[str, str]) -> None:
        """What the response says before its first event."""
        ...

    def feed(self, event: ServerSentEvent) -> list[Event]: ...

    def end(self, timings: Timings, request_id: str | None) -> list[Event]:
        """The last events, with the `Finished`. Raises `IncompleteResponse` when the answer is not whole."""
        ...


class Reading:
    """While `needs_more`, `take` the next piece of the body, or `fail`; then there is a `next_event`."""

    def __init__(self, response: AnyResponse, reader: Reader) -> None:
        self.call = response.call
        self.over = False
        self.may_end_soon = False  # whole before the end of its body, which must still come
        self._events: deque[Event] = deque()
        self._failure: AmbidexError | None = None
        self._reader = reader
        reader.begin(response.headers)
        self._decoder = Decoder(max_event_bytes=response.limits.event_bytes)
        self._arrived: Iterator[ServerSentEvent] = iter(())
        self._response = response
        self._content: Content | None = None
        self._request_id = response.headers.get("x-request-id")
        self._begun = False
        self._first_token: float | None = None

    def needs_more(self) -> bool:
        """Whether more must come before there is anything to give."""
        while not self._events and not self.over:
            try:
                event = next(self._arrived, None)
                if event is None:
                    return True
                self._take_event(event)
            except AmbidexError as error:
                self.fail(error)
            self._check_cancelled()
        return False

    def begin_wait(self) -> None:
        self.call.expect_event(first=not self._begun)
        self._check_cancelled()

    def take(self, chunk: bytes | None) -> None:
        """The next piece of the body, None at its end. It is read as far as the events are asked for."""
        try:
            content = self._content = self._content or self._response.content()
            if chunk is None:
                self._end()
            else:
                self._arrived = chain.from_iterable(map(self._decoder.feed, content.feed(chunk)))
        except AmbidexError as error:
            self.fail(error)

    def fail(self, error: AmbidexError) -> None:
        """What came before the error is given first. After a finish reason, a lost connection loses nothing."""
        error.request_id = error.request_id or self._request_id
        self.over, self._failure = True, error
        if self._reader.finished and isinstance(error, (TransportError, DeadlineExceeded)):
            self._failure = None
            self._end()

    def next_event(self) -> Event | None:
        """The next event; raises the failure after the last one; None at the end."""
        if self._events:
            return self._events.popleft()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return None

    def _check_cancelled(self) -> None:
        if self.call.is_requested and not self.over:
            self.fail(StreamInterrupted("The stream was cancelled.", phase="read", sent=True))

    def _take_event(self, event: ServerSentEvent) -> None:
        self._begun = True
        self.call.expect_event(first=False)
        events = self._reader.feed(event)
        self._events.extend(events)
        if self._first_token is None and any(isinstance(item, _TOKENS) for item in events):
            self._first_token = self.call.elapsed
        if self._reader.done:
            self._end()
            self.may_end_soon = self._failure is None

    def _end(self) -> None:
        self.over = True
        timings = Timings(first_token=self._first_token, total=self.call.elapsed)
        try:
            self._events.extend(self._reader.end(timings, self._request_id))
        except AmbidexError as error:
            self._failure = error


_TOKENS = (TextDelta, ReasoningDelta, ToolCallStarted)
