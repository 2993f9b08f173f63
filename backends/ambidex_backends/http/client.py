"""The HTTP client that both remote backends use, sync and async; the two halves differ in `await` only.

No redirect is followed, no proxy or netrc of the environment is read, every wait is bounded (`call.py`), every buffer
has a limit (`content.py`, `sse.py`), keys go to their own origin (`connection.py`), and no exception of httpx leaves.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from ambidex import __version__
from ambidex.errors import (
    AmbidexError,
    BackendClosed,
    LimitExceeded,
    MalformedResponse,
    RedirectBlocked,
    UnexpectedContentType,
)
from ambidex.strict_json import StrictJSONError, loads

from .addresses import Permit, anywhere
from .call import Call
from .content import Content, Utf8
from .json_values import as_object
from .limits import DEFAULT_LIMITS, MAX_VALUES, Limits
from .proxy import Proxy
from .secret import Credentials
from .server_errors import MAX_ERROR_VALUES, clean, for_response, says_error
from .transport_errors import translated

if TYPE_CHECKING:
    import httpx

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Ask:
    """One HTTP request: `body` as JSON bytes is posted, None means GET.

    optional  its answer may be done without
    unjudged  its answer is handed out whatever its status and type: its reader looks at them
    """

    url: str
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    credentials: Credentials | None = None
    streams: bool = True
    model: str | None = None
    provider: str | None = None
    limits: Limits = DEFAULT_LIMITS
    optional: bool = False
    unjudged: bool = False

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def target(self) -> str:
        """Host and path, without the query: what errors name."""
        parts = urlsplit(self.url)
        return f"{parts.netloc}{parts.path}"


class Http:
    """Connections are kept per process and, for the async half (asyncio), per event loop; a fork starts with none."""

    def __init__(self, proxy: Proxy | None = None, permit: Permit = anywhere) -> None:
        """`permit` is asked about each address before there is a connection to it."""
        self._proxy = proxy
        self._permit = permit
        self._clients: dict[int, httpx.Client] = {}
        self._async_clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
        self._closed = False

    def open(self, ask: Ask, call: Call) -> Response:
        """Sends, and reads up to the headers. Raises the error of a refusal; otherwise the body is the caller's."""
        client = self._client()
        self._route(ask, call)
        try:
            raw = client.send(_request(ask, call), stream=True)
        except Exception as problem:
            failure = translated(problem, call, ask.host)
        else:
            return Response(raw, call, ask).checked()
        raise failure

    async def aopen(self, ask: Ask, call: Call) -> AsyncResponse:
        """The async twin of `open`."""
        client = self._async_client()
        self._route(ask, call)
        try:
            raw = await client.send(_request(ask, call), stream=True)
        except Exception as problem:
            failure = translated(problem, call, ask.host)
        else:
            return await AsyncResponse(raw, call, ask).checked()
        raise failure

    def json(self, ask: Ask, call: Call) -> Any:
        """The JSON value that `ask` is answered with."""
        response = self.open(ask, call)
        try:
            return _value(response.text(), ask)
        finally:
            response.close()

    async def ajson(self, ask: Ask, call: Call) -> Any:
        """The async twin of `json`."""
        response = await self.aopen(ask, call)
        try:
            return _value(await response.text(), ask)
        finally:
            await response.close()

    def close(self) -> None:
        self._closed = True
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Closes the connections of this event loop, and the sync ones."""
        self.close()
        client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _route(self, ask: Ask, call: Call) -> None:
        call.proxied = self._proxy is not None
        call.tunnels = call.proxied and ask.url.startswith("https:")
        call.proxy_over_tls = self._proxy is not None and self._proxy.is_over_tls

    def _client(self) -> httpx.Client:
        self.check_open()
        client = self._clients.get(os.getpid())
        if client is None:
            from .connection import Client

            # Two threads may both come here: the one whose client is not kept has opened nothing with it.
            client = self._clients.setdefault(os.getpid(), Client(self._proxy, self._permit))
        return client

    def _async_client(self) -> httpx.AsyncClient:
        self.check_open()
        loop = asyncio.get_running_loop()
        client = self._async_clients.get(loop)
        if client is None:
            from .connection import AsyncClient

            for other in list(self._async_clients):  # what a closed loop has left open, nobody can close any more
                if other.is_closed():
                    self._async_clients.pop(other, None)
            client = self._async_clients[loop] = AsyncClient(self._proxy, self._permit)
        return client

    def check_open(self) -> None:
        """Raises `BackendClosed`."""
        if self._closed:
            raise BackendClosed("The backend was closed: connect again.")


_YES_NO = {"true": True, "false": False}


class AnyResponse:
    """What both twins share."""

    def __init__(self, raw: httpx.Response, call: Call, ask: Ask) -> None:
        call.streams = ask.streams
        self.call = call
        self.status = raw.status_code
        self.headers: Mapping[str, str] = _plain(raw.headers)
        call.server_says_retry = _YES_NO.get(self.headers.get("x-should-retry", ""))
        self._raw = raw
        self._ask = ask
        self._chunks: Any = None
        self.limits = limits = ask.limits
        limit = limits.stream_bytes if ask.streams else limits.plain_bytes
        self._limit = limit if self._is_wanted() else limits.error_bytes

    def content(self) -> Content:
        return Content(self.headers.get("content-encoding", ""), self._limit)

    def _is_wanted(self) -> bool:
        """Whether it is what was asked for; if not, its body says why."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._ask.unjudged or self.status != 200:
            return self._ask.unjudged
        return media_type == EVENT_STREAM if self._ask.streams else "html" not in media_type

    def _without_keys(self, body: bytes) -> bytes:
        """Servers repeat the key that they refuse."""
        return body if self._ask.credentials is None else self._ask.credentials.hidden_in(body)

    def _refusal(self, body: bytes) -> AmbidexError:
        status, ask = self.status, self._ask
        if status >= 400:
            return for_response(status, self.headers, body, target=ask.target, model=ask.model, provider=ask.provider)
        request_id = self.headers.get("x-request-id")
        if 300 <= status < 400:
            place = self._without_keys(self.headers.get("location", "").encode(errors="replace")).decode()
            return RedirectBlocked(
                f"{ask.target} redirects{_origin(place)} ({status}), which is not followed. Give the final address.",
                status=status,
                request_id=request_id,
            )
        try:
            data = loads(body, max_values=MAX_ERROR_VALUES)
        except StrictJSONError:
            data = None
        if says_error(as_object(data)):
            return for_response(200, self.headers, body, target=ask.target, model=ask.model, provider=ask.provider)
        media_type = clean(self.headers.get("content-type", "none"))[:80]
        wanted = EVENT_STREAM if ask.streams else "JSON"
        return UnexpectedContentType(
            f"{ask.target} answers with {media_type} (status {status}), where {wanted} was expected. "
            "Check the base URL; a proxy or login page may stand in between.",
            status=status,
            request_id=request_id,
        )


class Response(AnyResponse):
    """An open answer; `close` it."""

    def checked(self) -> Response:
        """Itself, if it is what was asked for; else closed, and the server's error raised."""
        if self._is_wanted():
            return self
        try:
            body = self.rest()
        finally:
            self.close()
        raise self._refusal(body)

    def read(self) -> bytes | None:
        """The next piece as it came; None at the end."""
        if self._chunks is None:
            self._chunks = iter(cast("httpx.SyncByteStream", self._raw.stream))
        try:
            piece: bytes | None = next(self._chunks, None)
        except Exception as problem:
            failure = translated(problem, self.call, self._ask.host)
        else:
            return piece
        raise failure

    def rest(self) -> bytes:
        """All that is left, decompressed."""
        content, body = self.content(), bytearray()
        while (chunk := self.read()) is not None:
            for piece in content.feed(chunk):
                body += piece
        return self._without_keys(bytes(body))

    def text(self) -> str:
        """The same as text, which is never held as bytes."""
        content, text = self.content(), Utf8()
        while (chunk := self.read()) is not None:
            for piece in content.feed(chunk):
                text.feed(piece)
        return text.end()

    def close(self) -> None:
        with suppress(Exception):  # it is over: how the connection ends no longer matters to anyone
            self._raw.close()


class AsyncResponse(AnyResponse):
    """The async twin of `Response`."""

    async def checked(self) -> AsyncResponse:
        if self._is_wanted():
            return self
        try:
            body = await self.rest()
        finally:
            await self.close()
        raise self._refusal(body)

    async def read(self) -> bytes | None:
        if self._chunks is None:
            self._chunks = aiter(cast("httpx.AsyncByteStream", self._raw.stream))
        try:
            piece: bytes | None = await anext(self._chunks, None)
        except Exception as problem:
            failure = translated(problem, self.call, self._ask.host)
        else:
            return piece
        raise failure

    async def rest(self) -> bytes:
        content, body = self.content(), bytearray()
        while (chunk := await self.read()) is not None:
            for piece in content.feed(chunk):
                body += piece
        return self._without_keys(bytes(body))

    async def text(self) -> str:
        content, text = self.content(), Utf8()
        while (chunk := await self.read()) is not None:
            for piece in content.feed(chunk):
                text.feed(piece)
        return text.end()

    async def close(self) -> None:
        with suppress(Exception):
            await self._raw.aclose()


def _request(ask: Ask, call: Call) -> httpx.Request:
    """As it goes out, but for keys: they are in its extensions, and `connection.py` attaches them.

    Made here, since httpx's `build_request` takes the same address and headers apart for every request anew.
    """
    import httpx

    from .connection import Address

    address = Address.of(ask.url)
    request = httpx.Request(
        "GET" if ask.body is None else "POST",
        address.url,
        headers=_headers(address.url.netloc, ask.streams, ask.body is not None, tuple(ask.headers.items())),
        stream=httpx.ByteStream(ask.body or b""),
        extensions={
            "timeout": {"connect": call, "read": call, "write": call, "pool": None},
            "credentials": ask.credentials,
            "address": address,
        },
    )
    if ask.body is not None:
        request.headers["content-length"] = str(len(ask.body))
    return request


@functools.lru_cache(256)
def _headers(host: bytes, streams: bool, has_body: bool, more: tuple[tuple[str, str], ...]) -> httpx.Headers:
    """All but the length of the body, which differs each time. The request has a copy of them."""
    import httpx

    headers = {
        "host": host.decode(),
        "accept": EVENT_STREAM if streams else "application/json",
        "accept-encoding": "identity",
        "user-agent": f"ambidex/{__version__}",
        **dict(more),
        **({"content-type": "application/json"} if has_body else {}),
    }
    return httpx.Headers([(name.encode(), value.encode()) for name, value in headers.items()])


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """By names in lower case; what stands there several times, joined. httpx's own look-ups search them all."""
    plain: dict[str, str] = {}
    for name, value in headers.raw:
        key, text = name.decode("latin-1").lower(), value.decode(errors="replace")
        plain[key] = f"{plain[key]}, {text}" if key in plain else text
    return plain


def _origin(location: str) -> str:
    """Where a redirect leads, as far as errors name it."""
    try:
        parts = urlsplit(location)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return " to what is no address"
    return clean(f" to {parts.scheme or 'the same scheme'}://{parts.hostname}{port}") if parts.hostname else ""


def _value(text: str, ask: Ask) -> Any:
    try:
        return loads(text, max_values=MAX_VALUES)
    except StrictJSONError as problem:
        if problem.limit is not None:
            name, limit = problem.limit
            raise LimitExceeded(f"The answer of {ask.target} is {problem}.", name=name, limit=limit) from None
        raise MalformedResponse(f"The answer of {ask.target} is no JSON: {problem}.") from None
