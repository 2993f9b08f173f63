"""Mistral from Small 3.2 on: `[TOOL_CALLS]NAME[ARGS]{...}`, between them `[CALL_ID]` and an id in v11.

There is no end tag: the arguments' object ends it. Where control tokens are skipped, nothing stands between name and
arguments. Results name the call's id, in v13 they are in the order of the calls. Source: mistral-common's templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.grammar import Grammar, OneOf, Regex, Text, chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_named
from .json_calls import Header, JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("mistral_v11",)
STOP_TOKENS = ("</s>",)
REASONING = ("[THINK]", "[/THINK]")
MARKERS = (
    *("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]", "[TOOL_RESULTS]", "[TOOL_CONTENT]", "[/TOOL_RESULTS]"),
    *REASONING,
)


def header(text: str) -> Header | None:
    """`NAME`, `NAME[ARGS]` or `NAME[CALL_ID]ID[ARGS]`."""
    written, _, rest = text.partition("[ARGS]")
    name, _, id = written.partition("[CALL_ID]")
    name = name.strip()
    if rest.strip() or not name or "[" in name:
        return None
    return Header(name, id.strip() or None)


_CALLS = JSONCalls(openings=("[TOOL_CALLS]",), header=header)
_GRAMMAR = TurnGrammar(
    calls={"[TOOL_CALLS]": _CALLS}, reasoning=(REASONING, ("<think>", "</think>")), stop_tokens=STOP_TOKENS
)
parser = _GRAMMAR.parser

_FORM = '[TOOL_CALLS]FUNCTION_NAME[ARGS]{"PARAMETER_NAME": "value"}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    def header(name: str) -> Grammar:
        return chain(name, OneOf((chain("[CALL_ID]", Regex("[a-zA-Z0-9]{9}")), Text(""))), "[ARGS]")

    return CallForm("[TOOL_CALLS]", any_named(tools, header), between="[TOOL_CALLS]")


def render_call(call: ToolCall) -> str:
    return f"[TOOL_CALLS]{call.name}[CALL_ID]{call.id}[ARGS]{compact(dict(call.arguments))}"


def render_result(result: ToolResult) -> str:
    return f"[TOOL_RESULTS]{result.call_id}[TOOL_CONTENT]{result.text}[/TOOL_RESULTS]"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
