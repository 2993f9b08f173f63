"""GLM 4.7 and 5, Laguna and Ling 3: `<tool_call>f<arg_key>a</arg_key><arg_value>text</arg_value></tool_call>`.

Line breaks between the tags are as good as none (`glm45.py` writes them). Results go back as `<tool_response>` blocks,
in the order of the calls. Source: the chat templates of these models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .json_calls import JSONCalls
from .listing import listed, texts
from .opening_tags import Header
from .tagged_calls import TaggedCalls
from .tagged_form import any_tagged
from .turn_parser import TurnGrammar

NAMES = ("glm47", "ling3", "poolside_v1")
STOP_TOKENS = ("<|user|>", "<|observation|>", "<|endoftext|>", "</assistant>")
REASONING = ("<think>", "</think>")
CALL_TAGS = ("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "<tool_call>", "</tool_call>")
MARKERS = (*CALL_TAGS, "<tool_response>", "</tool_response>", *REASONING)


def name_header(*next_tags: str) -> Header:
    """A bare name and the tag behind it, which is not read."""
    following = "|".join(map(re.escape, next_tags))
    pattern = rf"\s*+(?P<name>[^\s<>{{}}\"'=]++)\s*+(?={following})"
    return Header(re.compile(pattern), re.compile(r"\s*+[^\s<>{}\"'=]*+\s*+(?:<[^<>]*+)?"))


def key_header(key_end: str, value: str, *otherwise: str) -> Header:
    """A name up to its end tag, then the opening tag of its value; with neither, a name alone."""
    alone = "|".join(map(re.escape, otherwise))
    pattern = rf"(?P<name>[^<>]++){key_end}(?:\s|\\n)*+(?:{value}|(?P<alone>(?={alone})))"
    return Header(re.compile(pattern), re.compile(r"[^<>]*+(?:<[^<>]*+(?:>(?:\s|\\n?)*+(?:<[^<>]*+)?)?)?"))


CALLS = TaggedCalls(
    call=("<tool_call>",),
    header=name_header("<arg_key>", "</tool_call>", "{"),
    call_end=("</tool_call>",),
    parameter=("<arg_key>",),
    parameter_header=key_header("</arg_key>", "<arg_value>", "<arg_key>", "</tool_call>"),
    parameter_end=("</arg_value>",),
    json=JSONCalls(closing=("</tool_call>",), openings=("<tool_call>",)),
)
_GRAMMAR = TurnGrammar(
    calls=CALLS.openings(), reasoning=(REASONING,), closings=("</tool_call>",), stop_tokens=STOP_TOKENS
)
parser = _GRAMMAR.parser

_FORM = "<tool_call>FUNCTION_NAME<arg_key>ARGUMENT_NAME</arg_key><arg_value>value</arg_value></tool_call>"


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_tagged(
        tools,
        start=lambda name: name,
        end="</tool_call>",
        argument=lambda key: f"<arg_key>{key}</arg_key><arg_value>",
        argument_end="</arg_value>",
        without=CALL_TAGS,
    )
    return CallForm("<tool_call>", call, between="<tool_call>")


def render_call(call: ToolCall) -> str:
    pairs = (f"<arg_key>{key}</arg_key><arg_value>{text}</arg_value>" for key, text in texts(call.arguments))
    return f"<tool_call>{call.name}{''.join(pairs)}</tool_call>"


def render_result(result: ToolResult) -> str:
    return f"<tool_response>{result.text}</tool_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
