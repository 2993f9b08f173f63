"""FunctionGemma: `<start_function_call>call:f{a:<escape>text<escape>,n:3}<end_function_call>`, repeated.

Keys have no quotes, and nothing is escaped. Some templates write numbers as texts too; the tool's schema says which
they are. Source: the peers' templates and tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.grammar import chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, named
from .listing import listed
from .literal_calls import LiteralCalls, written_literal
from .literal_form import LiteralForm
from .turn_parser import TurnGrammar

NAMES = ("functiongemma",)
STOP_TOKENS = ("<end_of_turn>", "<start_function_response>", "<eos>")
REASONING = ("<think>", "</think>")
_OPENING, _CLOSING, _QUOTE = "<start_function_call>", "<end_function_call>", "<escape>"
MARKERS = (_OPENING, _CLOSING, _QUOTE, "<start_function_response>", "<end_function_response>", *REASONING)

_GRAMMAR = TurnGrammar(
    calls={_OPENING: LiteralCalls(_CLOSING, _QUOTE)}, reasoning=(REASONING,), stop_tokens=STOP_TOKENS
)
parser = _GRAMMAR.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    form = LiteralForm(_QUOTE, (_OPENING, _CLOSING, _QUOTE))
    return CallForm(_OPENING, chain(named(tools, form.call), _CLOSING), between=_OPENING)


def render_call(call: ToolCall) -> str:
    return f"{_OPENING}call:{call.name}{written_literal(call.arguments, _QUOTE)}{_CLOSING}"


def render_result(result: ToolResult) -> str:
    written = written_literal({"value": result.text}, _QUOTE)
    return f"<start_function_response>response:{result.name}{written}<end_function_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, f"{_OPENING}call:FUNCTION_NAME{{argument_name:{_QUOTE}text{_QUOTE},other_name:3}}{_CLOSING}")
