"""Granite 3: `<|tool_call|>[{"name": ..., "arguments": {...}}]`, in 3.0 `<tool_call>`, without an end tag.

The array ends the call; a single object is none. Reasoning is `<think>` and an answer in `<response>`, in 3.2 a phrase
before each. Source: the chat templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("granite3",)
STOP_TOKENS = ("<|end_of_text|>",)
REASONING = ("<think>", "</think>")
MARKERS = ("<|tool_call|>", "<tool_call>", *REASONING)

_OPENINGS = ("<|tool_call|>", "<tool_call>")
_CALLS = JSONCalls(openings=_OPENINGS, wrapper="list", strict=True)
_GRAMMAR = TurnGrammar(
    calls=dict.fromkeys(_OPENINGS, _CALLS),
    reasoning=(
        REASONING,
        ("Here is my thought process:", "Here is my response:"),
        ("Here's my thought process:", "Here's my response:"),
    ),
    dropped=("<response>", "</response>", "</tool_call>", "<|/tool_call|>"),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = '<|tool_call|>[{"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}}]'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("<|tool_call|>", any_object(tools), before="[", between=", ", closing="]")


def render_call(call: ToolCall) -> str:
    return f"<|tool_call|>[{compact({'name': call.name, 'arguments': dict(call.arguments)})}]"


def render_result(result: ToolResult) -> str:
    return f"<tool_response>\n{result.text}\n</tool_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
