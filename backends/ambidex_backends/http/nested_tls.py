"""`NestedTls`: TLS inside of TLS, for a server behind a proxy that is itself reached over TLS."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

RECORD_BYTES = 16 * 1024


class NestedTls:
    """What `SSLContext.wrap_socket` cannot make of a connection that is encrypted already. Used as a socket is."""

    def __init__(self, outer: socket.socket | NestedTls, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._seconds: float | None = None

    def settimeout(self, seconds: float | None) -> None:
        """For each of the operations below, to its end."""
        self._seconds = seconds

    def do_handshake(self) -> None:
        self._turn(self._inner.do_handshake)

    def recv(self, most: int) -> bytes:
        try:
            return self._turn(lambda: self._inner.read(most))
        except ssl.SSLZeroReturnError:
            return b""

    def send(self, data: Any) -> int:
        return self._turn(lambda: self._inner.write(data))

    def sendall(self, data: Any) -> None:
        left = memoryview(data)
        while left:
            left = left[self.send(left) :]

    def selected_alpn_protocol(self) -> str | None:
        return self._inner.selected_alpn_protocol()

    def getsockname(self) -> Any:
        return self._outer.getsockname()

    def getpeername(self) -> Any:
        return self._outer.getpeername()

    def fileno(self) -> int:
        return self._outer.fileno()

    def close(self) -> None:
        self._outer.close()

    def _turn(self, work: Callable[[], T]) -> T:
        """Does it, and passes on what it needs from outside and gives to outside."""
        end = None if self._seconds is None else time.monotonic() + self._seconds
        while True:
            result: list[T] = []
            with suppress(ssl.SSLWantReadError):
                result.append(work())
            if pending := self._outgoing.read():
                self._limit(end)
                self._outer.sendall(pending)
            if result:
                return result[0]
            self._limit(end)
            if data := self._outer.recv(RECORD_BYTES):
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def _limit(self, end: float | None) -> None:
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0.0:
            raise TimeoutError("TLS inside of TLS")
        self._outer.settimeout(left)
