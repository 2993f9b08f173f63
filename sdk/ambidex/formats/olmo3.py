"""Olmo 3: `<function_calls>f(a="x")` with a line for each call, and `</function_calls>`.

Python's and JSON's literals mix, and names may be Python's keywords. Results go back in a turn of the role
`environment`. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .listing import listed
from .pythonic_calls import PythonicCalls, pythonic
from .pythonic_form import any_python_call
from .turn_parser import TurnGrammar

NAMES = ("olmo3",)
STOP_TOKENS = ("<|im_end|>", "<|endoftext|>")
REASONING = ("<think>", "</think>")
_OPENING, _CLOSING = "<function_calls>", "</function_calls>"
MARKERS = (_OPENING, _CLOSING, "<functions>", "</functions>", *REASONING)

_GRAMMAR = TurnGrammar(
    calls={_OPENING: PythonicCalls(closing=(_CLOSING,))}, reasoning=(REASONING,), stop_tokens=STOP_TOKENS
)
parser = _GRAMMAR.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm(_OPENING, any_python_call(tools), between="\n", closing=_CLOSING)


def render_call(call: ToolCall) -> str:
    return f"{_OPENING}{pythonic(call.name, call.arguments)}{_CLOSING}"


def render_result(result: ToolResult) -> str:
    return result.text


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, f'{_OPENING}function_name(argument_name="value"){_CLOSING}')
