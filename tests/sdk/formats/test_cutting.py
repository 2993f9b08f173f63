"""However the text is cut, the events are the same; reading takes linear time and bounded memory."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex import formats
from ambidex.accumulator import Accumulator
from ambidex.events import ToolCallDelta, ToolCalled, ToolCallFailed, ToolCallStarted
from ambidex.formats.json_calls import MAX_CALL

from .reading import cut, merged, read, work

PIECES = [
    *("<tool_call>", "</tool_call>", "<think>", "</think>", "<|im_end|>", "<tool", "</", "<|im"),
    *("{", "}", "[", "]", '"', "'", ",", ":", "\\", "\n", "   ", "//c\n", "/*", "*/", "#"),
    *("hello", "1", "tru", "true", "None", "\\u00e9", "\\ud83d", "é", "😀", "7.5e", '"a": 1'),
    *('{"name": "f", "arguments": {"a": 1}}', '{"name": "f", "arguments": ', '{"a": "</tool_call>"}'),
    *("{'name': 'f', ", "\"arguments\": {'x': True,},}", '{"name": "f", "parameters": "{\\"a\\":1,}"}', '"name":"g"'),
]
answers = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=14).map("".join)


@given(answers, st.lists(st.integers(min_value=0), max_size=8), st.booleans())
def test_however_the_text_is_cut_the_events_are_the_same(text: str, places: list[int], starts: bool) -> None:
    whole = merged(read([text], starts_in_reasoning=starts))
    assert merged(read(text, starts_in_reasoning=starts)) == whole
    assert merged(read(cut(text, places), starts_in_reasoning=starts)) == whole


@given(answers)
def test_calls_are_whole_and_numbered(text: str) -> None:
    events = read([text])
    told: dict[int, str] = {}
    ended: list[int] = []
    started: list[int] = []
    for event in events:
        match event:
            case ToolCallStarted(index):
                started.append(index)
            case ToolCallDelta(index, piece):
                assert index in started
                told[index] = told.get(index, "") + piece
            case ToolCalled(call, index=index):
                ended.append(index)
                assert told[index] == call.arguments_json
                assert json.loads(call.arguments_json) == call.arguments
            case ToolCallFailed(_, index=index):
                ended.append(index)
            case _:
                pass
    assert ended == list(range(len(ended)))
    assert set(started) <= set(ended)


@given(answers)
def test_no_tag_of_a_complete_call_is_left_in_the_text(text: str) -> None:
    so_far = Accumulator()
    for event in read([f'{text}<tool_call>{{"name": "f", "arguments": {{}}}}</tool_call>']):
        so_far.add(event)
    message = so_far.choice().message
    assert text or not message.text
    assert message.tool_calls or message.invalid_calls or message.reasoning


CALL = '<tool_call>{"name": "f", "arguments": {"a": "xy"}}</tool_call>\n'
LONG = {
    "text": "word ",
    "space": "\n",
    "false starts": "<tool_call> ",
    "opening tags": "<tool_call>",
    "half tags": "<tool_c",
    "calls": CALL,
    "open strings": '<tool_call>{"name": "f',
    "broken calls": '<tool_call>{"name": "f", "arguments": {"a": "}}</tool_call>',
    "braces": '<tool_call>{"a":{',
    "stop tokens": "<|im_end|>",
    "escapes": '<tool_call>{"name": "f", "arguments": {"a": "\\\\\\"',
    "thoughts": "<think>",
    "comments": '<tool_call>{"name": /*',
}


@pytest.mark.parametrize("piece", LONG.values(), ids=LONG.keys())
@pytest.mark.parametrize("starts", [False, True])
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_twice_the_text_is_twice_the_work(piece: str, starts: bool, size: int) -> None:
    length = 2_000 if size == 1 else 20_000
    once = work(piece * (length // len(piece)), size, starts=starts)
    twice = work(piece * (2 * length // len(piece)), size, starts=starts)
    assert twice <= 2.3 * once + 200


@pytest.mark.parametrize("piece", LONG.values(), ids=LONG.keys())
def test_little_is_held_back(piece: str) -> None:
    parser = formats.get("hermes").parser()
    held = 0
    for _ in range(4000 // len(piece)):
        parser.feed(piece)
        held = max(held, len(vars(parser)["_unread"]))
    assert held < 40


def test_a_call_without_end_is_given_up_at_the_limit() -> None:
    pieces = [
        '<tool_call>{"name": "f", "arguments": {"a": "',
        *(["x" * 1000] * (2 * MAX_CALL // 1000)),
        '"}}</tool_call>',
    ]
    *_, failed = read([*pieces, "after"])[:-1]
    assert isinstance(failed, ToolCallFailed)
    assert "longer than" in failed.call.problem
    assert len(failed.call.raw) <= MAX_CALL + 100
