"""A real proxy on loopback: requests go over it, its refusals are its own, and its password shows nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.servers import Exchange, chat_server, serve, text

from ambidex import errors
from ambidex.messages import User
from ambidex.reply import Reply
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex.testing.faults import FaultProxy
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
