"""Apertus: `<|tools_prefix|>[{"NAME": {...}}]<|tools_suffix|>`: an object's one member is the call.

Thoughts stand in `<|inner_prefix|>`, also after text and calls. Results follow as an array. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_named, quoted
from .call_object import Members
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("apertus",)
STOP_TOKENS = ("<|assistant_end|>",)
REASONING = ("<|inner_prefix|>", "<|inner_suffix|>")
MARKERS = ("<|tools_prefix|>", "<|tools_suffix|>", *REASONING)

_CALLS = JSONCalls(
    closing=("<|tools_suffix|>",),
    openings=("<|tools_prefix|>",),
    wrapper="list",
    members=Members(name_is_key=True),
)
_GRAMMAR = TurnGrammar(
    calls={"<|tools_prefix|>": _CALLS}, reasoning=(REASONING,), reasons_late=True, stop_tokens=STOP_TOKENS
)
parser = _GRAMMAR.parser

_FORM = '<|tools_prefix|>[{"FUNCTION_NAME": {"PARAMETER_NAME": "value"}}]<|tools_suffix|>'


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_named(tools, lambda name: f"{{{quoted(name)}: ", "}")
    return CallForm("<|tools_prefix|>", call, before="[", between=", ", closing="]<|tools_suffix|>")


def render_call(call: ToolCall) -> str:
    return f"<|tools_prefix|>[{compact({call.name: dict(call.arguments)})}]<|tools_suffix|>"


def render_result(result: ToolResult) -> str:
    return f"[{result.text}]"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
