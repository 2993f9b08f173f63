"""ERNIE 4.5: Hermes' calls, reasoning that the prompt has opened, and an answer in `<response>`.

Results go back in `<tool_output>`. Source: the chat template and its readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from . import hermes
from .call_form import CallForm
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("ernie45",)
STOP_TOKENS = ("<|im_end|>", "</s>")
REASONING = ("<think>", "</think>")
MARKERS = ("<tool_call>", "</tool_call>", "<response>", "</response>", "<tool_output>", "</tool_output>", *REASONING)

_GRAMMAR = TurnGrammar(
    calls={"<tool_call>": JSONCalls(closing=("</tool_call>",), openings=("<tool_call>",))},
    closings=("</tool_call>",),
    dropped=("<response>", "</response>"),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = '<tool_call>\n{"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}}\n</tool_call>'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return hermes.call_form(tools)


def render_call(call: ToolCall) -> str:
    return f"<tool_call>\n{compact({'name': call.name, 'arguments': dict(call.arguments)})}\n</tool_call>"


def render_result(result: ToolResult) -> str:
    return f"<tool_output>\n{result.text}\n</tool_output>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
