"""MiniMax M2: `<minimax:tool_call><invoke name="f"><parameter name="a">text</parameter></invoke></minimax:tool_call>`.

Several calls stand in one block. Results go back as `<response>` blocks, in the order of the calls; the model wants its
reasoning back while it works. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .listing import listed, texts
from .opening_tags import ATTRIBUTES
from .tagged_calls import TaggedCalls
from .tagged_form import any_tagged
from .turn_parser import TurnGrammar

NAMES = ("minimax_m2",)
STOP_TOKENS = ("[e~[",)
REASONING = ("<think>", "</think>")
MARKERS = ("<minimax:tool_call>", "</minimax:tool_call>", "<response>", "</response>", *REASONING)

_CALLS = TaggedCalls(
    sections={"<minimax:tool_call>": "</minimax:tool_call>"},
    call=("<invoke",),
    header=ATTRIBUTES,
    call_end=("</invoke>",),
    parameter=("<parameter",),
    parameter_header=ATTRIBUTES,
    parameter_end=("</parameter>",),
)
_GRAMMAR = TurnGrammar(calls={"<minimax:tool_call>": _CALLS}, reasoning=(REASONING,), stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser

_FORM = (
    '<minimax:tool_call>\n<invoke name="FUNCTION_NAME">\n<parameter name="PARAMETER_NAME">value</parameter>\n'
    "</invoke>\n</minimax:tool_call>"
)


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_tagged(
        tools,
        start=lambda name: f'<invoke name="{name}">\n',
        end="</invoke>\n",
        argument=lambda key: f'<parameter name="{key}">',
        argument_end="</parameter>\n",
        without=("<parameter", "</parameter>", "<invoke", "</invoke>", *MARKERS),
    )
    return CallForm("<minimax:tool_call>", call, before="\n", closing="</minimax:tool_call>")


def render_call(call: ToolCall) -> str:
    parameters = "".join(f'<parameter name="{name}">{text}</parameter>\n' for name, text in texts(call.arguments))
    return f'<minimax:tool_call>\n<invoke name="{call.name}">\n{parameters}</invoke>\n</minimax:tool_call>'


def render_result(result: ToolResult) -> str:
    return f"<response>{result.text}</response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
