"""Faults inside a stream, and what callers do to one. Rows 53 to 86."""

from __future__ import annotations

import json

from ambidex.errors import (
    BackendClosed,
    DeadlineExceeded,
    IncompleteResponse,
    LimitExceeded,
    MalformedResponse,
    Overloaded,
    RateLimited,
    ServerError,
    StreamInterrupted,
)

from .chunks import WHOLE, calls, chunk, text, usage
from .connection_faults import GOOD, OK
from .exchange import Exchange
from .fault import Expected, Fault, Step, enter, fault
from .response_faults import ADD, with_arguments

HALF = "Hel"
IDLE = {"idle_timeout": 0.3}
FIRST = {"first_event_timeout": 0.3}


def half(exchange: Exchange) -> None:
    """The beginning of a good answer: one piece of content."""
    exchange.begin()
    exchange.event(chunk({"role": "assistant", "content": HALF}))


def _rest(exchange: Exchange) -> None:
    exchange.event(chunk({"content": WHOLE.removeprefix(HALF)}))
    exchange.event(chunk({}, "stop"))


# An end before the end.


@fault(53, Expected(IncompleteResponse, text=HALF))
def cut_clean(exchange: Exchange) -> None:
    """A proper end of the body without finish reason and [DONE], after some content."""
    half(exchange)
    exchange.end()


@fault(53, Expected(IncompleteResponse, retry="again"))
def cut_before_content(exchange: Exchange) -> None:
    """A proper end of the body before any content."""
    exchange.begin()
    exchange.event(chunk({"role": "assistant"}))
    exchange.end()


@fault(53, Expected(IncompleteResponse, retry="again"))
def empty_stream(exchange: Exchange) -> None:
    """A stream without any event."""
    exchange.begin()
    exchange.end()


@fault(53, Expected(IncompleteResponse, invalid=("add",)))
def cut_inside_a_call(exchange: Exchange) -> None:
    """A proper end of the body in the middle of a call's arguments."""
    exchange.begin()
    for item in with_arguments('{"x": 1')[:-1]:
        exchange.event(item)
    exchange.end()


@fault(54, GOOD)
def no_done(exchange: Exchange) -> None:
    """A finish reason, and no [DONE]."""
    exchange.stream(OK, done=False)


@fault(54, GOOD, limits=IDLE)
def no_done_and_open(exchange: Exchange) -> None:
    """A finish reason, no [DONE], and a connection that stays open."""
    exchange.begin()
    for item in OK:
        exchange.event(item)
    exchange.hang()


@fault(54, GOOD)
def reset_after_finish(exchange: Exchange) -> None:
    """RST after the finish reason."""
    half(exchange)
    _rest(exchange)
    exchange.wait(0.05)
    exchange.reset()


@fault(55, Expected(IncompleteResponse, text=HALF))
def done_without_finish(exchange: Exchange) -> None:
    """[DONE] without a finish reason."""
    half(exchange)
    exchange.event("[DONE]")
    exchange.end()


@fault(55, Expected(IncompleteResponse))
def done_at_once(exchange: Exchange) -> None:
    """[DONE] as the only event."""
    exchange.begin()
    exchange.event("[DONE]")
    exchange.end()


@fault(56, Expected(StreamInterrupted, {"phase": "read", "sent": True}, text=HALF))
def cut_mid_chunk(exchange: Exchange) -> None:
    """FIN in the middle of an HTTP chunk, after some content."""
    half(exchange)
    exchange.send(b"400\r\ndata: {")
    exchange.wait(0.05)
    exchange.close()


@fault(56, Expected(StreamInterrupted, {"phase": "read", "sent": True}, retry="again"))
def cut_mid_chunk_before_content(exchange: Exchange) -> None:
    """FIN in the middle of the first HTTP chunk."""
    exchange.begin()
    exchange.send(b"400\r\ndata: {")
    exchange.wait(0.05)
    exchange.close()


@fault(57, Expected(StreamInterrupted, {"phase": "read", "sent": True}, text=HALF))
def reset_mid_stream(exchange: Exchange) -> None:
    """RST after some content."""
    half(exchange)
    exchange.wait(0.05)
    exchange.reset()


@fault(57, Expected(StreamInterrupted, {"phase": "read", "sent": True}, retry="again"))
def reset_before_content(exchange: Exchange) -> None:
    """RST after the head of the answer."""
    exchange.begin()
    exchange.wait(0.05)
    exchange.reset()


@fault(57, Expected(StreamInterrupted, invalid=("add",)))
def reset_inside_a_call(exchange: Exchange) -> None:
    """RST in the middle of a call's arguments."""
    exchange.begin()
    for item in with_arguments('{"x": "a long te')[:-1]:
        exchange.event(item)
    exchange.wait(0.05)
    exchange.reset()


# Errors in events.


@fault(58, Expected(ServerError, {"in_stream": True, "status": 500}, text=HALF))
def error_event(exchange: Exchange) -> None:
    """An error as data, after some content."""
    half(exchange)
    exchange.event({"error": {"message": "engine died", "code": 500}})
    exchange.end()


@fault(58, Expected(Overloaded, {"in_stream": True}, text=HALF))
def error_event_of_tgi(exchange: Exchange) -> None:
    """TGI's error as data, after some content, and [DONE] after it."""
    half(exchange)
    exchange.event({"error": "Model is overloaded", "error_type": "overloaded"})
    exchange.event("[DONE]")
    exchange.end()


@fault(58, Expected(RateLimited, {"in_stream": True}, text=HALF))
def error_in_the_same_packet(exchange: Exchange) -> None:
    """Content and an error in one HTTP chunk."""
    exchange.begin()
    content, error = json.dumps(chunk({"content": HALF})), json.dumps({"error": {"message": "slow down", "code": 429}})
    exchange.piece(f"data: {content}\n\ndata: {error}\n\n".encode())
    exchange.end()


@fault(59, Expected(ServerError, {"in_stream": True}, text=HALF))
def named_error_event(exchange: Exchange) -> None:
    """An event named `error` whose data does not say so."""
    half(exchange)
    exchange.event({"message": "engine died", "reason": 7}, "error")
    exchange.end()


@fault(59, Expected(Overloaded, {"in_stream": True}, text=HALF))
def error_by_its_type(exchange: Exchange) -> None:
    """An event named `error` as Anthropic sends it."""
    half(exchange)
    exchange.event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")
    exchange.end()


@fault(60, Expected(Overloaded, {"in_stream": True}, retry="again"))
def error_as_first_event(exchange: Exchange) -> None:
    """An error as the very first event."""
    exchange.begin()
    exchange.event({"error": {"message": "busy", "code": 503}})
    exchange.end()


# What servers do that is no fault.


@fault(61, GOOD)
def chunks_without_choices(exchange: Exchange) -> Step:
    """Chunks with an empty list of choices at the beginning, and the counts alone at the end."""
    return [{**usage(), "usage": None}, *OK]


@fault(62, GOOD)
def null_deltas(exchange: Exchange) -> Step:
    """Deltas and contents that are null."""
    nothing = chunk()
    nothing["choices"][0]["delta"] = None
    return [nothing, chunk({"content": None, "tool_calls": None}), *OK]


@fault(63, GOOD)
def repeated_role(exchange: Exchange) -> Step:
    """The role and the id in every chunk."""
    deltas = [{"role": "assistant", "content": piece} for piece in ("Hel", "lo, ", "world")]
    return [*map(chunk, deltas), chunk({"role": "assistant"}, "stop")]


@fault(64, Expected(text="Hello, lo, world"))
def repeated_content(exchange: Exchange) -> Step:
    """The same piece of content twice, which nobody can tell from one that is meant."""
    return text("Hel", "lo, ", "lo, ", "world")


# Tool calls.


@fault(65, Expected(invalid=("add",)))
def repeated_call_delta(exchange: Exchange) -> Step:
    """A call's arguments twice."""
    return with_arguments('{"x": "1"}', '{"x": "1"}')


@fault(66, Expected(calls=(ADD, 'sub {"y": 2}')))
def interleaved_calls(exchange: Exchange) -> Step:
    """Two calls whose pieces alternate."""
    heads = [
        {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
        for index, name in enumerate(("add", "sub"))
    ]
    pieces = [(0, '{"x": '), (1, '{"y": '), (0, "1}"), (1, "2}")]
    deltas = [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for index, piece in pieces]
    return [chunk({"tool_calls": heads}), *map(chunk, deltas), chunk({}, "tool_calls")]


@fault(67, Expected(calls=(ADD, 'sub {"y": 2}')))
def calls_without_index(exchange: Exchange) -> Step:
    """Calls that have ids, but no index."""
    whole = [("a", "add", '{"x": 1}'), ("b", "sub", '{"y": 2}')]
    items = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name, arguments in whole
    ]
    return [*(chunk({"tool_calls": [item]}) for item in items), chunk({}, "tool_calls")]


@fault(68, Expected(calls=('add {"x": "é😀"}',)))
def cut_characters(exchange: Exchange) -> None:
    """Arguments in which every byte comes in an HTTP chunk of its own, characters cut into theirs."""
    exchange.begin()
    for item in with_arguments('{"x": "é😀"}'):
        for octet in f"data: {json.dumps(item, ensure_ascii=False)}\n\n".encode():
            exchange.piece(bytes([octet]))
    exchange.end()


@fault(69, Expected(calls=('add {"x": "😀"}',)))
def cut_escapes(exchange: Exchange) -> Step:
    """Arguments cut between the two escapes of one character."""
    return with_arguments('{"x": "\\ud83d', '\\ude00"}')


@fault(70, Expected(text="a😀b"))
def cut_surrogates(exchange: Exchange) -> Step:
    """Content cut between the two halves of one character."""
    return text("a\ud83d", "\ude00b")


@fault(71, Expected(invalid=("add",)))
def length_inside_a_call(exchange: Exchange) -> Step:
    """The length limit in the middle of a call's arguments."""
    return with_arguments('{"x": "2', finish="length")


@fault(72, Expected(invalid=("add",)))
def cut_call_said_to_be_whole(exchange: Exchange) -> Step:
    """Arguments that are cut, with the finish reason of whole ones."""
    return with_arguments('{"x": "2')


@fault(73, Expected(calls=(ADD,)))
def calls_that_stop(exchange: Exchange) -> Step:
    """A call with the finish reason `stop`."""
    return calls(("add", {"x": 1}), finish="stop")


# Bytes.


def _raw(exchange: Exchange, data: bytes, kind: str = "text/event-stream") -> None:
    exchange.begin(kind=kind)
    exchange.piece(data)
    for item in [chunk({}, "stop"), usage()]:
        exchange.event(item)
    exchange.end()


@fault(74, Expected(text="a\ufffdb"))
def invalid_utf8(exchange: Exchange) -> None:
    """A byte that is no UTF-8."""
    _raw(exchange, b'data: {"choices": [{"index": 0, "delta": {"content": "a\xffb"}}]}\n\n')


@fault(75, GOOD)
def byte_order_mark(exchange: Exchange) -> None:
    """A byte order mark before the first event."""
    _raw(exchange, b"\xef\xbb\xbfdata: " + json.dumps(chunk({"content": WHOLE})).encode() + b"\n\n")


@fault(76, Expected(text="é😀"))
def wrong_charset(exchange: Exchange) -> None:
    """A charset in the content type that is not UTF-8, and UTF-8."""
    data = json.dumps(chunk({"content": "é😀"}), ensure_ascii=False)
    _raw(exchange, f"data: {data}\n\n".encode(), "text/event-stream; charset=windows-1252")


@fault(76, Expected(text="a\u2028b\x85c"))
def other_line_ends(exchange: Exchange) -> None:
    """Characters that end a line elsewhere, but not in an event stream."""
    data = json.dumps(chunk({"content": "a\u2028b\x85c"}), ensure_ascii=False)
    _raw(exchange, f"data: {data}\n\n".encode())


@fault(77, Expected(MalformedResponse, text=HALF))
def broken_event(exchange: Exchange) -> None:
    """An event that is no JSON, after some content."""
    half(exchange)
    exchange.event('{"choices": [{"del')
    _rest(exchange)
    exchange.end()


@fault(77, Expected(MalformedResponse, retry="once"))
def broken_first_event(exchange: Exchange) -> None:
    """A first event that is no JSON."""
    exchange.begin()
    exchange.event('{"choices": [{"del')
    exchange.end()


# Time and size.


def _every(exchange: Exchange, seconds: float, data: bytes) -> None:
    while not exchange.stop.is_set():
        exchange.piece(data)
        exchange.wait(seconds)


@fault(78, Expected(DeadlineExceeded, {"kind": "idle"}, text=HALF), limits=IDLE)
def comments_for_ever(exchange: Exchange) -> None:
    """Comments that keep the connection alive, and nothing else any more."""
    half(exchange)
    _every(exchange, 0.03, b": alive\n\n")


@fault(78, Expected(DeadlineExceeded, {"kind": "first_byte"}, retry="once"), limits=FIRST)
def comments_before_content(exchange: Exchange) -> None:
    """Comments that keep the connection alive, and no event at all."""
    exchange.begin()
    _every(exchange, 0.03, b": alive\n\n")


@fault(79, Expected(DeadlineExceeded, {"kind": "idle"}, text=HALF), limits=IDLE)
def trickle(exchange: Exchange) -> None:
    """A byte of an event now and then."""
    half(exchange)
    _every(exchange, 0.03, b"d")


@fault(79, Expected(DeadlineExceeded, {"kind": "total"}, text=None), limits={"timeout": 0.6})
def endless_answer(exchange: Exchange) -> None:
    """Content now and then, without end."""
    exchange.begin()
    _every(exchange, 0.03, b"data: " + json.dumps(chunk({"content": "x"})).encode() + b"\n\n")


@fault(80, Expected(DeadlineExceeded, {"kind": "idle"}, text=HALF), limits=IDLE)
def stall(exchange: Exchange) -> None:
    """Nothing any more, after some content."""
    half(exchange)
    exchange.hang()


@fault(80, Expected(DeadlineExceeded, {"kind": "first_byte"}, retry="once"), limits=FIRST)
def stall_after_head(exchange: Exchange) -> None:
    """Nothing any more, after the head."""
    exchange.begin()
    exchange.hang()


@fault(81, Expected(LimitExceeded, {"name": "event_bytes"}, text=HALF))
def endless_line(exchange: Exchange) -> None:
    """A line that does not end."""
    half(exchange)
    exchange.piece(b"data: ")
    while not exchange.stop.is_set():
        exchange.piece(b"x" * 1_000_000)


# What callers do.


def half_and_wait(exchange: Exchange) -> None:
    half(exchange)
    exchange.hang()


def _by_client(number: int, name: str, does: str, behaviour: Step, expected: Expected = GOOD) -> None:
    enter(Fault(number, name, does, behaviour, expected, road="client"))


_by_client(
    82, "cancel_mid_stream", "The caller cancels while the next event is awaited.", half_and_wait, Expected(text=HALF)
)
_by_client(
    83,
    "leave_the_loop",
    "The caller leaves the loop over the events, and closes nothing.",
    half_and_wait,
    Expected(text=HALF),
)
_by_client(84, "fork", "The process forks while a connection is open.", OK)
_by_client(85, "two_event_loops", "One client is used from two event loops.", OK)
_by_client(85, "two_threads", "One client is used from several threads at a time.", OK)
_by_client(86, "temporary_client", "Only the stream is kept, not its client.", OK)
_by_client(86, "closed_client", "The client was closed before.", OK, Expected(BackendClosed))
