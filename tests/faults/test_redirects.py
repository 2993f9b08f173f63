"""Five redirects x every kind of target: none is followed, and where they lead, nothing arrives: no key, no body."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest
from tests.faults.encounter import KEY, SIGNS

from ambidex import Request, User, acollect, collect
from ambidex.errors import RedirectBlocked
from ambidex.testing.faults import Exchange, FaultServer, Route
from ambidex_backends.endpoint import EndpointBackend

HI = Request([User("a secret question")], timeout=20)

# {here} and {there} are host:port of the server that redirects and of another, {port} the other's port.
TARGETS = {
    "another port": "http://{there}{path}",
    "another scheme": "https://{here}{path}",
    "another host": "http://localhost:{port}{path}",
    "case": "HTTP://LOCALHOST:{port}{path}",
    "user": "http://{here}@{there}{path}",
    "user and password": "http://a:b@{there}{path}",
    "without a scheme": "//{there}{path}",
    "a dot behind": "http://localhost.:{port}{path}",
    "IPv6": "http://[::1]:{port}{path}",
    "IPv4 in IPv6": "http://[::ffff:127.0.0.1]:{port}{path}",
    "a decimal address": "http://2130706433:{port}{path}",
    "a name beyond ASCII": "http://löcalhost:{port}{path}",
    "a backslash": "http:\\\\{there}{path}",
    "relative": "/elsewhere/v1/chat/completions",
    "the same": "{path}",
    "no address": "http://[",
    "empty": "",
    "a key as user": f"http://{KEY}@" + "{there}",
    "a key in the query": "http://{there}{path}?key=" + KEY,
}


@pytest.fixture
def servers() -> Iterator[tuple[FaultServer, FaultServer]]:
    with FaultServer() as here, FaultServer("ok") as there:
        yield here, there


def redirecting(here: FaultServer, there: FaultServer, status: int, target: str) -> Route:
    hosts = [server.address().removeprefix("http://") for server in (here, there)]

    def behaviour(exchange: Exchange) -> None:
        location = target.format(here=hosts[0], there=hosts[1], port=hosts[1].rpartition(":")[2], path=exchange.path)
        head = f"HTTP/1.1 {status} elsewhere\r\nlocation: {location}\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
        exchange.send(head.encode())

    return here.route(behaviour)


def blocked(work: Callable[[], object]) -> RedirectBlocked:
    with pytest.raises(RedirectBlocked) as caught:
        work()
    assert not [sign for sign in SIGNS if sign in str(caught.value)]
    return caught.value


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int, servers: tuple[FaultServer, FaultServer]) -> None:
    here, there = servers

    def sync(route: Route) -> None:
        backend = EndpointBackend(route.url, api_key=KEY, headers={"x-api-key": KEY})
        assert blocked(lambda: collect(backend.stream(HI))).status == status
        blocked(backend.refresh)
        backend.close()

    async def wait(route: Route) -> None:
        backend = EndpointBackend(route.url, api_key=KEY, headers={"x-api-key": KEY})
        with pytest.raises(RedirectBlocked):
            await acollect(backend.astream(HI))
        await backend.aclose()

    for target in TARGETS.values():
        route = redirecting(here, there, status, target)
        sync(route)
        asyncio.run(wait(route))
        assert [item.method for item in route.requests] == ["POST", "GET", "POST"]
        assert not any("cookie" in item.headers for item in route.requests)
    assert there.requests == []
    assert there.connections == 0


def test_the_other_server_would_have_noticed(servers: tuple[FaultServer, FaultServer]) -> None:
    _, there = servers
    with socket.create_connection(("127.0.0.1", int(there.address().rpartition(":")[2])), 5) as connection:
        connection.sendall(b"GET /elsewhere HTTP/1.1\r\nconnection: close\r\n\r\n")
        while connection.recv(4096):
            pass
    assert [item.path for item in there.requests] == ["/elsewhere"]
