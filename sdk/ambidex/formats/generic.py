"""The form for models that know none: `{"tool_call": {"name": ..., "arguments": {...}}}`, also with `tool_calls` and an
array, bare or in a fence; `{"response": "text"}` is text.

A bare `{"name": ..., "arguments": {...}}` of a known tool is a call too; every other JSON is text. Source: llama.cpp's
form for templates without tools.
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
from .wrapped_calls import WrappedCalls

NAMES = ("generic",)
STOP_TOKENS = ("<end_of_turn>", "<|im_end|>", "<|eot_id|>", "</s>")
REASONING = ("<think>", "</think>")
MARKERS = REASONING

_GRAMMAR = TurnGrammar(
    calls={"```json": WrappedCalls(JSONCalls(closing=("```",), unsure=True), fence="```")},
    bare={"{": WrappedCalls(JSONCalls(unsure=True))},
    reasoning=(REASONING,),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = '{"tool_call": {"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}}}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("", chain('{"tool_call": ', any_object(tools), "}"), between=None)


def render_call(call: ToolCall) -> str:
    return compact({"tool_call": {"name": call.name, "arguments": dict(call.arguments)}})


def render_result(result: ToolResult) -> str:
    return compact({"tool_result": result.text})


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
