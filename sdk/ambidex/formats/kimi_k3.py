"""Kimi K3 and its XTML: a `tools` element with `<|open|>call tool="f" index="1"<|sep|>`, in it for each argument
`<|open|>argument key="a" type="string"<|sep|>text<|close|>argument<|sep|>`. The answer's text stands in a `response`
element, its reasoning in a `think` element.

Values are typed in band; attributes have XML's entities, values have none. Results go back as messages of the role
`tool`, named and numbered like their calls. Source: the chat template.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ambidex.grammar import Grammar, Regex, chain
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .argument_types import ANY
from .call_form import CallForm, named
from .listing import compact, listed
from .opening_tags import Header
from .tagged_calls import TaggedCalls
from .turn_parser import TurnGrammar
from .value_form import members, stated_value

NAMES = ("kimi_k3",)
STOP_TOKENS = ("<|end_of_msg|>", "<|im_end|>")


def _open(tag: str) -> str:
    return f"<|open|>{tag}<|sep|>"


def _close(tag: str) -> str:
    return f"<|close|>{tag}<|sep|>"


REASONING = (_open("think"), _close("think"))
_DROPPED = (_open("response"), _close("response"), _close("message"), _close("call"), _close("tools"))
MARKERS = ("<|open|>", "<|close|>", "<|sep|>", _open("tools"), _close("tools"), *_DROPPED, *REASONING)

_ATTRIBUTES = r"(?P<attributes>(?:[^\"'<\n]++|\"[^\"\n]*+\"|'[^'\n]*+'|<(?!\|sep\|>))*+)<\|sep\|>"


def _header(*name_in: str) -> Header:
    return Header(re.compile(_ATTRIBUTES), re.compile(r"[^\n]*+"), name_in, unescape=True)


def _stated(attributes: Mapping[str, str]) -> frozenset[str] | None:
    stated = attributes.get("type", "")
    return frozenset({stated}) if stated in ANY else None


_CALLS = TaggedCalls(
    sections={_open("tools"): _close("tools")},
    call=("<|open|>call ",),
    header=_header("tool", "name"),
    call_end=(_close("call"),),
    parameter=("<|open|>argument ", "<|open|>json"),
    parameter_header=_header("key", "name"),
    parameter_end=(_close("argument"), _close("json")),
    stated=_stated,
    unnamed="arguments",
)
_GRAMMAR = TurnGrammar(calls=_CALLS.openings(), reasoning=(REASONING,), dropped=_DROPPED, stop_tokens=STOP_TOKENS)
parser = _GRAMMAR.parser


def _attribute(value: str) -> str:
    return value.replace("&", "&amp;").replace('"', "&quot;")


def _type(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "object" if isinstance(value, Mapping) else "array"


def _argument(key: str, value: object) -> str:
    text = value if isinstance(value, str) else compact(value)
    return f'<|open|>argument key="{_attribute(key)}" type="{_type(value)}"<|sep|>{text}{_close("argument")}'


def _section(name: str, arguments: Mapping[str, object]) -> str:
    written = "".join(_argument(key, value) for key, value in arguments.items())
    call = f'<|open|>call tool="{_attribute(name)}" index="1"<|sep|>{written}{_close("call")}'
    return f"{_open('tools')}{call}{_close('tools')}"


def call_form(tools: Sequence[Tool]) -> CallForm:
    def call(tool: Tool) -> Grammar:
        def one(key: str, schema: Any) -> Grammar:
            def tag(kind: str) -> str:
                return f'<|open|>argument key="{_attribute(key)}" type="{kind}"<|sep|>'

            without = ("<|open|>", "<|close|>", "<|sep|>")
            return stated_value(schema, tool.parameters, tag, _close("argument"), without)

        header = chain(f'<|open|>call tool="{_attribute(tool.name)}" index="', Regex("[1-9][0-9]?"), '"<|sep|>')
        return chain(header, members(tool, one), _close("call"))

    return CallForm(_open("tools"), named(tools, call), closing=_close("tools"))


def render_call(call: ToolCall) -> str:
    return _section(call.name, call.arguments)


def render_result(result: ToolResult) -> str:
    return f'<|open|>message role="tool" tool="{_attribute(result.name)}"<|sep|>{result.text}{_close("message")}'


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _section("FUNCTION_NAME", {"ARGUMENT_NAME": "value"}))
