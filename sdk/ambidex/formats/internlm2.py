"""InternLM2: `<|action_start|><|plugin|>{"name": ..., "parameters": {...}}<|action_end|>`.

Results go back in a turn of the environment. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.grammar import chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object
from .call_object import Members
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("internlm2",)
STOP_TOKENS = ("<|im_end|>", "</s>")
REASONING = ("<think>", "</think>")
MARKERS = ("<|action_start|>", "<|plugin|>", "<|action_end|>", *REASONING)

_OPENING = "<|action_start|><|plugin|>"
_CALLS = JSONCalls(
    closing=("<|action_end|>",),
    openings=(_OPENING,),
    members=Members(arguments=("parameters", "arguments")),
)
_GRAMMAR = TurnGrammar(calls={_OPENING: _CALLS}, stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser

_FORM = f'{_OPENING}\n{{"name": "FUNCTION_NAME", "parameters": {{"PARAMETER_NAME": "value"}}}}<|action_end|>'


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = chain("\n", any_object(tools, arguments="parameters"), "<|action_end|>")
    return CallForm(_OPENING, call, between=f"\n{_OPENING}")


def render_call(call: ToolCall) -> str:
    return f"{_OPENING}\n{compact({'name': call.name, 'parameters': dict(call.arguments)})}<|action_end|>"


def render_result(result: ToolResult) -> str:
    return result.text


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
