"""What a call in Gemma's literals must look like: `call:f{a:<|"|>text<|"|>,n:3,o:{k:[true,null]}}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ambidex.grammar import Grammar, OneOf, Text, chain
from ambidex.tools import Tool

from .literal_calls import written_literal
from .value_form import Variant, items, members, object_members, plain_text, variants

MAX_DEPTH = 4
"""Levels of objects and arrays that are held; deeper ones are empty."""


@dataclass(frozen=True, slots=True)
class LiteralForm:
    """`delimiter` stands around a text, in which none of `without` may stand."""

    delimiter: str
    without: Sequence[str]

    def call(self, tool: Tool) -> Grammar:
        return chain(f"call:{tool.name}{{", members(tool, self._member(tool.parameters, 0), ","), "}")

    def _member(self, root: Mapping[str, Any], depth: int) -> Callable[[str, Any], Grammar]:
        def one(key: str, schema: Any) -> Grammar:
            return chain(f"{key}:", self._value(schema, root, depth))

        return one

    def _value(self, schema: Any, root: Mapping[str, Any], depth: int) -> Grammar:
        return OneOf(tuple(self._one(variant, root, depth) for variant in variants(schema, root)))

    def _one(self, variant: Variant, root: Mapping[str, Any], depth: int) -> Grammar:
        if variant.is_constant:
            return Text(written_literal(variant.value, self.delimiter))
        if variant.is_text:
            return chain(self.delimiter, plain_text(variant.schema, self.delimiter, self.without))
        if variant.kind == "object":
            one = self._member(root, depth + 1)
            return chain("{", object_members(variant.schema, one, ",") if depth < MAX_DEPTH else "", "}")
        if variant.kind == "array":
            if depth >= MAX_DEPTH:
                return Text("[]")
            item = self._value(variant.schema.get("items", {"type": "string"}), root, depth + 1)
            return chain("[", items(item, variant.schema, ","), "]")
        return variant.as_json()
