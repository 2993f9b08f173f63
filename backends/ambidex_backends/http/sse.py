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

from .limits import DEFAULT_LIMITS

_LINE_END = re.compile(rb"\r\n?|\n")
_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"id", b"retry")
_MAX_RETRY_DIGITS = 12


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One dispatched event; `id` is the last one that the stream has set."""

    event: str
    data: str
    id: str = ""


class Decoder:
    """Incremental: read all that `feed` gives for each chunk.

    `max_event_bytes` is the limit of one line, and of the data of one event. Comments and unknown fields are passed
    over without being held, so they have no limit of their own.
    """

    def __init__(self, *, max_event_bytes: int = DEFAULT_LIMITS.event_bytes) -> None:
        self.retry: int | None = None  # the reconnection time in ms that the stream asked for last
        self._limit = max_event_bytes
        self._line = bytearray()  # what has come of a line whose end has not
        self._has_colon = False
        self._passed_over = False
        self._too_large = False
        self._at_start = True
        self._after_cr = False
        self._event = ""
        self._data = bytearray()  # each value with a line feed behind it
        self._id = ""

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """The events that this chunk completes, as they are read. Raises `LimitExceeded`, from then on always."""
        if not chunk:
            return
        self._check(0)
        if self._is_one_event(chunk):
            self._check(len(chunk) - 2)
            self._at_start = self._after_cr = False
            yield ServerSentEvent("message", chunk[6:-2].decode(errors="replace"), self._id)
            return
        start = 1 if self._after_cr and chunk[:1] == b"\n" else 0
        self._after_cr = chunk[-1:] == b"\r"
        for end in _LINE_END.finditer(chunk, start):
            line: bytes | bytearray = chunk[start : end.start()]
            start = end.end()
            if self._line or self._passed_over:
                line = self._rest_of_line(line)
            if self._at_start:
                self._at_start = False
                line = line.removeprefix(_BOM)
            if line:
                self._take_line(line)
            elif self._passed_over:
                self._passed_over = False
            else:
                if self._data:
                    yield self._event_of_data()
                self._event = ""
        if start < len(chunk):
            self._hold(chunk[start:])

    def _is_one_event(self, chunk: bytes) -> bool:
        """What servers send most by far: one line of data and an empty one, after an event that is complete."""
        return (
            chunk.startswith(b"data: ")
            and chunk.endswith(b"\n\n")
            and chunk.count(b"\n") == 2
            and b"\r" not in chunk
            and not (self._line or self._passed_over or self._data or self._event)
        )

    def _hold(self, piece: bytes | bytearray) -> None:
        """A piece of a line whose end has not come."""
        if self._passed_over:
            return
        self._line += piece
        if not self._has_colon and b":" in piece:
            self._has_colon = True
            name = bytes(self._line[: self._line.index(b":")])
            if (name.removeprefix(_BOM) if self._at_start else name) not in _FIELDS:
                self._passed_over = True
                self._line.clear()
        self._check(len(self._line))

    def _rest_of_line(self, piece: bytes | bytearray) -> bytearray:
        """The whole line that ends with this piece; empty if it is passed over."""
        self._hold(piece)
        line, self._line = self._line, bytearray()
        self._has_colon = False
        return line

    def _take_line(self, line: bytes | bytearray) -> None:
        colon = line.find(b":")
        name, start = (line[:colon], colon + 1) if colon >= 0 else (line, len(line))
        if name not in _FIELDS and colon >= 0:  # an unknown field or, with an empty name, a comment
            return
        self._check(len(line))
        if line[start : start + 1] == b" ":
            start += 1
        match name:
            case b"data":
                self._check(len(self._data) + len(line) - start + 1)
                self._data += memoryview(line)[start:]
                self._data += b"\n"
            case b"event":
                self._event = line[start:].decode(errors="replace")
            case b"id" if b"\0" not in line:
                self._id = line[start:].decode(errors="replace")
            case b"retry" if line[start:].isdigit() and len(line) - start <= _MAX_RETRY_DIGITS:
                self.retry = int(line[start:])
            case _:
                pass

    def _event_of_data(self) -> ServerSentEvent:
        data, self._data = self._data, bytearray()
        del data[-1:]
        return ServerSentEvent(self._event or "message", data.decode(errors="replace"), self._id)

    def _check(self, size: int) -> None:
        if size > self._limit or self._too_large:
            self._too_large = True
            self._line.clear()
            self._data.clear()
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
