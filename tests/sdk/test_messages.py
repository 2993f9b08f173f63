"""Messages and parts: what they take, what they refuse, and that they are values."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest

from ambidex import (
    Assistant,
    Audio,
    Image,
    InvalidToolCall,
    Reasoning,
    System,
    Text,
    ToolCall,
    ToolResult,
    Url,
    User,
)
from ambidex.errors import InvalidRequest
from ambidex.grammar import Lark, Regex
from ambidex.messages import checked_messages

CALL = ToolCall("1", "add", {"a": 1})
INVALID = InvalidToolCall("2", "add", '{"a"', "cut off")
PICTURE = Image(b"\x89PNG", media_type="image/png", detail="low")
CIRCULAR: dict[str, Any] = {}
CIRCULAR["itself"] = CIRCULAR
EVERY_MESSAGE = (
    System("Be brief."),
    User("Hello ", Text("there"), PICTURE, Audio(Url("https://example.org/a.wav"))),
    Assistant(Reasoning("Hm.", "proof"), "Hi", CALL, " there", INVALID),
    ToolResult("1", "add", "3", is_error=True),
)


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda message: type(message).__name__)
def test_messages_are_values(message: Any) -> None:
    assert pickle.loads(pickle.dumps(message)) == message
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        message.parts = ()
    with pytest.raises((AttributeError, TypeError)):
        message.other = 1


def test_strs_become_text_parts() -> None:
    assert User("a", Text("b")).parts == (Text("a"), Text("b"))
    assert User("a", "b") == User(Text("a"), Text("b"))


def test_text_joins_the_text_parts_only() -> None:
    _, user, assistant, _ = EVERY_MESSAGE
    assert user.text == "Hello there"
    assert assistant.text == "Hi there"


def test_an_assistant_knows_its_parts() -> None:
    assistant = Assistant(Reasoning("a"), CALL, Reasoning("b"), INVALID)
    assert assistant.reasoning == "ab"
    assert assistant.tool_calls == (CALL,)
    assert assistant.invalid_calls == (INVALID,)


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        (System, [PICTURE], "System takes str, Text, got Image"),
        (User, [CALL], "User takes"),
        (User, [{"type": "text", "text": "a"}], "from_openai"),
        (User, [1], "got int"),
        (ToolResult, ["1", "add", CALL], "ToolResult takes"),
        (ToolResult, ["", "add", "3"], "call_id"),
        (ToolResult, ["1", "", "3"], "name"),
        (Text, [b"a"], "Text takes a str"),
        (Image, ["cat.png"], r"Path\(\.\.\.\) or Url"),
        (Audio, ["https://example.org/a.wav"], "bare str"),
        (Url, ["cat.png"], "http"),
        (Url, [5], "http"),
        (ToolCall, ["1", "add", [1]], "mapping"),
        (ToolCall, ["1", "add", {"a": {1}}], "what JSON can hold: Object of type set"),
        (ToolCall, ["1", "add", {"a": object()}], "what JSON can hold"),
        (ToolCall, ["1", "add", CIRCULAR], "what JSON can hold"),
        (Regex, [5], "Regex takes a str, got int"),
        (Lark, [None], "Lark takes a str, got NoneType"),
    ],
)
def test_wrong_content_is_refused(kind: Any, content: list[Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        kind(*content)


@pytest.mark.parametrize("source", [Path("cat.png"), b"\x89PNG", Url("https://example.org/cat.png")])
def test_media_take_a_path_bytes_or_url(source: Any) -> None:
    assert Image(source).source == source
    assert Audio(source).source == source


def test_the_bytes_of_a_picture_stay_out_of_its_repr() -> None:
    assert "PNG" not in repr(User(PICTURE))


def test_a_call_without_its_text_is_given_one() -> None:
    assert ToolCall("1", "add", {"a": "ü"}).arguments_json == '{"a": "ü"}'
    assert ToolCall("1", "add", {"a": 1}, '{ "a":1 }').arguments_json == '{ "a":1 }'


def test_halves_of_characters_are_joined_or_replaced() -> None:
    assert Text("\ud83d\ude00").text == "😀"
    assert Text("a\ud83db").text == "a\ufffdb"


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ("hello", r"\[User\(text\)\]"),
        ({"role": "user", "content": "a"}, "from_openai"),
        ([{"role": "user", "content": "a"}], "from_openai"),
        (["hello"], "got str"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_conversation_is_refused(messages: Any, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        checked_messages(messages)


def test_any_iterable_of_messages_becomes_a_tuple() -> None:
    assert checked_messages(iter(EVERY_MESSAGE)) == EVERY_MESSAGE
