"""A real proxy on loopback: requests go over it, its refusals are its own, and its password shows nowhere."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.servers import Exchange, chat_server, serve, text

from ambidex import errors
from ambidex.messages import User
from ambidex.reply import Reply
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex.testing.faults import FaultProxy, FaultServer
from ambidex_backends.endpoint import EndpointBackend
from ambidex_backends.http import connection

HI = Request([User("hi")], timeout=20)
PASSWORD = "pass word/1"  # a space and a slash have to be quoted in an address
Ask = Callable[..., Reply[Any]]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    def sync(url: str, **options: Any) -> Reply[Any]:
        backend = EndpointBackend(f"{url}#m", **options)
        try:
            return collect(backend.stream(HI))
        finally:
            backend.close()

    async def wait(url: str, **options: Any) -> Reply[Any]:
        backend = EndpointBackend(f"{url}#m", **options)
        try:
            return await acollect(backend.astream(HI))
        finally:
            await backend.aclose()

    return sync if request.param == "sync" else lambda *args, **options: asyncio.run(wait(*args, **options))


def test_requests_go_over_it_with_its_password(ask: Ask) -> None:
    with chat_server(lambda body: text("fine")) as url, FaultProxy(password=f"me:{PASSWORD}") as proxy:
        quoted = "pass%20word%2F1"
        assert ask(url, proxy=proxy.url.replace("//", f"//me:{quoted}@")).text == "fine"
    (seen,) = proxy.requests
    assert (seen.method, seen.path) == ("POST", f"{url}/chat/completions")


def test_the_environments_proxy_is_not_used(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with chat_server(lambda body: text("fine")) as url:
        assert ask(url).text == "fine"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_it_asks_for_a_password(ask: Ask, scheme: str) -> None:
    refusal = b"HTTP/1.1 407 Proxy me:secret wanted\r\ncontent-length: 0\r\nproxy-authenticate: Basic\r\n\r\n"
    with (
        serve(lambda exchange: exchange.send(refusal)) as proxy,
        pytest.raises(errors.ProxyError, match="407") as caught,
    ):
        ask(f"{scheme}://127.0.0.1:9/v1", proxy=proxy.replace("//", "//me:secret@"))
    assert "secret" not in str(caught.value)
    assert caught.value.attempts == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_listens_there(ask: Ask, scheme: str) -> None:
    with pytest.raises(errors.ProxyError) as caught:
        ask(f"{scheme}://127.0.0.1:9/v1", proxy="http://127.0.0.1:1")
    assert caught.value.sent is False


def test_it_dies_after_it_has_made_the_tunnel(ask: Ask) -> None:
    with FaultProxy("dies_after_connect") as proxy, pytest.raises(errors.TransportError) as caught:
        ask("https://127.0.0.1:9/v1", proxy=proxy.url)
    assert not isinstance(caught.value, (errors.TLSError, errors.ProxyError))
    assert caught.value.sent is False
    assert caught.value.attempts == 2


def test_a_tunnel_that_never_comes_is_a_connection_that_never_comes(ask: Ask) -> None:
    with serve(Exchange.hang) as proxy, pytest.raises(errors.DeadlineExceeded) as caught:
        ask("https://127.0.0.1:9/v1", proxy=proxy, connect_timeout=0.2, max_attempts=1)
    assert caught.value.kind == "connect"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:80", "ftp://h:1", "http://h:1/path", "http://h:99999", "http://", "http://h h:1", "socks5://h:1"],
)
def test_what_is_no_proxy_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(errors.ConfigError, match="proxy takes") as caught:
        EndpointBackend("http://127.0.0.1/v1#m", proxy=address)
    assert address not in str(caught.value)


def test_a_server_behind_it_that_fails_is_the_servers_failure(ask: Ask) -> None:
    with (
        serve(lambda exchange: exchange.reply(401, {"error": "who?"})) as url,
        FaultProxy() as proxy,
        pytest.raises(errors.AuthenticationError),
    ):
        ask(f"{url}/v1", proxy=proxy.url)


# A proxy that is itself reached over TLS: TLS inside of TLS.


@contextmanager
def secured_proxy(context: ssl.SSLContext) -> Generator[str]:
    """Opens tunnels, over TLS; on an event loop, for a TLS socket serves one thread at a time."""
    port: Future[int] = Future()
    over: list[Callable[[], object]] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        host, _, number = head.split()[1].decode().rpartition(":")
        there, back = await asyncio.open_connection(host, int(number))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(copy(reader, back), copy(there, writer))
        finally:
            for side in (back, writer):
                side.transport.abort()

    async def run() -> None:
        end = asyncio.Event()
        async with await asyncio.start_server(tunnel, "127.0.0.1", 0, ssl=context) as server:
            loop = asyncio.get_running_loop()
            over.append(lambda: loop.call_soon_threadsafe(end.set))
            port.set_result(server.sockets[0].getsockname()[1])
            await end.wait()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await asyncio.sleep(0.05)  # an aborted transport closes its socket in the loop's next turn

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        yield f"https://127.0.0.1:{port.result(10)}"
    finally:
        over[0]()
        thread.join(10)


def test_a_proxy_that_is_reached_over_tls(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trustme")
    long = text(*("é" * 5000 for _ in range(20)))  # more than one record of TLS each
    with FaultServer() as server:
        route = server.route("tls_ok", long)
        trusting = ssl.create_default_context(cafile=server.certificate_authority)
        monkeypatch.setattr(connection, "_tls", lambda: trusting)
        with secured_proxy(server._certificates.context("tls")) as proxy:
            assert ask(route.base_url, proxy=proxy).text == "Hello, world"
            assert ask(route.base_url, proxy=proxy).text == "é" * 100_000
            with pytest.raises(errors.TLSError):
                ask(server.route("tls_unknown_authority").base_url, proxy=proxy)
            with pytest.raises(errors.DeadlineExceeded) as caught:
                ask(server.route("tls_stall").base_url, proxy=proxy, connect_timeout=0.3, max_attempts=1)
    assert caught.value.kind == "connect"
