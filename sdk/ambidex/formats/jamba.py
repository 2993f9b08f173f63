"""Jamba: `<tool_calls>[{"name": ..., "arguments": {...}}]</tool_calls>`, in lines of their own.

The answer begins with a space. Results are matched by name. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("jamba",)
STOP_TOKENS = ("<|eom|>", "<|endoftext|>")
REASONING = ("<think>", "</think>")
MARKERS = ("<tool_calls>", "</tool_calls>", *REASONING)

_CALLS = JSONCalls(closing=("</tool_calls>",), openings=("<tool_calls>",), wrapper="list")
_GRAMMAR = TurnGrammar(
    calls={"<tool_calls>": _CALLS},
    reasoning=(REASONING,),
    dropped=(),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = '<tool_calls>[{"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}}]</tool_calls>'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("<tool_calls>", any_object(tools), before="[\n    ", between=",\n    ", closing="\n]</tool_calls>")


def render_call(call: ToolCall) -> str:
    return f"<tool_calls>[{compact({'name': call.name, 'arguments': dict(call.arguments)})}]</tool_calls>"


def render_result(result: ToolResult) -> str:
    return result.text


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
