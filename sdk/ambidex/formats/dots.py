"""dots: `<dots_function_call>` around `<invoke name="f"><parameter name="a">text</parameter></invoke>`, or around JSON.

A call of a tool that was not offered is text. Source: the readers of this form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .json_calls import JSONCalls
from .listing import listed, texts
from .opening_tags import ATTRIBUTES
from .tagged_calls import TaggedCalls
from .tagged_form import any_tagged
from .turn_parser import TurnGrammar

NAMES = ("dots",)
STOP_TOKENS = ("<|endofresponse|>", "<|im_end|>", "<|endoftext|>")
REASONING = ("<think>", "</think>")
_OPENING, _CLOSING = "<dots_function_call>", "</dots_function_call>"
MARKERS = (_OPENING, _CLOSING, *REASONING)

_CALLS = TaggedCalls(
    sections={_OPENING: _CLOSING},
    call=("<invoke",),
    header=ATTRIBUTES,
    call_end=("</invoke>",),
    parameter=("<parameter",),
    parameter_header=ATTRIBUTES,
    parameter_end=("</parameter>",),
    needs_tool=True,
    json=JSONCalls(closing=(_CLOSING,), openings=(_OPENING,)),
)
_GRAMMAR = TurnGrammar(calls=_CALLS.openings(), reasoning=(REASONING,), stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser

_FORM = f'{_OPENING}<invoke name="FUNCTION_NAME"><parameter name="PARAMETER_NAME">value</parameter></invoke>{_CLOSING}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_tagged(
        tools,
        start=lambda name: f'<invoke name="{name}">',
        end="</invoke>",
        argument=lambda key: f'<parameter name="{key}">',
        argument_end="</parameter>",
        without=(_OPENING, _CLOSING, "<invoke", "</invoke>", "<parameter", "</parameter>"),
    )
    return CallForm(_OPENING, call, closing=_CLOSING)


def render_call(call: ToolCall) -> str:
    written = (f'<parameter name="{name}">{text}</parameter>' for name, text in texts(call.arguments))
    return f'{_OPENING}<invoke name="{call.name}">{"".join(written)}</invoke>{_CLOSING}'


def render_result(result: ToolResult) -> str:
    return f"<tool_response>\n{result.text}\n</tool_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
