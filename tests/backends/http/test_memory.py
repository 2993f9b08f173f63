"""Whatever a server sends, the peak of memory rises by no more than the limit that stops it and 16 MiB.

Measured in a process of its own that asks a server in this one. `-s` prints the table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process_state import AVAILABLE
from tests.servers import Exchange, chunk, serve, text

from ambidex_backends.http.limits import DEFAULT_LIMITS, MIB, Limits

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="measures memory by /proc")

SLACK = 16 * MIB
TYPES = {"plain": "application/json", "stream": "text/event-stream", "error": "application/json"}


def head(exchange: Exchange, kind: str, *more: str) -> None:
    status = "500 no" if kind == "error" else "200 OK"
    lines = [f"HTTP/1.1 {status}", f"content-type: {TYPES[kind]}", "transfer-encoding: chunked", *more, "", ""]
    exchange.send("\r\n".join(lines).encode())


def pieces(exchange: Exchange, content: Iterator[bytes] | list[bytes]) -> None:
    for item in content:
        exchange.piece(item)
    exchange.end()


def zeros(unit: bytes = b"\0") -> Iterator[bytes]:
    """300 MiB of it, gzipped: 300 KB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    block = unit * (MIB // len(unit))
    for _ in range(300):
        if packed := packer.compress(block):
            yield packed
    yield packer.flush()


def bomb(kind: str, unit: bytes = b"\0") -> Callable[[Exchange], None]:
    packed = list(zeros(unit))

    def behaviour(exchange: Exchange) -> None:
        head(exchange, kind, "content-encoding: gzip")
        pieces(exchange, packed)

    return behaviour


def body(kind: str, content: Callable[[], Iterator[bytes] | list[bytes]]) -> Callable[[Exchange], None]:
    def behaviour(exchange: Exchange) -> None:
        head(exchange, kind)
        pieces(exchange, content())

    return behaviour


def endless(unit: bytes, first: bytes = b"") -> Callable[[], Iterator[bytes]]:
    """More than any limit: 600 MiB."""

    def content() -> Iterator[bytes]:
        yield first + unit
        for _ in range(600 * MIB // len(unit)):
            yield unit

    return content


def endless_headers(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(1_000_000):
        exchange.send(b"x-%d: %s\r\n" % (number, b"h" * 1000))


def endless_interim_answers(exchange: Exchange) -> None:
    for _ in range(20_000):
        exchange.send(b"HTTP/1.1 103 Early\r\nlink: " + b"l" * 1000 + b"\r\n\r\n")
    exchange.stream(text("fine"))


def event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def last() -> bytes:
    return event(chunk({}, "stop")) + event(b"[DONE]")


def delta(**fields: Any) -> bytes:
    return event({"choices": [{"delta": fields}]})


def named(number: int) -> bytes:
    return delta(tool_calls=[{"index": 0, "function": {"name": f"part{number}" * 10}}])


def arguments(piece: str, index: int = 0) -> bytes:
    return delta(tool_calls=[{"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": piece}}])


def scores(count: int) -> bytes:
    item = {"token": "ab", "logprob": -1.5, "bytes": [97, 98], "top_logprobs": []}
    return event({"choices": [{"delta": {"content": "ab"}, "logprobs": {"content": [item] * count}}]})


def one_chunk_of_a_million_events() -> list[bytes]:
    return [b"data\n\n" * 1_000_000, event(chunk({"content": "a"})), last()]


S, B = "LimitExceeded", "body_bytes"
CASES: dict[str, tuple[str, Callable[[Exchange], None], str, str | None, str]] = {
    # name: (how it is asked for, what the server does, how it ends, by which limit, whose size counts)
    "gzip bomb, plain": ("models", bomb("plain"), S, B, "plain_bytes"),
    "gzip bomb, error": ("sync", bomb("error"), S, B, "error_bytes"),
    "gzip bomb, stream": ("sync", bomb("stream"), S, B, "event_bytes"),
    "gzip bomb of events": ("async", bomb("stream", event(chunk({"content": "a"}))), S, B, "event_bytes"),
    "endless line": ("sync", body("stream", endless(b"x" * 65536, b"data: ")), S, "event_bytes", "event_bytes"),
    "endless line, async": ("async", body("stream", endless(b"x" * 65536)), S, "event_bytes", "event_bytes"),
    "endless event": ("sync", body("stream", endless(b"data: xy\n" * 7000)), S, "event_bytes", "event_bytes"),
    "endless event of empty lines": (
        *("sync", body("stream", endless(b"data\n" * 13000)), S, "event_bytes", "event_bytes"),
    ),
    "endless comment": ("sync", body("stream", endless(b"x" * 65536, b":")), S, B, "event_bytes"),
    "endless body, plain": ("models", body("plain", endless(b"[" * 65536)), S, B, "plain_bytes"),
    "endless body, error": ("sync", body("error", endless(b"x" * 65536)), S, B, "error_bytes"),
    "endless headers": ("sync", endless_headers, "ProtocolError", None, ""),
    "endless interim answers": ("sync", endless_interim_answers, "answered", None, ""),
    "JSON 100,000 deep, stream": (
        *("sync", body("stream", lambda: [event(b"[" * 100_000 + b"]" * 100_000)]), S, "json_depth", ""),
    ),
    "JSON 100,000 deep, plain": (
        *(
            "models",
            body("plain", lambda: [b'{"a":' * 100_000 + b"1" + b"}" * 100_000]),
            "LimitExceeded",
            "json_depth",
            "",
        ),
    ),
    "JSON of many lists, plain": (
        *(
            "models",
            body("plain", lambda: [b"[" + b"[]," * 2_700_000 + b"1]"]),
            S,
            "json_values",
            "plain_bytes",
        ),
    ),
    "JSON of many lists, error": (
        *("sync", body("error", lambda: [b"[" + b"[]," * 340_000 + b"1]"]), "ServerError", None, "error_bytes"),
    ),
    "JSON of many lists, stream": (
        *("sync", body("stream", lambda: [event(b"[" + b"{}," * 2_700_000 + b"1]")]), S, "json_values", "event_bytes"),
    ),
    "JSON of many names, stream": (
        "sync",
        body("stream", lambda: [event(b"{" + b",".join(b'"%d":1' % n for n in range(600_000)) + b"}")]),
        *(S, "json_values", "event_bytes"),
    ),
    "a million events in a chunk": ("sync", body("stream", one_chunk_of_a_million_events), "answered", None, ""),
    "endless text in small pieces": (
        *("sync", body("stream", endless(delta(content="ab" * 64) * 300)), S, "answer_bytes", "answer_bytes"),
    ),
    "text and reasoning in turns": (
        *("sync", body("stream", endless(delta(content="ab", reasoning="cd") * 500)), S, "answer_parts", ""),
    ),
    "too many calls": (
        "sync",
        body("stream", lambda: [b"".join(arguments("{}", number) for number in range(1_000))]),
        *(S, "tool_calls", ""),
    ),
    "endless arguments": (
        *("sync", body("stream", endless(arguments("[" * 9000) * 7)), S, "answer_bytes", "answer_bytes"),
    ),
    "endless arguments in small pieces": (
        *("sync", body("stream", endless(arguments("x" * 200) * 200)), S, "answer_bytes", "answer_bytes"),
    ),
    "arguments of many lists": (
        "sync",
        body("stream", lambda: [arguments('{"x":[' + "[]," * 1_000_000 + "1]}"), arguments("", 0), last()]),
        *("answered", None, "answer_bytes"),
    ),
    "an endless name": (
        "sync",
        body("stream", endless(b"".join(named(number) for number in range(40)))),
        *(S, "tool_name", ""),
    ),
    "log probabilities that nobody asked for": (
        *("sync", body("stream", lambda: [*[scores(1000)] * 300, last()]), "answered", None, ""),
    ),
}


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, dict[str, Callable[[Exchange], None]]]]:
    behaviours: dict[str, Callable[[Exchange], None]] = {}

    def handler(exchange: Exchange) -> None:
        if exchange.path.startswith("/bad/"):
            behaviours["now"](exchange)
        elif exchange.path.endswith("/models"):
            exchange.reply(200, {"data": [{"id": "m"}]})
        else:
            exchange.stream(text("fine"))

    with serve(handler) as address:
        yield f"{address}/bad/v1#m", behaviours


def measured(url: str, how: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    script = Path(__file__).with_name("memory_child.py")
    command = [sys.executable, str(script), url, how, json.dumps(options or {})]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


FEW = (
    *("gzip bomb, plain", "gzip bomb, error", "gzip bomb, stream", "endless line", "endless line, async"),
    *("endless headers", "JSON 100,000 deep, stream", "JSON 100,000 deep, plain", "JSON of many lists, error"),
    *("too many calls", "an endless name"),
)
"""What takes a second each."""


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.nightly) for name in CASES]
)
def test_the_peak_of_memory(server: tuple[str, dict[str, Callable[[Exchange], None]]], name: str) -> None:
    url, behaviours = server
    how, behaviours["now"], ended, limit, counts = CASES[name]
    found = measured(url, how)
    allowed = SLACK + (getattr(DEFAULT_LIMITS, counts) if counts else 0)
    print(f"{name:42} +{found['rose'] / MIB:5.1f} MiB of {allowed / MIB:4.0f}  {found['ended']} {found['limit'] or ''}")
    assert (found["ended"], found["limit"]) == (ended, limit)
    assert found["rose"] <= allowed


def test_limits_are_checked_when_made() -> None:
    assert Limits(event_bytes=1).event_bytes == 1
    for wrong in (0, -1, 1.5, None, True):
        with pytest.raises(ValueError, match="event_bytes"):
            Limits(event_bytes=wrong)  # type: ignore[arg-type]
