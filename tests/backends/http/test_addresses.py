"""Looking names up: within the time for connecting, on to the next address, and what may pass is tried again."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.servers import chat_server, text

from ambidex import errors
from ambidex.messages import User
from ambidex.reply import Reply
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex_backends.endpoint import EndpointBackend

HI = Request([User("hi")], timeout=20)
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


def names(monkeypatch: pytest.MonkeyPatch, look_up: Callable[[], list[str]]) -> None:
    """`some.name` is looked up so; addresses as ever."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host in ("some.name", b"some.name"):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in look_up()]
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def named(url: str) -> str:
    return url.replace("127.0.0.1", "some.name")


def test_a_dead_first_address_is_passed_over(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.2", 0), backlog=1) as taken:
        del taken  # nobody listens there on the server's port
        names(monkeypatch, lambda: ["127.0.0.2", "127.0.0.1"])
        with chat_server(lambda body: text("fine")) as url:
            assert ask(named(url), max_attempts=1).text == "fine"


def test_a_look_up_that_hangs_ends_with_the_time_for_connecting(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    names(monkeypatch, lambda: [str(release.wait(30))])
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded) as caught:
        ask("http://some.name/v1", connect_timeout=0.2, max_attempts=1)
    assert time.monotonic() - began < 5
    assert caught.value.kind == "connect"
    release.set()


@pytest.mark.parametrize(
    ("number", "tries"), [(socket.EAI_AGAIN, 2), (socket.EAI_NONAME, 1)], ids=["temporary", "unknown"]
)
def test_only_a_look_up_that_may_work_later_is_tried_again(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, number: int, tries: int
) -> None:
    asked = 0

    def look_up() -> list[str]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise socket.gaierror(number, "no")
        return ["127.0.0.1"]

    names(monkeypatch, look_up)
    with chat_server(lambda body: text("fine")) as url:
        if tries == 2:
            assert ask(named(url)).text == "fine"
        else:
            with pytest.raises(errors.ConnectError) as caught:
                ask(named(url))
            assert caught.value.phase == "dns"
    assert asked == tries
