"""LFM2 and LFM2.5: `<|tool_call_start|>[f(a='x'), g()]<|tool_call_end|>`, or a JSON list between the same tags when the
system prompt asks for JSON.

Python's and JSON's literals mix. LFM2.5's template writes texts into single quotes without escaping anything. At the
beginning of an answer the list alone is read as well, for the opening tag gets lost. Source: the chat templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .json_calls import JSONCalls
from .listing import listed
from .pythonic_calls import PythonicCalls, pythonic
from .pythonic_form import any_python_call
from .turn_parser import TurnGrammar

NAMES = ("lfm2",)
STOP_TOKENS = ("<|im_end|>", "<|endoftext|>")
REASONING = ("<think>", "</think>")
_OPENING, _CLOSING = "<|tool_call_start|>", "<|tool_call_end|>"
MARKERS = (_OPENING, _CLOSING, "<|tool_response_start|>", "<|tool_response_end|>", *REASONING)

_GRAMMAR = TurnGrammar(
    calls={
        _OPENING: PythonicCalls(
            closing=(_CLOSING,), json=JSONCalls(closing=(_CLOSING,), openings=(_OPENING,), wrapper="list")
        )
    },
    bare={"[": PythonicCalls(bare=True)},
    reasoning=(REASONING,),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm(_OPENING, any_python_call(tools), before="[", between=", ", closing=f"]{_CLOSING}")


def render_call(call: ToolCall) -> str:
    return f"{_OPENING}[{pythonic(call.name, call.arguments)}]{_CLOSING}"


def render_result(result: ToolResult) -> str:
    return f"<|tool_response_start|>{result.text}<|tool_response_end|>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, f'{_OPENING}[function_name(argument_name="value")]{_CLOSING}')
