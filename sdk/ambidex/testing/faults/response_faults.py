"""Faults of status codes and bodies. Rows 18 to 52."""

from __future__ import annotations

import functools
import json
import struct
import time
import zlib
from email.utils import formatdate
from typing import Any

from ambidex.errors import (
    AmbidexError,
    AuthenticationError,
    Conflict,
    ContextLengthExceeded,
    DeadlineExceeded,
    IncompleteResponse,
    InvalidRequest,
    LimitExceeded,
    MalformedResponse,
    ModelLoading,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    QuotaExceeded,
    RateLimited,
    RedirectBlocked,
    RequestTooLarge,
    ServerError,
    StreamInterrupted,
    TransportError,
    UnexpectedContentType,
)

from .chunks import calls, chunk, completion, text, usage
from .connection_faults import GOOD, OK
from .exchange import Exchange
from .fault import Expected, Fault, Retry, Step, enter, fault

PAGE = "<!doctype html><html><title>Log in</title><h1>Log in to the network</h1></html>"
ADD = 'add {"x": 1}'


def _status(
    number: int,
    name: str,
    does: str,
    status: int,
    body: Any,
    error: type[AmbidexError],
    retry: Retry = "never",
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> None:
    """Enters a refusal: this status, body and headers to every request."""

    def behaviour(exchange: Exchange) -> None:
        exchange.reply(status, body, headers, kind="text/html" if isinstance(body, str) and body[:1] == "<" else None)

    expected = Expected(error, {"status": status, **fields}, retry=retry)
    enter(Fault(number, name, does, behaviour, expected, plain=expected))


_wrong = {
    "message": "temperature must be at most 2",
    "type": "invalid_request_error",
    "param": "temperature",
    "code": "range",
}
_too_long = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
_status(
    18,
    "status_400",
    "400 with OpenAI's error.",
    400,
    {"error": _wrong},
    InvalidRequest,
    code="range",
    param="temperature",
)
_status(
    18,
    "status_422",
    "422 with a list of details.",
    422,
    {"detail": [{"loc": ["body", "top_p"], "msg": "too large"}]},
    InvalidRequest,
)
_status(
    18,
    "context_too_long",
    "400 that says how many tokens fit.",
    400,
    {"error": {"message": _too_long}},
    ContextLengthExceeded,
    asked=5000,
    limit=4096,
)
_status(19, "status_401", "401.", 401, {"error": "Invalid credentials"}, AuthenticationError)


@fault(19, Expected(AuthenticationError, {"status": 401}))
def key_repeated(exchange: Exchange) -> None:
    """401 whose text repeats the key that was sent."""
    exchange.reply(401, {"error": f"wrong key: {exchange.headers.get('authorization')}"})


_status(
    20,
    "status_402",
    "402: no credits left.",
    402,
    {"error": "You have exceeded your monthly included credits"},
    QuotaExceeded,
)
_status(
    20,
    "quota_429",
    "429 with the code of a used-up quota.",
    429,
    {"error": {"message": "no", "code": "insufficient_quota"}},
    QuotaExceeded,
)
_status(
    21, "status_403", "403: a gated model.", 403, {"error": "Access to model org/m is restricted"}, PermissionDenied
)
_status(
    22,
    "model_404",
    "404: no such model.",
    404,
    {"error": {"message": "no model m", "code": "model_not_found"}},
    NotFound,
)
_status(22, "route_404", "404: no such route.", 404, {"detail": "Not Found"}, NotFound)
_status(23, "status_408", "408.", 408, {"error": "timed out"}, DeadlineExceeded, "again", kind="server")
_status(24, "status_409", "409.", 409, {"error": "conflict"}, Conflict, "once")
_status(25, "status_413", "413.", 413, {"error": "too large"}, RequestTooLarge)

_SLOWER = {"error": {"message": "slow down"}}
_status(
    26,
    "retry_after_1",
    "429 with `Retry-After: 1`.",
    429,
    _SLOWER,
    RateLimited,
    "again",
    {"retry-after": "1"},
    retry_after=1.0,
)
_status(
    27,
    "retry_after_50_ms",
    "429 with `retry-after-ms: 50`.",
    429,
    _SLOWER,
    RateLimited,
    "again",
    {"retry-after-ms": "50"},
    retry_after=0.05,
)


@fault(28, Expected(RateLimited, {"status": 429, "retry_after": 1.0}, retry="again"))
def retry_after_date(exchange: Exchange) -> None:
    """429 with a date one second later than the server's `Date`; its clock is an hour slow."""
    now = int(time.time()) - 3600
    headers = {"date": formatdate(now, usegmt=True), "retry-after": formatdate(now + 1, usegmt=True)}
    exchange.reply(429, _SLOWER, headers)


_status(
    29,
    "retry_after_3600",
    "429 with `Retry-After: 3600`.",
    429,
    _SLOWER,
    RateLimited,
    "never",
    {"retry-after": "3600"},
    retry_after=3600.0,
)
for _name, _value in {
    "soon": "soon",
    "negative": "-1",
    "nan": "nan",
    "infinite": "inf",
    "huge": "1" + "0" * 35,
    "year_100000": "Fri, 31 Dec 100000 23:59:59 GMT",
}.items():
    _does = f"429 with `Retry-After: {_value[:12]}`, which is no sane delay."
    _status(
        30, f"retry_after_{_name}", _does, 429, _SLOWER, RateLimited, "again", {"retry-after": _value}, retry_after=None
    )

_status(31, "status_500", "500.", 500, {"error": "broken"}, ServerError, "again")
_status(31, "status_502", "502 with a web page.", 502, "<html><h1>Bad gateway</h1></html>", ServerError, "again")
_status(31, "status_504", "504 without a body.", 504, "", ServerError, "again")
_loading = {"error": "Model org/m is currently loading"}
_status(
    32,
    "model_loading",
    "503 with an estimate of 0.2 s.",
    503,
    {**_loading, "estimated_time": 0.2},
    ModelLoading,
    "again",
    retry_after=0.2,
)
_status(
    32,
    "model_loading_long",
    "503 with an estimate of 600 s.",
    503,
    {**_loading, "estimated_time": 600.0},
    ModelLoading,
    retry_after=600.0,
)
_status(33, "status_503", "503.", 503, {"error": "no worker"}, Overloaded, "again")
_status(
    33, "status_529", "529.", 529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}, Overloaded, "again"
)
_status(
    34,
    "told_not_to_retry",
    "500 with `x-should-retry: false`.",
    500,
    {"error": "no"},
    ServerError,
    "never",
    {"x-should-retry": "false"},
)
_status(
    34,
    "told_to_retry",
    "400 with `x-should-retry: true`.",
    400,
    {"error": "wait"},
    InvalidRequest,
    "again",
    {"x-should-retry": "true"},
)

_NO_API = Expected(UnexpectedContentType, {"status": 200})


@fault(35, _NO_API, plain=_NO_API)
def login_page(exchange: Exchange) -> None:
    """200 with the login page of a network."""
    exchange.reply(200, PAGE, kind="text/html")


@fault(36, Expected(RateLimited, {"status": 200, "in_stream": False}, retry="again"))
def error_with_status_200(exchange: Exchange) -> None:
    """200 with a JSON error where a stream was asked for."""
    exchange.reply(200, {"error": {"message": "slow down", "code": 429}})


@fault(37, _NO_API, plain=_NO_API)
def xhtml_page(exchange: Exchange) -> None:
    """200 with a web page as XHTML."""
    exchange.reply(200, PAGE, kind="application/xhtml+xml; charset=utf-8")


@fault(37, Expected(IncompleteResponse, retry="again"), plain=Expected(MalformedResponse, retry="once"))
def page_in_disguise(exchange: Exchange) -> None:
    """200 with a web page whose content type is that of an answer."""
    exchange.reply(200, PAGE, kind="text/event-stream" if exchange.streams else "application/json")


def _whole_json() -> bytes:
    return json.dumps(completion(OK)).encode()


def _listing(exchange: Exchange) -> bytes:
    """The JSON that a request without `stream` is answered with: the models, or a chat's answer."""
    return json.dumps({"data": [{"id": "test-model"}]}).encode() if exchange.method == "GET" else _whole_json()


_NO_STREAM = Expected(UnexpectedContentType, {"status": 200})


@fault(38, _NO_STREAM, plain=Expected(MalformedResponse, retry="once"))
def cut_json(exchange: Exchange) -> None:
    """A JSON answer that ends in its middle, with the length that was announced."""
    body = _listing(exchange)
    exchange.reply(200, body[: len(body) // 2], kind="application/json")


@fault(39, Expected(StreamInterrupted, text="Hel"), plain=Expected(TransportError, {"phase": "read"}, retry="once"))
def shorter_than_announced(exchange: Exchange) -> None:
    """A body shorter than its Content-Length; then the connection is closed."""
    if exchange.streams:
        kind, body = "text/event-stream", "".join(f"data: {json.dumps(item)}\n\n" for item in OK[:2]).encode()
    else:
        kind, body = "application/json", _listing(exchange)[:20]
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 5000\r\n\r\n"
    exchange.send(head.encode() + body)
    exchange.wait(0.05)
    exchange.close()


@fault(40, Expected(UnexpectedContentType, {"status": 200}), plain=GOOD)
def answer_as_text(exchange: Exchange) -> None:
    """A good answer with the content type of plain text."""
    if exchange.streams:
        exchange.begin(kind="text/plain")
        for item in OK:
            exchange.event(item)
        exchange.end()
    else:
        exchange.reply(200, _listing(exchange), kind="text/plain")


@fault(41, Expected(IncompleteResponse), plain=Expected(MalformedResponse))
def no_choices(exchange: Exchange) -> None:
    """An answer without choices."""
    if exchange.streams:
        exchange.stream([{"id": "chatcmpl-1", "model": "served"}])
    else:
        exchange.reply(200, {"id": "chatcmpl-1", "model": "served"})


@fault(41, Expected(IncompleteResponse), plain=Expected(MalformedResponse))
def empty_choices(exchange: Exchange) -> None:
    """An answer with an empty list of choices."""
    if exchange.streams:
        exchange.stream([usage()])
    else:
        exchange.reply(200, {"id": "chatcmpl-1", "choices": [], "data": {}})


enter(Fault(42, "null_content", "Calls beside `content: null`.", calls(("add", {"x": 1})), Expected(calls=(ADD,))))


@fault(43, GOOD)
def unknown_fields(exchange: Exchange) -> Step:
    """Fields and a finish reason that nobody knows."""
    known = text("Hel", "lo, ", "world", finish="tired")
    return [{**item, "x_new": {"deep": [1, None]}, "service_tier": None} for item in known]


def _malformed(number: int, name: str, does: str, value: str, expected: Expected, plain: Expected) -> None:
    """Enters an answer that holds this JSON."""

    def behaviour(exchange: Exchange) -> None:
        if exchange.streams:
            exchange.begin()
            exchange.event(f'{{"choices": [], "x": {value}}}')
            for item in OK:
                exchange.event(item)
            exchange.end()
        else:
            exchange.reply(200, f'{{"data": [], "choices": [], "x": {value}}}', kind="application/json")

    enter(Fault(number, name, does, behaviour, expected, plain=plain))


_DEEP = Expected(LimitExceeded, {"name": "json_depth"})
_NO_JSON = Expected(MalformedResponse, retry="once")
_malformed(44, "deep_json", "JSON nested 100,000 deep.", "[" * 100_000 + "]" * 100_000, _DEEP, _DEEP)
_malformed(45, "long_number", "A whole number of 5,000 digits.", "9" * 5000, _NO_JSON, _NO_JSON)
_malformed(46, "not_a_number", "NaN, which is no JSON.", "NaN", _NO_JSON, _NO_JSON)
_malformed(46, "infinite_number", "Infinity, which is no JSON.", "-Infinity", _NO_JSON, _NO_JSON)


@fault(47, Expected(invalid=("add",)))
def duplicate_keys(exchange: Exchange) -> Step:
    """Arguments of a call that name one key twice."""
    return with_arguments('{"x": 1, "x": 2}')


def with_arguments(*pieces: str, finish: str = "tool_calls") -> list[dict[str, Any]]:
    """A call of `add` whose arguments come in these pieces, as they are."""
    first = {"index": 0, "id": "call_0", "type": "function", "function": {"name": "add", "arguments": ""}}
    deltas = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    return [
        chunk({"role": "assistant", "content": None, "tool_calls": [first]}),
        *map(chunk, deltas),
        chunk({}, finish),
    ]


def _gzip_bomb(megabytes: int = 100) -> bytes:
    """Zeros, compressed a thousandfold: one compressed megabyte again and again."""
    megabyte = bytes(1_000_000)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    piece = deflate.compress(megabyte) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = functools.reduce(lambda so_far, _: zlib.crc32(megabyte, so_far), range(megabytes), 0)
    end = struct.pack("<II", checksum, megabytes * len(megabyte))
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + piece * megabytes + deflate.flush() + end


_TOO_LARGE = Expected(LimitExceeded, {"name": "body_bytes"})


@fault(48, _TOO_LARGE, plain=_TOO_LARGE)
def gzip_bomb_in_error(exchange: Exchange) -> None:
    """500 whose body of 100 kB unpacks to 100 MB."""
    exchange.reply(500, _gzip_bomb(), {"content-encoding": "gzip"})


@fault(48, Expected(LimitExceeded), plain=_TOO_LARGE)
def gzip_bomb(exchange: Exchange) -> None:
    """An answer of 100 kB that unpacks to 100 MB without a line's end."""
    kind = "text/event-stream" if exchange.streams else "application/json"
    exchange.reply(200, _gzip_bomb(), {"content-encoding": "gzip"}, kind=kind)


@fault(49, _TOO_LARGE, plain=_TOO_LARGE)
def endless_error(exchange: Exchange) -> None:
    """500 whose body does not end."""
    exchange.begin(status=500, kind="text/plain")
    while not exchange.stop.is_set():
        exchange.piece(b"x" * 65536)


@fault(49, _TOO_LARGE, plain=_TOO_LARGE)
def endless_json(exchange: Exchange) -> None:
    """A JSON answer that does not end."""
    exchange.begin(kind="application/json")
    while not exchange.stop.is_set():
        exchange.piece(b" " * 1_000_000)


_NO_HTTP = Expected(ProtocolError)


@fault(50, _NO_HTTP, plain=_NO_HTTP)
def huge_header(exchange: Exchange) -> None:
    """A header of half a megabyte."""
    exchange.send(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 500_000 + b"\r\n\r\n")


@fault(50, _NO_HTTP, plain=_NO_HTTP)
def many_headers(exchange: Exchange) -> None:
    """Twenty thousand headers."""
    exchange.send(b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % number for number in range(20_000)) + b"\r\n")


@fault(50, _NO_HTTP, plain=_NO_HTTP)
def no_http(exchange: Exchange) -> None:
    """Bytes that are no HTTP."""
    exchange.send(b"\x16\x03\x01 hello\r\n\r\n")
    exchange.close()


def _redirect(number: int, name: str, does: str, location: str, status: int = 307, **fields: Any) -> None:
    """Enters a redirect; in `location`, {port} is the server's own and {path} what was asked for."""
    expected = Expected(RedirectBlocked, {"status": status})

    def behaviour(exchange: Exchange) -> None:
        port = exchange.headers["host"].rpartition(":")[2]
        exchange.reply(status, "", {"location": location.format(port=port, path=exchange.path)})

    enter(Fault(number, name, does, behaviour, expected, plain=expected, **fields))


for _code in (301, 302, 303, 307, 308):
    _redirect(51, f"redirect_{_code}", f"{_code} to another origin.", "http://localhost:{port}/elsewhere", _code)
_redirect(52, "redirect_loop", "307 to the same address.", "{path}")
_redirect(52, "redirect_to_http", "307 from https to http.", "http://127.0.0.1:{port}{path}", door="tls")
