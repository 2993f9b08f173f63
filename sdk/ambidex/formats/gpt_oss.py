"""gpt-oss, the Harmony format: messages `<|channel|>CHANNEL<|message|>...<|end|>`, of which those on the channel of
analysis are reasoning, and those with a recipient, `to=functions.NAME`, are calls: `<|message|>{...}<|call|>`.

The recipient stands before or behind the channel, which may be any one; the kind of content may follow. Calls end with
`<|call|>`, which stops the model, answers with `<|return|>`. Source: openai/harmony's description of the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ambidex.events import ReasoningDelta
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm, any_named
from .json_calls import Header
from .listing import compact, listed
from .message_parser import MessageGrammar, Route

NAMES = ("gpt_oss",)
STOP_TOKENS = ("<|return|>", "<|call|>")
REASONING = ("<|channel|>analysis<|message|>", "<|end|>")
MARKERS = ("<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>")


def _route(header: str) -> Route:
    """By the recipient, if it is a tool, else by the last channel."""
    before, *channels = header.split("<|channel|>")
    for part in (before, *channels):
        _, found, behind = part.partition("to=")
        recipient = behind.replace("<|", " <|").split()[:1] if found else []
        name = "".join(recipient).removeprefix("functions.")
        if name not in ("", "assistant", "user", "all"):
            return Route(named=Header(name))
    return Route(ReasoningDelta) if channels and channels[-1].strip().startswith("analysis") else Route()


_GRAMMAR = MessageGrammar(
    starts=("<|start|>", "<|channel|>"),
    message="<|message|>",
    ends=("<|end|>", "<|call|>", "<|return|>"),
    first=("<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "to="),
    route=_route,
)
parser = _GRAMMAR.parser

_FORM = (
    '<|channel|>commentary to=functions.FUNCTION_NAME <|constrain|>json<|message|>{"PARAMETER_NAME": "value"}<|call|>'
)


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_named(tools, lambda name: f"{name} <|constrain|>json<|message|>", "<|call|>")
    return CallForm("<|channel|>commentary to=functions.", call, between=None)  # without a recipient it is a preamble


def render_call(call: ToolCall) -> str:
    header = f"<|channel|>commentary to=functions.{call.name} <|constrain|>json"
    return f"{header}<|message|>{compact(dict(call.arguments))}<|call|>"


def render_result(result: ToolResult) -> str:
    return f"<|start|>functions.{result.name} to=assistant<|channel|>commentary<|message|>{result.text}<|end|>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
