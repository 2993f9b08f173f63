"""Server-sent events by the WHATWG text: however the bytes are cut, the events are the same."""

from __future__ import annotations

import base64
import json
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex.errors import LimitExceeded
from ambidex_backends.http.sse import Decoder, ServerSentEvent, adecode, decode

PARTITIONS = 20_000
NIGHTLY_PARTITIONS = 1_000_000


def as_dicts(chunks: Iterable[bytes]) -> list[dict[str, str]]:
    return [{"event": event.event, "data": event.data, "id": event.id} for event in decode(chunks)]


def bytewise(whole: bytes) -> list[bytes]:
    return [whole[position : position + 1] for position in range(len(whole))]


def in_two(whole: bytes) -> Iterator[list[bytes]]:
    """Every way, also with an empty half."""
    for cut in range(len(whole) + 1):
        yield [whole[:cut], whole[cut:]]


def by_the_text(whole: bytes) -> tuple[list[tuple[str, str, str]], int | None]:
    """Events (event, data, id) and retry as the WHATWG text says it, word for word, on the whole stream at once.

    Slow, unbounded, on characters rather than bytes: as different from our decoder as can be.
    """
    text = whole.decode(errors="replace")
    text = text.removeprefix("\ufeff")
    lines: list[str] = []
    line, position = "", 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\r" and text[position : position + 1] == "\n":
            position += 1
        if character in "\r\n":
            lines.append(line)
            line = ""
        else:
            line += character
    data, event, last_id, retry = "", "", "", None
    events: list[tuple[str, str, str]] = []
    for line in lines:  # what is left in `line` has no end: the stream ended before it
        if not line:
            if data:
                events.append((event or "message", data[:-1] if data[-1] == "\n" else data, last_id))
            data, event = "", ""
            continue
        name, value = line, ""
        if ":" in line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data += value + "\n"
        elif name == "id" and "\0" not in value:
            last_id = value
        elif name == "retry" and value and all("0" <= digit <= "9" for digit in value) and len(value) <= 12:
            retry = int(value)  # longer ones are no time that anyone could wait
    return events, retry


def ours(chunks: Iterable[bytes]) -> tuple[list[tuple[str, str, str]], int | None]:
    decoder = Decoder()
    events = [(event.event, event.data, event.id) for chunk in chunks for event in decoder.feed(chunk)]
    return events, decoder.retry


def random_stream(draw: random.Random) -> bytes:
    """Lines of everything that the text has a rule for, and of what it has none for; ends mixed."""
    pieces = [b"\xef\xbb\xbf" * draw.choice((0, 0, 1, 2))]
    one_end = draw.choice((b"\n", b"\r", b"\r\n", b""))
    for _ in range(draw.randrange(14)):
        pieces.append(draw.choice(_NAMES))
        pieces.append(draw.choice((b":", b": ", b":  ", b" :", b"", b":\t", b"::")))
        pieces.append(b"".join(draw.choice(_VALUES) for _ in range(draw.randrange(4))))
        pieces.append(one_end or draw.choice((b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r", b"\n\n", b"\r\n\r\n")))
        if draw.random() < 0.4:
            pieces.append(one_end or draw.choice((b"\n", b"\r", b"\r\n")))
    return b"".join(pieces)[: draw.randrange(1, 400)]


_NAMES = (b"data",) * 6 + (
    *(b"event", b"event", b"id", b"id", b"retry", b"retry", b"", b"", b"Data", b"dat", b"datax", b"data ", b" data"),
    *(b"\xef\xbb\xbfdata", b"\xff", b"DATA", b"id\0", b"comment", b"da\xc3\xa9ta", b"\xe2\x80\xa8data"),
)
_VALUES = (
    *(b"x", b"1", b"250", b"000", b"{", b'"a":1}', b"[DONE]", b" ", b"\t", b":", b"\0", b"ping", b"error"),
    *("é".encode(), "\u2028".encode(), "\u2029".encode(), "\x85".encode(), "\U0001f600".encode(), b"\xef\xbb\xbf"),
    *(b"\xff", b"\xe2\x82", b"\xf0\x9f", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\x0b\x0c\x1c\x1d\x1e", b"-1", b"+5"),
    *("\u0661".encode(), b"1_000", b"9" * 4000, b"y" * 300),
)


def random_cuts(draw: random.Random, whole: bytes) -> list[bytes]:
    """In at most as many pieces as there are bytes, some of them empty."""
    cuts = sorted(draw.randrange(len(whole) + 1) for _ in range(draw.choice((1, 2, 3, 5, 9, 17))))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


@pytest.fixture(scope="module")
def cases(shared: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared / "data" / "sse_cases.json").read_text(encoding="utf-8"))
    assert len(found) >= 48
    return found


def body(case: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(chunk) for chunk in case["chunks"]]


def test_shared_cases(cases: list[dict[str, Any]]) -> None:
    wrong = [case["name"] for case in cases if as_dicts(body(case)) != case["expected"]]
    assert not wrong


def wrong_when_cut(cases: list[dict[str, Any]], longest: int) -> set[str]:
    """The cases that are wrong byte by byte, or in two; longer ones are cut in two at some places only."""
    wrong: set[str] = set()
    for case in cases:
        whole = b"".join(body(case))
        if as_dicts(bytewise(whole)) != case["expected"]:
            wrong.add(case["name"])
        for number, chunks in enumerate(in_two(whole)):
            if (len(whole) <= longest or number % 499 == 0) and as_dicts(chunks) != case["expected"]:
                wrong.add(case["name"])
    return wrong


def test_shared_cases_one_byte_at_a_time_and_cut_in_two(cases: list[dict[str, Any]]) -> None:
    assert not wrong_when_cut(cases, longest=5000)


@pytest.mark.nightly
def test_shared_cases_cut_in_two_anywhere(cases: list[dict[str, Any]]) -> None:
    assert not wrong_when_cut(cases, longest=10**9)


def test_shared_cases_retry(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        if "expected_retry_ms" in case:
            assert ours(body(case))[1] == case["expected_retry_ms"], case["name"]


def test_the_text_itself_says_what_the_shared_cases_say(cases: list[dict[str, Any]]) -> None:
    """So that the reference which the random streams are held to is right."""
    for case in cases:
        expected = [(event["event"], event["data"], event["id"]) for event in case["expected"]]
        assert by_the_text(b"".join(body(case)))[0] == expected, case["name"]


def random_partitions_agree(seed: int, count: int, streams: Iterable[bytes]) -> None:
    """Each stream in several partitions, until there were `count` of them."""
    draw = random.Random(seed)
    made = 0
    for whole in streams:
        expected = by_the_text(whole)
        for chunks in ([whole], *(random_cuts(draw, whole) for _ in range(19))):
            assert ours(chunks) == expected, chunks
            made += 1
        if made >= count:
            return


def streams_of(cases: list[dict[str, Any]], seed: int) -> Iterator[bytes]:
    """Random ones, the shared ones and those put behind each other, in turns, without end."""
    draw = random.Random(seed)
    known = [whole for case in cases if len(whole := b"".join(body(case))) < 5000]
    while True:
        yield random_stream(draw)
        yield draw.choice(known)
        yield draw.choice(known) + draw.choice(known)


def test_random_streams_in_random_partitions_are_read_as_the_text_says(cases: list[dict[str, Any]]) -> None:
    random_partitions_agree(0, PARTITIONS, streams_of(cases, 1))


@pytest.mark.nightly
def test_a_million_random_partitions(cases: list[dict[str, Any]]) -> None:
    random_partitions_agree(2, NIGHTLY_PARTITIONS, streams_of(cases, 3))


# What the shared cases leave out of the same table.
@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        (b"data: a\rdata: b\r\r", ["a\nb"]),  # a CR ends a line, whether or not an LF follows
        (b"data: a\n\r\n", ["a"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
        (b"data: a\r\r", ["a"]),
        (b"data: a\n\n\r\r\n\r\n", ["a"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"\xef\xbb\xbf\ndata: a\n\n", ["a"]),
        (b"\xef\xbb\xbf:\ndata: a\n\n", ["a"]),
        (b"\ndata: a\n\xef\xbb\xbfdata: b\n\n", ["a"]),
        (b"\xef\xbbdata: a\n\ndata: b\n\n", ["b"]),  # two thirds of a BOM are none
        (b"data\n\n", [""]),
        (b"data:\n\n", [""]),
        (b"data\ndata\n\n", ["\n"]),
        (b"data: a \n\n", ["a "]),
        (b"data : a\n\ndata: b\n\n", ["b"]),
        (b"", []),
        (b"\n\n\n", []),
        (b"data: a\n", []),
        (b"data: a\r", []),
        (b"data: \xed\xa0\x80\n\n", ["\ufffd\ufffd\ufffd"]),  # a surrogate in UTF-8
        (b"data: \xf0\x9f\x98\x80\n\n", ["\U0001f600"]),
        (b"data: \xf0\x9f\ndata: \x98\x80\n\n", ["\ufffd\n\ufffd\ufffd"]),
        (b"data: \xc3\r\n\r\n", ["\ufffd"]),
        ("data: \u0085\u2028\u2029\v\f\x1c\x1d\x1e\n\n".encode(), ["\u0085\u2028\u2029\v\f\x1c\x1d\x1e"]),
        (b"".join(b"data: %d\n\n" % number for number in range(50)), [str(number) for number in range(50)]),
        (b"event: e\n\ndata: a\n\n", ["a"]),
        (b": " + b"c" * 5000 + b"\ndata: a\n\n", ["a"]),
        (b"unknown: " + b"u" * 5000 + b"\rdata: a\r\r", ["a"]),
    ],
)
def test_more_cases(whole: bytes, expected: list[str]) -> None:
    """Cut in two anywhere, and byte by byte."""
    for chunks in ([whole], bytewise(whole), *in_two(whole)):
        assert [event.data for event in decode(chunks)] == expected, chunks


def test_names_and_ids() -> None:
    whole = b"event: a\nid: 1\ndata\n\ndata\n\nevent: b\nevent\nid: 2\0\ndata\n\nid\ndata\n\nid: 3\n\nid: 4"
    expected = [("a", "", "1"), ("message", "", "1"), ("message", "", "1"), ("message", "", "")]
    for chunks in ([whole], bytewise(whole), *in_two(whole)):
        assert ours(chunks)[0] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, 7) for value in (b"-1", b"+5", b"1e3", b"1_000", b"", b" 5 ", b"5 ", b"\xd9\xa1", b"1.5", b"0x10")),
        *((value, int(value)) for value in (b"0", b"250", b"000250", b"999999999999")),
        (b"9" * 4000, 7),  # no time that anyone could wait, and no number to compute with
    ],
)
def test_retry_takes_digits_only(value: bytes, expected: int) -> None:
    assert ours([b"retry: 7\nretry: " + value + b"\n\n"]) == ([], expected)


LINES = st.lists(
    st.sampled_from([b"data: x", b"data:", b"event: e", b"id: 1", b": c", b"", b"data: \xc3\xa9\xe2\x80\xa8", b"junk"])
    | st.binary(max_size=12),
    max_size=12,
)


@given(LINES, st.lists(st.sampled_from([b"\n", b"\r", b"\r\n"]), min_size=12, max_size=12), st.data())
def test_any_partition_of_anything_is_read_as_the_text_says(
    lines: list[bytes], ends: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert ours(pieces) == by_the_text(whole)


# What is too large.


def read_all(decoder: Decoder, chunks: Iterable[bytes]) -> list[ServerSentEvent]:
    return [event for chunk in chunks for event in decoder.feed(chunk)]


@pytest.mark.parametrize(
    "line",
    [b"data: " + b"x" * 995, b"x" * 1001, b"event: " + b"e" * 994, b"id: " + b"1" * 997, b"data" * 251],
    ids=["data", "no colon", "event", "id", "no field"],
)
def test_an_endless_line_is_refused_however_it_is_cut(line: bytes) -> None:
    for size in (1, 7, 400, len(line)):
        pieces = [line[start : start + size] for start in range(0, len(line), size)]
        decoder = Decoder(max_event_bytes=1000)
        before = read_all(decoder, [b"data: fine\n\n"])
        with pytest.raises(LimitExceeded) as caught:
            read_all(decoder, pieces)
        assert [event.data for event in before] == ["fine"]
        assert (caught.value.name, caught.value.limit) == ("event_bytes", 1000)
        with pytest.raises(LimitExceeded):  # and nothing is made of what follows
            read_all(decoder, [b"\n\ndata: next\n\n"])


def test_an_endless_event_is_refused_not_held() -> None:
    decoder = Decoder(max_event_bytes=1000)
    with pytest.raises(LimitExceeded):
        read_all(decoder, (b"data: " + b"x" * 94 + b"\n" for _ in range(100)))


def test_what_comes_before_the_limit_is_given_however_it_is_cut() -> None:
    whole = b"data: a\n\ndata: b\n\ndata: " + b"x" * 2000
    for size in (1, 10, len(whole)):
        decoder = Decoder(max_event_bytes=1000)
        seen: list[str] = []
        pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
        with pytest.raises(LimitExceeded):
            seen.extend(event.data for piece in pieces for event in decoder.feed(piece))
        assert seen == ["a", "b"]


def test_a_line_and_an_event_of_just_the_limit_are_read() -> None:
    line = b"data: " + b"x" * 994
    assert [len(event.data) for event in read_all(Decoder(max_event_bytes=1000), [line + b"\n\n"])] == [994]
    assert [len(event.data) for event in read_all(Decoder(max_event_bytes=1000), bytewise(line + b"\n\n"))] == [994]


@pytest.mark.parametrize("name", [b"", b"unknown", b"\xef\xbb\xbfdata", b"Data"])
def test_a_comment_or_unknown_field_beyond_the_limit_is_passed_over_and_not_held(name: bytes) -> None:
    whole = b"data: a\n" + name + b":" + b"c" * 5000 + b"\r\ndata: b\n\n"
    for chunks in ([whole], bytewise(whole), *(list(pair) for pair in in_two(whole[:60] + whole[-20:]))):
        decoder = Decoder(max_event_bytes=1000)
        assert [event.data for event in read_all(decoder, chunks)] == ["a\nb"]
    decoder = Decoder(max_event_bytes=1000)
    read_all(decoder, [b"\n", name + b":"])
    for _ in range(100):
        read_all(decoder, [b"c" * 500])
        assert not decoder._line


# How long it takes.


def one_line(size: int) -> list[bytes]:
    return [b"data: " + b"x" * size + b"\n\n"]


def one_line_in_pieces(size: int) -> list[bytes]:
    return [b"data: ", *([b"xxxxxxxxxxxxxxxx"] * (size // 16)), b"\n\n"]


def a_line_without_a_name(size: int) -> list[bytes]:
    return [*([b"xxxxxxxxxxxxxxxx"] * (size // 16)), b"\n\n"]


def many_colons(size: int) -> list[bytes]:
    return [*([b":::::::::::::::::"] * (size // 16)), b"\n\n"]


def many_data_lines(size: int) -> list[bytes]:
    return [*([b"data:\ndata:\ndata"] * (size // 16)), b"\n\n"]


def many_events(size: int) -> list[bytes]:
    return [b"data: a\n\ndata\n\nid: 1\n" * (size // 22)]


def line_ends(size: int) -> list[bytes]:
    return [b"\r\n\r\r\n\n" * (size // 6)]


def broken_characters(size: int) -> list[bytes]:
    return [b"data: " + b"\xf0\x9f\xe2\x82\xff" * (size // 5) + b"\n\n"]


SHAPES = (
    *(one_line, one_line_in_pieces, a_line_without_a_name, many_colons),
    *(many_data_lines, many_events, line_ends, broken_characters),
)


def seconds(shape: Callable[[int], list[bytes]], size: int, repeat: int = 1) -> float:
    """The best of `repeat`, in CPU time: how long it must take, whatever else the machine does."""
    chunks, best = shape(size), math.inf
    for _ in range(repeat):
        decoder = Decoder(max_event_bytes=64 * 1024 * 1024)
        began = time.process_time()
        for chunk in chunks:
            for _ in decoder.feed(chunk):
                pass
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_mebibyte_takes_no_longer_than_linear_time_needs(shape: Callable[[int], list[bytes]]) -> None:
    assert seconds(shape, 1024 * 1024) < 5  # a square of it would take minutes


@pytest.mark.nightly
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_time_grows_with_an_exponent_of_at_most_1_1(shape: Callable[[int], list[bytes]]) -> None:
    """Fitted from 1 KiB to 4 MiB; the upper half alone too, where the processor's caches are too small."""
    sizes = [2**power for power in range(10, 23)]
    seconds(shape, sizes[-1])  # until a large piece was freed, glibc takes each one from the system, page by page
    times = [seconds(shape, size, repeat=7 if size < 2**20 else 3) for size in sizes]
    for start, highest in ((0, 1.1), (len(sizes) // 2, 1.3)):
        xs, ys = [math.log(size) for size in sizes[start:]], [math.log(max(time, 1e-7)) for time in times[start:]]
        mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
        covariance = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
        exponent = covariance / sum((x - mean_x) ** 2 for x in xs)
        print(f"{shape.__name__} from {sizes[start]}: exponent {exponent:.3f}")
        assert exponent <= highest


@pytest.mark.anyio
async def test_the_async_twin_gives_the_same() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: a\n"
        yield b"\ndata: b\n\n"

    assert [event.data async for event in adecode(chunks())] == ["a", "b"]
