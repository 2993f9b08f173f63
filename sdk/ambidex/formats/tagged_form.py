"""What a call with tagged arguments must look like: `<function=f><parameter=a>text</parameter></function>`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ambidex.grammar import Grammar, chain
from ambidex.tools import Tool

from .call_form import named
from .value_form import members, tagged_value


def any_tagged(
    tools: Sequence[Tool],
    *,
    start: Callable[[str], str],
    end: str,
    argument: Callable[[str], str],
    argument_end: str,
    without: Sequence[str],
) -> Grammar:
    """A call of one of the tools. `start` and `argument` make opening tags of names; texts hold none of `without`."""

    def call(tool: Tool) -> Grammar:
        def one(key: str, schema: Any) -> Grammar:
            return chain(argument(key), tagged_value(schema, tool.parameters, argument_end, without))

        return chain(start(tool.name), members(tool, one), end)

    return named(tools, call)
