"""Muse Glimmer: messages ` to=RECIPIENT<|message|>...<|eom|>`: `self` is reasoning, `user` is text, else it is a tool,
whose call is `<atem:function_calls><atem:invoke name="f"><atem:parameter name="a">text</atem:parameter>...`.

Only a message to a tool calls it: the same tags in a message to the user are text. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.events import ReasoningDelta
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .listing import listed, texts
from .message_parser import MessageGrammar, Route
from .opening_tags import ATTRIBUTES
from .tagged_calls import TaggedCalls
from .tagged_form import any_tagged

NAMES = ("muse_glimmer",)
STOP_TOKENS = ("<|eot|>",)
REASONING = (" to=self<|message|>", "<|eom|>")
MARKERS = ("<|start|>", "<|message|>", "<|eom|>", "<|eot|>")

_CALLS = TaggedCalls(
    sections={"<atem:function_calls>": "</atem:function_calls>"},
    call=("<atem:invoke",),
    header=ATTRIBUTES,
    call_end=("</atem:invoke>",),
    parameter=("<atem:parameter",),
    parameter_header=ATTRIBUTES,
    parameter_end=("</atem:parameter>",),
)


def _route(header: str) -> Route:
    recipient = header.partition("to=")[2].strip()
    if recipient == "self":
        return Route(ReasoningDelta)
    return Route() if recipient in ("", "user") else Route(calls=_CALLS.openings())


_GRAMMAR = MessageGrammar(
    starts=("<|start|>",),
    message="<|message|>",
    ends=("<|eom|>", "<|eot|>"),
    first=("<|start|>", "<|message|>", "to="),
    route=_route,
    calls=tuple(_CALLS.openings()),
)
parser = _GRAMMAR.parser

_FORM = (
    " to=FUNCTION_NAME<|message|><atem:function_calls>\n"
    '<atem:invoke name="FUNCTION_NAME">\n<atem:parameter name="PARAMETER_NAME">value</atem:parameter>\n'
    "</atem:invoke>\n</atem:function_calls>"
)


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_tagged(
        tools,
        start=lambda name: f' to={name}<|message|><atem:function_calls>\n<atem:invoke name="{name}">\n',
        end="</atem:invoke>\n</atem:function_calls>",
        argument=lambda key: f'<atem:parameter name="{key}">',
        argument_end="</atem:parameter>\n",
        without=("<atem:", "</atem:", *MARKERS),
    )
    return CallForm("", call, between="<|eom|><|start|>assistant")


def render_call(call: ToolCall) -> str:
    written = (f'<atem:parameter name="{name}">{text}</atem:parameter>\n' for name, text in texts(call.arguments))
    invoke = f'<atem:invoke name="{call.name}">\n{"".join(written)}</atem:invoke>'
    return f" to={call.name}<|message|><atem:function_calls>\n{invoke}\n</atem:function_calls>"


def render_result(result: ToolResult) -> str:
    return f'<tool_output name="{result.name}">\n{result.text}\n</tool_output>'


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
