"""Granite 20B function calling: `<function_call> {"name": ..., "arguments": {...}}`, repeated, without an end tag.

An array is no call. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.grammar import chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("granite_20b_fc",)
STOP_TOKENS = ("<|endoftext|>", "<|end_of_text|>")
REASONING = ("<think>", "</think>")
MARKERS = ("<function_call>", "<function_response>", *REASONING)

_GRAMMAR = TurnGrammar(
    calls={"<function_call>": JSONCalls(openings=("<function_call>",), strict=True)},
    dropped=("</function_call>",),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = '<function_call> {"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("<function_call>", chain(" ", any_object(tools)), between="\n<function_call>")


def render_call(call: ToolCall) -> str:
    return f"<function_call> {compact({'name': call.name, 'arguments': dict(call.arguments)})}"


def render_result(result: ToolResult) -> str:
    return f"<function_response> {result.text}"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
