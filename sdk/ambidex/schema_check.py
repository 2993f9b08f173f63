"""Checks a value against a JSON schema, as far as tool arguments need it.

Checked: type (a name or several; also the "dict", "float", "tuple" and "any" that tool lists in the wild have), enum,
const, required, properties, additionalProperties, items, minItems, maxItems, minLength, maxLength, minimum, maximum,
exclusiveMinimum, exclusiveMaximum, anyOf, oneOf (as anyOf), allOf, local $ref and nullable. Not checked: every other
keyword, among them pattern (a hostile one takes exponential time) and format. An unknown type name allows everything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

MAX_STEPS = 10_000
MAX_DEPTH = 150
"""Schemas looked at in one check, and inside each other; one that refers to itself without end allows everything."""

_NUMBER = (int, float)
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, (list, tuple)),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, _NUMBER) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, _NUMBER) and not isinstance(value, bool) and _is_whole(value),
}
_TYPES.update(dict=_TYPES["object"], tuple=_TYPES["array"], float=_TYPES["number"])


def schema_problems(schema: Mapping[str, Any], value: Any) -> list[str]:
    """What is wrong with `value`, one sentence per place, for a model to read; empty if nothing is."""
    return _Check(schema).problems(schema, value, "")


def _is_whole(value: float) -> bool:
    return isinstance(value, int) or (math.isfinite(value) and value == int(value))


class _Check:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._steps = 0
        self._depth = 0

    def problems(self, schema: Any, value: Any, path: str) -> list[str]:
        self._depth += 1
        try:
            return self._found(schema, value, path)
        finally:
            self._depth -= 1

    def _found(self, schema: Any, value: Any, path: str) -> list[str]:
        self._steps += 1
        if schema is False:
            return [f"{path or 'the value'} is not allowed"]
        if not isinstance(schema, Mapping) or self._steps > MAX_STEPS or self._depth > MAX_DEPTH:
            return []
        schema = cast("Mapping[str, Any]", schema)
        if isinstance(reference := schema.get("$ref"), str):
            return self.problems(self._resolved(reference), value, path)
        if value is None and schema.get("nullable") is True:
            return []
        where = path or "the arguments"
        if not _fits_type(schema.get("type"), value):
            return [f"{where}: expected {_type_names(schema['type'])}, got {_shown(value)}"]
        if isinstance(allowed := schema.get("enum"), list) and not any(_same(value, item) for item in allowed):
            return [f"{where}: expected one of {_shown(allowed)}, got {_shown(value)}"]
        if "const" in schema and not _same(value, schema["const"]):
            return [f"{where}: expected {_shown(schema['const'])}, got {_shown(value)}"]
        return [
            *_limit_problems(schema, value, where),
            *self._combined(schema, value, path),
            *(self._object(schema, cast("Mapping[str, Any]", value), path) if isinstance(value, Mapping) else ()),
            *(self._array(schema, cast("list[Any]", value), path) if isinstance(value, (list, tuple)) else ()),
        ]

    def _combined(self, schema: Mapping[str, Any], value: Any, path: str) -> list[str]:
        found = [problem for part in _list(schema, "allOf") for problem in self.problems(part, value, path)]
        for keyword in ("anyOf", "oneOf"):
            tries = [self.problems(part, value, path) for part in _list(schema, keyword)]
            if tries and all(tries):
                found += tries[0] if len(tries) == 1 else [" or ".join(problems[0] for problems in tries)]
        return found

    def _object(self, schema: Mapping[str, Any], value: Mapping[str, Any], path: str) -> list[str]:
        properties = schema.get("properties")
        properties = cast("Mapping[str, Any]", properties) if isinstance(properties, Mapping) else {}
        extra = schema.get("additionalProperties", bool(path or not properties))
        found: list[str] = []
        for name in _list(schema, "required"):
            if isinstance(name, str) and name not in value:
                found.append(f"{_join(path, name)} is missing; expected {_shown(properties.get(name, {}))}")
        for name, item in value.items():
            if name in properties:
                found += self.problems(properties[name], item, _join(path, name))
            elif extra is False:
                found.append(f"{_join(path, name)} is unknown; expected only: {', '.join(properties) or 'nothing'}")
            else:
                found += self.problems(extra, item, _join(path, name))
        return found

    def _array(self, schema: Mapping[str, Any], value: list[Any], path: str) -> list[str]:
        items = schema.get("items")
        if not isinstance(items, Mapping):
            return []
        return [problem for i, item in enumerate(value) for problem in self.problems(items, item, _join(path, str(i)))]

    def _resolved(self, reference: str) -> Any:
        """What `#/$defs/Name` points to; anything else allows everything."""
        found: Any = self._root
        for step in reference.removeprefix("#/").split("/"):
            found = cast("Mapping[str, Any]", found).get(step) if isinstance(found, Mapping) else None
        return found


def _fits_type(expected: object, value: Any) -> bool:
    names = cast("list[object]", expected if isinstance(expected, list) else [expected])
    return any(not isinstance(name, str) or name not in _TYPES or _TYPES[name](value) for name in names) or not names


def _limit_problems(schema: Mapping[str, Any], value: Any, where: str) -> list[str]:
    def limit(keyword: str) -> float | None:
        given = schema.get(keyword)
        return given if isinstance(given, _NUMBER) and not isinstance(given, bool) else None

    found: list[str] = []
    if isinstance(value, _NUMBER) and not isinstance(value, bool):
        if (low := limit("minimum")) is not None and value < low:
            found.append(f"{where}: expected at least {low}, got {_shown(value)}")
        if (high := limit("maximum")) is not None and value > high:
            found.append(f"{where}: expected at most {high}, got {_shown(value)}")
        if (low := limit("exclusiveMinimum")) is not None and value <= low:
            found.append(f"{where}: expected more than {low}, got {_shown(value)}")
        if (high := limit("exclusiveMaximum")) is not None and value >= high:
            found.append(f"{where}: expected less than {high}, got {_shown(value)}")
    elif isinstance(value, (str, list, tuple)):
        kind, unit = ("Length", "characters") if isinstance(value, str) else ("Items", "items")
        size = len(cast("str | list[Any]", value))
        if (low := limit(f"min{kind}")) is not None and size < low:
            found.append(f"{where}: expected at least {low} {unit}, got {size}")
        if (high := limit(f"max{kind}")) is not None and size > high:
            found.append(f"{where}: expected at most {high} {unit}, got {size}")
    return found


def _same(value: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, but not true."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _list(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    given = schema.get(keyword)
    return cast("list[Any]", given) if isinstance(given, list) else []


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _type_names(expected: Any) -> str:
    return " or ".join(cast("list[str]", expected)) if isinstance(expected, list) else str(expected)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 200 else text[:199] + "…"
