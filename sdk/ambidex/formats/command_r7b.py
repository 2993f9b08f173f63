"""Cohere's Command R7B, Command A and their successors: `<|START_ACTION|>[{"tool_call_id": "0", "tool_name": ...,
"parameters": {...}}]<|END_ACTION|>`.

Ids count the calls. Reasoning and answers have tags of their own; a plan for the tools is reasoning. Source: the chat
templates.
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
from .turn_parser import TurnGrammar

NAMES = ("command_r7b", "cohere2_moe")
STOP_TOKENS = ("<|END_OF_TURN_TOKEN|>",)
REASONING = ("<|START_THINKING|>", "<|END_THINKING|>")
_ANSWER_TAGS = ("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>")
MARKERS = ("<|START_ACTION|>", "<|END_ACTION|>", *_ANSWER_TAGS, *REASONING)

_CALLS = JSONCalls(
    closing=("<|END_ACTION|>",),
    openings=("<|START_ACTION|>",),
    wrapper="list",
    members=Members(("tool_name", "name"), ("parameters", "arguments"), ids=("tool_call_id",)),
)
_GRAMMAR = TurnGrammar(
    calls={"<|START_ACTION|>": _CALLS},
    reasoning=(REASONING,),
    reasons_late=True,
    dropped=(*_ANSWER_TAGS, "<|CHATBOT_TOKEN|>"),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = (
    '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "FUNCTION_NAME", '
    '"parameters": {"PARAMETER_NAME": "value"}}\n]<|END_ACTION|>'
)


def call_form(tools: Sequence[Tool]) -> CallForm:
    number = chain('"tool_call_id": "', Regex("0|[1-9][0-9]?"), '", ')
    call = any_object(tools, name="tool_name", arguments="parameters", first=number)
    return CallForm("<|START_ACTION|>", call, before="[\n    ", between=",\n    ", closing="\n]<|END_ACTION|>")


def render_call(call: ToolCall) -> str:
    written = {"tool_call_id": call.id, "tool_name": call.name, "parameters": dict(call.arguments)}
    return f"<|START_ACTION|>[\n    {compact(written)}\n]<|END_ACTION|>"


def render_result(result: ToolResult) -> str:
    written = {
        "tool_call_id": result.call_id,
        "results": {"0": result.text},
        "is_error": True if result.is_error else None,
    }
    return f"<|START_TOOL_RESULT|>[\n    {compact(written)}\n]<|END_TOOL_RESULT|>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
