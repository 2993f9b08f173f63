"""What an `EventStream` iterates over: reads the response, decodes it, hands it to a reader, gives its events.

The reader is pure and knows the wire (`chunks.py`); here are the clock, the limits and the two ways to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from ambidex.backend import Observer, notify
from ambidex.errors import AmbidexError, DeadlineExceeded, StreamInterrupted, TransportError
from ambidex.events import Event, ReasoningDelta, TextDelta, ToolCallStarted
from ambidex.reply import Timings

from .call import Call
from .client import AnyResponse, AsyncResponse, Response
from .content import Content
from .sse import Decoder, ServerSentEvent

LAST_BYTES_SECONDS = 0.05
"""After `[DONE]`, the end of the body may take so long for its connection to be used again."""


class Reader(Protocol):
    """Turns server-sent events into ours. No I/O.

    finished  a finish reason came: the answer is whole, however the connection ends
    done      nothing more is to be read
    """

    finished: bool
    done: bool

    def feed(self, event: ServerSentEvent) -> list[Event]: ...

    def end(self, timings: Timings, request_id: str | None) -> list[Event]:
        """The last events, with the `Finished`. Raises `IncompleteResponse` when the answer is not whole."""
        ...


class _Reading:
    """The part without waiting, which both twins share."""

    def __init__(self, response: AnyResponse, reader: Reader, observe: Observer | None) -> None:
        self.call = response.call
        self.over = False
        self.may_end_soon = False  # whole before the end of its body, which must still come
        self._events: deque[Event] = deque()
        self._failure: AmbidexError | None = None
        self._reader = reader
        self._observe = observe
        self._decoder = Decoder(max_event_bytes=response.limits.event_bytes)
        self._arrived: Iterator[ServerSentEvent] = iter(())
        self._response = response
        self._content: Content | None = None
        self._request_id = response.headers.get("x-request-id")
        self._begun = False
        self._first_token: float | None = None

    @property
    def must_wait(self) -> bool:
        """Whether there is nothing to give before more has come."""
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
        except AmbidexError as error:
            self.fail(error)
            return
        if chunk is None:
            self._end()
        else:
            self._arrived = self._decoded(content.feed(chunk))

    def _decoded(self, pieces: Iterator[bytes]) -> Iterator[ServerSentEvent]:
        for piece in pieces:
            yield from self._decoder.feed(piece)

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
            event = self._events.popleft()
            notify(self._observe, event)
            return event
        if self._failure is not None:
            failure, self._failure = self._failure, None
            notify(self._observe, failure)
            raise failure
        return None

    def _check_cancelled(self) -> None:
        if self.call.aborted and not self.over:
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


class Answer:
    """The sync source: an iterator that `close` may end at any time, also before its first event."""

    def __init__(self, response: Response, reader: Reader, observe: Observer | None) -> None:
        self._response = response
        self._reading = _Reading(response, reader, observe)

    def __next__(self) -> Event:
        reading = self._reading
        if reading.must_wait:
            reading.begin_wait()
        while reading.must_wait:
            try:
                chunk = self._response.read()
            except AmbidexError as error:
                reading.fail(error)
            else:
                reading.take(chunk)
        if reading.may_end_soon:
            reading.may_end_soon = False
            self._read_last_bytes()
        event = reading.next_event()
        if event is None:
            raise StopIteration
        return event

    def __iter__(self) -> Answer:
        return self

    def close(self) -> None:
        self._response.close()

    def abort(self) -> None:
        """Ends a waiting `next` at once. From any thread."""
        self._reading.call.abort()

    def _read_last_bytes(self) -> None:
        self._reading.call.expect("idle", LAST_BYTES_SECONDS)
        try:
            while self._response.read() is not None:
                pass
        except AmbidexError:
            pass  # the answer is whole; the connection is closed instead of kept


class AsyncAnswer:
    """The async twin; the request is sent when the first event is asked for."""

    def __init__(
        self, open_: Callable[[AsyncAnswer], Awaitable[tuple[AsyncResponse, Reader]]], observe: Observer | None
    ) -> None:
        self._open = open_
        self._observe = observe
        self._response: AsyncResponse | None = None
        self._reading: _Reading | None = None
        self._call: Call | None = None
        self._aborted = False

    def carries(self, call: Call) -> Call:
        """`call` is what `abort` ends from now on."""
        self._call = call
        if self._aborted:
            call.abort()
        return call

    async def __anext__(self) -> Event:
        if self._response is None or self._reading is None:
            try:
                self._response, reader = await self._open(self)
            except AmbidexError as error:
                notify(self._observe, error)
                raise
            self._reading = _Reading(self._response, reader, self._observe)
        reading = self._reading
        if reading.must_wait:
            reading.begin_wait()
        while reading.must_wait:
            try:
                chunk = await self._response.read()
            except AmbidexError as error:
                reading.fail(error)
            else:
                reading.take(chunk)
        if reading.may_end_soon:
            reading.may_end_soon = False
            await self._read_last_bytes()
        event = reading.next_event()
        if event is None:
            raise StopAsyncIteration
        return event

    def __aiter__(self) -> AsyncAnswer:
        return self

    async def aclose(self) -> None:
        if self._response is not None:
            await self._response.close()

    def abort(self) -> None:
        self._aborted = True
        if self._call is not None:
            self._call.abort()

    async def _read_last_bytes(self) -> None:
        assert self._response is not None
        self._response.call.expect("idle", LAST_BYTES_SECONDS)
        try:
            while await self._response.read() is not None:
                pass
        except AmbidexError:
            pass
