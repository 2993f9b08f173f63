"""Qwen XML: `<tool_call><function=f><parameter=a>text</parameter></function></tool_call>`, as Qwen3-Coder, Qwen3.5 and
later, Nemotron 3, Step 3.5 and MiMo V2 write it.

One line break after a parameter's opening tag and one before its end tag belong to the tags, everything else is data.
About one call in five of Qwen3-Coder lacks the opening `<tool_call>`; Hermes' JSON between the tags is read too.
Results go back as `<tool_response>` blocks, in the order of the calls. Source: the chat templates of these models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .json_calls import JSONCalls
from .listing import listed, texts
from .opening_tags import AFTER_EQUALS
from .tagged_calls import TaggedCalls
from .tagged_form import any_tagged
from .turn_parser import TurnGrammar

NAMES = ("qwen3_coder", "nemotron3", "step3p5")
STOP_TOKENS = ("<|im_end|>", "<|endoftext|>")
REASONING = ("<think>", "</think>")
MARKERS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", *REASONING)

_CALLS = TaggedCalls(
    sections={"<tool_call>": "</tool_call>"},
    call=("<function=",),
    header=AFTER_EQUALS,
    call_end=("</function>",),
    parameter=("<parameter=",),
    parameter_header=AFTER_EQUALS,
    parameter_end=("</parameter>",),
    padded=True,
    json=JSONCalls(closing=("</tool_call>",), openings=("<tool_call>",)),
)
_GRAMMAR = TurnGrammar(
    calls=_CALLS.openings(),
    reasoning=(REASONING,),
    closings=("</function>", "</tool_call>"),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = (
    "<tool_call>\n<function=FUNCTION_NAME>\n<parameter=PARAMETER_NAME>\nvalue\n</parameter>\n</function>\n</tool_call>"
)


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_tagged(
        tools,
        start=lambda name: f"\n<function={name}>\n",
        end="</function>\n</tool_call>",
        argument=lambda key: f"<parameter={key}>\n",
        argument_end="\n</parameter>\n",
        without=("<parameter=", "</parameter>", "<function=", "</function>", "<tool_call>", "</tool_call>"),
    )
    return CallForm("<tool_call>", call, between="\n<tool_call>")


def render_call(call: ToolCall) -> str:
    parameters = "".join(f"<parameter={name}>\n{text}\n</parameter>\n" for name, text in texts(call.arguments))
    return f"<tool_call>\n<function={call.name}>\n{parameters}</function>\n</tool_call>"


def render_result(result: ToolResult) -> str:
    return f"<tool_response>\n{result.text}\n</tool_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
