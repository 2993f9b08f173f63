"""DeepSeek V4: V3.2's DSML (`deepseek_v32.py`) between `<｜DSML｜tool_calls>` tags.

Results go back as `<tool_result>` blocks in a user's turn, in the order of the calls. Source: the chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from . import deepseek_v32
from .call_form import CallForm
from .listing import listed

NAMES = ("deepseek_v4",)
STOP_TOKENS = deepseek_v32.STOP_TOKENS
REASONING = deepseek_v32.REASONING
MARKERS = (*deepseek_v32.MARKERS, "<tool_result>", "</tool_result>")

parser = deepseek_v32.parser


def call_form(tools: Sequence[Tool]) -> CallForm:
    return deepseek_v32.section_form(tools, "tool_calls")


def render_call(call: ToolCall) -> str:
    return deepseek_v32.section(call, "tool_calls")


def render_result(result: ToolResult) -> str:
    return f"<tool_result>{result.text}</tool_result>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, deepseek_v32.form("tool_calls"))
