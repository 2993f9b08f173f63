"""Functionary v3.1: `<function=NAME>{...}</function>`, Python after `<|python_tag|>`.

Also a form that Llama 3 is asked for. Results are in the order of the calls. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_named
from .json_calls import Header, JSONCalls
from .listing import compact, listed
from .python_code import PythonCode
from .turn_parser import TurnGrammar

NAMES = ("functionary_v31",)
STOP_TOKENS = ("<|eom_id|>", "<|eot_id|>")
REASONING = ("<think>", "</think>")
MARKERS = ("<function=", "</function>", "<|python_tag|>", *REASONING)


def header(text: str) -> Header | None:
    """`NAME>`, after the beginning of the tag."""
    name, end, rest = text.partition(">")
    name = name.strip()
    return None if not end or rest.strip() or not name else Header(name)


CALLS = JSONCalls(closing=("</function>",), openings=("<function=",), header=header)
_GRAMMAR = TurnGrammar(
    calls={"<function=": CALLS, "<|python_tag|>": PythonCode("python")},
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = '<function=FUNCTION_NAME>{"PARAMETER_NAME": "value"}</function>'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("<function=", any_named(tools, lambda name: f"{name}>", "</function>"), between="<function=")


def render_call(call: ToolCall) -> str:
    return f"<function={call.name}>{compact(dict(call.arguments))}</function>"


def render_result(result: ToolResult) -> str:
    return result.text


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
