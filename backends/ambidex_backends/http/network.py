"""`Guard`: the sync network under httpx, which asks the `Call` before every single wait, and ends with it.

On sockets of its own, for a wait of httpcore's cannot be cancelled before there is a connection.
"""

from __future__ import annotations

import os
import select
import selectors
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from errno import EINPROGRESS, EWOULDBLOCK
from typing import Any, TypeAlias, cast

import httpcore

from .addresses import Permit, anywhere, give_up, look_up, seconds_for
from .call import Call
from .nested_tls import NestedTls

MAX_HELD_BYTES = 16 * 1024

CANCEL_SECONDS = 0.05
"""So much later the wait for a connection is cancelled."""

_TCP: TypeAlias = "socket.socket | NestedTls"


class Guard(httpcore.NetworkBackend):
    """Opens connections."""

    def __init__(self, permit: Permit = anywhere) -> None:
        self._permit = permit

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """By the first address that answers; look-up and all of them together within the connect limit."""
        call = call_of(timeout)
        call.connects()
        found = look_up(host, port)
        try:
            with call.woken_by(lambda: give_up(found)):
                addresses = found.result(call.seconds(httpcore.ConnectTimeout))
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except OSError as problem:
            raise httpcore.ConnectError(str(problem)) from problem
        for address in addresses:
            self._permit(address)
        call.phase = "connect"
        for number, address in enumerate(addresses):
            seconds = seconds_for(number, len(addresses), call.seconds(httpcore.ConnectTimeout))
            try:
                return GuardedStream(_connected(address, port, seconds, call, local_address, socket_options or ()))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses) - 1 or call.is_requested:
                    raise
        raise httpcore.ConnectError("the name has no address")


class GuardedStream(httpcore.NetworkStream):
    """One connection."""

    def __init__(self, connection: _TCP) -> None:
        self._socket = connection
        self._held = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        call = call_of(timeout)
        if self._held:
            self.write(b"", timeout)
        call.begins(self._socket, "read")
        try:
            self._socket.settimeout(call.seconds(httpcore.ReadTimeout))
            data = self._socket.recv(max_bytes)
        except TimeoutError as problem:
            raise httpcore.ReadTimeout from problem
        except OSError as problem:
            raise httpcore.ReadError from problem
        finally:
            call.ends()
        call.received |= bool(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Small pieces are held until the empty one with which httpcore ends a body: they leave in one packet."""
        if buffer and len(self._held) + len(buffer) <= MAX_HELD_BYTES:
            self._held += buffer
            return
        held, self._held = self._held, b""
        for piece in (held, buffer):
            if piece:
                self._send(piece, call_of(timeout))

    def _send(self, piece: bytes, call: Call) -> None:
        call.begins(self._socket, "write")
        left = memoryview(piece)
        try:
            while left:
                self._socket.settimeout(call.seconds(httpcore.WriteTimeout))
                left = left[self._socket.send(left) :]
        except TimeoutError as problem:
            raise httpcore.WriteTimeout from problem
        except OSError as problem:
            raise httpcore.WriteError from problem
        finally:
            call.ends()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        call = call_of(timeout)
        try:
            with call.securing():
                if isinstance(self._socket, socket.socket) and not isinstance(self._socket, ssl.SSLSocket):
                    self._socket = ssl_context.wrap_socket(
                        self._socket, server_hostname=server_hostname, do_handshake_on_connect=False
                    )
                else:
                    self._socket = NestedTls(self._socket, ssl_context, server_hostname)
                call.holds(self._socket)
                self._socket.settimeout(call.seconds(httpcore.ConnectTimeout))
                self._socket.do_handshake()
        except TimeoutError as problem:
            self.close()
            raise httpcore.ConnectTimeout from problem
        except OSError as problem:
            self.close()
            raise httpcore.ConnectError from problem
        except BaseException:
            self.close()
            raise
        finally:
            call.ends()
        return GuardedStream(self._socket)

    def get_extra_info(self, info: str) -> Any:
        match info:
            case "socket":
                return self._socket
            case "ssl_object":
                return self._socket if isinstance(self._socket, (ssl.SSLSocket, NestedTls)) else None
            case "client_addr":
                return self._socket.getsockname()
            case "server_addr":
                return self._socket.getpeername()
            case "is_readable":
                return _is_readable(self._socket.fileno())
            case _:
                return None

    def close(self) -> None:
        self._socket.close()


def call_of(timeout: object) -> Call:
    """What client.py has put into the request's `timeout` extension."""
    return cast(Call, timeout)


def _connected(
    address: str, port: int, seconds: float, call: Call, local_address: str | None, options: Iterable[Any]
) -> socket.socket:
    """Within so many seconds."""
    numeric = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    family, kind, protocol, _, target = numeric[0]
    connection = None
    try:
        connection = socket.socket(family, kind, protocol)
        for option in options:
            connection.setsockopt(*option)
        if local_address is not None:
            connection.bind((local_address, 0))
        connection.setblocking(False)
        code = connection.connect_ex(target)
        if code in (EINPROGRESS, EWOULDBLOCK):
            _wait_for(connection, time.monotonic() + seconds, call)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException as problem:
        if connection is not None:
            connection.close()
        if isinstance(problem, OSError):
            raise httpcore.ConnectError from problem
        raise
    return connection


def _wait_for(connection: socket.socket, end: float, call: Call) -> None:
    """Until it is connected, or has failed."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_WRITE)
        while not selector.select(min(CANCEL_SECONDS, max(0.0, end - time.monotonic()))):
            if call.is_requested:
                raise httpcore.ConnectError
            if time.monotonic() >= end:
                raise httpcore.ConnectTimeout


def _is_readable(descriptor: int) -> bool:
    """Whether something has come, or the connection was ended: an idle one then serves no more."""
    if descriptor < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    with suppress(ValueError):
        return bool(select.select([descriptor], [], [], 0)[0])
    return True
