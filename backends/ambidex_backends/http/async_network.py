"""`AsyncGuard`: the async twin of `network.py`, on anyio's streams."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore

from .addresses import Permit, anywhere, look_up, seconds_for
from .call import Call
from .network import MAX_HELD_BYTES, call_of


class AsyncGuard(httpcore.AsyncNetworkBackend):
    """Opens connections, as `Guard` does."""

    def __init__(self, permit: Permit = anywhere) -> None:
        self._permit = permit
        self._network = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        call = call_of(timeout)
        call.connects()
        try:
            async with call.timeout(call.seconds(httpcore.ConnectTimeout)):
                addresses = await asyncio.wrap_future(look_up(host, port))
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
                async with call.timeout(seconds):
                    return AsyncGuardedStream(
                        await self._network.connect_tcp(address, port, None, local_address, socket_options)
                    )
            except TimeoutError:
                if number == len(addresses) - 1 or call.is_requested:
                    raise httpcore.ConnectTimeout from None
            except httpcore.ConnectError:
                if number == len(addresses) - 1 or call.is_requested:
                    raise
        raise httpcore.ConnectError("the name has no address")


class AsyncGuardedStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._socket = stream.get_extra_info("socket")
        self._held = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        call = call_of(timeout)
        if self._held:
            await self.write(b"", timeout)
        call.begins(self._socket, "read")
        try:
            data = await self._stream.read(max_bytes, call.seconds(httpcore.ReadTimeout))
        finally:
            call.ends()
        call.received |= bool(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer and len(self._held) + len(buffer) <= MAX_HELD_BYTES:
            self._held += buffer
            return
        held, self._held = self._held, b""
        for piece in (held, buffer):
            if piece:
                await self._send(piece, call_of(timeout))

    async def _send(self, piece: bytes, call: Call) -> None:
        call.begins(self._socket, "write")
        try:
            await self._stream.write(piece, call.seconds(httpcore.WriteTimeout))
        finally:
            call.ends()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        call = call_of(timeout)
        try:
            with call.securing():
                async with call.timeout(call.seconds(httpcore.ConnectTimeout)):
                    return AsyncGuardedStream(await self._stream.start_tls(ssl_context, server_hostname, None))
        except TimeoutError as problem:
            await self.aclose()
            raise httpcore.ConnectTimeout from problem
        except BaseException:  # also where the task was cancelled: httpcore forgets it then
            await self.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    async def aclose(self) -> None:
        await self._stream.aclose()
