"""DeepSeek V3.1: V3's tags with `NAME<｜tool▁sep｜>{...}`: no word before the name, no fence, nothing between calls.

Results go back in `<｜tool▁output▁begin｜>`, in the order of the calls; what a model writes there itself is text.
Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_named
from .deepseek_v3 import BEGIN, CALLS, END, MARKERS, REASONING, SECTION, SECTION_END, SECTION_VARIANTS, SEP
from .listing import compact, listed
from .turn_parser import TurnGrammar

__all__ = [
    "MARKERS",
    "NAMES",
    "REASONING",
    "STOP_TOKENS",
    "call_form",
    "parser",
    "render_call",
    "render_result",
    "render_tools",
]

NAMES = ("deepseek_v31",)
STOP_TOKENS = ("<｜end▁of▁sentence｜>",)
_RESULT, _RESULT_END = "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"

_GRAMMAR = TurnGrammar(
    calls=dict.fromkeys((BEGIN, *SECTION_VARIANTS), CALLS),
    reasoning=(REASONING,),
    dropped=(SECTION, SECTION_END, _RESULT, _RESULT_END),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = f'{SECTION}{BEGIN}FUNCTION_NAME{SEP}{{"PARAMETER_NAME": "value"}}{END}{SECTION_END}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm(SECTION, any_named(tools, lambda name: f"{BEGIN}{name}{SEP}", END), closing=SECTION_END)


def render_call(call: ToolCall) -> str:
    return f"{SECTION}{BEGIN}{call.name}{SEP}{compact(dict(call.arguments))}{END}{SECTION_END}"


def render_result(result: ToolResult) -> str:
    return f"{_RESULT}{result.text}{_RESULT_END}"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
