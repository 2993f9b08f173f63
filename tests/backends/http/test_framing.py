"""Responses taken out of HTTP's frame: as h11 takes them, however the bytes are cut, and bounded."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from itertools import pairwise
from typing import TypeAlias

import h11
import httpcore
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ambidex import Request, User, collect
from ambidex.errors import AmbidexError, ConfigError, IncompleteResponse, ProtocolError
from ambidex_backends.endpoint import EndpointBackend
from ambidex_backends.http.framing import MAX_HEAD_BYTES, MAX_LINE_BYTES, Exchange

ASKED = [(b"host", b"a"), (b"content-length", b"0")]

Outcome: TypeAlias = "tuple[int | None, bytes, str]"
"""The status, what came of the body, and how it ended: whole, last (whole, the connection serves no more), broken."""


def ours(pieces: Iterable[bytes]) -> Outcome:
    exchange = Exchange(b"POST", b"/", ASKED)
    body = b""
    try:
        for piece in pieces:
            if exchange.response is None:
                exchange.receive(piece)
                if exchange.response is None:
                    continue
                piece = exchange.begins_with
            for part in exchange.body.feed(piece):
                body += part
            if exchange.body.done:
                break
        else:
            if exchange.response is None:
                exchange.receive(b"")
            exchange.body.end()
    except httpcore.RemoteProtocolError:
        return None if exchange.response is None else exchange.response.status_code, body, "broken"
    assert exchange.response is not None
    return exchange.response.status_code, body, "last" if exchange.is_last else "whole"


def theirs(pieces: Iterable[bytes]) -> Outcome:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    connection.send(h11.Request(method="POST", target="/", headers=ASKED))
    connection.send(h11.EndOfMessage())
    status, body, rest = None, b"", [*pieces, b""]
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(rest.pop(0))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                return status, body, "broken"
    except h11.RemoteProtocolError:
        return status, body, "broken"
    return status, body, "whole" if rest and connection.their_state is h11.DONE else "last"


def chunked(parts: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    framed = (b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts if part)
    return b"".join([*framed, b"0\r\n", trailers, b"\r\n"])


parts = st.lists(st.binary(max_size=40) | st.sampled_from([b"\r\n", b"0\r\n\r\n", b"a\r", b"\n"]), max_size=5)
connection_lines = st.sampled_from(
    [b"", b"connection: close\r\n", b"Connection: keep-alive, Close\r\n", b"x: close\r\n"]
)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """Heads and bodies of all forms, some of them wrong."""
    status = draw(st.sampled_from([200, 200, 200, 204, 304, 404, 503]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    body, more = draw(parts), draw(connection_lines)
    match draw(st.sampled_from(["chunked", "counted", "unframed", "both"])):
        case "chunked":
            lines = b"transfer-encoding: chunked\r\n"
            extension = draw(st.sampled_from([b"", b" ", b";a=b", b";x\t", b"\t;x"]))
            content = chunked(body, extension, draw(st.sampled_from([b"", b"a: b\r\n", b"a: b\r\nc: d\r\n"])))
        case "counted":
            content = b"".join(body)
            lines = b"content-length: %d\r\n" % (len(content) + draw(st.sampled_from([0, 0, 0, 1])))
        case "both":
            lines, content = b"content-length: 3\r\nTransfer-Encoding: Chunked\r\n", chunked(body)
        case _:
            lines, content = b"", b"".join(body)
    early = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\na: b\r\n\r\n"]))
    return early + b"HTTP/%s %d x\r\n%s%s\r\n%s" % (version, status, lines, more, content)


@st.composite
def changed(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """One place of it is other than it was, or it stops there."""
    response = draw(whole)
    place = draw(st.integers(0, len(response)))
    put = draw(st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"0", b"f", b"-", b" ", b"\0", b"x"]))
    return response[:place] + put + response[place + draw(st.integers(0, 2)) :]


def cut(whole: bytes, places: Iterable[int]) -> list[bytes]:
    at = sorted({0, len(whole), *(place % (len(whole) + 1) for place in places)})
    return [whole[start:end] for start, end in pairwise(at)]


places = st.lists(st.integers(0, 10_000), max_size=6)


@given(responses(), places)
def test_they_are_read_as_h11_reads_them_however_they_are_cut(response: bytes, at: list[int]) -> None:
    expected = theirs([response])
    assert ours([response]) == expected
    assert ours(cut(response, at)) == expected
    assert ours(cut(response, range(len(response)))) == expected


def body_of(response: bytes) -> bytes:
    """What stands behind the head."""
    return response.rpartition(b"HTTP/1.")[2].partition(b"\r\n\r\n")[2]


@given(changed(responses()), places)
@example(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", [])
@example(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r", [])
@example(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", [])
@example(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", [])
@example(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n3\nabc\n0\n\n", [])
def test_wrong_ones_break_where_they_break_for_h11(response: bytes, at: list[int]) -> None:
    status, body, end = theirs([response])
    for pieces in ([response], cut(response, at), cut(response, range(len(response)))):
        ours_status, ours_body, ours_end = ours(pieces)
        assert (ours_status, ours_body) == (status, body)
        # h11 looks into trailers, which we pass over; there it also takes a line feed alone for the end of a line
        assert ours_end == end or b"0\r\n" in body_of(response)


@given(responses(), st.binary(min_size=1, max_size=9))
def test_a_connection_on_which_more_comes_is_not_used_again(response: bytes, more: bytes) -> None:
    assume(theirs([response])[2] != "broken")
    for pieces in ([response + more], [response, more]):
        exchange = Exchange(b"POST", b"/", ASKED)
        for piece in pieces:
            if exchange.response is None:
                exchange.receive(piece)
                piece = exchange.begins_with
            list(exchange.body.feed(piece))
        assert not exchange.is_whole


def test_a_request_is_framed_by_its_length_alone() -> None:
    with pytest.raises(httpcore.LocalProtocolError):
        Exchange(b"POST", b"/", [*ASKED, (b"Transfer-Encoding", b"chunked")])


@pytest.mark.parametrize(
    "name", ["Transfer-Encoding", "content-length", "Connection", "TE", "Expect", "Upgrade", "Host"]
)
def test_no_header_of_the_callers_frames_a_request(name: str) -> None:
    with pytest.raises(ConfigError):
        EndpointBackend("http://127.0.0.1:9/v1#m", headers={name: "chunked"})


def exhaust(pieces: Iterable[bytes]) -> None:
    for _ in pieces:
        pass


@pytest.mark.parametrize(
    "line", [b"1;" + b"x" * 200_000, b"0\r\na: " + b"x" * 200_000, b"0\r\n" + b"a: b\r\n" * 40_000]
)
def test_lines_around_chunks_are_bounded(line: bytes) -> None:
    exchange = Exchange(b"GET", b"/", [(b"host", b"a")])
    exchange.receive(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    starts = iter(range(0, len(line), 1000))
    with pytest.raises(httpcore.RemoteProtocolError):
        exhaust(piece for start in starts for piece in exchange.body.feed(line[start : start + 1000]))
    assert next(starts) <= MAX_HEAD_BYTES + MAX_LINE_BYTES


EVENTS = b'data: {"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
FRAMED = b"transfer-encoding: chunked\r\n\r\n" + chunked([EVENTS])
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


def answers(listener: socket.socket, response: bytes, connections: list[int]) -> None:
    """Each request on a connection gets the same bytes; how many requests each connection saw."""
    listener.settimeout(0.5)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connections.append(0)
        connection.settimeout(0.3)
        with connection:
            try:
                while data := connection.recv(65536):
                    if data.endswith(b"}"):
                        connections[-1] += 1
                        connection.sendall(response)
            except OSError:
                continue


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (HEAD + FRAMED, [3]),
        (HEAD + b"content-length: %d\r\n\r\n%s" % (len(EVENTS), EVENTS), [3]),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + FRAMED, [3]),
        (HEAD + b"connection: close\r\n" + FRAMED, [1, 1, 1]),
        (HEAD + FRAMED + b"HTTP/1.1 200 OK\r\n\r\nsomething that nobody asked for", [1, 1, 1]),
        (HEAD.replace(b"1.1", b"1.0") + b"content-length: %d\r\n\r\n%s" % (len(EVENTS), EVENTS), [1, 1, 1]),
    ],
    ids=["chunked", "counted", "after_100", "close", "more_behind", "old"],
)
def test_which_connections_serve_again(response: bytes, expected: list[int]) -> None:
    connections: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answers, args=(listener, response, connections))
        thread.start()
        backend = EndpointBackend(f"http://127.0.0.1:{listener.getsockname()[1]}/v1#m")
        for _ in range(3):
            assert collect(backend.stream(Request([User("Hi")]))).text == "Hello"
        backend.close()
        thread.join()
    assert connections == expected


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"5\r\nabcdefgh\r\n", ProtocolError),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"five\r\nabcde\r\n", ProtocolError),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"1;" + b"x" * 100_000, ProtocolError),
        (HEAD + b"content-length: 0\r\n\r\n", IncompleteResponse),
    ],
)
def test_broken_frames_are_errors_of_ours(response: bytes, error: type[AmbidexError]) -> None:
    connections: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answers, args=(listener, response, connections))
        thread.start()
        backend = EndpointBackend(f"http://127.0.0.1:{listener.getsockname()[1]}/v1#m", max_attempts=1)
        with pytest.raises(error):
            collect(backend.stream(Request([User("Hi")])))
        backend.close()
        thread.join()
    assert connections == [1]
