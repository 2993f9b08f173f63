"""Real sockets that break: each fault ends in the right error, in time, with what came, sync and async alike."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.servers import Behaviour, Exchange, calls, chat_server, chunk, serve, text

from ambidex import errors
from ambidex.messages import User
from ambidex.reply import Reply
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex_backends.endpoint import EndpointBackend

Ask = Callable[..., Reply[Any]]
HI = Request([User("hi")], timeout=30)


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Asks a backend at an address once, in one of the two worlds, and closes it."""

    def sync(url: str, asked: Request = HI, **options: Any) -> Reply[Any]:
        backend = EndpointBackend(f"{url}#m", **options)
        try:
            return collect(backend.stream(asked))
        finally:
            backend.close()

    async def wait(url: str, asked: Request = HI, **options: Any) -> Reply[Any]:
        backend = EndpointBackend(f"{url}#m", **options)
        try:
            return await acollect(backend.astream(asked))
        finally:
            await backend.aclose()

    return sync if request.param == "sync" else lambda *args, **options: asyncio.run(wait(*args, **options))


def fails(ask: Ask, behaviour: Behaviour, kind: type[errors.AmbidexError], **options: Any) -> Any:
    """The error of one exchange, which must come well before the test would hang."""
    began = time.monotonic()
    with chat_server(lambda body: behaviour) as url, pytest.raises(kind) as caught:
        ask(url, **{"max_attempts": 1, **options})
    assert time.monotonic() - began < 20
    assert caught.value.__cause__ is None
    return caught.value


def test_a_good_answer(ask: Ask) -> None:
    with chat_server(lambda body: text("Hel", "lo")) as url:
        reply = ask(url)
    assert (reply.text, reply.finish_reason, reply.model) == ("Hello", "stop", "served")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 5)
    assert reply.timings.total is not None
    assert reply.timings.first_token is not None
    assert 0 < reply.timings.first_token <= reply.timings.total


def test_calls_in_many_deltas(ask: Ask) -> None:
    wanted = [("f", {"x": "é" * 50}), ("g", {})]
    with chat_server(lambda body: calls(*wanted, step=1)) as url:
        assert [(call.name, call.arguments) for call in ask(url).tool_calls] == wanted


def test_no_done_and_a_connection_that_stays_open(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        for item in text("whole"):
            exchange.event(item)
        exchange.hang()

    with chat_server(lambda body: behaviour) as url:
        assert ask(url, idle_timeout=0.3).text == "whole"


def test_reset_after_the_finish_reason_loses_nothing(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        for item in text("whole"):
            exchange.event(item)
        exchange.wait(0.1)
        exchange.reset()

    with chat_server(lambda body: behaviour) as url:
        assert ask(url).text == "whole"


def partly(end: Callable[[Exchange], None]) -> Behaviour:
    """Half an answer, and then `end`."""

    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        exchange.event(chunk({"content": "half"}))
        exchange.wait(0.1)
        end(exchange)

    return behaviour


def test_clean_end_without_finish_reason_is_incomplete(ask: Ask) -> None:
    assert fails(ask, partly(Exchange.end), errors.IncompleteResponse).partial.text == "half"


def test_done_without_finish_reason_is_incomplete(ask: Ask) -> None:
    def end(exchange: Exchange) -> None:
        exchange.event("[DONE]")
        exchange.end()

    assert fails(ask, partly(end), errors.IncompleteResponse).partial.text == "half"


@pytest.mark.parametrize("end", [Exchange.close, Exchange.reset, lambda exchange: exchange.send(b"zz\r\n")])
def test_a_connection_that_breaks_inside_the_stream(ask: Ask, end: Callable[[Exchange], None]) -> None:
    expected = errors.StreamInterrupted if end in (Exchange.close, Exchange.reset) else errors.ProtocolError
    error = fails(ask, partly(end), expected)
    assert error.partial.text == "half"
    if isinstance(error, errors.TransportError):
        assert (error.phase, error.sent) == ("read", True)


def test_a_call_cut_by_a_broken_connection_is_no_call(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        for item in calls(("f", {"x": "long enough to be cut"}))[:4]:
            exchange.event(item)
        exchange.reset()

    partial = fails(ask, behaviour, errors.StreamInterrupted).partial
    assert partial.tool_calls == ()
    assert all("cut off" in call.problem for call in partial.message.invalid_calls)


def test_an_error_inside_the_stream(ask: Ask) -> None:
    def end(exchange: Exchange) -> None:
        exchange.event({"error": {"message": "engine died", "code": 500}})
        exchange.end()

    error = fails(ask, partly(end), errors.ServerError)
    assert error.in_stream
    assert error.partial.text == "half"
    assert "engine died" in str(error)


def test_text_before_an_error_in_the_same_packet_is_delivered(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        exchange.piece(b'data: {"choices":[{"delta":{"content":"half"}}]}\n\ndata: {"error":"no"}\n\n')
        exchange.end()

    assert fails(ask, behaviour, errors.ServerError).partial.text == "half"


# Time.


def test_never_answering(ask: Ask) -> None:
    error = fails(ask, Exchange.hang, errors.DeadlineExceeded, first_event_timeout=0.3)
    assert (error.kind, error.limit) == ("first_byte", 0.3)
    assert isinstance(error, TimeoutError)


def test_nothing_after_the_head(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        exchange.hang()

    assert fails(ask, behaviour, errors.DeadlineExceeded, first_event_timeout=0.3).kind == "first_byte"


def test_a_stall_inside_the_stream(ask: Ask) -> None:
    error = fails(ask, partly(Exchange.hang), errors.DeadlineExceeded, idle_timeout=0.3)
    assert error.kind == "idle"
    assert error.partial.text == "half"


def every(seconds: float, data: bytes) -> Callable[[Exchange], None]:
    def behaviour(exchange: Exchange) -> None:
        while not exchange.stop.is_set():
            exchange.piece(data)
            exchange.wait(seconds)

    return behaviour


def test_comments_alone_are_no_progress(ask: Ask) -> None:
    assert fails(ask, partly(every(0.05, b": alive\n\n")), errors.DeadlineExceeded, idle_timeout=0.5).kind == "idle"


def test_a_trickle_of_bytes_is_no_progress(ask: Ask) -> None:
    assert fails(ask, partly(every(0.05, b"d")), errors.DeadlineExceeded, idle_timeout=0.5).kind == "idle"


def test_a_trickle_of_events_ends_at_the_total(ask: Ask) -> None:
    event = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
    error = fails(ask, partly(every(0.05, event)), errors.DeadlineExceeded, asked=Request([User("hi")], timeout=0.7))
    assert (error.kind, error.limit) == ("total", 0.7)
    assert error.partial.text.startswith("halfx")


def test_a_trickle_of_headers_ends_too(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\n")
        while not exchange.stop.is_set():
            exchange.send(b"x-a: b\r\n")
            exchange.wait(0.05)

    assert fails(ask, behaviour, errors.DeadlineExceeded, first_event_timeout=0.5).kind == "first_byte"


def test_the_callers_own_time_between_events_is_not_idle() -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        exchange.event(chunk({"content": "a"}))
        exchange.wait(0.5)
        for item in text("b"):
            exchange.event(item)
        exchange.end()

    with chat_server(lambda body: behaviour) as url:
        backend = EndpointBackend(f"{url}#m", idle_timeout=0.4)
        stream = backend.stream(HI)
        next(stream)
        time.sleep(0.6)
        assert collect(stream).text == "ab"
        backend.close()


# What is too large, or not what was asked for.


def test_an_endless_line(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        exchange.piece(b"data: ")
        while not exchange.stop.is_set():
            exchange.piece(b"x" * 65536)

    assert fails(ask, behaviour, errors.LimitExceeded).name == "event_bytes"


def test_a_gzip_bomb_in_an_error_is_not_unpacked(ask: Ask) -> None:
    bomb = gzip.compress(b"\0" * 30_000_000)

    def behaviour(exchange: Exchange) -> None:
        exchange.reply(500, bomb, {"content-encoding": "gzip"})

    assert fails(ask, behaviour, errors.LimitExceeded).name == "body_bytes"


def test_an_endless_error_body(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 500 no\r\ntransfer-encoding: chunked\r\n\r\n")
        while not exchange.stop.is_set():
            exchange.piece(b"x" * 65536)

    assert fails(ask, behaviour, errors.LimitExceeded).limit == 1024 * 1024


def test_gzip_that_was_not_asked_for_is_read(ask: Ask) -> None:
    stream = gzip.compress(b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')

    def behaviour(exchange: Exchange) -> None:
        assert exchange.headers["accept-encoding"] == "identity"
        exchange.begin({"content-encoding": "gzip"})
        for octet in stream:
            exchange.piece(bytes([octet]))
        exchange.end()

    with chat_server(lambda body: behaviour) as url:
        assert ask(url).text == "a"


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "deflate"])
def test_other_encodings_are_refused(ask: Ask, encoding: str) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin({"content-encoding": encoding})
        exchange.end()

    fails(ask, behaviour, errors.ProtocolError)


def test_a_login_page_instead_of_a_stream(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.reply(200, "<!doctype html><h1>Log in</h1>", kind="text/html")

    assert "Log in" not in str(fails(ask, behaviour, errors.UnexpectedContentType))


def test_json_instead_of_a_stream(ask: Ask) -> None:
    def error(exchange: Exchange) -> None:
        exchange.reply(200, {"error": {"message": "slow down", "code": 429}})

    def other(exchange: Exchange) -> None:
        exchange.reply(200, {"choices": []})

    refused = fails(ask, error, errors.RateLimited)
    assert "slow down" in str(refused)
    assert not refused.in_stream
    fails(ask, other, errors.UnexpectedContentType)


def test_a_huge_header(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 500_000 + b"\r\n\r\n")

    fails(ask, behaviour, errors.ProtocolError)


def test_no_http_at_all(ask: Ask) -> None:
    def behaviour(exchange: Exchange) -> None:
        exchange.send(b"\x16\x03\x01 hello\r\n\r\n")
        exchange.close()

    fails(ask, behaviour, errors.ProtocolError)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed_and_nothing_leaks(ask: Ask, status: int) -> None:
    seen: list[Exchange] = []
    with serve(seen.append) as elsewhere:

        def behaviour(exchange: Exchange) -> None:
            exchange.reply(status, "", {"location": f"{elsewhere}/v1?secret=1"})

        error = fails(ask, behaviour, errors.RedirectBlocked, api_key="sk-CANARY", headers={"x-api-key": "sk-CANARY2"})
    assert seen == []
    assert "secret" not in str(error)
    assert error.status == status


# The connection itself.


def test_nobody_listens(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(errors.ConnectError, match="refused") as caught:
        ask(f"http://127.0.0.1:{port}/v1")
    assert (caught.value.phase, caught.value.sent) == ("connect", False)


def test_no_such_name(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(errors.ConnectError, match=r"nowhere\.test") as caught:
        ask("http://nowhere.test/v1")
    assert (caught.value.phase, caught.value.sent) == ("dns", False)


def test_plain_http_on_a_tls_port(ask: Ask) -> None:
    with chat_server(lambda body: text("a")) as url, pytest.raises(errors.TLSError) as caught:
        ask(url.replace("http:", "https:"))
    assert (caught.value.phase, caught.value.sent) == ("tls", False)


def test_a_tls_handshake_that_stalls(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(errors.DeadlineExceeded) as caught:
        ask(f"https://127.0.0.1:{silent.getsockname()[1]}/v1", connect_timeout=0.3)
    assert caught.value.kind == "connect"


def test_a_server_that_hangs_up_unread(ask: Ask) -> None:
    assert fails(ask, Exchange.close, errors.TransportError).sent is True


def test_an_answer_before_the_body_was_read(ask: Ask) -> None:
    def answer_at_once(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(10)
            connection.sendall(b"HTTP/1.1 413 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_at_once, args=(listener,))
        thread.start()
        with pytest.raises(errors.RequestTooLarge):
            ask(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", Request([User("x" * 3_000_000)], timeout=20))
        thread.join()


def test_connections_are_used_again() -> None:
    ports: set[int] = set()

    def script(body: dict[str, Any]) -> Behaviour:
        def behaviour(exchange: Exchange) -> None:
            ports.add(exchange.peer_port)
            exchange.stream(text("a"))

        return behaviour

    with chat_server(script) as url:
        backend = EndpointBackend(f"{url}#m")
        for _ in range(5):
            assert collect(backend.stream(HI)).text == "a"
        backend.close()
    assert len(ports) == 1
