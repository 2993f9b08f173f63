"""The fault server itself: steps in their turn, what it records, its ports, and that closing it leaves nothing."""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from ambidex import Chat
from ambidex.errors import ConfigError, MissingExtra
from ambidex.testing.faults import FAULTS, Early, Exchange, FaultServer, Route, Step, calls, completion, text


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def post(route: Route, *, stream: bool = False, trusting: str | None = None) -> tuple[int, bytes]:
    """Status and body of one request by the standard library's client."""
    body = json.dumps({"model": "m", "messages": [], "stream": stream}).encode()
    request = urllib.request.Request(f"{route.base_url}/chat/completions", body, {"X-Test": "Ä"})
    context = None if trusting is None else ssl.create_default_context(cafile=trusting)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_steps_come_in_turn_and_the_last_one_stays(server: FaultServer) -> None:
    route = server.route("status_500", lambda exchange: exchange.reply(418, "tea"), "ok")
    assert [post(route)[0] for _ in range(5)] == [500, 418, 200, 200, 200]
    assert route.posts == 5


def test_addresses_do_not_share_their_turns(server: FaultServer) -> None:
    first, second = server.route("status_500", "ok"), server.route("status_500", "ok")
    assert [post(route)[0] for route in (first, second, first)] == [500, 500, 200]
    assert (first.posts, second.posts, server.posts) == (2, 1, 3)


def test_what_is_recorded(server: FaultServer) -> None:
    route = server.route("ok")
    began = time.monotonic()
    post(route)
    post(route)
    one, two = route.requests
    assert (one.method, one.path) == ("POST", f"/{route.name}/v1/chat/completions")
    assert one.json == {"model": "m", "messages": [], "stream": False}
    assert one.headers["x-test"] == "Ä"
    assert began <= one.at <= two.at <= time.monotonic()
    assert (one.connection, one.place) != (two.connection, two.place)
    assert server.connections == 2


def test_a_good_answer_in_each_form(server: FaultServer) -> None:
    wanted = [("f", {"x": "é" * 20}), ("g", {})]
    route = server.route(calls(*wanted))
    message = json.loads(post(route)[1])["choices"][0]["message"]
    assert [
        (call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message["tool_calls"]
    ] == (wanted)
    assert post(route, stream=True)[1].endswith(b"data: [DONE]\n\n")
    assert completion(text("a", "b"))["choices"][0]["message"] == {"role": "assistant", "content": "ab"}
    with Chat(server.url_of(text("Hel", "lo"))) as chat:
        assert chat.ask("Hi").text == "Hello"


def test_a_function_may_decide_which_step_is_played(server: FaultServer) -> None:
    def decide(exchange: Exchange) -> Step:
        return "status_503" if exchange.place else text("first")

    route = server.route(decide)
    assert post(route)[0] == 200
    address = ("127.0.0.1", int(route.base_url.split(":")[2].split("/")[0]))
    with socket.create_connection(address, 10) as connection:
        head = f"POST /{route.name}/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode()
        connection.sendall(head * 2)
        received = b""
        while b"no worker" not in received:
            received += connection.recv(4096)
    assert received.count(b"HTTP/1.1") == 2


def test_an_early_behaviour_comes_before_the_body(server: FaultServer) -> None:
    seen: list[bytes] = []

    def look(exchange: Exchange) -> None:
        seen.append(exchange.body)
        exchange.read_body()
        seen.append(exchange.body[:8])
        exchange.reply(200, "")

    assert post(server.route(Early(look)))[0] == 200
    assert seen == [b"", b'{"model"']


def test_a_body_in_chunks_is_read(server: FaultServer) -> None:
    route = server.route("ok")
    body = iter([b'{"mod', b'el": 1}'])
    request = urllib.request.Request(f"{route.base_url}/chat/completions", body, method="POST")
    with urllib.request.urlopen(request, timeout=10):
        pass
    assert route.requests[0].json == {"model": 1}


def test_other_addresses(server: FaultServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.address()}/nothing", timeout=10)
    caught.value.close()
    assert caught.value.code == 404
    with (
        FaultServer(lambda exchange: exchange.reply(200, "mine")) as own,
        urllib.request.urlopen(f"{own.address()}/any", timeout=10) as response,
    ):
        assert response.read() == b"mine"


def test_ports_that_break_before_http(server: FaultServer) -> None:
    refused, silent = server.route("connection_refused"), server.route("tls_stall")
    with pytest.raises(urllib.error.URLError, match="refused"):
        post(refused)
    assert silent.base_url.startswith("https://")
    with pytest.raises(ConfigError, match="different ports"):
        server.route("tls_expired", "connection_refused")


def test_tls(server: FaultServer) -> None:
    pytest.importorskip("trustme")
    authority = server.certificate_authority
    assert post(server.route("tls_ok"), trusting=authority)[0] == 200
    assert post(server.route("tls_ok", "status_500"), trusting=authority)[0] == 200
    for name, words in {
        "tls_expired": "expired",
        "tls_wrong_host": "not valid for|mismatch",
        "tls_self_signed": "self-signed",
        "tls_unknown_authority": "unable to get local issuer",
    }.items():
        with pytest.raises(urllib.error.URLError, match=words):
            post(server.route(name), trusting=authority)
    with pytest.raises(urllib.error.URLError, match="SSL"):
        post(server.route("no_tls"), trusting=authority)


def test_tls_without_trustme(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(MissingExtra, match="pip install trustme"):
        _ = server.route("tls_ok").url


def test_unknown_faults_are_refused_with_the_nearest(server: FaultServer) -> None:
    with pytest.raises(ConfigError, match="'status_500'"):
        server.url_of("status_5000")
    with pytest.raises(ConfigError, match="needs a step"):
        server.url_of()


def test_closing_ends_what_hangs() -> None:
    before = threading.active_count()
    with FaultServer() as server:
        addresses: list[Any] = [
            ("127.0.0.1", int(server.address(door).rpartition(":")[2])) for door in ("plain", "silent")
        ]
        connections = [socket.create_connection(address, 10) for address in addresses]
        head = f"POST /{server.route('no_answer').name}/v1 HTTP/1.1\r\ncontent-length: 0\r\n\r\n".encode()
        connections[0].sendall(head)
        while not server.requests:
            time.sleep(0.01)
    for connection in connections:
        with connection:
            assert connection.recv(1) == b""
    assert threading.active_count() == before
    with pytest.raises(ConfigError, match="closed"):
        server.url_of("ok")


def test_the_catalogue_has_every_row() -> None:
    assert {fault.number for fault in FAULTS.values()} >= set(range(87))
    for name, fault in FAULTS.items():
        assert name == fault.name
        assert fault.does.endswith("."), name
