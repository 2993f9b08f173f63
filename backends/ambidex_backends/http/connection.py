"""Under httpx: each wait on the network asks the `Call` first, and keys are attached here, at the last layer.

httpcore hands the `timeout` extension of a request on to its network backend as it is. We give it the `Call` in place
of a number, and our backends (`network.py`, `async_network.py`) ask it before every single read, write and connect.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httpcore
import httpx

from ambidex.errors import ConfigError

from .addresses import Permit
from .async_network import AsyncGuard
from .kept_connection import AsyncKeptConnection, KeptConnection
from .network import Guard
from .proxy import Proxy
from .secret import Credentials, origin_of

MAX_IDLE_CONNECTIONS = 20
KEEP_ALIVE_SECONDS = 30.0


class _Answer(httpx.Response):
    """httpx reads the target of a redirect also where none is followed, and fails over one that is no address."""

    @property
    def has_redirect_location(self) -> bool:
        return False


class Transport(httpx.BaseTransport):
    """Our network under httpx. No request waits for a connection: their number is not limited, idle ones are."""

    def __init__(self, proxy: Proxy | None, permit: Permit) -> None:
        self._pool = (
            _Pool(permit)
            if proxy is None
            else httpcore.HTTPProxy(**_of(proxy), **_POOL, ssl_context=_tls(), network_backend=Guard(permit))
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._pool.handle_request(_with_credentials(request))
        return _Answer(answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions)

    def close(self) -> None:
        self._pool.close()


class AsyncTransport(httpx.AsyncBaseTransport):
    """The async twin. That none waits in the pool matters here: cancelled there, it blocks httpcore for good."""

    def __init__(self, proxy: Proxy | None, permit: Permit) -> None:
        self._pool = (
            _AsyncPool(permit)
            if proxy is None
            else httpcore.AsyncHTTPProxy(**_of(proxy), **_POOL, ssl_context=_tls(), network_backend=AsyncGuard(permit))
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._pool.handle_async_request(_with_credentials(request))
        return _Answer(
            answer.status, headers=answer.headers, stream=_AsyncBody(answer.stream), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Pool(httpcore.ConnectionPool):
    """httpcore's, of connections of ours."""

    def __init__(self, permit: Permit) -> None:
        super().__init__(**_POOL)
        self._permit = permit

    def create_connection(self, origin: httpcore.Origin) -> httpcore.ConnectionInterface:
        return KeptConnection(origin, KEEP_ALIVE_SECONDS, _tls_to(origin), Guard(self._permit))


class _AsyncPool(httpcore.AsyncConnectionPool):
    """The async twin."""

    def __init__(self, permit: Permit) -> None:
        super().__init__(**_POOL)
        self._permit = permit

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        return AsyncKeptConnection(origin, KEEP_ALIVE_SECONDS, _tls_to(origin), AsyncGuard(self._permit))


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

    def __init__(self, proxy: Proxy | None, permit: Permit) -> None:
        super().__init__(transport=Transport(proxy, permit), auth=httpx.Auth(), trust_env=False, follow_redirects=False)

    @property
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        raise NotImplementedError


class AsyncClient(httpx.AsyncClient):
    """The async twin."""

    def __init__(self, proxy: Proxy | None, permit: Permit) -> None:
        super().__init__(
            transport=AsyncTransport(proxy, permit), auth=httpx.Auth(), trust_env=False, follow_redirects=False
        )

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
    secured = {"proxy_ssl_context": _tls()} if proxy.is_over_tls else {}
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
        secret = {name.encode(): value.encode() for name, value in keys.items()}
        headers = [*(item for item in headers if item[0] not in secret), *secret.items()]
    # Its constructor checks each header anew, which takes as long as all the rest here.
    made = httpcore.Request(request.method, address.target, extensions=request.extensions)
    made.headers, made.stream = headers, request.stream
    return made


def _tls_to(origin: httpcore.Origin) -> ssl.SSLContext | None:
    return _tls() if origin.scheme == b"https" else None


@functools.cache
def _tls() -> ssl.SSLContext:
    """Made once: it reads hundreds of certificates. SSL_CERT_FILE and SSL_CERT_DIR are honoured."""
    try:
        context = httpx.create_ssl_context()
    except OSError as problem:  # TLS's own errors are of this kind
        file = os.environ.get("SSL_CERT_FILE")
        what = f"SSL_CERT_FILE, {file!r}," if file else "The usual file of certificates"
        why = "it holds no certificate" if isinstance(problem, ssl.SSLError) else (problem.strerror or "").lower()
        raise ConfigError(f"{what} cannot be used: {why}.", param="SSL_CERT_FILE") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
