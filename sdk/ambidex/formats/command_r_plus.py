"""Cohere's Command R and R+: `Action:` and an array of `{"tool_name": ..., "parameters": {...}}` in a fence.

Results go back in `<results>`. Source: the chat template.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .call_object import Members
from .json_calls import JSONCalls
from .listing import listed
from .turn_parser import TurnGrammar

NAMES = ("command_r_plus",)
STOP_TOKENS = ("<|END_OF_TURN_TOKEN|>",)
REASONING = ("<think>", "</think>")
MARKERS = ("Action:", "```", "<results>", "</results>", *REASONING)

_OPENINGS = ("Action:```json", "Action: ```json", "Action:\n```json", "Action:\n\n```json")
_CALLS = JSONCalls(
    closing=("```",), wrapper="list", members=Members(("tool_name", "name"), ("parameters", "arguments"))
)
_GRAMMAR = TurnGrammar(calls=dict.fromkeys(_OPENINGS, _CALLS), dropped=("<|CHATBOT_TOKEN|>",), stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser

_FORM = (
    'Action:```json\n[\n    {\n        "tool_name": "FUNCTION_NAME",\n        "parameters": '
    '{"PARAMETER_NAME": "value"}\n    }\n]\n```'
)


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_object(tools, name="tool_name", arguments="parameters")
    return CallForm("Action:```json", call, before="\n[\n    ", between=",\n    ", closing="\n]\n```")


def render_call(call: ToolCall) -> str:
    written = json.dumps([{"tool_name": call.name, "parameters": dict(call.arguments)}], indent=4, ensure_ascii=False)
    return f"Action:```json\n{written}\n```"


def render_result(result: ToolResult) -> str:
    return f"<results>\n{result.text}\n</results>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
