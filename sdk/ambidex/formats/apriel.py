"""Apriel: `<tool_calls>[{"name": ..., "arguments": {...}, "id": ...}]</tool_calls>`.

Reasoning begins with a phrase, which the prompt has written, and ends before `[BEGIN FINAL RESPONSE]`. Source: the chat
templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .call_object import Members
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("apriel",)
STOP_TOKENS = ("<|end|>",)
REASONING = ("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]")
MARKERS = ("<tool_calls>", "</tool_calls>", *REASONING)

_CALLS = JSONCalls(closing=("</tool_calls>",), openings=("<tool_calls>",), wrapper="list", members=Members(ids=("id",)))
_GRAMMAR = TurnGrammar(
    calls={"<tool_calls>": _CALLS},
    reasoning=(REASONING,),
    dropped=("[END FINAL RESPONSE]",),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = '<tool_calls>[{"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}}]</tool_calls>'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("<tool_calls>", any_object(tools), before="[", between=", ", closing="]</tool_calls>")


def render_call(call: ToolCall) -> str:
    return f"<tool_calls>[{compact({'name': call.name, 'arguments': dict(call.arguments)})}]</tool_calls>"


def render_result(result: ToolResult) -> str:
    return result.text


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
