"""Hermes: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, as Hermes 2 and 3, Qwen2.5, Qwen3, QwQ, SmolLM3,
Granite 4, Reka Edge and most fine-tunes write it.

Calls are repeated, with or without line breaks inside the tags and between them. Results go back as `<tool_response>`
blocks, in the order of the calls, for there are no ids. Source: the chat templates of these models.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ambidex.grammar import chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .json_calls import JSONCalls
from .turn_parser import TurnGrammar

NAMES = ("hermes", "granite4", "reka_edge", "smollm3")
STOP_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|end_of_text|>")
REASONING = ("<think>", "</think>")
MARKERS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", *REASONING)

_GRAMMAR = TurnGrammar(
    calls={"<tool_call>": JSONCalls(closing=("</tool_call>",), openings=("<tool_call>",))},
    reasoning=(REASONING,),
    closings=("</tool_call>",),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("<tool_call>", chain("\n", any_object(tools), "\n</tool_call>"), between="\n<tool_call>")


def render_call(call: ToolCall) -> str:
    return f"<tool_call>\n{_json({'name': call.name, 'arguments': dict(call.arguments)})}\n</tool_call>"


def render_result(result: ToolResult) -> str:
    return f"<tool_response>\n{result.text}\n</tool_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    """What the system message says about tools."""
    listed = "\n".join(_json(tool.to_openai()) for tool in tools)
    return (
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        f"You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{listed}\n</tools>\n\n"
        "For each function call, return a json object with function name and arguments within "
        "<tool_call></tool_call> XML tags:\n<tool_call>\n"
        '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
