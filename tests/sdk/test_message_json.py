"""Stored conversations: what is read back equals what was stored, and nothing else is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex import (
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
)
from ambidex.errors import InvalidRequest
from ambidex.messages import from_json, to_json

texts = st.text()
names = st.text(min_size=1)
optional = st.none() | texts
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
sources = st.binary(max_size=20) | texts.map(lambda text: Url("https://example.org/" + text))
text_parts = texts.map(Text)
images = st.builds(Image, sources, media_type=optional, detail=st.sampled_from([None, "auto", "low", "high"]))
audio = st.builds(Audio, sources, media_type=optional)
calls = st.builds(ToolCall, texts, texts, st.dictionaries(texts, json_values, max_size=3), texts, st.booleans())
invalid_calls = st.builds(InvalidToolCall, texts, texts, texts, texts)
reasoning = st.builds(Reasoning, texts, optional)


def with_parts(role: Any, parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(parts, max_size=3).map(lambda items: role(*items))


results = st.builds(
    lambda id, name, parts, is_error: ToolResult(id, name, *parts, is_error=is_error),
    names,
    names,
    st.lists(text_parts | images | audio, max_size=2),
    st.booleans(),
)
messages: st.SearchStrategy[Message] = (
    with_parts(System, text_parts)
    | with_parts(User, text_parts | images | audio)
    | with_parts(Assistant, text_parts | reasoning | images | audio | calls | invalid_calls)
    | results
)


@given(st.lists(messages, max_size=4).map(tuple))
def test_what_is_read_back_equals_what_was_stored(conversation: tuple[Message, ...]) -> None:
    text = to_json(conversation)
    assert from_json(text) == conversation
    assert from_json(text.encode()) == conversation
    assert json.loads(text)["version"] == 1


def test_the_form_is_this_one() -> None:
    """Stored files outlive releases: a change here needs a new version, and the old one must still be read."""
    stored = (
        '{"ambidex": "messages", "version": 1, "messages": ['
        '{"role": "system", "parts": [{"type": "text", "text": "Be brief."}]}, '
        '{"role": "user", "parts": [{"type": "image", "base64": "iVBORw==", "media_type": null, "detail": "low"}, '
        '{"type": "audio", "url": "https://example.org/a", "media_type": null}]}, '
        '{"role": "assistant", "parts": [{"type": "reasoning", "text": "Hm.", "signature": null}, '
        '{"type": "tool_call", "id": "1", "name": "add", "arguments": {"a": 1}, "arguments_json": "{\\"a\\": 1}", '
        '"repaired": false}, '
        '{"type": "invalid_tool_call", "id": "2", "name": "add", "raw": "{", "problem": "cut off"}]}, '
        '{"role": "tool_result", "call_id": "1", "name": "add", "is_error": false, '
        '"parts": [{"type": "text", "text": "1"}]}]}'
    )
    assert to_json(from_json(stored)) == stored


@pytest.mark.parametrize(
    "arguments",
    [
        {"role": "user", "parts": []},
        {"type": "tool_call", "id": "1"},
        {"ambidex": "messages", "version": 1, "messages": [{"role": "system", "parts": []}]},
    ],
)
def test_arguments_that_look_like_ours_stay_dicts(arguments: dict[str, Any]) -> None:
    conversation = (Assistant(ToolCall("1", "store", {"value": arguments})),)
    assert from_json(to_json(conversation)) == conversation


def test_half_a_character_in_a_call_survives() -> None:
    conversation = (Assistant(ToolCall("1", "say", {"text": "\ud83d"})),)
    assert from_json(to_json(conversation).encode()) == conversation


def test_a_file_is_stored_as_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(b"\x89PNG")
    stored = to_json([User(Image(file))])
    file.unlink()
    assert from_json(stored) == (User(Image(b"\x89PNG", media_type="image/png")),)
    with pytest.raises(InvalidRequest, match=r"'cat\.png' cannot be read"):
        to_json([User(Image(file))])


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("arguments", [{"a": float("nan")}, {"a": {1, 2}}, {"a": object()}, deep(200), deep(100_000)])
def test_arguments_that_json_cannot_hold_are_refused_when_stored(arguments: Any) -> None:
    call = ToolCall("1", "add", arguments, "{}")
    with pytest.raises(InvalidRequest, match="cannot be stored"):
        to_json([Assistant(call)])


def test_arguments_as_deep_as_calls_come_are_stored() -> None:
    conversation = (Assistant(ToolCall("1", "add", deep(63), "{}")),)
    assert from_json(to_json(conversation)) == conversation


TEXT = {"type": "text", "text": "a"}
CALL = {"type": "tool_call", "id": "1", "name": "a", "arguments": {}, "arguments_json": "{}", "repaired": False}
RESULT = {"role": "tool_result", "call_id": "1", "name": "a", "is_error": False, "parts": []}


def stored(*items: Any, **fields: Any) -> str:
    return json.dumps({"ambidex": "messages", "version": 1, "messages": items, **fields})


def user(*parts: Any) -> str:
    return stored({"role": "user", "parts": parts})


def test_the_examples_below_are_wrong_in_one_thing_each() -> None:
    assert from_json(user(TEXT)) == (User("a"),)
    assert len(from_json(stored({"role": "assistant", "parts": [CALL]}, RESULT))) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no stored conversation"),
        (None, "a str or bytes, got NoneType"),
        (5, "a str or bytes, got int"),
        ("[]", "the conversation is an object, got list"),
        ('{"ambidex": "messages", "ambidex": "messages"}', "stands twice"),
        (b"\xff", "UTF-8"),
        ("{}", "messages.to_json"),
        (stored(version=2), "version 2"),
        (stored(version="1"), "version '1'"),
        (stored(more=1), "'more'"),
        (json.dumps({"ambidex": "messages", "version": 1}), "lacks 'messages'"),
        (stored(1), r"messages\[0\] is an object, got int"),
        (stored({"role": "tool", "parts": []}), r"messages\[0\].*'tool'"),
        (stored({"parts": []}), r"messages\[0\]\.role is a text"),
        (stored({"role": "user"}), "lacks 'parts'"),
        (stored({"role": "user", "parts": [], "name": "x"}), "'name'"),
        (stored({"role": "user", "parts": {}}), r"messages\[0\]\.parts is a list, got dict"),
        (user(TEXT, {"type": "text"}), r"messages\[0\]\.parts\[1\] lacks 'text'"),
        (user({"type": "text", "text": 1}), r"parts\[0\]\.text is a text, got int"),
        (user({"type": "text", "text": "a", "x": 1}), "unknown field 'x'"),
        (user({"type": "video"}), "'video'"),
        (user(CALL), r"messages\[0\] is no such message: User takes"),
        (user({"type": "image", "base64": "?", "media_type": None, "detail": None}), "base64"),
        (user({"type": "image", "url": "cat.png", "media_type": None, "detail": None}), "url is refused"),
        (user({"type": "image", "url": "https://a", "media_type": None, "detail": "huge"}), "detail"),
        (user({"type": "image", "url": "https://a", "base64": "", "media_type": None, "detail": None}), "'base64'"),
        (stored({"role": "assistant", "parts": [{**CALL, "arguments": []}]}), "arguments is an object"),
        (stored({"role": "assistant", "parts": [{**CALL, "repaired": 0}]}), "repaired is true or false"),
        (stored({**RESULT, "is_error": None}), "is_error is true or false"),
        (stored({**RESULT, "call_id": ""}), "call_id"),
    ],
)
def test_what_is_no_stored_conversation_is_refused_with_its_place(text: Any, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        from_json(text)
