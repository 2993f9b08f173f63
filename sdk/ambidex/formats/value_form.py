"""What the arguments of a call must look like where they are no JSON object: in tags, in Python's calls, in literals.

Built from the tool's schema, so that what fits it is read back as what the schema allows. What of a schema has no place
here (`pattern` with look-around, `format`, ...) is checked when the call was read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from ambidex.grammar import Chain, Grammar, Json, OneOf, Regex, Repeat, Text, Until, chain
from ambidex.tools import Tool

from .argument_types import kind_of, kinds_named, resolved

MAX_LENGTH = 1000
"""Characters up to which a text's `maxLength` is held."""

MAX_ITEMS = 32
"""Items up to which an array's `minItems` and `maxItems` are held outside of JSON."""

MAX_VARIANTS = 100

_NO_TAG = r"^(?:[^<]|<[^<A-Za-z/|｜!])*$"
"""What texts inside of JSON look like where JSON stands between tags."""

_UNTAGGED = {"type": "string", "pattern": _NO_TAG}
_UNTAGGED_SCALAR = {"anyOf": [_UNTAGGED, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]}

_TEXT = "(?s:.*)"
_NO_JSON = r"(?:[^\s\[{\-+.0-9](?s:.*))?"
"""A text that cannot be read as a number, an object or an array."""

_SINGLE_QUOTED = r"""'(?:[^'\\\x00-\x1f]|\\[\\'"nrt])*'"""
_IN_SINGLE_QUOTES = frozenset({"pattern", "format", "minLength", "maxLength"})
"""Keywords that are held in JSON only."""

_BACKTRACKS = re.compile(r"\(\?[=!<]|\\[1-9]")


class Variant(NamedTuple):
    """One kind of value that a schema allows: JSON's name of it, and its schema, or the one value."""

    kind: str
    schema: Mapping[str, Any]
    value: Any = None
    is_constant: bool = False

    @property
    def is_text(self) -> bool:
        return self.kind == "string"

    def as_json(self) -> Grammar:
        """As JSON."""
        return Text(_compact(self.value)) if self.is_constant else Json(self.schema, is_checked_later=True)


def variants(schema: Any, root: Any) -> list[Variant]:
    """The kinds of values that a schema allows; a text if nothing is known."""
    found = _variants(schema, root, [MAX_VARIANTS])
    return found or [Variant("string", {"type": "string"})]


def _variants(schema: Any, root: Any, left: list[int]) -> list[Variant]:
    left[0] -= 1
    if not isinstance(schema, Mapping) or left[0] < 0:
        return []
    schema = cast("Mapping[str, Any]", schema)
    if isinstance(reference := schema.get("$ref"), str):
        return _variants(resolved(reference, root), root, left)
    kinds = kinds_named(schema.get("type", "object" if "properties" in schema else None))
    listed: Any = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(listed, list):
        return [
            Variant(kind, schema, value, is_constant=True)
            for value in cast("list[Any]", listed)
            if (kind := kind_of(value)) in kinds.values() or "type" not in schema
        ]
    for keyword in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(keyword), list):
            return [found for option in cast("list[Any]", options) for found in _variants(option, root, left)]
    definitions = {name: root[name] for name in ("$defs", "definitions") if isinstance(root, Mapping) and name in root}
    found = [Variant(kind, {**definitions, **schema, "type": name}) for name, kind in kinds.items()]
    if schema.get("nullable") is True and "null" not in kinds.values():
        found.append(Variant("null", {"type": "null"}))
    return found


def members(tool: Tool, one: Callable[[str, Any], Grammar], separator: str = "") -> Grammar:
    """The arguments of a tool in their order, those that are not required as they like; `one` makes one of them."""
    return object_members(tool.parameters, one, separator)


def object_members(schema: Mapping[str, Any], one: Callable[[str, Any], Grammar], separator: str = "") -> Grammar:
    """The same for the members that any object's schema names."""
    properties: Any = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return Text("")
    required: Any = schema.get("required")
    needed = set(cast("list[str]", required) if isinstance(required, list) else [])
    written = [(key in needed, one(key, item)) for key, item in cast("Mapping[str, Any]", properties).items()]
    if not separator:
        return Chain(tuple(item if is_needed else optional(item) for is_needed, item in written))
    written.sort(key=lambda pair: not pair[0])  # the first one is written without a separator
    if written[0][0]:
        return Chain((written[0][1], *_following(written[1:], separator)))
    starts = (Chain((item, *_following(written[at + 1 :], separator))) for at, (_, item) in enumerate(written))
    return OneOf((*starts, Text("")))


def _following(written: Sequence[tuple[bool, Grammar]], separator: str) -> list[Grammar]:
    follows = ((is_needed, chain(separator, item)) for is_needed, item in written)
    return [item if is_needed else optional(item) for is_needed, item in follows]


def optional(part: Grammar) -> Grammar:
    """It, or nothing."""
    return OneOf((part, Text("")))


def items(one: Grammar, schema: Mapping[str, Any], separator: str = "") -> Grammar:
    """The items of an array, as many as its schema allows."""
    least, most = _count(schema, "minItems") or 0, _count(schema, "maxItems")
    if most is None and least <= 1:
        several: Grammar = Repeat(one, separator)
        return several if least else optional(several)
    following: Grammar = chain(separator, one)
    rest: Grammar = Text("") if most is not None else optional(Repeat(following))
    for at in range(max(least, most or 0), 0, -1):
        here = Chain((one if at == 1 else following, rest))
        rest = here if at <= least else optional(here)
    return rest


def _count(schema: Mapping[str, Any], keyword: str) -> int | None:
    count = schema.get(keyword)
    return count if isinstance(count, int) and 0 <= count <= MAX_ITEMS else None


def plain_text(schema: Mapping[str, Any], end: str, without: Sequence[str] = (), *, is_alone: bool = True) -> Until:
    """A text that a schema allows, as it is, up to its `end`. `is_alone`: the schema allows nothing but texts."""
    least, most, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
    written = _TEXT if is_alone else _NO_JSON
    if isinstance(pattern, str) and not _BACKTRACKS.search(pattern):
        begins, ends = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
        inside = pattern.removeprefix("^") if begins else pattern
        inside = inside.removesuffix("$") if ends else inside
        written = f"{'' if begins else _TEXT}(?:{inside}){'' if ends else _TEXT}"
    elif isinstance(most, int) and most <= MAX_LENGTH:
        written = f"(?s:.){{{least if isinstance(least, int) else 0},{most}}}"
    elif isinstance(least, int) and 0 < least <= MAX_LENGTH:
        written = f"(?s:.){{{least},}}"
    return Until(end, tuple(without), written)


def tagged_value(schema: Any, root: Any, end: str, without: Sequence[str] = ()) -> Grammar:
    """A value as the text of a tag: a text as it is, everything else as JSON; and its `end`."""
    found = variants(schema, root)
    is_alone = not {variant.kind for variant in found} & {"number", "object", "array"}
    return OneOf(tuple(_tagged(variant, end, without, is_alone=is_alone) for variant in found))


def stated_value(schema: Any, root: Any, tag: Callable[[str], str], end: str, without: Sequence[str] = ()) -> Grammar:
    """The same behind a tag that states what kind of value it is."""
    found = variants(schema, root)
    return OneOf(tuple(chain(tag(variant.kind), _tagged(variant, end, without)) for variant in found))


def _tagged(variant: Variant, end: str, without: Sequence[str], *, is_alone: bool = True) -> Grammar:
    if variant.kind in ("object", "array") and not variant.is_constant:
        return chain(Json(untagged(variant.schema), is_checked_later=True), end)
    if not variant.is_text:
        return chain(variant.as_json(), end)
    if variant.is_constant:
        return Text(f"{variant.value}{end}")
    return plain_text(variant.schema, end, without, is_alone=is_alone)


def untagged(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema whose texts and names hold nothing that looks like a tag."""
    held = {keyword: _untagged_inside(keyword, value) for keyword, value in schema.items()}
    names = schema.get("type")
    kinds = set(kinds_named(names)) if "type" in schema else set[str]()
    says_more = {"pattern", "enum", "const", "format", "$ref", "anyOf", "oneOf", "allOf", "properties"} & set(schema)
    if "string" in kinds and not says_more:
        held["pattern"] = _NO_TAG
    elif not kinds and not says_more:
        held.update(_UNTAGGED_SCALAR)
    if "array" in kinds and not {"items", "prefixItems"} & set(schema):
        held["items"] = _UNTAGGED_SCALAR
    if "object" in kinds and "properties" not in schema and "patternProperties" not in schema:
        held["patternProperties"] = {_NO_TAG: held.pop("additionalProperties", _UNTAGGED_SCALAR)}
        held["additionalProperties"] = False
    return held


def _untagged_inside(keyword: str, value: Any) -> Any:
    if keyword in ("properties", "$defs", "definitions", "patternProperties") and isinstance(value, Mapping):
        return {name: _untagged_item(item) for name, item in cast("Mapping[str, Any]", value).items()}
    if keyword in ("items", "additionalProperties"):
        return _untagged_item(value)
    if keyword in ("prefixItems", "anyOf", "oneOf", "allOf") and isinstance(value, list):
        return [_untagged_item(item) for item in cast("list[Any]", value)]
    return value


def _untagged_item(item: Any) -> Any:
    if item is True:
        return _UNTAGGED_SCALAR
    return untagged(cast("Mapping[str, Any]", item)) if isinstance(item, Mapping) else item


def python_value(schema: Any, root: Any) -> Grammar:
    """A value as Python writes it; what is in brackets as JSON, which is read as well."""
    return OneOf(tuple(map(_python, variants(schema, root))))


def _python(variant: Variant) -> Grammar:
    if variant.kind in ("boolean", "null"):
        values = [variant.value] if variant.is_constant else [None] if variant.kind == "null" else [True, False]
        return OneOf(tuple(Text(repr(value)) for value in values))
    if variant.is_text and variant.is_constant:
        return OneOf((variant.as_json(), Text(repr(variant.value))))
    if variant.is_text and _IN_SINGLE_QUOTES.isdisjoint(variant.schema):
        return OneOf((variant.as_json(), Regex(_SINGLE_QUOTED)))
    return variant.as_json()


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
