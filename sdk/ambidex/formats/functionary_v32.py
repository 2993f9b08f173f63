"""Functionary v3.2: `>>>NAME`, a line break and `{...}`; `>>>all` is text, `>>>python` is code.

The prompt ends with `>>>`, so that an answer begins with a name. Results are in the order of the calls. Source: the
chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_named
from .headings import LineHeading
from .json_calls import JSONCalls
from .listing import compact, listed
from .python_code import PythonCode
from .turn_parser import TurnGrammar

NAMES = ("functionary_v32",)
STOP_TOKENS = ("<|eot_id|>", "<|end_of_text|>")
REASONING = ("<think>", "</think>")
MARKERS = (">>>", *REASONING)

_RECIPIENT = LineHeading(
    other=JSONCalls(openings=(">>>",)), calls={"python": PythonCode("python", ends=(">>>",))}, text=("all",)
)
_GRAMMAR = TurnGrammar(calls={">>>": _RECIPIENT}, stop_tokens=STOP_TOKENS, first=_RECIPIENT)
parser = _GRAMMAR.parser

_FORM = '>>>FUNCTION_NAME\n{"PARAMETER_NAME": "value"}'


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("", any_named(tools, lambda name: f"{name}\n"), between="\n>>>")


def render_call(call: ToolCall) -> str:
    if call.name == "python" and [*call.arguments] == ["code"]:
        return f">>>python\n{call.arguments['code']}"
    return f">>>{call.name}\n{compact(dict(call.arguments))}"


def render_result(result: ToolResult) -> str:
    return result.text


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
