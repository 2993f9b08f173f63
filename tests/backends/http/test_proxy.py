"""A real proxy on loopback: requests go over it, its refusals are its own, and its password shows nowhere."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.servers import chat_server, serve, text

from ambidex import errors
from ambidex.messages import User
from ambidex.reply import Reply
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex_backends.endpoint import EndpointBackend

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


@contextmanager
def proxy(behave: Callable[[socket.socket, bytes], None]) -> Generator[str]:
    """Hands each connection's first head to `behave`; gives host and port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def work(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            head = b""
            while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
                head += piece
            behave(connection, head)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=work, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def forward_to(url: str, seen: list[bytes]) -> Callable[[socket.socket, bytes], None]:
    """Passes a plain request on, as proxies do."""
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")

    def behave(connection: socket.socket, head: bytes) -> None:
        seen.append(head)
        line, _, rest = head.partition(b"\r\n")
        method, address, version = line.split(b" ")
        path = b"/" + address.split(b"/", 3)[3]
        with socket.create_connection((host, int(port))) as server:
            server.sendall(b" ".join([method, path, version]) + b"\r\nconnection: close\r\n" + rest)
            server.settimeout(5)
            connection.settimeout(0.2)
            with suppress(TimeoutError):
                server.sendall(connection.recv(65536))
            while piece := server.recv(65536):
                connection.sendall(piece)
                if b"[DONE]" in piece:
                    break

    return behave


def answers(data: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda connection, head: connection.sendall(data)


def never(connection: socket.socket, head: bytes) -> None:
    """Says nothing until the client has gone."""
    connection.recv(1)


def test_requests_go_over_it_with_its_password(ask: Ask) -> None:
    seen: list[bytes] = []
    with chat_server(lambda body: text("fine")) as url, proxy(forward_to(url, seen)) as address:
        quoted = "pass%20word%2F1"
        assert ask(url, proxy=f"http://me:{quoted}@{address}").text == "fine"
    assert seen[0].startswith(f"POST {url}/chat/completions HTTP/1.1".encode())
    assert base64.b64encode(f"me:{PASSWORD}".encode()) in seen[0]


def test_the_environments_proxy_is_not_used(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with chat_server(lambda body: text("fine")) as url:
        assert ask(url).text == "fine"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_it_asks_for_a_password(ask: Ask, scheme: str) -> None:
    refusal = b"HTTP/1.1 407 Proxy me:secret wanted\r\ncontent-length: 0\r\nproxy-authenticate: Basic\r\n\r\n"
    with proxy(answers(refusal)) as address, pytest.raises(errors.ProxyError, match="407") as caught:
        ask(f"{scheme}://127.0.0.1:9/v1", proxy=f"http://me:secret@{address}")
    assert "secret" not in str(caught.value)
    assert caught.value.attempts == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_listens_there(ask: Ask, scheme: str) -> None:
    with pytest.raises(errors.ProxyError) as caught:
        ask(f"{scheme}://127.0.0.1:9/v1", proxy="http://127.0.0.1:1")
    assert caught.value.sent is False


def test_it_dies_after_it_has_made_the_tunnel(ask: Ask) -> None:
    established = answers(b"HTTP/1.1 200 Connection established\r\n\r\n")
    with proxy(established) as address, pytest.raises(errors.TransportError) as caught:
        ask("https://127.0.0.1:9/v1", proxy=f"http://{address}")
    assert not isinstance(caught.value, (errors.TLSError, errors.ProxyError))
    assert caught.value.sent is False
    assert caught.value.attempts == 2


def test_a_tunnel_that_never_comes_is_a_connection_that_never_comes(ask: Ask) -> None:
    with proxy(never) as address, pytest.raises(errors.DeadlineExceeded) as caught:
        ask("https://127.0.0.1:9/v1", proxy=f"http://{address}", connect_timeout=0.2, max_attempts=1)
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
        proxy(forward_to(url, [])) as address,
        pytest.raises(errors.AuthenticationError),
    ):
        ask(f"{url}/v1", proxy=f"http://{address}")
