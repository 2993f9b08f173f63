"""Pythonic: `[f(a='x', b=3), g()]`, as Llama 3.2's small models and ToolACE write it, and as models without a form of
their own, Gemma 3 for one, are asked to.

Nothing marks a call but its bracket, so only a list that begins with a call of an offered tool is one. Tags around it
that belong to a sibling's form are dropped. Results go back as JSON. Source: the chat templates of these models.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .listing import listed
from .pythonic_calls import PythonicCalls, pythonic
from .pythonic_form import any_python_call
from .turn_parser import TurnGrammar

NAMES = ("pythonic",)
STOP_TOKENS = ("<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|eot|>", "<|eom|>")
REASONING = ("<think>", "</think>")
_AROUND = ("<|python_start|>", "<|python_end|>", "<|python_tag|>")
MARKERS = (*_AROUND, *REASONING)

_GRAMMAR = TurnGrammar(
    calls={"[": PythonicCalls(bare=True)}, reasoning=(REASONING,), dropped=_AROUND, stop_tokens=STOP_TOKENS
)
parser = _GRAMMAR.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("", any_python_call(tools), before="[", between=", ", closing="]")


def render_call(call: ToolCall) -> str:
    return f"[{pythonic(call.name, call.arguments)}]"


def render_result(result: ToolResult) -> str:
    return json.dumps({"output": result.text}, ensure_ascii=False)


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, "[func_name1(params_name1=params_value1, params_name2=params_value2), func_name2(params)]")
