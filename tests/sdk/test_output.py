"""Structured output: what fits becomes a value of the type, what does not says why."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import pytest

from ambidex.errors import InvalidRequest, OutputInvalid
from ambidex.output import json_schema, validate


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Paint:
    color: Color
    liters: float
    notes: list[str] = dataclasses.field(default_factory=list[str])


@pytest.mark.parametrize(
    ("text", "output", "value"),
    [
        ("3", int, 3),
        (' {"a": [1, 2]}\n', dict[str, list[int]], {"a": [1, 2]}),
        ('```json\n{"color": "red", "liters": 2}\n```', Paint, Paint(Color.RED, 2.0)),
        ('"quoted"', str, "quoted"),
        ("plain words", str, "plain words"),
        ("12", str, "12"),
        ("null", int | None, None),
    ],
)
def test_what_fits_becomes_a_value(text: str, output: Any, value: object) -> None:
    assert validate(text, output) == value


@pytest.mark.parametrize(
    ("text", "output", "words"),
    [
        ("the color is red", Paint, "not the JSON"),
        ('{"color": "green", "liters": 1}', Paint, "color"),
        ('{"color": "red"}', Paint, "liters"),
        ('{"color": "red", "color": "blue", "liters": 1}', Paint, "color"),
        ("[1, 2", list[int], "JSON"),
        ("NaN", float, "JSON"),
        ("", int, "JSON"),
    ],
)
def test_what_does_not_fit_says_why(text: str, output: Any, words: str) -> None:
    with pytest.raises(OutputInvalid, match=words) as caught:
        validate(text, output)
    assert caught.value.problems


def test_the_schema_is_pydantics() -> None:
    schema = json_schema(Paint)
    assert schema["required"] == ["color", "liters"]


def test_a_type_without_a_schema_is_refused() -> None:
    class Opaque:
        pass

    with pytest.raises(InvalidRequest, match="output takes a type"):
        json_schema(Opaque)
