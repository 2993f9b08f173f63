"""Phi-4-mini and FireFunction v2: `functools[{"name": ..., "arguments": {...}}]`.

The array ends the call. A template in use writes earlier calls as bare objects, in Python's quotes. Phi also writes
`<|tool_call|>[...]<|/tool_call|>`. Source: the chat templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("phi4_mini", "firefunction_v2")
STOP_TOKENS = ("<|end|>", "<|eot_id|>", "<|endoftext|>")
REASONING = ("<think>", "</think>")
MARKERS = ("functools", "<|tool_call|>", "<|/tool_call|>", "<|tool_response|>", *REASONING)

_CLOSED = JSONCalls(closing=("<|/tool_call|>",), openings=("<|tool_call|>",), wrapper="list")
_GRAMMAR = TurnGrammar(
    calls={"functools": JSONCalls(openings=("functools[",), wrapper="list", strict=True), "<|tool_call|>": _CLOSED},
    bare={"{": JSONCalls(unsure=True)},
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = 'functools[{"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}}]'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("functools", any_object(tools), before="[", between=", ", closing="]")


def render_call(call: ToolCall) -> str:
    return f"functools[{compact({'name': call.name, 'arguments': dict(call.arguments)})}]"


def render_result(result: ToolResult) -> str:
    return result.text


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
