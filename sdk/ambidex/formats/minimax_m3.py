"""MiniMax M3: `<tool_call><invoke name="f"><a>text</a><l><item>1</item></l></invoke></tool_call>`, with the token
`]<]minimax[>[` before every tag; objects and arrays are nested tags.

Several calls stand in one block. Results go back as `<response>` blocks, in the order of the calls. Source: the chat
template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ambidex.grammar import Grammar, OneOf, Text, chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, named
from .listing import compact, listed
from .nested_tag_calls import NestedTagCalls
from .turn_parser import TurnGrammar
from .value_form import Variant, items, members, object_members, plain_text, variants

NAMES = ("minimax_m3",)
STOP_TOKENS = ("[e~[",)
REASONING = ("<mm:think>", "</mm:think>")
_MARK = "]<]minimax[>["
_CALLS = NestedTagCalls(_MARK)
_CLOSING = f"{_MARK}</tool_call>"
MARKERS = (_MARK, _CALLS.opening, _CLOSING, "<response>", "</response>", *REASONING)

MAX_DEPTH = 4
"""Levels of objects and arrays to which an answer is held; deeper ones are empty."""

_GRAMMAR = TurnGrammar(calls={_CALLS.opening: _CALLS}, reasoning=(REASONING,), stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser


def _element(name: str, value: object) -> str:
    return f"{_MARK}<{name}>{_content(value)}{_MARK}</{name}>"


def _content(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "".join(_element(name, item) for name, item in value.items())
    if isinstance(value, Sequence):
        return "".join(_element("item", item) for item in value)
    return compact(value)


def _section(name: str, arguments: Mapping[str, object]) -> str:
    return f'{_CALLS.opening}\n{_MARK}<invoke name="{name}">{_content(arguments)}{_MARK}</invoke>\n{_CLOSING}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm(_CALLS.opening, named(tools, _call), before="\n", between="\n", closing=f"\n{_CLOSING}")


def _call(tool: Tool) -> Grammar:
    def element(name: str, schema: Any, depth: int = 0) -> Grammar:
        return chain(f"{_MARK}<{name}>", OneOf(tuple(content(item, name, depth) for item in variants(schema, root))))

    def content(variant: Variant, name: str, depth: int) -> Grammar:
        end = f"{_MARK}</{name}>"
        if variant.is_constant:
            return Text(f"{_content(variant.value)}{end}")
        if variant.is_text:
            return plain_text(variant.schema, end, (_MARK,))
        if depth >= MAX_DEPTH or variant.kind not in ("object", "array"):
            return chain("" if variant.kind in ("object", "array") else variant.as_json(), end)
        if variant.kind == "object":
            return chain(object_members(variant.schema, lambda key, inner: element(key, inner, depth + 1)), end)
        item = element("item", variant.schema.get("items", {"type": "string"}), depth + 1)
        return chain(items(item, variant.schema), end)

    root = tool.parameters
    return chain(f'{_MARK}<invoke name="{tool.name}">', members(tool, element), f"{_MARK}</invoke>")


def render_call(call: ToolCall) -> str:
    return _section(call.name, call.arguments)


def render_result(result: ToolResult) -> str:
    return f"<response>{result.text}</response>"


def render_tools(tools: Iterable[Tool]) -> str:
    example = _section("FUNCTION_NAME", {"text-argument": "value", "list-argument": [{"key": "value"}]})
    return listed(tools, example)
