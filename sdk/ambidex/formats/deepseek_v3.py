"""DeepSeek V2.5, V3, R1 and Cogito: in a section of calls `<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME`, then the
arguments in a fence, then `<｜tool▁call▁end｜>`.

R1 and V3 put a line break between calls. Results go back between tags of their own, in the order of the calls. Models
also miss or vary the section's tag. Source: the chat templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_named
from .json_calls import Header, JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("deepseek_v3", "deepseek_r1", "cogito")
STOP_TOKENS = ("<｜end▁of▁sentence｜>", "<|im_end|>")
REASONING = ("<think>", "</think>")
BEGIN, SEP, END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
SECTION, SECTION_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
SECTION_VARIANTS = (
    "<｜tool▁calls｜>",
    "<｜tool calls begin｜>",
    "<｜tool_calls_begin｜>",
    "<｜tool\\_calls\\_begin｜>",
)
MARKERS = (SECTION, SECTION_END, BEGIN, SEP, END, *REASONING)


def header(text: str) -> Header | None:
    """`function<｜tool▁sep｜>NAME` and a fence; in V3.1 `NAME<｜tool▁sep｜>`."""
    kind, sep, rest = text.partition(SEP)
    name, _, language = rest.partition("```")
    kind, name = kind.strip(), name.strip()
    if not sep or language.strip() not in ("", "json") or not (kind or name):
        return None
    return Header(name or kind, repaired=bool(kind and name) and kind != "function")


CALLS = JSONCalls(
    closing=(END,),
    openings=(BEGIN, SECTION_END, SECTION, *SECTION_VARIANTS),
    header=header,
    padding="`",
    may_be_empty=True,
)
_GRAMMAR = TurnGrammar(
    calls=dict.fromkeys((BEGIN, *SECTION_VARIANTS), CALLS),
    reasoning=(REASONING,),
    dropped=(SECTION, SECTION_END),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = f'{SECTION}{BEGIN}function{SEP}FUNCTION_NAME\n```json\n{{"PARAMETER_NAME": "value"}}\n```{END}{SECTION_END}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_named(tools, lambda name: f"{BEGIN}function{SEP}{name}\n```json\n", f"\n```{END}")
    return CallForm(SECTION, call, between="\n", closing=SECTION_END)


def render_call(call: ToolCall) -> str:
    return f"{SECTION}{BEGIN}function{SEP}{call.name}\n```json\n{compact(dict(call.arguments))}\n```{END}{SECTION_END}"


def render_result(result: ToolResult) -> str:
    return f"<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>{result.text}<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
