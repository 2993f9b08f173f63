"""Inkling: messages `<|message_model|>NAME<|content_invoke_tool_json|>{"name": ..., "args": {...}}<|end_message|>`.

`<|content_thinking|>` begins reasoning, `<|content_text|>` text. The name before the content's tag is said again
inside. Source: the readers of this form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.grammar import Grammar, chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_object, named
from .call_object import Members
from .headings import TaggedHeading
from .json_calls import JSONCalls
from .listing import compact, listed
from .turn_parser import TurnGrammar

NAMES = ("inkling",)
STOP_TOKENS = ("<|end_of_turn|>", "<|endoftext|>")
REASONING = ("<|content_thinking|>", "<|end_message|>")
_MESSAGE, _END = "<|message_model|>", "<|end_message|>"
_CALL, _TEXT, _TEXT_CALL = "<|content_invoke_tool_json|>", "<|content_text|>", "<|content_invoke_tool_text|>"
MARKERS = (_MESSAGE, _CALL, _TEXT, _TEXT_CALL, *REASONING)

_CALLS = JSONCalls(
    closing=(_END,),
    openings=(_CALL, _MESSAGE, _TEXT, REASONING[0]),
    members=Members(arguments=("args", "arguments", "parameters")),
    may_be_empty=True,
    control=True,
)
_HEADING = TaggedHeading((_CALL, _TEXT, _TEXT_CALL, REASONING[0]))
_GRAMMAR = TurnGrammar(
    calls={_CALL: _CALLS, _MESSAGE: _HEADING},
    reasoning=(REASONING,),
    reasons_late=True,
    dropped=(_TEXT, _TEXT_CALL, _END),
    stop_tokens=STOP_TOKENS,
    first=_HEADING,
)
parser = _GRAMMAR.parser

_FORM = f'{_MESSAGE}FUNCTION_NAME{_CALL}{{"name": "FUNCTION_NAME", "args": {{"PARAMETER_NAME": "value"}}}}{_END}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    def call(tool: Tool) -> Grammar:
        return chain(f"{tool.name}{_CALL}", any_object([tool], arguments="args"), _END)

    return CallForm("", named(tools, call), between=_MESSAGE)


def render_call(call: ToolCall) -> str:
    return f"{_MESSAGE}{call.name}{_CALL}{compact({'name': call.name, 'args': dict(call.arguments)})}{_END}"


def render_result(result: ToolResult) -> str:
    return result.text


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
