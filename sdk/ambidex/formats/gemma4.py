"""Gemma 4: `<|tool_call>call:f{a:<|"|>text<|"|>,n:3}<tool_call|>`, repeated; reasoning in a `thought` channel.

Keys have no quotes, and nothing is escaped. Results stand in the same turn of the model, behind which it goes on
without a new prompt. Source: the chat template.
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

NAMES = ("gemma4",)
STOP_TOKENS = ("<turn|>", "<|tool_response>", "<eos>")
REASONING = ("<|channel>thought", "<channel|>")
_OPENING, _CLOSING, _QUOTE = "<|tool_call>", "<tool_call|>", '<|"|>'
MARKERS = (_OPENING, _CLOSING, _QUOTE, "<|tool_response>", "<tool_response|>", "<|channel>", *REASONING)

_GRAMMAR = TurnGrammar(
    calls={_OPENING: LiteralCalls(_CLOSING, _QUOTE)},
    reasoning=(REASONING,),
    reasons_late=True,
    dropped=("<|channel>", "<channel|>", _CLOSING),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    form = LiteralForm(_QUOTE, (_OPENING, _CLOSING, _QUOTE))
    return CallForm(_OPENING, chain(named(tools, form.call), _CLOSING), between=_OPENING)


def render_call(call: ToolCall) -> str:
    return f"{_OPENING}call:{call.name}{written_literal(call.arguments, _QUOTE)}{_CLOSING}"


def render_result(result: ToolResult) -> str:
    written = written_literal({"value": result.text}, _QUOTE)
    return f"<|tool_response>response:{result.name}{written}<tool_response|>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, f"{_OPENING}call:FUNCTION_NAME{{argument_name:{_QUOTE}text{_QUOTE},other_name:3}}{_CLOSING}")
