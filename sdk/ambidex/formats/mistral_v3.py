"""Mistral up to Small 3.1: `[TOOL_CALLS][{"name": ..., "arguments": {...}, "id": "9 letters and digits"}]`.

There is no end tag: the array ends it. Results name the call's id. Source: mistral-common's templates v2, v3 and v7.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.grammar import Regex, chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .call_object import Members
from .json_calls import JSONCalls
from .listing import compact, listed
from .mistral_v11 import header
from .turn_parser import TurnGrammar

NAMES = ("mistral_v3",)
STOP_TOKENS = ("</s>",)
REASONING = ("<think>", "</think>")
MARKERS = ("[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", *REASONING)

_CALLS = JSONCalls(openings=("[TOOL_CALLS]",), wrapper="list", members=Members(ids=("id",)), header=header)
_GRAMMAR = TurnGrammar(calls={"[TOOL_CALLS]": _CALLS}, stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser

_FORM = '[TOOL_CALLS][{"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}, "id": "000000000"}]'


def call_form(tools: Sequence[Tool]) -> CallForm:
    id = chain(', "id": "', Regex("[a-zA-Z0-9]{9}"), '"')
    return CallForm("[TOOL_CALLS]", any_object(tools, last=id), before="[", between=", ", closing="]")


def render_call(call: ToolCall) -> str:
    written = {"name": call.name, "arguments": dict(call.arguments), "id": call.id}
    return f"[TOOL_CALLS][{compact(written)}]"


def render_result(result: ToolResult) -> str:
    written = {"content": result.text, "call_id": result.call_id}
    return f"[TOOL_RESULTS]{compact(written)}[/TOOL_RESULTS]"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
