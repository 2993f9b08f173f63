"""Llama 3.1 to 3.3: the answer is `{"name": ..., "parameters": {...}}`, or such objects after `<|python_tag|>`.

Nothing marks a call but its members, so that another answer in JSON stays text, and where tools are known their names
count. Several objects stand side by side, between semicolons or, with Cogito, in an array. Built-in tools are called as
`<|python_tag|>NAME.call(a="x")`; Meta also asks for `<function=NAME>{...}</function>`. Results go back in a turn of
`ipython`, as JSON. Source: the chat templates and Meta's description of prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .call_object import Members
from .functionary_v31 import CALLS
from .json_calls import JSONCalls
from .listing import compact, listed
from .pythonic_calls import PythonicCalls
from .turn_parser import TurnGrammar

NAMES = ("llama3_json",)
STOP_TOKENS = ("<|eot_id|>", "<|eom_id|>")
REASONING = ("<think>", "</think>")
MARKERS = ("<|python_tag|>", "<function=", "</function>", *REASONING)

_MEMBERS = Members(arguments=("parameters", "arguments"))
_GRAMMAR = TurnGrammar(
    calls={
        "<|python_tag|>": PythonicCalls(
            bare=True, suffix=".call", json=JSONCalls(openings=("<|python_tag|>",), members=_MEMBERS)
        ),
        "<function=": CALLS,
    },
    bare={
        "{": JSONCalls(openings=("<|python_tag|>",), members=_MEMBERS, unsure=True),
        "[": JSONCalls(openings=("<|python_tag|>",), members=_MEMBERS, wrapper="list", unsure=True),
    },
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = '{"name": "FUNCTION_NAME", "parameters": {"PARAMETER_NAME": "value"}}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("", any_object(tools, arguments="parameters"), between="; ")


def render_call(call: ToolCall) -> str:
    return compact({"name": call.name, "parameters": dict(call.arguments)})


def render_result(result: ToolResult) -> str:
    return compact({"output": result.text})


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
