"""The small checker of JSON schemas, and that no schema keeps it from ending."""

from __future__ import annotations

from typing import Any

import pytest

from ambidex.schema_check import schema_problems


def schema_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 2.0, -3], ["1", 1.5, True, None]),
        ({"type": "float"}, [1, 1.5], ["1", True]),
        ({"type": ["string", "null"]}, ["", None], [1]),
        ({"type": "dict"}, [{}], [[]]),
        ({"type": "any"}, [1, None, "x"], []),
        ({"enum": ["a", 1]}, ["a", 1, 1.0], ["b", True]),
        ({"const": 0}, [0], [False, 1]),
        ({"type": "string", "minLength": 1, "maxLength": 2}, ["a"], ["", "abc"]),
        ({"minimum": 1, "exclusiveMaximum": 3}, [1, 2.9, "text"], [0, 3]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1}, [[1]], [[], ["a"]]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, [1, None], ["a"]),
        ({"allOf": [{"type": "integer"}, {"minimum": 2}]}, [2], [1]),
        ({"type": "string", "nullable": True}, ["", None], [1]),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
            [{}, {"a": 1}],
            [{"b": 1}],
        ),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, [{"b": 1}], [{"b": "1"}]),
    ],
)
def test_each_keyword(schema: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert schema_problems(schema_of(x=schema), {"x": value}) == [], value
    for value in bad:
        problems = schema_problems(schema_of(x=schema), {"x": value})
        assert problems, value
        assert all("x" in problem for problem in problems)


def test_references_are_followed() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#/$defs/tree"}}, "additionalProperties": False}
    schema = {**schema_of(tree={"$ref": "#/$defs/tree"}), "$defs": {"tree": tree}}
    assert schema_problems(schema, {"tree": {"next": {"next": {}}}}) == []
    assert schema_problems(schema, {"tree": {"next": {"other": 1}}}) == [
        "tree.next.other is unknown; expected only: next"
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        {"$ref": "#/$defs/loop"},
        {"$ref": "https://example.com/schema"},
        {"$ref": 5},
        {"type": 5},
        {"type": []},
        {"type": {"a": 1}},
        {"type": "no such type"},
        {"enum": "abc"},
        {"required": "abc"},
        {"required": [1, None]},
        {"properties": []},
        {"items": [1]},
        {"anyOf": {}},
        {"anyOf": []},
        {"minimum": "1"},
        {"maxLength": True},
        {"pattern": "(a+)+$"},
        {"format": "regex"},
        {"additionalProperties": "no"},
        {"allOf": [{"$ref": "#/$defs/wide"}]},
        True,
        None,
        "string",
    ],
)
def test_hostile_schemas_end_in_a_list(hostile: Any) -> None:
    loop = {"$ref": "#/$defs/loop"}
    wide = {"anyOf": [{"$ref": "#/$defs/wide"}] * 50}
    schema = {**schema_of(x=hostile), "$defs": {"loop": loop, "wide": wide}}
    for value in ("a" * 10_000, {"a": 1}, [1, 2], None, 5):
        assert isinstance(schema_problems(schema, {"x": value}), list)
