"""Under httpx: each wait on the network asks the `Call` first, and keys are attached here, at the last layer.

httpcore hands the `timeout` extension of a request on to its network backend as it is. We give it the `Call` in place
of a number, and this backend asks it before every single read, write and connect.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httpcore
import httpx

from .addresses import look_up, seconds_for
from .call import Call
from .proxy import Proxy
from .secret import Credentials, origin_of

MAX_IDLE_CONNECTIONS = 20
KEEP_ALIVE_SECONDS = 30.0
MAX_HELD_BYTES = 16 * 1024


class Guard(httpcore.NetworkBackend):
    """The sync network."""

    def __init__(self) -> None:
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """By the first address that answers; look-up and all of them together within the connect limit."""
        call = _call(timeout)
        call.connects()
        try:
            addresses = look_up(host, port).result(_seconds(call, httpcore.ConnectTimeout))
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except OSError as problem:
            raise httpcore.ConnectError(str(problem)) from problem
        call.phase = "connect"
        for number, address in enumerate(addresses):
            seconds = seconds_for(number, len(addresses), _seconds(call, httpcore.ConnectTimeout))
            try:
                return GuardedStream(self._network.connect_tcp(address, port, seconds, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses) - 1:
                    raise
        raise httpcore.ConnectError("the name has no address")


class GuardedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._socket = stream.get_extra_info("socket")
        self._held = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        call = _call(timeout)
        if self._held:
            self.write(b"", timeout)
        call.begins(self._socket, "read")
        try:
            data = self._stream.read(max_bytes, _seconds(call, httpcore.ReadTimeout))
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
                self._send(piece, _call(timeout))

    def _send(self, piece: bytes, call: Call) -> None:
        call.begins(self._socket, "write")
        try:
            self._stream.write(piece, _seconds(call, httpcore.WriteTimeout))
        finally:
            call.ends()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        call = _call(timeout)
        with call.securing():
            seconds = _seconds(call, httpcore.ConnectTimeout)
            return GuardedStream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


class AsyncGuard(httpcore.AsyncNetworkBackend):
    """The async twin of `Guard`."""

    def __init__(self) -> None:
        self._network = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        call = _call(timeout)
        call.connects()
        try:
            # Not wait_for: on Python 3.11 it swallows a cancel that comes when the future is just done.
            async with asyncio.timeout(_seconds(call, httpcore.ConnectTimeout)):
                addresses = await asyncio.wrap_future(look_up(host, port))
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except OSError as problem:
            raise httpcore.ConnectError(str(problem)) from problem
        call.phase = "connect"
        for number, address in enumerate(addresses):
            seconds = seconds_for(number, len(addresses), _seconds(call, httpcore.ConnectTimeout))
            try:
                return AsyncGuardedStream(
                    await self._network.connect_tcp(address, port, seconds, local_address, socket_options)
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses) - 1:
                    raise
        raise httpcore.ConnectError("the name has no address")


class AsyncGuardedStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._socket = stream.get_extra_info("socket")
        self._held = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        call = _call(timeout)
        if self._held:
            await self.write(b"", timeout)
        call.begins(self._socket, "read")
        try:
            data = await self._stream.read(max_bytes, _seconds(call, httpcore.ReadTimeout))
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
                await self._send(piece, _call(timeout))

    async def _send(self, piece: bytes, call: Call) -> None:
        call.begins(self._socket, "write")
        try:
            await self._stream.write(piece, _seconds(call, httpcore.WriteTimeout))
        finally:
            call.ends()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        call = _call(timeout)
        with call.securing():
            seconds = _seconds(call, httpcore.ConnectTimeout)
            return AsyncGuardedStream(await self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Answer(httpx.Response):
    """httpx reads the target of a redirect also where none is followed, and fails over one that is no address."""

    @property
    def has_redirect_location(self) -> bool:
        return False


class Transport(httpx.BaseTransport):
    """Our network under httpx. No request waits for a connection: their number is not limited, idle ones are."""

    def __init__(self, proxy: Proxy | None) -> None:
        options: dict[str, Any] = {**_POOL, "ssl_context": _tls(), "network_backend": Guard()}
        self._pool = (
            httpcore.ConnectionPool(**options) if proxy is None else httpcore.HTTPProxy(**_of(proxy), **options)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._pool.handle_request(_with_credentials(request))
        return _Answer(answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions)

    def close(self) -> None:
        self._pool.close()


class AsyncTransport(httpx.AsyncBaseTransport):
    """The async twin. That none waits in the pool matters here: cancelled there, it blocks httpcore for good."""

    def __init__(self, proxy: Proxy | None) -> None:
        options: dict[str, Any] = {**_POOL, "ssl_context": _tls(), "network_backend": AsyncGuard()}
        self._pool = (
            httpcore.AsyncConnectionPool(**options)
            if proxy is None
            else httpcore.AsyncHTTPProxy(**_of(proxy), **options)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._pool.handle_async_request(_with_credentials(request))
        return _Answer(
            answer.status, headers=answer.headers, stream=_AsyncBody(answer.stream), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        self._stream.close()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        await self._stream.aclose()


class _NoCookies(httpx.Cookies):
    """What a server sets is neither kept nor sent back."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


_NO_COOKIES = _NoCookies()


class Client(httpx.Client):
    """httpx's, on our network: nothing of the environment is read, nothing is followed, nothing is kept."""

    def __init__(self, proxy: Proxy | None) -> None:
        super().__init__(transport=Transport(proxy), auth=httpx.Auth(), trust_env=False, follow_redirects=False)

    @property
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        raise NotImplementedError


class AsyncClient(httpx.AsyncClient):
    """The async twin."""

    def __init__(self, proxy: Proxy | None) -> None:
        super().__init__(transport=AsyncTransport(proxy), auth=httpx.Auth(), trust_env=False, follow_redirects=False)

    @property
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        raise NotImplementedError


_POOL: dict[str, Any] = {
    "max_connections": None,
    "max_keepalive_connections": MAX_IDLE_CONNECTIONS,
    "keepalive_expiry": KEEP_ALIVE_SECONDS,
}


def _of(proxy: Proxy) -> dict[str, Any]:
    """What httpcore wants to know of it."""
    revealed = None if proxy.credentials is None else tuple(secret.reveal() for secret in proxy.credentials)
    secured = {"proxy_ssl_context": _tls()} if proxy.address.startswith("https:") else {}
    return {"proxy_url": proxy.address, "proxy_auth": revealed, **secured}


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, taken apart once: for httpx, for httpcore, and whose keys may go there."""

    url: httpx.URL
    target: httpcore.URL
    origin: str

    @staticmethod
    @functools.lru_cache(256)
    def of(url: str) -> Address:
        """Raises httpx's and Python's errors for what is no URL."""
        parsed = httpx.URL(url)
        target = httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path)
        return Address(parsed, target, origin_of(urlsplit(url)))


def _with_credentials(request: httpx.Request) -> httpcore.Request:
    """What goes out: with the keys for its origin, which the request that errors and callers see never holds."""
    address = cast(Address, request.extensions["address"])
    credentials = cast("Credentials | None", request.extensions["credentials"])
    headers = request.headers.raw
    if credentials is not None and (keys := credentials.for_origin(address.origin)):
        headers = [(name, value) for name, value in headers if name.decode() not in keys]
        headers += [(name.encode(), value.encode()) for name, value in keys.items()]
    return httpcore.Request(
        request.method, address.target, headers=headers, content=request.stream, extensions=request.extensions
    )


@functools.cache
def _tls() -> ssl.SSLContext:
    """Made once: it reads hundreds of certificates. SSL_CERT_FILE and SSL_CERT_DIR are honoured."""
    return httpx.create_ssl_context()


def _call(timeout: object) -> Call:
    return cast(Call, timeout)  # what client.py has put into the request's `timeout` extension


def _seconds(call: Call, error: type[httpcore.TimeoutException]) -> float:
    seconds = call.remaining()
    if seconds <= 0:
        raise error
    return seconds
