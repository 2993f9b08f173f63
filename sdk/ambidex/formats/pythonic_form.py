"""What a call in Python's form must look like: `f(a='x', b=[1])`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ambidex.grammar import Grammar, chain
from ambidex.tools import Tool

from .call_form import named
from .value_form import members, python_value


def any_python_call(tools: Sequence[Tool]) -> Grammar:
    """A call of one of the tools."""
    return named(tools, _call)


def _call(tool: Tool) -> Grammar:
    def one(key: str, schema: Any) -> Grammar:
        return chain(f"{key}=", python_value(schema, tool.parameters))

    return chain(f"{tool.name}(", members(tool, one, ", "), ")")
