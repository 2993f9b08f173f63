"""Llama 4: `[f(a='x'), g()]`, sometimes between `<|python_start|>` and `<|python_end|>`. Its own template writes
earlier calls as JSON objects with `parameters`, so these are read too. Source: the chat templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .call_object import Members
from .json_calls import JSONCalls
from .listing import compact, listed
from .pythonic_calls import PythonicCalls, pythonic
from .pythonic_form import any_python_call
from .turn_parser import TurnGrammar

NAMES = ("llama4_pythonic",)
STOP_TOKENS = ("<|eot|>", "<|eom|>", "<|eot_id|>", "<|eom_id|>")
REASONING = ("<think>", "</think>")
_AROUND = ("<|python_start|>", "<|python_end|>")
MARKERS = (*_AROUND, *REASONING)

_GRAMMAR = TurnGrammar(
    calls={"[": PythonicCalls(bare=True)},
    bare={"{": JSONCalls(members=Members(arguments=("parameters", "arguments")), unsure=True)},
    reasoning=(REASONING,),
    dropped=_AROUND,
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("", any_python_call(tools), before="[", between=", ", closing="]")


def render_call(call: ToolCall) -> str:
    return f"[{pythonic(call.name, call.arguments)}]"


def render_result(result: ToolResult) -> str:
    return compact({"output": result.text})


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, "[func_name1(params_name1=params_value1, params_name2=params_value2), func_name2(params)]")
