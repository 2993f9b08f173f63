"""MiniMax M3: `<tool_call><invoke name="f"><a>text</a><l><item>1</item></l></invoke></tool_call>`, with the token
`]<]minimax[>[` before every tag; objects and arrays are nested tags.

Several calls stand in one block. Results go back as `<response>` blocks, in the order of the calls. Source: the chat
template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .listing import compact, listed
from .nested_tag_calls import NestedTagCalls
from .turn_parser import TurnGrammar

NAMES = ("minimax_m3",)
STOP_TOKENS = ("[e~[",)
REASONING = ("<mm:think>", "</mm:think>")
_MARK = "]<]minimax[>["
_CALLS = NestedTagCalls(_MARK)
_CLOSING = f"{_MARK}</tool_call>"
MARKERS = (_MARK, _CALLS.opening, _CLOSING, "<response>", "</response>", *REASONING)

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


def render_call(call: ToolCall) -> str:
    return _section(call.name, call.arguments)


def render_result(result: ToolResult) -> str:
    return f"<response>{result.text}</response>"


def render_tools(tools: Iterable[Tool]) -> str:
    example = _section("FUNCTION_NAME", {"text-argument": "value", "list-argument": [{"key": "value"}]})
    return listed(tools, example)
