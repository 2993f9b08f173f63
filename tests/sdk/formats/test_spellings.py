"""A call in JSON, as models spell it: the same call in every family that writes JSON, flagged where it was repaired."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ambidex import ToolCall, formats, tool

from .reading import cut, merged, read

ARGUMENTS = {"where": 'Köln "x"', "zoom": 2.5, "layers": ["a", "b c"], "options": {"k": 1}, "on": True}
UNSURE = {"generic", "llama3_json", "xlam"}
"""Where an object may be an answer in JSON."""


@tool
def look(
    where: str,
    zoom: float = 1.0,
    layers: list[str] | None = None,
    options: dict[str, int] | None = None,
    on: bool = False,
) -> None:
    """Looks."""


def call_in(family: str) -> tuple[str, dict[str, Any], str] | None:
    """A family's call: what stands before its outermost object, the object, and what stands behind."""
    text = formats.get(family).render_call(ToolCall("abcdefghi", "look", ARGUMENTS))
    decoder = json.JSONDecoder()
    for at in (at for at, character in enumerate(text) if character == "{"):
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            continue
        if "where" in json.dumps(value):
            return text[:at], value, text[end:]
    return None


CALLS = {family: found for family in formats.names() if (found := call_in(family)) is not None}


def clean(value: dict[str, Any]) -> Iterator[str]:
    """JSON in other white space, escapes and order."""
    yield json.dumps(value, indent=2, ensure_ascii=False)
    yield json.dumps(value, separators=(",", ":"))
    yield json.dumps(dict(reversed(value.items())), ensure_ascii=False)


def damaged(value: dict[str, Any]) -> Iterator[str]:
    written = json.dumps(value, ensure_ascii=False)
    yield repr(value)
    yield written[:-1] + ",}"
    yield "{ // here\n" + written[1:]


def mistaken(value: dict[str, Any]) -> Iterator[str]:
    """Members by other names, or in another place."""
    key = next(key for key in ("arguments", "parameters", "args") if key in value)
    for other in {"arguments", "parameters", "args", "input", "parameter", "tool_input"} - {key}:
        yield json.dumps({other if name == key else name: item for name, item in value.items()})
    yield json.dumps({**value, key: json.dumps(value[key])})
    name = next(name for name in ("name", "tool_name") if name in value)
    for other in {"function", "tool_name", "tool", "name"} - {name}:
        yield json.dumps({other if member == name else member: item for member, item in value.items()})
    yield json.dumps({"type": "function", "function": {"name": value[name], key: value[key]}})
    yield json.dumps({"function": {key: json.dumps(value[key]), "name": value[name]}})


def assert_is_the_call(family: str, text: str, *, repaired: bool) -> None:
    answer = formats.parse(family, text, [look])
    assert not answer.invalid_calls, (text, answer)
    (call,) = answer.tool_calls
    assert (call.name, dict(call.arguments), call.repaired) == ("look", ARGUMENTS, repaired), text
    assert not answer.text.strip(), text


@pytest.mark.parametrize("family", CALLS)
def test_json_is_json(family: str) -> None:
    before, value, behind = CALLS[family]
    for written in clean(value):
        assert_is_the_call(family, before + written + behind, repaired=False)


@pytest.mark.parametrize("family", sorted(CALLS.keys() - {"generic"}))
def test_what_is_nearly_json_is_repaired(family: str) -> None:
    before, value, behind = CALLS[family]
    for written in damaged(value):
        assert_is_the_call(family, before + written + behind, repaired=True)


NAMED = {name for name, (_, value, _) in CALLS.items() if value.keys() & {"name", "tool_name"}}


@pytest.mark.parametrize("family", sorted(NAMED - UNSURE))
def test_members_by_other_names(family: str) -> None:
    before, value, behind = CALLS[family]
    draw = random.Random(family)
    for written in mistaken(value):
        text = before + written + behind
        assert_is_the_call(family, text, repaired=True)
        pieces = cut(text, [draw.randrange(len(text)) for _ in range(4)])
        assert merged(read(pieces, [look], family=family)) == merged(read([text], [look], family=family))


@pytest.mark.parametrize("inner", ["{}", '{"name": 7}', '{"arguments": {}}', "[]", '{"name": ["look"]}'])
def test_an_inner_object_without_a_name_is_no_call(inner: str) -> None:
    answer = formats.parse("hermes", f'<tool_call>{{"function": {inner}}}</tool_call>', [look])
    assert not answer.tool_calls
    assert len(answer.invalid_calls) == 1
