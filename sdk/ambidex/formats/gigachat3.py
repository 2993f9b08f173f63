"""GigaChat 3: the call is a message of its own, `<|message_sep|>`, `function call<|role_sep|>` and `{"name": ...,
"arguments": {...}}`; in 3.1 it follows `<|function_call|>`.

There is one call in an answer, and no end tag. Source: the chat templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("gigachat3",)
STOP_TOKENS = ("</s>", "<|message_sep|>")
REASONING = ("<think>", "</think>")
MARKERS = ("<|function_call|>", "<|message_sep|>", "<|role_sep|>", *REASONING)

_OPENINGS = ("<|function_call|>", "<|message_sep|>\n\nfunction call<|role_sep|>", "function call<|role_sep|>")
_GRAMMAR = TurnGrammar(
    calls=dict.fromkeys(_OPENINGS, JSONCalls(openings=_OPENINGS, strict=True)), stop_tokens=STOP_TOKENS
)
parser = _GRAMMAR.parser

_FORM = '<|function_call|>{"name": "FUNCTION_NAME", "arguments": {"PARAMETER_NAME": "value"}}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("<|function_call|>", any_object(tools), between=None)


def render_call(call: ToolCall) -> str:
    return f"<|function_call|>{compact({'name': call.name, 'arguments': dict(call.arguments)})}"


def render_result(result: ToolResult) -> str:
    return result.text


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
