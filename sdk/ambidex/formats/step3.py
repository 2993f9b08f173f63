"""Step 3: `<steptml:invoke name="f"><steptml:parameter name="a">text</steptml:parameter></steptml:invoke>` between
DeepSeek's kind of control tokens, each call behind `function<｜tool_sep｜>`. Source: the peers' tests.
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

NAMES = ("step3",)
STOP_TOKENS = ("<｜end▁of▁sentence｜>", "<|EOT|>", "<｜EOT｜>")
REASONING = ("<think>", "</think>")
_OPENING, _CLOSING = "<｜tool_calls_begin｜>", "<｜tool_calls_end｜>"
_CALL, _CALL_END = "<｜tool_call_begin｜>function<｜tool_sep｜>", "<｜tool_call_end｜>"
MARKERS = (_OPENING, _CLOSING, "<｜tool_call_begin｜>", "<｜tool_sep｜>", _CALL_END, *REASONING)

_CALLS = TaggedCalls(
    sections={_OPENING: _CLOSING},
    call=("<steptml:invoke",),
    header=ATTRIBUTES,
    call_end=("</steptml:invoke>",),
    parameter=("<steptml:parameter",),
    parameter_header=ATTRIBUTES,
    parameter_end=("</steptml:parameter>",),
    filler=(_CALL, _CALL_END),
)
_GRAMMAR = TurnGrammar(calls={_OPENING: _CALLS}, reasoning=(REASONING,), stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_tagged(
        tools,
        start=lambda name: f'{_CALL}<steptml:invoke name="{name}">',
        end=f"</steptml:invoke>{_CALL_END}",
        argument=lambda key: f'<steptml:parameter name="{key}">',
        argument_end="</steptml:parameter>",
        without=(*MARKERS, "<steptml:", "</steptml:"),
    )
    return CallForm(_OPENING, call, closing=_CLOSING)


def render_call(call: ToolCall) -> str:
    return f"{_OPENING}{_CALL}{_invocation(call.name, texts(call.arguments))}{_CALL_END}{_CLOSING}"


def _invocation(name: str, parameters: Iterable[tuple[str, str]]) -> str:
    written = "".join(f'<steptml:parameter name="{key}">{text}</steptml:parameter>' for key, text in parameters)
    return f'<steptml:invoke name="{name}">{written}</steptml:invoke>'


def render_result(result: ToolResult) -> str:
    return f"<｜tool_output_begin｜>{result.text}<｜tool_output_end｜>"


def render_tools(tools: Iterable[Tool]) -> str:
    example = _invocation("FUNCTION_NAME", [("PARAMETER_NAME", "value")])
    return listed(tools, f"{_OPENING}{_CALL}{example}{_CALL_END}{_CLOSING}")
