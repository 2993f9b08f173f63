"""Server-sent events by the WHATWG text: however the bytes are cut, the events are the same."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex.errors import LimitExceeded
from ambidex_backends.http.sse import Decoder, adecode, decode


def as_dicts(chunks: Iterable[bytes]) -> list[dict[str, str]]:
    return [{"event": event.event, "data": event.data, "id": event.id} for event in decode(chunks)]


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


def test_shared_cases_one_byte_at_a_time_and_cut_in_two_anywhere(cases: list[dict[str, Any]]) -> None:
    wrong: set[str] = set()
    for case in cases:
        whole = b"".join(body(case))
        cuts = range(len(whole) + 1) if len(whole) < 4000 else range(0, len(whole), 997)
        bytewise = [whole[position : position + 1] for position in range(len(whole))]
        for chunks in [bytewise, *([whole[:cut], whole[cut:]] for cut in cuts)]:
            if as_dicts(chunks) != case["expected"]:
                wrong.add(case["name"])
    assert not wrong


def test_shared_cases_retry(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        if "expected_retry_ms" in case:
            decoder = Decoder()
            for chunk in body(case):
                decoder.feed(chunk)
            assert decoder.retry == case["expected_retry_ms"], case["name"]


# What the shared cases leave out of the same table.
@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"data: a\r", b"data: b\r", b"\r"], ["a\nb"]),  # a CR ends a line, whether or not an LF follows
        ([b"data: a\n\r", b"\n"], ["a"]),
        ([b"data: a\r\n\r", b"\ndata: b\r\n\r\n"], ["a", "b"]),
        ([b"data: a\r\r"], ["a"]),
        ([b"\xef", b"\xbb", b"\xbfdata: a\n\n"], ["a"]),
        ([b"data\n\n"], [""]),
        ([b"data:\n\n"], [""]),
        ([b"data: a \n\n"], ["a "]),
        ([b"data : a\n\ndata: b\n\n"], ["b"]),
        ([b""], []),
        ([b"\n\n\n"], []),
        ([b"data: a\n"], []),
        ([b"data: \xed\xa0\x80\n\n"], ["\ufffd\ufffd\ufffd"]),  # a surrogate in UTF-8
        ([b"data: \xf0\x9f", b"\x98\x80\n\n"], ["\U0001f600"]),
        ([b"data: %d\n\n" % number for number in range(50)], [str(number) for number in range(50)]),
    ],
)
def test_more_cases(chunks: list[bytes], expected: list[str]) -> None:
    assert [event.data for event in decode(chunks)] == expected


def test_id_with_nul_is_ignored_and_retry_takes_digits_only() -> None:
    decoder = Decoder()
    events = decoder.feed(b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nretry: 250\n\nretry: 1e3\nretry: -1\nretry:\n\n")
    assert [event.id for event in events] == ["1", "1"]
    assert decoder.retry == 250


LINES = st.lists(
    st.sampled_from([b"data: x", b"data:", b"event: e", b"id: 1", b": c", b"", b"data: \xc3\xa9\xe2\x80\xa8", b"junk"]),
    max_size=12,
)


@given(LINES, st.lists(st.sampled_from([b"\n", b"\r", b"\r\n"]), min_size=12, max_size=12), st.data())
def test_any_partition_gives_the_same_events(lines: list[bytes], ends: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert as_dicts(pieces) == as_dicts([whole])


def drain(events: Iterable[object]) -> None:
    for _ in events:
        pass


def test_an_endless_line_is_refused_not_held() -> None:
    decoder = Decoder(max_event_bytes=1000)
    with pytest.raises(LimitExceeded) as caught:
        drain(decoder.feed(b"data: " + b"x" * 94) for _ in range(100))
    assert caught.value.name == "event_bytes"


def test_an_endless_event_is_refused_not_held() -> None:
    decoder = Decoder(max_event_bytes=1000)
    with pytest.raises(LimitExceeded):
        drain(decoder.feed(b"data: " + b"x" * 94 + b"\n") for _ in range(100))


def test_time_is_linear() -> None:
    began = time.monotonic()
    decoder = Decoder()
    for _ in range(200_000):  # 200 kB of one line, byte by byte
        decoder.feed(b"x")
    assert decoder.feed(b"\ndata: 1\n\n")[0].data == "1"
    assert time.monotonic() - began < 10


@pytest.mark.anyio
async def test_the_async_twin_gives_the_same() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: a\n"
        yield b"\ndata: b\n\n"

    assert [event.data async for event in adecode(chunks())] == ["a", "b"]
