"""Server-sent events by the WHATWG text: bytes in, events out; no I/O, linear, bounded.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
Works on bytes: a line ends at LF, CR or CRLF only (str.splitlines would cut JSON at U+2028), the text is always UTF-8
whatever the header says, and invalid bytes become U+FFFD. What is unterminated at the end is discarded.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

from ambidex.errors import LimitExceeded

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Of one line, and of the data of one event."""

_LINE_END = re.compile(rb"\r\n?|\n")
_BOM = b"\xef\xbb\xbf"
_MAX_RETRY_DIGITS = 12


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One dispatched event; `id` is the last one that the stream has set."""

    event: str
    data: str
    id: str = ""


class Decoder:
    """Incremental: `feed` every chunk; `retry` is the reconnection time in ms that the stream asked for last."""

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.retry: int | None = None
        self._limit = max_event_bytes
        self._line: list[bytes] = []
        self._line_size = 0
        self._at_start = True
        self._after_cr = False
        self._event = ""
        self._data: list[str] = []
        self._data_size = 0
        self._id = ""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that this chunk completes. Raises `LimitExceeded`."""
        events: list[ServerSentEvent] = []
        start = 0
        if chunk:
            if self._after_cr and chunk[:1] == b"\n":
                start = 1
            self._after_cr = chunk[-1:] == b"\r"
        for end in _LINE_END.finditer(chunk, start):
            event = self._take_line(chunk[start : end.start()])
            if event is not None:
                events.append(event)
            start = end.end()
        self._hold(chunk[start:])
        return events

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._line.append(piece)
            self._line_size += len(piece)
            self._check(self._line_size)

    def _take_line(self, last_piece: bytes) -> ServerSentEvent | None:
        self._hold(last_piece)
        line = b"".join(self._line)
        self._line.clear()
        self._line_size = 0
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        self._field(name, value.removeprefix(b" "))
        return None

    def _field(self, name: bytes, value: bytes) -> None:
        match name:
            case b"data":
                self._data_size += len(value) + 1
                self._check(self._data_size)
                self._data.append(value.decode(errors="replace"))
            case b"event":
                self._event = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode(errors="replace")
            case b"retry" if value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
                self.retry = int(value)
            case _:  # a comment (its name is empty) or an unknown field
                pass

    def _dispatch(self) -> ServerSentEvent | None:
        event = ServerSentEvent(self._event or "message", "\n".join(self._data), self._id) if self._data else None
        self._event = ""
        self._data.clear()
        self._data_size = 0
        return event

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise LimitExceeded(
                f"The server sent an event of more than {self._limit} bytes; reading stopped.",
                name="event_bytes",
                limit=self._limit,
            )


def decode(chunks: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """The events in a stream of bytes, however it is cut. Raises `LimitExceeded`."""
    decoder = Decoder()
    for chunk in chunks:
        yield from decoder.feed(chunk)


async def adecode(chunks: AsyncIterable[bytes]) -> AsyncIterator[ServerSentEvent]:
    """The async twin of `decode`."""
    decoder = Decoder()
    async for chunk in chunks:
        for event in decoder.feed(chunk):
            yield event
