"""Hermes: what calls, texts and reasoning an answer has; what is repaired, and what fails."""

from __future__ import annotations

from typing import Any

import pytest

from ambidex import formats
from ambidex.errors import InvalidRequest
from ambidex.events import TextDelta
from ambidex.messages import Assistant, InvalidToolCall, Reasoning, Text, ToolCall
from ambidex.tools import tool

from .reading import read


@tool
def f(a: int = 0, b: str = "") -> None:
    """F."""


def calls_of(answer: Assistant) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, dict(call.arguments)) for call in answer.tool_calls]


CALL = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'


def test_what_stands_around_calls_is_kept_in_order() -> None:
    answer = formats.parse("hermes", f"<think>\nhm\n</think>\n\nBefore.\n{CALL}\nBetween.\n{CALL} After.\n")
    first, second = answer.tool_calls
    expected = (Reasoning("hm"), Text("Before."), first, Text("\n\nBetween."), second, Text("\n After.\n"))
    assert answer.parts == expected
    assert first.id != second.id
    assert all(len(call.id) == 9 and call.id.isalnum() for call in answer.tool_calls)
    assert not first.repaired
    assert first.arguments_json == '{"a": 1}'


@pytest.mark.parametrize(
    "text",
    [
        "  two spaces first, two at the end  ",
        "a <tool",
        "<tool box> is not a call",
        "< tool_call>",
        "see <think>this</think>",
        "</think> out of nowhere",
        "</tool_call>",
        "Write <tool_call> before a call.",
        "<|im_end|> is how a turn ends",
        "",
    ],
)
def test_text_that_is_no_call_stays_as_it_is(text: str) -> None:
    assert formats.parse("hermes", text).text == text
    assert "".join(event.text for event in read(text) if isinstance(event, TextDelta)) == text


@pytest.mark.parametrize(
    ("body", "arguments", "repaired"),
    [
        ('{"name": "f", "arguments": {"a": 1}}', {"a": 1}, False),
        ('{"arguments": {"a": 1}, "name": "f"}', {"a": 1}, False),
        ('{"name":"f","arguments":{}}', {}, False),
        ('{"id": "x", "name": "f", "type": "function", "arguments": {"a": 1}}', {"a": 1}, False),
        ('{"name": "f", "arguments": {"b": "</tool_call><tool_call>"}}', {"b": "</tool_call><tool_call>"}, False),
        ('{"name": "f", "arguments": {"b": "\\u00e9\\ud83d\\ude00"}}', {"b": "é😀"}, False),
        ("{'name': 'f', 'arguments': {'b': 'it\\'s \"x\"'}}", {"b": 'it\'s "x"'}, True),
        ('{"name": "f", "arguments": {"a": 1,},}', {"a": 1}, True),
        ('{"name": "f", "arguments": {"a": 1, // one\n "b": "x" /* two */}}', {"a": 1, "b": "x"}, True),
        ('{"name": "f", "arguments": {"b": "a\nb\tc"}}', {"b": "a\nb\tc"}, True),
        ('{"name": "f", "arguments": {"b": "\\d+"}}', {"b": "\\d+"}, True),
        ('{"name": "f", "parameters": {"a": 1}}', {"a": 1}, True),
        ('{"name": "f", "arguments": "{\\"a\\": 1}"}', {"a": 1}, True),
        ('{"name": "f", "arguments": "\\"{\\\\\\"a\\\\\\": 1}\\""}', {"a": 1}, True),
        ('{"name": "f", "arguments": "{\'a\': 1}"}', {"a": 1}, True),
        ('{"name": "f", "arguments": null}', {}, True),
        ('{"name": "f", "arguments": ""}', {}, True),
        ('{"name": "f"}', {}, True),
        ('{"name": "f", "arguments": {"a": 1}}}', {"a": 1}, True),
        ('[{"name": "f", "arguments": {"a": 1}}]', {"a": 1}, True),
        ('{"name": "f", "arguments": {"a": 1}} and so on', {"a": 1}, True),
    ],
)
def test_a_complete_call_is_read_and_a_repair_is_said(body: str, arguments: dict[str, Any], repaired: bool) -> None:
    (call,) = formats.parse("hermes", f"<tool_call>{body}</tool_call>", [f]).parts
    assert isinstance(call, ToolCall)
    assert (call.name, dict(call.arguments), call.repaired) == ("f", arguments, repaired)


def test_python_s_literals_are_json_s() -> None:
    body = "{'name': 'g', 'arguments': {'x': True, 'y': False, 'z': [None, -1.5e3]}}"
    (call,) = formats.parse("hermes", f"<tool_call>{body}</tool_call>").tool_calls
    assert dict(call.arguments) == {"x": True, "y": False, "z": [None, -1500.0]}
    assert call.arguments_json == '{"x": true, "y": false, "z": [null, -1.5e3]}'


def test_a_missing_end_tag_is_a_repair_if_the_object_is_whole() -> None:
    whole = '{"name": "f", "arguments": {"a": 1}}'
    for text in (f"<tool_call>{whole}", f"<tool_call>{whole}\n<|im_end|>", f"<tool_call>{whole}</tool"):
        (call,) = formats.parse("hermes", text).tool_calls
        assert call.repaired
    first, second = formats.parse("hermes", f"<tool_call>{whole}<tool_call>{whole}</tool_call>").tool_calls
    assert (first.repaired, second.repaired) == (True, False)


def test_several_objects_between_two_tags_are_as_many_calls() -> None:
    one, two = '{"name": "f", "arguments": {"a": 1}}', '{"name": "g", "arguments": {}}'
    for body in (f"{one}\n{two}", f"[{one}, {two}]", f"{one};{two}"):
        calls = formats.parse("hermes", f"<tool_call>{body}</tool_call>").tool_calls
        assert [(call.name, call.repaired) for call in calls] == [("f", True), ("g", True)]


@pytest.mark.parametrize(
    ("raw", "name", "problem"),
    [
        ("<tool_call>", "", "before it began"),
        ('<tool_call>{"name": "f', "", "cut off"),
        ('<tool_call>{"name": "f", "arguments": {"a": 1', "f", "cut off"),
        ('<tool_call>{"name": "f", "arguments": {"a": 1}', "f", "cut off"),
        ('<tool_call>{"name": "f", "arguments": {"b": "x', "f", "cut off"),
        ("<tool_call>not valid json</tool_call>", "", "no JSON object"),
        ("<tool_call></tool_call>", "", "no JSON object"),
        ('<tool_call>{"arguments": {}}</tool_call>', "", "no 'name'"),
        ('<tool_call>{"name": 5, "arguments": {}}</tool_call>', "", "not a text"),
        ('<tool_call>{"name": "", "arguments": {}}</tool_call>', "", "not a text"),
        ('<tool_call>{"name": "f", "arguments": [1]}</tool_call>', "f", "not a JSON object"),
        ('<tool_call>{"name": "f", "arguments": "go"}</tool_call>', "f", "not a JSON object"),
        ('<tool_call>{"name": "f", "arguments": {"a": 1, "a": 2}}</tool_call>', "f", "twice"),
        ('<tool_call>{"name": "f", "name": "g", "arguments": {}}</tool_call>', "f", "twice"),
        ('<tool_call>{"name": "f", "arguments": {}, "parameters": {}}</tool_call>', "f", "both"),
        ('<tool_call>{"name": "f", "arguments": {"a": NaN}}</tool_call>', "f", "NaN"),
        ('<tool_call>{"name": "f", "arguments": {"a": 1e999}}</tool_call>', "f", "too large"),
        ('<tool_call>{"name": "f", "arguments": {"a": 01}}</tool_call>', "f", "'01'"),
        ('<tool_call>{"name": "f", "arguments": {"a": __import__("os")}}</tool_call>', "f", "__import__"),
        ('<tool_call>{"name": "f", "arguments": {a: 1}}</tool_call>', "f", "'a'"),
        ('<tool_call>{"name": "f" "arguments": {}}</tool_call>', "f", "expected"),
        ('<tool_call>{"name": "f", "arguments": {"a": ' + "[" * 80 + "}}</tool_call>", "f", "deeper"),
    ],
)
def test_what_is_malformed_or_cut_off_is_kept_and_never_a_call(raw: str, name: str, problem: str) -> None:
    answer = formats.parse("hermes", raw)
    (invalid,) = answer.parts
    assert isinstance(invalid, InvalidToolCall)
    assert (invalid.raw, invalid.name) == (raw, name)
    assert problem in invalid.problem, invalid


def test_a_string_without_an_end_swallows_no_later_call() -> None:
    broken = '<tool_call>{"name": "f", "arguments": {"b": "x}}</tool_call>'
    answer = formats.parse("hermes", f"{broken}\nText.\n{CALL}")
    invalid, text, call = answer.parts
    assert isinstance(invalid, InvalidToolCall)
    assert invalid.raw == broken
    assert text == Text("Text.")
    assert isinstance(call, ToolCall)


def test_a_repaired_call_must_fit_its_tool() -> None:
    wrong = '<tool_call>{"name": "f", "arguments": {"a": "x",}}</tool_call>'
    (invalid,) = formats.parse("hermes", wrong, [f]).invalid_calls
    assert "a: expected integer" in invalid.problem
    assert calls_of(formats.parse("hermes", wrong)) == [("f", {"a": "x"})]
    well_formed = '<tool_call>{"name": "f", "arguments": {"a": "x"}}</tool_call>'
    assert calls_of(formats.parse("hermes", well_formed, [f])) == [("f", {"a": "x"})]


def test_a_call_of_an_unknown_tool_is_still_a_call() -> None:
    assert calls_of(formats.parse("hermes", CALL.replace('"f"', '"other"'), [f])) == [("other", {"a": 1})]


DRAFT = CALL.replace("1", "2")


@pytest.mark.parametrize(
    ("text", "reasoning", "said", "arguments"),
    [
        (f"I could {DRAFT} but no</think>{CALL}", f"I could {DRAFT} but no", "", [1]),
        (f"I will {CALL}", "I will", "", [1]),
        (f"maybe {CALL.replace('f', 'unknown')}\n or {CALL}", f"maybe {CALL.replace('f', 'unknown')}\n or", "", [1]),
        (f"I will {CALL}{DRAFT} done", "I will", "done", [1, 2]),
        ("I should write <tool_call> and then", "I should write <tool_call> and then", "", []),
        ('cut <tool_call>{"name": "f", "argu', 'cut <tool_call>{"name": "f", "argu', "", []),
        ("\n\n</think>\n\nHi", "", "Hi", []),
        ("only thoughts\n", "only thoughts", "", []),
    ],
)
def test_calls_in_reasoning_are_drafts_unless_it_is_never_closed(
    text: str, reasoning: str, said: str, arguments: list[int]
) -> None:
    for answer in (
        formats.parse("hermes", text, [f], starts_in_reasoning=True),
        formats.parse("hermes", "<think>" + text, [f]),
    ):
        assert answer.reasoning == reasoning
        assert answer.text == said
        assert [call.arguments["a"] for call in answer.tool_calls] == arguments


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match="hermes"):
        formats.get("no such format")
    assert "hermes" in formats.names()


def test_a_call_reads_back_as_it_was_written() -> None:
    form = formats.get("hermes")
    call = ToolCall("123456789", "f", {"b": 'é "</tool_call>" \n', "a": 1})
    (again,) = formats.parse("hermes", form.render_call(call)).tool_calls
    assert (again.name, again.arguments, again.repaired) == (call.name, call.arguments, False)
    assert '"name": "f"' in form.render_tools([f])
