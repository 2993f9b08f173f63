"""`Exchange`: one request and its response as HTTP/1.1 writes them. No I/O, bounded.

h11 writes and reads the heads, which is where HTTP is intricate. A body is taken out of its frame here (RFC 9112,
section 6): h11 makes an event of each chunk, and a stream has one chunk for every token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import h11
import httpcore

MAX_HEAD_BYTES = 100 * 1024
"""The status line and all headers of a response; also the trailers after its body."""

MAX_LINE_BYTES = 8 * 1024
"""The size of a chunk, with the extensions that nobody uses; one trailer."""

Headers: TypeAlias = "list[tuple[bytes, bytes]]"


class Exchange:
    """`head` is to be sent before the body of the request; then `receive` until there is a `response`.

    response          its status, headers and reason
    body              takes the body out of its frame
    begins_with       what has come of the body together with the head
    is_last           the connection cannot be used again, whatever comes
    """

    def __init__(self, method: bytes, target: bytes, headers: Headers) -> None:
        """Raises `httpcore.LocalProtocolError` for what cannot be put into HTTP."""
        self.response: h11.Response | None = None
        self.body: Body = Counted(0)
        self.begins_with = b""
        self.is_last = False
        if any(name.lower() == b"transfer-encoding" for name, _ in headers):  # the body is sent as it is
            raise httpcore.LocalProtocolError("a request is framed by its length")
        self._heads = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        try:
            self.head = self._heads.send(h11.Request(method=method, target=target, headers=headers)) or b""
        except h11.LocalProtocolError as problem:
            raise httpcore.LocalProtocolError(str(problem)) from problem

    def receive(self, data: bytes) -> None:
        """What has come; nothing is the end of the connection. Raises `httpcore.RemoteProtocolError`."""
        if not data:
            raise httpcore.RemoteProtocolError("Server disconnected without sending a response.")
        try:
            self._heads.receive_data(data)
            while type(event := self._heads.next_event()) is h11.InformationalResponse:
                pass
        except h11.RemoteProtocolError as problem:
            raise httpcore.RemoteProtocolError(str(problem)) from problem
        if isinstance(event, h11.Response):
            self.response, self.begins_with = event, self._heads.trailing_data[0]
            self._frame(event)

    def _frame(self, response: h11.Response) -> None:
        """h11 has seen to it that there is one length at most, and no other encoding than in chunks."""
        named = dict(response.headers)  # by names in lower case
        self.is_last = response.http_version < b"1.1" or any(map(_closes, response.headers))
        if response.status_code in (204, 304):
            self.body = Counted(0)
        elif b"transfer-encoding" in named:
            self.body = Chunked()
        elif (length := named.get(b"content-length")) is not None:
            self.body = Counted(int(length))
        else:
            self.body, self.is_last = Unframed(), True
        self.body.overran = self.body.done and bool(self.begins_with)

    @property
    def is_whole(self) -> bool:
        """Whether the response came to its end, and nothing behind it: then the connection may be used again."""
        return self.body.done and not self.body.overran and not self.is_last


class Body(Protocol):
    """`feed` what comes, and read all that it gives, until it is `done`; or `end` where the connection does.

    overran  something came behind the end
    """

    done: bool
    overran: bool

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces of the body. Raises `httpcore.RemoteProtocolError` for a frame that is none."""
        ...

    def end(self) -> None:
        """Raises `httpcore.RemoteProtocolError` where more was to come."""
        ...


class Counted:
    """So many bytes."""

    def __init__(self, length: int) -> None:
        self.done = length == 0
        self.overran = False
        self._left = length

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.overran = len(data) > self._left
        piece = data[: self._left]
        self._left -= len(piece)
        self.done = self._left == 0
        if piece:
            yield piece

    def end(self) -> None:
        if not self.done:
            raise httpcore.RemoteProtocolError(f"the connection was closed {self._left} bytes before the end")


class Unframed:
    """All that comes until the connection ends, as in HTTP/1.0."""

    def __init__(self) -> None:
        self.done = False
        self.overran = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if data:
            yield data

    def end(self) -> None:
        self.done = True


class Chunked:
    """Chunks, each with its size in front; the piece of every chunk is given by itself. What trails is passed over."""

    def __init__(self) -> None:
        self.done = False
        self.overran = False
        self._held = b""  # the beginning of a line whose end has not come
        self._left = 0  # of the chunk that is being read
        self._after_chunk = False  # its line end comes next
        self._trailing: int | None = None  # bytes of trailers, once the last chunk came

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._held:
            data, self._held = self._held + data, b""
        position = 0
        while position < len(data) and not self.done:
            if self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                self._after_chunk = self._left == 0
                yield piece
                continue
            end = data.find(b"\r\n", position)
            if self._after_chunk and end != position and data[position:] != b"\r":
                raise httpcore.RemoteProtocolError("a chunk is longer than it says")
            if end < 0:
                self._hold(data[position:])
                return
            self._take_line(data[position:end])
            position = end + 2
        self.overran = self.done and position < len(data)

    def end(self) -> None:
        if not self.done:
            raise httpcore.RemoteProtocolError("the connection was closed before the last chunk")

    def _hold(self, line: bytes) -> None:
        if len(line) > MAX_LINE_BYTES:
            raise httpcore.RemoteProtocolError("a line around a chunk is too long")
        self._held = line

    def _take_line(self, line: bytes) -> None:
        if self._after_chunk:
            self._after_chunk = False
        elif self._trailing is not None:
            self._trailing += len(line) + 2
            if self._trailing > MAX_HEAD_BYTES:
                raise httpcore.RemoteProtocolError("the trailers are too long")
            self.done = not line
        elif size := _CHUNK_LINE.fullmatch(line):
            self._left = int(size[1], 16)
            if self._left == 0:
                self._trailing = 0
        else:
            raise httpcore.RemoteProtocolError("the size of a chunk is no number")


def _closes(header: tuple[bytes, bytes]) -> bool:
    name, value = header
    return name == b"connection" and b"close" in [token.strip() for token in value.lower().split(b",")]


_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;.*)?[ \t]*")
