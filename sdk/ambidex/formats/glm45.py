"""GLM 4.5 and 4.6: as `glm47.py`, with a line break after each tag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from . import glm47
from .call_form import CallForm
from .listing import listed, texts
from .tagged_form import any_tagged

NAMES = ("glm45",)
STOP_TOKENS = glm47.STOP_TOKENS
REASONING = glm47.REASONING
MARKERS = glm47.MARKERS

parser = glm47.parser

_FORM = "<tool_call>FUNCTION_NAME\n<arg_key>ARGUMENT_NAME</arg_key>\n<arg_value>value</arg_value>\n</tool_call>"


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_tagged(
        tools,
        start=lambda name: f"{name}\n",
        end="</tool_call>",
        argument=lambda key: f"<arg_key>{key}</arg_key>\n<arg_value>",
        argument_end="</arg_value>\n",
        without=glm47.CALL_TAGS,
    )
    return CallForm("<tool_call>", call, between="\n<tool_call>")


def render_call(call: ToolCall) -> str:
    pairs = (f"<arg_key>{key}</arg_key>\n<arg_value>{text}</arg_value>\n" for key, text in texts(call.arguments))
    return f"<tool_call>{call.name}\n{''.join(pairs)}</tool_call>"


def render_result(result: ToolResult) -> str:
    return f"<tool_response>\n{result.text}\n</tool_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
