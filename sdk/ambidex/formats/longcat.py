"""LongCat: `<longcat_tool_call>` around Hermes' JSON, or around GLM's form with tags of its own.

Source: the peers' tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.grammar import chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .glm47 import key_header, name_header
from .json_calls import JSONCalls
from .listing import compact, listed
from .tagged_calls import TaggedCalls
from .turn_parser import TurnGrammar

NAMES = ("longcat",)
STOP_TOKENS = ("</longcat_s>", "<|endoftext|>")
REASONING = ("<longcat_think>", "</longcat_think>")
_OPENING, _CLOSING = "<longcat_tool_call>", "</longcat_tool_call>"
_ARGUMENT = ("<longcat_arg_key>", "</longcat_arg_key>", "<longcat_arg_value>", "</longcat_arg_value>")
MARKERS = (_OPENING, _CLOSING, *_ARGUMENT, "<longcat_tool_response>", "</longcat_tool_response>", *REASONING)

_CALLS = TaggedCalls(
    call=(_OPENING,),
    header=name_header("<longcat_arg_key>", _CLOSING),
    call_end=(_CLOSING,),
    parameter=("<longcat_arg_key>",),
    parameter_header=key_header("</longcat_arg_key>", "<longcat_arg_value>", "<longcat_arg_key>", _CLOSING),
    parameter_end=("</longcat_arg_value>",),
    json=JSONCalls(closing=(_CLOSING,), openings=(_OPENING,)),
)
_GRAMMAR = TurnGrammar(calls=_CALLS.openings(), reasoning=(REASONING, ("<think>", "</think>")), stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm(_OPENING, chain(any_object(tools), _CLOSING), between=f"\n{_OPENING}")


def render_call(call: ToolCall) -> str:
    return f"{_OPENING}{compact({'name': call.name, 'arguments': dict(call.arguments)})}{_CLOSING}"


def render_result(result: ToolResult) -> str:
    return f"<longcat_tool_response>{result.text}</longcat_tool_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, f'{_OPENING}{{"name": <function-name>, "arguments": <args-json-object>}}{_CLOSING}')
