"""MiniCPM5: `<function name="f"><param name="a">text</param></function>`, with nothing around it.

Text with tags of its own stands in `<![CDATA[ ]]>`. As the tags could stand in any text about XML, only calls of the
offered tools count. Damaged tags, `<functionname=` and the tokenizer's `Ġ` for a space, are understood. Source: the
peers' tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .listing import listed, texts
from .opening_tags import Header
from .tagged_calls import TaggedCalls
from .tagged_form import any_tagged
from .turn_parser import TurnGrammar

NAMES = ("minicpm5",)
STOP_TOKENS = ("<|im_end|>", "</s>")
REASONING = ("<think>", "</think>")
MARKERS = ("</function>", "<tool_response>", "</tool_response>", *REASONING)

_HEADER = Header(
    re.compile(r"""[ \t]*+=[ \t]*+(?:"(?P<name>[^"<>\n]++)"|(?P<odd>[^"<>\n]++))[ \t]*+>"""), re.compile(r"[^\n]*+")
)

_CALLS = TaggedCalls(
    call=("<function name", "<functionname", "<functionĠname"),
    header=_HEADER,
    call_end=("</function>",),
    parameter=("<param name", "<paramname", "<paramĠname"),
    parameter_header=_HEADER,
    parameter_end=("</param>",),
    cdata=True,
    needs_tool=True,
)
_GRAMMAR = TurnGrammar(calls=_CALLS.openings(), reasoning=(REASONING,), stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_tagged(
        tools,
        start=lambda name: f'="{name}">',
        end="</function>",
        argument=lambda key: f'<param name="{key}">',
        argument_end="</param>",
        without=("<function", "</function>", "<param", "</param>", "<![CDATA["),
    )
    return CallForm("<function name", call, between="<function name")


def render_call(call: ToolCall) -> str:
    parameters = "".join(f'<param name="{name}">{_escaped(text)}</param>' for name, text in texts(call.arguments))
    return f'<function name="{call.name}">{parameters}</function>'


def _escaped(text: str) -> str:
    if "<" not in text:
        return text
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"


def render_result(result: ToolResult) -> str:
    return f"<tool_response>\n{result.text}\n</tool_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, '<function name="FUNCTION_NAME"><param name="PARAMETER_NAME">value</param></function>')
