"""Kimi K2: `<|tool_call_begin|>functions.NAME:INDEX<|tool_call_argument_begin|>{...}<|tool_call_end|>` in a section.

The text before the arguments is the call's id, which carries the name, counts all calls of the conversation and goes
back with the result. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.grammar import Grammar, Regex, chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_named
from .json_calls import Header, JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("kimi_k2",)
STOP_TOKENS = ("<|im_end|>", "[EOS]")
REASONING = ("<think>", "</think>")
_SECTION, _SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
_BEGIN, _ARGUMENTS, _END = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
MARKERS = (_SECTION, _SECTION_END, _BEGIN, _ARGUMENTS, _END, *REASONING)


def _header(text: str) -> Header | None:
    """The id; its name stands between `functions.` and the index, both of which are missing at times."""
    written, sep, rest = text.partition(_ARGUMENTS)
    id = written.strip()
    named, colon, index = id.rpartition(":")
    name = (named if colon and index.isdecimal() else id).removeprefix("functions.")
    if not sep or rest.strip() or not name or name.isdecimal():
        return None
    return Header(name, id, repaired=id == name)


_CALLS = JSONCalls(closing=(_END,), openings=(_BEGIN, _SECTION, _SECTION_END), header=_header)
_GRAMMAR = TurnGrammar(
    calls={_BEGIN: _CALLS}, reasoning=(REASONING,), dropped=(_SECTION, _SECTION_END, _END), stop_tokens=STOP_TOKENS
)
parser = _GRAMMAR.parser


def call_id(name: str, index: int) -> str:
    """The id that the model expects for its call number `index` of the conversation."""
    return f"functions.{name}:{index}"


_FORM = f'{_SECTION}{_BEGIN}functions.FUNCTION_NAME:0{_ARGUMENTS}{{"PARAMETER_NAME": "value"}}{_END}{_SECTION_END}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    def call(name: str) -> Grammar:
        return chain(f"{_BEGIN}functions.{name}:", Regex("0|[1-9][0-9]{0,2}"), _ARGUMENTS)

    return CallForm(_SECTION, any_named(tools, call, _END), closing=_SECTION_END)


def render_call(call: ToolCall) -> str:
    id = call.id if call.id.rpartition(":")[0].removeprefix("functions.") == call.name else call_id(call.name, 0)
    return f"{_SECTION}{_BEGIN}{id}{_ARGUMENTS}{compact(dict(call.arguments))}{_END}{_SECTION_END}"


def render_result(result: ToolResult) -> str:
    return f"## Return of {result.call_id}\n{result.text}"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
