"""DeepSeek V3.2 and its DSML: `<｜DSML｜invoke name="f">` with `<｜DSML｜parameter name="a" string="true">text` and its
end tag for each argument, several calls between `<｜DSML｜function_calls>` tags.

`string="true"` says that a value is text, "false" that it is JSON; where the tool's schema contradicts it, that wins.
Results go back between `<function_results>` tags, in the order of the calls. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ambidex.grammar import Grammar, chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .argument_types import ANY, STRING
from .call_form import CallForm, named
from .listing import compact, listed
from .opening_tags import ATTRIBUTES
from .tagged_calls import TaggedCalls
from .turn_parser import TurnGrammar
from .value_form import members, stated_value

NAMES = ("deepseek_v32",)
STOP_TOKENS = ("<｜end▁of▁sentence｜>",)
REASONING = ("<think>", "</think>")
_SECTIONS = {f"<｜DSML｜{name}>": f"</｜DSML｜{name}>" for name in ("function_calls", "tool_calls")}
MARKERS = ("｜DSML｜", *_SECTIONS, *_SECTIONS.values(), "<function_results>", "</function_results>", *REASONING)


def _stated(attributes: Mapping[str, str]) -> frozenset[str] | None:
    return {"true": STRING, "false": ANY - STRING}.get(attributes.get("string", ""))


_CALLS = TaggedCalls(
    sections=_SECTIONS,
    call=("<｜DSML｜invoke",),
    header=ATTRIBUTES,
    call_end=("</｜DSML｜invoke>",),
    parameter=("<｜DSML｜parameter",),
    parameter_header=ATTRIBUTES,
    parameter_end=("</｜DSML｜parameter>",),
    stated=_stated,
)
_GRAMMAR = TurnGrammar(calls=_CALLS.openings(), reasoning=(REASONING,), stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser


def section(call: ToolCall, name: str) -> str:
    """One call in a section of its own."""
    parameters = "".join(
        f'<｜DSML｜parameter name="{key}" string="true">{value}</｜DSML｜parameter>\n'
        if isinstance(value, str)
        else f'<｜DSML｜parameter name="{key}" string="false">{compact(value)}</｜DSML｜parameter>\n'
        for key, value in call.arguments.items()
    )
    invocation = f'<｜DSML｜invoke name="{call.name}">\n{parameters}</｜DSML｜invoke>'
    return f"<｜DSML｜{name}>\n{invocation}\n</｜DSML｜{name}>"


def form(name: str) -> str:
    """What a section looks like."""
    return (
        f'<｜DSML｜{name}>\n<｜DSML｜invoke name="FUNCTION_NAME">\n'
        '<｜DSML｜parameter name="PARAMETER_NAME" string="true|false">value</｜DSML｜parameter>\n'
        f"</｜DSML｜invoke>\n</｜DSML｜{name}>\n\n"
        'string="true" for text, which is written as it is; "false" for everything else, which is JSON.'
    )


def call_form(tools: Sequence[Tool]) -> CallForm:
    return section_form(tools, "function_calls")


def section_form(tools: Sequence[Tool], name: str) -> CallForm:
    """The calls of a section of this name."""

    def call(tool: Tool) -> Grammar:
        def one(key: str, schema: Any) -> Grammar:
            def tag(kind: str) -> str:
                return f'<｜DSML｜parameter name="{key}" string="{"true" if kind == "string" else "false"}">'

            return stated_value(schema, tool.parameters, tag, "</｜DSML｜parameter>\n", ("｜DSML｜",))

        return chain(f'<｜DSML｜invoke name="{tool.name}">\n', members(tool, one), "</｜DSML｜invoke>\n")

    return CallForm(f"<｜DSML｜{name}>", named(tools, call), before="\n", closing=f"</｜DSML｜{name}>")


def render_call(call: ToolCall) -> str:
    return section(call, "function_calls")


def render_result(result: ToolResult) -> str:
    return f"<function_results>\n<result>{result.text}</result>\n</function_results>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, form("function_calls"))
