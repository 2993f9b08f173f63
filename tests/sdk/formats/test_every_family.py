"""What holds for every family: cuts change nothing, nothing raises, work is linear, calls read back as written."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ambidex import formats
from ambidex.events import Event, ToolCallDelta, ToolCalled, ToolCallFailed, ToolCallStarted
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool, tool

from .bfcl import calls_of_bfcl, has_tags_for, without_untyped
from .reading import cut, merged, message, read, work

FAMILIES = formats.names()
JSON_PIECES = (
    *("{", "}", "[", "]", '"', "'", ",", ":", "\\", "\n", "  ", "<", "|", ">", "(", ")", "=", "</", "```json", "```"),
    *("1", "-2.5e3", "true", "None", "\\u00e9", "\\ud83d", "é", "😀", "hello", "f", "a", "//", "/*", "*/", "\n\n"),
    *('{"name": "f", "arguments": {"a": 1}}', '{"a": "x"}', '"a": ', '"name": "f"', "f(a=1)", "to=f", "all\n"),
)


@tool
def f(a: int = 0, b: str = "", c: list[str] | None = None) -> None:
    """F."""


def pieces_of(family: str) -> list[str]:
    """What texts of the family are made of: its tags, whole and in part, its calls, and scraps of JSON."""
    form = formats.get(family)
    tags = [*form.MARKERS, *form.REASONING, *form.STOP_TOKENS]
    calls = [form.render_call(ToolCall("123456789", "f", arguments)) for arguments in ({}, {"a": 1, "b": "x\n<y>"})]
    example = form.render_tools([f]).splitlines()[-1]
    return [*tags, *tags, *(tag[: len(tag) // 2] for tag in tags), *calls, *calls, example, *JSON_PIECES]


def fuzzed(family: str, count: int, seed: object) -> Iterator[str]:
    """Texts of pieces, and calls with pieces put into them or cut out of them."""
    draw = random.Random(f"{family} {seed}")
    pieces = pieces_of(family)
    calls = pieces[-len(JSON_PIECES) - 3 :][:2]
    for _ in range(count):
        if draw.random() < 0.5:
            yield "".join(draw.choices(pieces, k=draw.randrange(1, 12)))
            continue
        text = "".join(draw.choices(calls, k=draw.randrange(1, 4)))
        for _ in range(draw.randrange(4)):
            at = draw.randrange(len(text) + 1)
            end = at + draw.choice((0, 0, 1, 5))
            text = text[:at] + draw.choice((*pieces, "")) + text[end:]
        yield text


def assert_well_formed(events: list[Event]) -> None:
    told: dict[int, str] = {}
    ended: list[int] = []
    for event in events:
        match event:
            case ToolCallStarted(index):
                assert index not in told
                told[index] = ""
            case ToolCallDelta(index, piece):
                told[index] += piece
            case ToolCalled(call, index=index):
                ended.append(index)
                assert told[index] == call.arguments_json
                assert json.loads(call.arguments_json) == call.arguments
            case ToolCallFailed(_, index=index):
                ended.append(index)
            case _:
                pass
    assert ended == list(range(len(ended)))
    assert set(told) <= set(ended)


def check(family: str, text: str, draw: random.Random) -> None:
    starts, tools = draw.random() < 0.3, draw.choice((None, [f]))
    whole = read([text], tools, family=family, starts_in_reasoning=starts)
    assert_well_formed(whole)
    expected = merged(whole)
    for pieces in (list(text), cut(text, draw.choices(range(len(text) + 1), k=4))):
        assert merged(read(pieces, tools, family=family, starts_in_reasoning=starts)) == expected, (text, pieces)


@pytest.mark.parametrize("family", FAMILIES)
def test_however_a_text_is_cut_the_events_are_the_same(family: str) -> None:
    draw = random.Random(family)
    for text in fuzzed(family, 40, "small"):
        check(family, text, draw)


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_a_million_texts_are_read(family: str) -> None:
    """None raises; one in twenty is read in pieces as well."""
    draw = random.Random(family)
    for at, text in enumerate(fuzzed(family, 1_000_000 // len(FAMILIES) + 1, "large")):
        if at % 20:
            assert_well_formed(read([text], (None, [f])[at % 2], family=family, starts_in_reasoning=at % 3 == 0))
        else:
            check(family, text, draw)


def long_texts(family: str) -> dict[str, str]:
    form = formats.get(family)
    call = form.render_call(ToolCall("123456789", "f", {"a": 1, "b": "xy"}))
    whole = {f"{tag!r} again and again": tag for tag in (*form.MARKERS, *form.REASONING, "{", "[", " ", "x ", "\n")}
    half = {f"{end} of a call": call[: len(call) * end // 8] for end in range(2, 8)}
    return {**whole, **half, "calls": call + "\n"}


def assert_linear(family: str, piece: str, size: int, length: int) -> None:
    times = max(2, length // len(piece))
    once, twice = (work(piece * count, size, family=family) for count in (times, 2 * times))
    assert twice <= 2.3 * once + 300, (piece, size, once, twice)


@pytest.mark.parametrize("family", FAMILIES)
def test_twice_the_text_is_twice_the_work(family: str) -> None:
    for piece in random.Random(family).sample([*long_texts(family).values()], 4):
        assert_linear(family, piece, 1, 400)
        assert_linear(family, piece, 1 << 20, 4_000)


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_four_times_more_of_every_long_text(family: str) -> None:
    for piece in long_texts(family).values():
        assert_linear(family, piece, 1, 4_000)
        assert_linear(family, piece, 1 << 20, 40_000)


def long_call(family: str, words: str, times: int) -> str:
    return words * times + formats.get(family).render_call(ToolCall("123456789", "f", {"b": words * times}))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_long_value_is_read_in_pieces(family: str) -> None:
    """Linear too inside one argument, and in a call that follows long text."""
    for words in ("word ", "<", '\\"'):
        once, twice = (work(long_call(family, words, times), 16, family=family) for times in (200, 400))
        assert twice <= 2.3 * once + 300, (words, once, twice)


def seconds(family: str, text: str) -> float:
    pieces = [text[at : at + 64] for at in range(0, len(text), 64)]
    start = time.perf_counter()
    read(pieces, family=family)
    return time.perf_counter() - start


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_time_is_linear_up_to_four_megabytes(family: str) -> None:
    """The exponent of time over length from 1 to 4 MiB, the best of three: 1.1, and room for a busy machine."""
    for words in ("word ", "<tool", '\\"'):
        short, long = (
            min(seconds(family, long_call(family, words, size // 2 // len(words))) for _ in range(3))
            for size in (1 << 20, 1 << 22)
        )
        assert math.log(long / short, 4) <= 1.25, (words, short, long)


def assert_reads_back(family: str, tools: list[dict[str, Any]], calls: list[ToolCall]) -> None:
    form = formats.get(family)
    calls = [call for call in calls if has_tags_for(call, family)]
    text = "\n".join(form.render_call(call) for call in calls)
    answer = message(read([text], tools, family=family))
    assert not answer.invalid_calls, (text, answer)
    assert len(answer.tool_calls) == len(calls), (text, answer)
    for again, call in zip(answer.tool_calls, calls, strict=True):
        assert again.name == call.name
        assert without_untyped(again, tools, family) == without_untyped(call, tools, family), (text, answer)


@pytest.mark.parametrize("family", FAMILIES)
def test_calls_of_bfcl_read_back(shared: Path, family: str) -> None:
    found = calls_of_bfcl(shared / "data" / "bfcl")
    assert len(found) > 500
    for tools, calls in random.Random(family).sample(found, 20):
        assert_reads_back(family, tools, calls)


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_all_calls_of_bfcl_read_back(shared: Path, family: str) -> None:
    for tools, calls in calls_of_bfcl(shared / "data" / "bfcl"):
        assert_reads_back(family, tools, calls)


HARD = {
    "b": 'é "quoted" \\ back\\slash \t tab\n\nlines \u2028 😀 </tool_call> {"a": [1]} <x> & &amp; \'',
    "c": ["", " padded ", "null", "5", "[]"],
    "a": -3,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_call_with_hard_values_reads_back(family: str) -> None:
    form = formats.get(family)
    (call,) = message(read([form.render_call(ToolCall("123456789", "f", HARD))], [f], family=family)).parts
    assert isinstance(call, ToolCall), call
    assert (call.name, dict(call.arguments), call.repaired) == ("f", HARD, False)


@pytest.mark.parametrize("family", FAMILIES)
def test_tools_and_results_are_written(family: str) -> None:
    form = formats.get(family)
    assert '"f"' in form.render_tools([f])
    assert "the result" in form.render_result(ToolResult("123456789", "f", "the result"))
    assert isinstance(f, Tool)
    assert all((*form.STOP_TOKENS, *form.MARKERS, *form.REASONING))


def test_every_family_of_the_cases_is_known(shared: Path) -> None:
    lines = (shared / "data" / "toolcalls_public.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["family"] for line in lines} <= set(FAMILIES)
