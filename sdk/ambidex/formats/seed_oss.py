"""Seed-OSS: Qwen's XML between `<seed:tool_call>` tags, reasoning between `<seed:think>` tags.

The template writes values without line breaks around them; the model sometimes does. `<seed:cot_budget_reflect>` after
the reasoning is text. Results go back in a turn of their own. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .listing import listed, texts
from .opening_tags import AFTER_EQUALS
from .tagged_calls import TaggedCalls
from .tagged_form import any_tagged
from .turn_parser import TurnGrammar

NAMES = ("seed_oss",)
STOP_TOKENS = ("<seed:eos>",)
REASONING = ("<seed:think>", "</seed:think>")
MARKERS = ("<seed:tool_call>", "</seed:tool_call>", "<seed:tool_response>", "</seed:tool_response>", *REASONING)

_CALLS = TaggedCalls(
    sections={"<seed:tool_call>": "</seed:tool_call>"},
    call=("<function=",),
    header=AFTER_EQUALS,
    call_end=("</function>",),
    parameter=("<parameter=",),
    parameter_header=AFTER_EQUALS,
    parameter_end=("</parameter>",),
    padded=True,
)
_GRAMMAR = TurnGrammar(calls=_CALLS.openings(), reasoning=(REASONING,), stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser

_FORM = (
    "<seed:tool_call>\n<function=FUNCTION_NAME>\n<parameter=PARAMETER_NAME>value</parameter>\n"
    "</function>\n</seed:tool_call>"
)


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_tagged(
        tools,
        start=lambda name: f"\n<function={name}>\n",
        end="</function>\n</seed:tool_call>",
        argument=lambda key: f"<parameter={key}>\n",
        argument_end="\n</parameter>\n",
        without=("<parameter=", "</parameter>", "<function=", "</function>", "<seed:tool_call>", "</seed:tool_call>"),
    )
    return CallForm("<seed:tool_call>", call, between="\n<seed:tool_call>")


def render_call(call: ToolCall) -> str:
    parameters = "".join(f"<parameter={name}>{_padded(text)}</parameter>\n" for name, text in texts(call.arguments))
    return f"<seed:tool_call>\n<function={call.name}>\n{parameters}</function>\n</seed:tool_call>"


def _padded(text: str) -> str:
    """A text that begins or ends with a line break needs one of the tags' own there."""
    return f"\n{text}\n" if text[:1] == "\n" or text[-1:] == "\n" else text


def render_result(result: ToolResult) -> str:
    return f"<seed:tool_response>\n{result.text}\n</seed:tool_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
