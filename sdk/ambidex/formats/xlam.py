"""xLAM: the answer is an array, `[{"name": ..., "arguments": {...}}]`, bare, in a fence, or between another family's
tags.

Nothing marks a bare call but its members, so that another array stays text. Source: the chat template and its readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("xlam",)
STOP_TOKENS = ("<|im_end|>", "<|eot_id|>", "<|endoftext|>")
REASONING = ("<think>", "</think>")
MARKERS = ("[TOOL_CALLS]", "<tool_call>", "</tool_call>", "```", *REASONING)

_FENCED = JSONCalls(closing=("```",), wrapper="list", unsure=True)
_GRAMMAR = TurnGrammar(
    calls={
        "[TOOL_CALLS]": JSONCalls(openings=("[TOOL_CALLS]",), wrapper="list"),
        "<tool_call>": JSONCalls(closing=("</tool_call>",), openings=("<tool_call>",), wrapper="list"),
        "```json": _FENCED,
        "```\n[": _FENCED,
    },
    bare={"[": JSONCalls(openings=("[TOOL_CALLS]", "<tool_call>"), wrapper="list", unsure=True)},
    reasoning=(REASONING,),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = '[{"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}}]'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("", any_object(tools), before="[", between=", ", closing="]")


def render_call(call: ToolCall) -> str:
    return compact([{"name": call.name, "arguments": dict(call.arguments)}])


def render_result(result: ToolResult) -> str:
    return result.text


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
