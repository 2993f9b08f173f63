"""One HTTP/1.1 connection to a server itself, kept between requests; what httpcore's pool is made of here.

Its own connections do the same and take longer about it: an object, an event and a look into the log for each chunk.
Those to a proxy are httpcore's own. The two halves differ in `await` only.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from enum import Enum, auto
from typing import Any, cast

import httpcore

from .framing import Exchange
from .network import call_of

READ_BYTES = 64 * 1024


class _State(Enum):
    NEW = auto()  # made for a request that will come
    ACTIVE = auto()
    IDLE = auto()
    SPENT = auto()  # the pool closes it
    CLOSED = auto()


class _Kept:
    """What both halves share: one exchange at a time, and what the pool asks."""

    def __init__(self, origin: httpcore.Origin, keep_seconds: float) -> None:
        self._origin = origin
        self._host = origin.host.decode("ascii")
        self._keep_seconds = keep_seconds
        self._state = _State.NEW
        self._expires = 0.0
        self._lock = threading.Lock()
        self._opened: Any = None  # the network stream, once there is one

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return origin == self._origin

    def is_available(self) -> bool:
        return self._state is _State.IDLE

    def is_idle(self) -> bool:
        return self._state is _State.IDLE

    def is_closed(self) -> bool:
        return self._state is _State.CLOSED

    def has_expired(self) -> bool:
        """Whether the pool is to close it: it ended in the middle, was idle too long, or was closed by the server."""
        if self._state is not _State.IDLE:
            return self._state is _State.SPENT
        return time.monotonic() > self._expires or bool(self._opened.get_extra_info("is_readable"))

    def info(self) -> str:
        return f"{self._origin!s}, HTTP/1.1, {self._state.name}"

    def finished(self, exchange: Exchange) -> None:
        """The response was closed, wherever its reader was."""
        with self._lock:
            if self._state is _State.ACTIVE:
                self._state = _State.IDLE if exchange.is_whole else _State.SPENT
                self._expires = time.monotonic() + self._keep_seconds

    def _begin(self) -> None:
        """Raises `ConnectionNotAvailable` where another request came first; the pool then finds another."""
        with self._lock:
            if self._state not in (_State.NEW, _State.IDLE):
                raise httpcore.ConnectionNotAvailable
            self._state = _State.ACTIVE

    def _fail(self) -> None:
        with self._lock:
            if self._state is not _State.CLOSED:
                self._state = _State.SPENT


class KeptConnection(_Kept, httpcore.ConnectionInterface):
    """The sync half."""

    def __init__(
        self, origin: httpcore.Origin, keep_seconds: float, tls: ssl.SSLContext | None, network: httpcore.NetworkBackend
    ) -> None:
        super().__init__(origin, keep_seconds)
        self._tls = tls
        self._network = network
        self._stream: httpcore.NetworkStream | None = None

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Sends, and reads up to the end of the head."""
        self._begin()
        try:
            limit = cast(float, call_of(request.extensions["timeout"]["read"]))
            stream = self._stream or self._open(limit)
            exchange = Exchange(request.method, request.url.target, request.headers)
            try:
                stream.write(exchange.head + _body(request), limit)
                stream.write(b"", limit)  # all of it, now
            except httpcore.WriteError:
                pass  # it may have refused, and closed, before it had read all: its answer says so
            while exchange.response is None:
                exchange.receive(stream.read(READ_BYTES, limit))
        except BaseException:
            self._fail()
            raise
        return _response(exchange, _Body(self, exchange, stream, limit))

    def close(self) -> None:
        with self._lock:
            self._state = _State.CLOSED
        if self._stream is not None:
            self._stream.close()

    def _open(self, limit: float) -> httpcore.NetworkStream:
        stream = self._network.connect_tcp(self._host, self._origin.port, limit)
        if self._tls is not None:
            stream = stream.start_tls(self._tls, self._host, limit)
        self._stream = self._opened = stream
        return stream


class _Body:
    def __init__(
        self, connection: KeptConnection, exchange: Exchange, stream: httpcore.NetworkStream, limit: float
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        self._stream = stream
        self._limit = limit
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        body = self._exchange.body
        data = self._exchange.begins_with
        if data:
            yield from body.feed(data)
        while not body.done:
            data = self._stream.read(READ_BYTES, self._limit)
            if data:
                yield from body.feed(data)
            else:
                body.end()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.finished(self._exchange)


class AsyncKeptConnection(_Kept, httpcore.AsyncConnectionInterface):
    """The async half."""

    def __init__(
        self,
        origin: httpcore.Origin,
        keep_seconds: float,
        tls: ssl.SSLContext | None,
        network: httpcore.AsyncNetworkBackend,
    ) -> None:
        super().__init__(origin, keep_seconds)
        self._tls = tls
        self._network = network
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        self._begin()
        try:
            limit = cast(float, call_of(request.extensions["timeout"]["read"]))
            stream = self._stream or await self._open(limit)
            exchange = Exchange(request.method, request.url.target, request.headers)
            try:
                await stream.write(exchange.head + _body(request), limit)
                await stream.write(b"", limit)
            except httpcore.WriteError:
                pass
            while exchange.response is None:
                exchange.receive(await stream.read(READ_BYTES, limit))
        except BaseException:
            self._fail()
            raise
        return _response(exchange, _AsyncBody(self, exchange, stream, limit))

    async def aclose(self) -> None:
        with self._lock:
            self._state = _State.CLOSED
        if self._stream is not None:
            await self._stream.aclose()

    async def _open(self, limit: float) -> httpcore.AsyncNetworkStream:
        stream = await self._network.connect_tcp(self._host, self._origin.port, limit)
        if self._tls is not None:
            stream = await stream.start_tls(self._tls, self._host, limit)
        self._stream = self._opened = stream
        return stream


class _AsyncBody:
    def __init__(
        self, connection: AsyncKeptConnection, exchange: Exchange, stream: httpcore.AsyncNetworkStream, limit: float
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        self._stream = stream
        self._limit = limit
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = self._exchange.body
        data = self._exchange.begins_with
        if data:
            for piece in body.feed(data):
                yield piece
        while not body.done:
            data = await self._stream.read(READ_BYTES, self._limit)
            if data:
                for piece in body.feed(data):
                    yield piece
            else:
                body.end()

    async def aclose(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.finished(self._exchange)


def _body(request: httpcore.Request) -> bytes:
    """The client gives it whole, as bytes."""
    return b"".join(cast("Iterable[bytes]", request.stream))


def _response(exchange: Exchange, stream: _Body | _AsyncBody) -> httpcore.Response:
    head = exchange.response
    assert head is not None
    extensions = {"http_version": b"HTTP/" + head.http_version, "reason_phrase": head.reason}
    return httpcore.Response(head.status_code, headers=head.headers.raw_items(), content=stream, extensions=extensions)
