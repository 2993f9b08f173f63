"""Hunyuan 3 (Hy3): GLM's arguments behind a `<tool_sep>`, calls between `<tool_calls>` tags.

In the released template every tag carries a suffix, `<tool_calls:opensource>`; both are read. Results go back as
`<tool_response>` blocks, in the order of the calls. Source: the chat template, the peers' tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_form import CallForm
from .glm47 import key_header
from .listing import listed, texts
from .opening_tags import Header
from .tagged_calls import TaggedCalls
from .tagged_form import any_tagged
from .turn_parser import TurnGrammar

NAMES = ("hunyuan_v3",)
STOP_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|eos|>", "<|hy_eos|>", "<｜hy_eos｜>")
REASONING = ("<think>", "</think>")
_ARGUMENT = ("<tool_sep>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>")
_PLAIN = (
    *_ARGUMENT,
    "<tool_calls>",
    "</tool_calls>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
)
MARKERS = (*_PLAIN, *(tag.replace(">", ":opensource>") for tag in _PLAIN), *REASONING)


def _calls(suffix: str) -> TaggedCalls:
    header = Header(
        re.compile(
            rf"\s*+(?P<name>[^\s<>{{}}\"'=]++)\s*+"
            rf"(?:<tool_sep{suffix}>|(?P<odd>(?=<arg_key{suffix}>|</tool_call{suffix}>)))"
        ),
        re.compile(r"\s*+[^\s<>{}\"'=]*+\s*+(?:<[^<>]*+)?"),
    )
    return TaggedCalls(
        sections={f"<tool_calls{suffix}>": f"</tool_calls{suffix}>"},
        call=(f"<tool_call{suffix}>",),
        header=header,
        call_end=(f"</tool_call{suffix}>",),
        parameter=(f"<arg_key{suffix}>",),
        parameter_header=key_header(
            f"</arg_key{suffix}>", f"<arg_value{suffix}>", f"<arg_key{suffix}>", f"</tool_call{suffix}>"
        ),
        parameter_end=(f"</arg_value{suffix}>",),
    )


_GRAMMAR = TurnGrammar(
    calls={**_calls("").openings(), **_calls(":opensource").openings()},
    reasoning=(REASONING, ("<think:opensource>", "</think:opensource>")),
    stop_tokens=STOP_TOKENS,
)
parser = _GRAMMAR.parser

_FORM = (
    "<tool_calls>\n<tool_call>FUNCTION_NAME<tool_sep>\n<arg_key>ARGUMENT_NAME</arg_key>\n<arg_value>value</arg_value>\n"
    "</tool_call>\n</tool_calls>"
)


def call_form(tools: Sequence[Tool]) -> CallForm:
    call = any_tagged(
        tools,
        start=lambda name: f"<tool_call>{name}<tool_sep>\n",
        end="</tool_call>\n",
        argument=lambda key: f"<arg_key>{key}</arg_key>\n<arg_value>",
        argument_end="</arg_value>\n",
        without=("<arg_key", "</arg_key", "<arg_value", "</arg_value", "<tool_call", "</tool_call", "<tool_sep"),
    )
    return CallForm("<tool_calls>", call, before="\n", closing="</tool_calls>")


def render_call(call: ToolCall) -> str:
    pairs = (f"<arg_key>{key}</arg_key>\n<arg_value>{text}</arg_value>\n" for key, text in texts(call.arguments))
    return f"<tool_calls>\n<tool_call>{call.name}<tool_sep>\n{''.join(pairs)}</tool_call>\n</tool_calls>"


def render_result(result: ToolResult) -> str:
    return f"<tool_response>{result.text}</tool_response>"


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
