"""OpenAI's chat dicts to messages and back; what would be lost is refused, naming its place."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex.errors import InvalidRequest
from ambidex.messages import (
    Assistant,
    Audio,
    Image,
    InvalidToolCall,
    Message,
    Reasoning,
    System,
    Text,
    ToolCall,
    ToolResult,
    Url,
    User,
    from_openai,
    to_openai,
)

PNG = b"\x89PNG\r\n\x1a\n...."


def test_a_conversation_both_ways() -> None:
    items: list[dict[str, Any]] = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "w", "arguments": '{"city": "Bonn"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "name": "w", "content": "rain"},
        {"role": "assistant", "content": "Rain."},
    ]
    messages = from_openai(items)
    assert messages == (
        System("be brief"),
        User("weather?"),
        Assistant(Reasoning("hm"), ToolCall("c1", "w", {"city": "Bonn"}, '{"city": "Bonn"}')),
        ToolResult("c1", "w", "rain"),
        Assistant("Rain."),
    )
    assert to_openai(messages) == items


NAMES = st.text(min_size=1, max_size=5)
CALLS = st.builds(ToolCall, NAMES, NAMES, st.dictionaries(st.text(), st.integers() | st.text() | st.none()))


@given(
    st.lists(
        st.one_of(
            st.text().map(System),
            st.text().map(User),
            st.builds(lambda text, calls: Assistant(*([text] if text else []), *calls), st.text(), st.lists(CALLS)),
            st.builds(ToolResult, NAMES, NAMES, st.text()),
        )
    )
)
def test_text_and_calls_survive_the_round_trip(messages: list[Message]) -> None:
    items = to_openai(messages)
    json.dumps(items)
    again = from_openai(items)
    assert [message.text for message in again] == [message.text for message in messages]
    for before, after in zip(messages, again, strict=True):
        if isinstance(before, Assistant):
            assert isinstance(after, Assistant)
            assert after.tool_calls == before.tool_calls
        else:
            assert after == before
    assert to_openai(again) == items


def test_text_is_one_str_and_media_make_a_list(tmp_path: Path) -> None:
    file = tmp_path / "pixel.png"
    file.write_bytes(PNG)
    data = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert to_openai([User("a", "b")]) == [{"role": "user", "content": "ab"}]
    (item,) = to_openai([User("see", Image(PNG), Image(file, detail="low"), Image(Url("https://h.test/x")))])
    assert item["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": data}},
        {"type": "image_url", "image_url": {"url": data, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://h.test/x"}},
    ]
    assert from_openai([item])[0].parts[3] == Image(Url("https://h.test/x"))
    assert to_openai(from_openai([item])) == [item]


def test_sounds() -> None:
    wav = b"RIFF\0\0\0\0WAVEdata"
    (item,) = to_openai([User(Audio(wav), Audio(b"ID3..."))])
    assert [part["input_audio"]["format"] for part in item["content"]] == ["wav", "mp3"]
    assert to_openai(from_openai([item])) == [item]


@pytest.mark.parametrize(
    "part", [Image(b"nothing known"), Audio(PNG), Image(Path("/no/such/file.png")), Image(b"x", media_type="audio/wav")]
)
def test_media_that_cannot_be_sent(part: Image | Audio) -> None:
    with pytest.raises(InvalidRequest, match=type(part).__name__):
        to_openai([User(part)])


def test_invalid_calls_are_left_out_unless_they_have_a_result() -> None:
    broken = InvalidToolCall("c1", "w", '{"city": "Bo', "cut")
    assert to_openai([Assistant("so", broken)]) == [{"role": "assistant", "content": "so"}]
    assert to_openai([Assistant(broken)]) == [{"role": "assistant", "content": ""}]
    asked, answered = to_openai([Assistant(broken), ToolResult("c1", "w", "arguments cut off", is_error=True)])
    assert asked["tool_calls"] == [{"id": "c1", "type": "function", "function": {"name": "w", "arguments": "{}"}}]
    assert answered["content"] == "Error: arguments cut off"


def test_a_failed_result_is_marked_once() -> None:
    (item,) = to_openai([ToolResult("c1", "w", "Error: no such city", is_error=True)])
    assert item["content"] == "Error: no such city"


@pytest.mark.parametrize("arguments", ["{'a': 1}", '{"a": 1', "[1]", '{"a": 1, "a": 2}', "NaN"])
def test_calls_whose_arguments_are_no_object_are_kept_as_invalid(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    (message,) = from_openai([{"role": "assistant", "content": None, "tool_calls": [call]}])
    (part,) = message.parts
    assert isinstance(part, InvalidToolCall)
    assert part.raw == arguments


@pytest.mark.parametrize("arguments", ["", None, {}, "{}"])
def test_calls_without_arguments(arguments: Any) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    (message,) = from_openai([{"role": "assistant", "tool_calls": [call]}])
    assert message == Assistant(ToolCall("c", "f", {}))


def test_what_other_programs_put_beside() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    dumped = {
        "role": "assistant",
        "content": "x",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "reasoning": "hm",
        "tool_calls": [call],
    }
    result = {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "done"}]}
    first, second = from_openai([dumped, result])
    assert first == Assistant(Reasoning("hm"), Text("x"), ToolCall("c", "f", {"a": 1}))
    assert second == ToolResult("c", "f", "done")
    assert from_openai([{"role": "developer", "content": "be"}]) == (System("be"),)


@pytest.mark.parametrize(
    ("items", "place"),
    [
        ("hello", "list of dicts"),
        ({"role": "user"}, "list of dicts"),
        (["hello"], r"messages\[0\] is a dict"),
        ([{"content": "x"}], r"messages\[0\]\.role"),
        ([{"role": "user", "content": "x"}, {"role": "bot", "content": "x"}], r"messages\[1\]\.role.*'bot'"),
        ([{"role": "user"}], r"messages\[0\]\.content"),
        ([{"role": "user", "content": 5}], r"messages\[0\]\.content"),
        ([{"role": "user", "content": "x", "name": "ann"}], r"messages\[0\]\.name"),
        ([{"role": "user", "content": [{"type": "video"}]}], r"messages\[0\]\.content\[0\]\.type.*'video'"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], r"content\[0\]\.image_url\.url"),
        (
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"format": "wav", "data": "!"}}]}],
            "base64",
        ),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], r"tool_calls\[0\]\.function"),
        ([{"role": "assistant", "content": "x", "function_call": {"name": "f"}}], r"messages\[0\]\.function_call"),
        ([{"role": "tool", "tool_call_id": "zz", "content": "x"}], r"messages\[0\]\.tool_call_id"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(items: Any, place: str) -> None:
    with pytest.raises(InvalidRequest, match=place):
        from_openai(items)
