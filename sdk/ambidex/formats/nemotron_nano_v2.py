"""Nemotron Nano v2: `<TOOLCALL>[{"name": ..., "arguments": {...}}]</TOOLCALL>`.

Results go back as an array in `<TOOL_RESPONSE>`, in the order of the calls. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("nemotron_nano_v2",)
STOP_TOKENS = ("<SPECIAL_12>",)
REASONING = ("<think>", "</think>")
MARKERS = ("<TOOLCALL>", "</TOOLCALL>", "<TOOL_RESPONSE>", "</TOOL_RESPONSE>", *REASONING)

_CALLS = JSONCalls(closing=("</TOOLCALL>",), openings=("<TOOLCALL>",), wrapper="list")
_GRAMMAR = TurnGrammar(calls={"<TOOLCALL>": _CALLS}, reasoning=(REASONING,), stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser

_FORM = '<TOOLCALL>[{"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}}]</TOOLCALL>'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("<TOOLCALL>", any_object(tools), before="[", between=", ", closing="]</TOOLCALL>")


def render_call(call: ToolCall) -> str:
    return f"<TOOLCALL>[{compact({'name': call.name, 'arguments': dict(call.arguments)})}]</TOOLCALL>"


def render_result(result: ToolResult) -> str:
    return f"<TOOL_RESPONSE>[{result.text}]</TOOL_RESPONSE>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
