"""Types of arguments that are written as plain text: `<parameter=n>42</parameter>` does not say whether 42 is a number.

The tool's schema says it. The rule, by the JSON types that the schema allows for the argument:

* no schema is known (an unknown tool, an undeclared argument): the text, as it is;
* string alone: the text, as it is; `null` is those four letters;
* string and others: what is strict JSON of one of the others is that, everything else is the text; an item of an
  enum stays as it is written there;
* no string: JSON of an allowed type, read as models write it (True, None, single quotes, 007, a JSON text in a string);
  what is no such value stays text, and the check against the schema tells the model so;
* declared without any type: strict JSON that is no string, else the text.

Space around what is not a string does not count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from ambidex import strict_json
from ambidex.tools import Tool

from .literal_reader import literal_json

ANY = frozenset({"object", "array", "string", "boolean", "null", "number"})
STRING = frozenset({"string"})

_ALIASES = {name: name for name in ANY} | {
    **dict.fromkeys(("integer", "int", "long", "float", "double"), "number"),
    **dict.fromkeys(("str", "char"), "string"),
    **dict.fromkeys(("tuple", "list"), "array"),
    "dict": "object",
    "bool": "boolean",
}
_WHOLE = frozenset({"integer", "int", "long"})
_MAX_SCHEMAS = 200
"""Schemas looked at for one argument; one that refers to itself without end allows everything."""


class Argument:
    """What one argument may be: `types`, None if nothing is known, and the texts that its `enum` has."""

    def __init__(
        self, types: frozenset[str] | None, enum: frozenset[str] = frozenset(), schema: Any = None, root: Any = None
    ) -> None:
        self.types = types
        self.is_text = types is None or types == STRING
        self._enum = enum
        self._schema = schema
        self._root = root

    def member(self, name: str) -> Argument:
        """What a member of the object may be."""
        return self._inside("properties", name)

    def item(self) -> Argument:
        """What an item of the array may be."""
        return self._inside("items", None)

    def _inside(self, keyword: str, name: str | None) -> Argument:
        found = _found_inside(self._schema, self._root, keyword, name, [_MAX_SCHEMAS])
        return UNKNOWN if found is None else argument(found, self._root)

    def written(self, types: frozenset[str]) -> Argument:
        """With the type that the call itself states; the schema wins where the two contradict each other."""
        both = types if self.types is None else self.types & types
        return Argument(both or self.types, self._enum)

    def as_json(self, text: str) -> tuple[str, bool]:
        """The JSON text of the value, and whether the text was malformed."""
        if self.types is not None and not self.is_text and text not in self._enum:
            strict = "string" in self.types
            for value, repaired in _readings(text.strip(), strict=strict):
                if kind_of(value) in self.types and (not strict or not isinstance(value, str)):
                    return json.dumps(value, ensure_ascii=False), repaired
        return json.dumps(text, ensure_ascii=False), False


UNKNOWN = Argument(None)


def arguments_of(tool: Tool | None) -> Mapping[str, Argument]:
    """The declared arguments of a tool."""
    if tool is None:
        return {}
    properties = tool.parameters.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {name: argument(schema, tool.parameters) for name, schema in properties.items()}


def argument(schema: Any, root: Any = None) -> Argument:
    """What a schema allows; `root` is what its references refer to."""
    enum: set[str] = set()
    return Argument(_types(schema, root, [_MAX_SCHEMAS], enum), frozenset(enum), schema, root)


def _found_inside(schema: Any, root: Any, keyword: str, name: str | None, left: list[int]) -> Any:
    """The schema of a member or of the items, in the first of the schema's variants that has one."""
    left[0] -= 1
    if not isinstance(schema, Mapping) or left[0] < 0:
        return None
    schema = cast("Mapping[str, Any]", schema)
    if isinstance(reference := schema.get("$ref"), str):
        return _found_inside(resolved(reference, root), root, keyword, name, left)
    held = schema.get(keyword)
    found = held if name is None else held.get(name) if isinstance(held, Mapping) else None
    if found is None and name is not None:
        found = schema.get("additionalProperties")
    if isinstance(found, Mapping):
        return cast("Mapping[str, Any]", found)
    parts = (part for variants in ("anyOf", "oneOf", "allOf") for part in _list(schema.get(variants)))
    tries = (_found_inside(part, root, keyword, name, left) for part in parts)
    return next((found for found in tries if found is not None), None)


def _types(schema: Any, root: Any, left: list[int], enum: set[str]) -> frozenset[str]:
    left[0] -= 1
    if not isinstance(schema, Mapping) or left[0] < 0:
        return ANY
    schema = cast("Mapping[str, Any]", schema)
    if isinstance(reference := schema.get("$ref"), str):
        return _types(resolved(reference, root), root, left, enum)
    types = _named(schema.get("type"))
    values = [*_list(schema.get("enum")), *([schema["const"]] if "const" in schema else [])]
    if values:
        types &= {kind_of(value) for value in values}
        enum.update(value for value in values if isinstance(value, str))
    for keyword in ("anyOf", "oneOf"):
        if parts := _list(schema.get(keyword)):
            types &= frozenset[str]().union(*(_types(part, root, left, enum) for part in parts))
    for part in _list(schema.get("allOf")):
        types &= _types(part, root, left, enum)
    if "type" not in schema and types == ANY and isinstance(schema.get("properties"), Mapping):
        types = frozenset({"object"})
    return types | {"null"} if schema.get("nullable") is True else types


def _named(names: Any) -> frozenset[str]:
    listed: list[Any] = _list(names) if isinstance(names, list) else [names]
    found = [_ALIASES.get(name.lower()) if isinstance(name, str) else None for name in listed]
    return ANY if None in found or not found else frozenset(name for name in found if name)


def kinds_named(names: Any) -> dict[str, str]:
    """What a schema's `type` says, as JSON schema's words with JSON's names of these types; all if it says nothing."""
    listed: list[Any] = _list(names) if isinstance(names, list) else [names]
    words = [name.lower() for name in listed if isinstance(name, str) and name.lower() in _ALIASES]
    if not words or len(words) < len(listed):
        return {name: name for name in sorted(ANY)}
    return {"integer" if word in _WHOLE else _ALIASES[word]: _ALIASES[word] for word in words}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def resolved(reference: str, root: Any) -> Any:
    """What a local reference refers to; None if nothing."""
    found = root
    for step in reference.removeprefix("#/").split("/"):
        found = cast("Mapping[str, Any]", found).get(step) if isinstance(found, Mapping) else None
    return found


def kind_of(value: Any) -> str:
    """JSON's name of a value's type; whole numbers have none of their own."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "object" if isinstance(value, Mapping) else "array"


def _readings(text: str, *, strict: bool) -> list[tuple[Any, bool]]:
    """What the text may mean, the likelier first, each with whether it was malformed."""
    try:
        value = strict_json.loads(text)
    except strict_json.StrictJSONError:
        return [] if strict else _repaired(text)
    return [(value, False)] if strict or not isinstance(value, str) else [*_repaired(value), (value, False)]


def _repaired(text: str) -> list[tuple[Any, bool]]:
    lowered = text.lower()
    if lowered in ("true", "false", "null", "none"):
        return [({"true": True, "false": False}.get(lowered), lowered != text)]
    for attempt in (text, _unescaped(text)):
        written = None if attempt is None else literal_json(attempt)
        if written is not None:
            try:
                return [(strict_json.loads(written), True)]
            except strict_json.StrictJSONError:
                continue
    return []


def _unescaped(text: str) -> str | None:
    """The text of a JSON string that lost its quotes: `[{\\"a\\": 1}]`."""
    if '\\"' not in text:
        return None
    try:
        value = strict_json.loads(f'"{text}"')
    except strict_json.StrictJSONError:
        return None
    return value if isinstance(value, str) else None
