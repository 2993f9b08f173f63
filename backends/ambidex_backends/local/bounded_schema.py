"""A JSON schema with bounds where it has none, so that no model can write digits, keys or depth without end.

Numbers stay within 10^18 and get no exponent, an object that names its properties, or says how their names look, has
no others, and what may be anything is a scalar, or a list or an object of scalars. Dates and times are those that
Python has: no year 0, no leap second, a 29th of February in leap years only. What fits the result fits the schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_NUMBER = 10**18
NEXT_TO_ZERO = 1e-30
"""The true one has more digits than a pattern can take."""

_NUMBERS = [{"type": kind, "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER} for kind in ("integer", "number")]
_SCALARS: list[dict[str, Any]] = [{"type": "string"}, *_NUMBERS, {"type": "boolean"}, {"type": "null"}]
_SCALAR = {"anyOf": _SCALARS}
_ANYTHING = {
    "anyOf": [*_SCALARS, {"type": "array", "items": _SCALAR}, {"type": "object", "additionalProperties": _SCALAR}]
}
_BOUNDS = (("minimum", "exclusiveMinimum", -MAX_NUMBER), ("maximum", "exclusiveMaximum", MAX_NUMBER))
_YEAR = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_FOURTH = "(0[48]|[2468][048]|[13579][26])"
_DATE = f"({_YEAR}-(0[13-9]|1[0-2]|02-([01]|2[0-8]))|([0-9]{{2}}{_FOURTH}|{_FOURTH}00)-02-29)"
_TIME = "[0-9]{2}:[0-9]{2}:[0-5]"
_DURATION = "[^0-9]*([0-9]{1,6}[^0-9]+)*$"  # a timedelta has less than 10^9 days
_PATTERNS = {
    "date": f"^{_DATE}",
    "date-time": f"^{_DATE}[-0-9]*T{_TIME}",
    "time": f"^{_TIME}",
    "duration": f"^{_DURATION}",
}
"""How a text of a format begins, or is, beside what the format itself says."""

_BY_NAME = {"properties", "patternProperties", "$defs", "definitions"}
_INSIDE = {"items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf"}
_SAYS_SOMETHING = {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "properties", "not", "if"}


def bounded(schema: Mapping[str, Any], *, is_part: bool = False) -> dict[str, Any]:
    """The schema with its bounds; the given one is left as it is. `is_part`: of an `allOf`, whose parts must agree."""
    if not _SAYS_SOMETHING & set(schema):
        return {**schema, **_ANYTHING}
    held = {name: _inside(name, value) for name, value in schema.items()}
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "number" in kinds or "integer" in kinds:
        for bound, exclusive, value in _BOUNDS:
            if exclusive not in schema:
                held.setdefault(bound, value)
    if "number" in kinds:
        _close(held)
    form = schema.get("format")
    if isinstance(form, str) and form in _PATTERNS and not {"pattern", "enum", "const"} & set(schema):
        held["pattern"] = _PATTERNS[form]
    if "array" in kinds and "items" not in schema and "prefixItems" not in schema:
        held["items"] = _ANYTHING
    is_open = schema.get("additionalProperties", True) is True and not is_part and "allOf" not in schema
    if "object" in kinds and is_open:
        held["additionalProperties"] = False if {"properties", "patternProperties"} & set(schema) else _ANYTHING
    return held


def _close(held: dict[str, Any]) -> None:
    """An exclusive bound becomes a number next to it where llguidance forgets that it is exclusive: a whole one, if the
    other bound is less than 1 further from 0, as in what is above 3 and at most 3.75."""
    numbers = {name: held[name] for pair in _BOUNDS for name in pair[:2] if _is_number(held.get(name))}
    least = max((numbers[name] for name in ("minimum", "exclusiveMinimum") if name in numbers), default=-math.inf)
    most = min((numbers[name] for name in ("maximum", "exclusiveMaximum") if name in numbers), default=math.inf)
    if most >= least + 1:
        return
    if least == numbers.get("exclusiveMinimum") and 0 <= least <= MAX_NUMBER and least % 1 == 0:
        held["minimum"] = least + (4 * math.ulp(least) if least else NEXT_TO_ZERO)  # read with an error of its own
        del held["exclusiveMinimum"]
    if most == numbers.get("exclusiveMaximum") and -MAX_NUMBER <= most <= 0 and most % 1 == 0:
        held["maximum"] = most - (4 * math.ulp(most) if most else NEXT_TO_ZERO)
        del held["exclusiveMaximum"]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _inside(name: str, value: Any) -> Any:
    if name in _BY_NAME and isinstance(value, Mapping):
        return {key: _one(item) for key, item in value.items()}
    if name in _INSIDE:
        return [_one(item, name == "allOf") for item in value] if isinstance(value, list) else _one(value)
    return value


def _one(item: Any, is_part: bool = False) -> Any:
    if item is True:
        return _ANYTHING
    return bounded(item, is_part=is_part) if isinstance(item, Mapping) else item
