"""Structured output: what fits becomes a value of the type, what does not says why."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable
from typing import Annotated, Any

import pydantic
import pytest

from ambidex.errors import InvalidRequest, OutputInvalid
from ambidex.grammar import Regex
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


class NeedsAnotherPackage:
    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> Any:
        raise ImportError("email-validator is not installed")


class Unfinished(pydantic.BaseModel):
    later: Nowhere  # type: ignore[name-defined]  # noqa: F821  # it is the point  # pyright: ignore


class Lazy(pydantic.BaseModel):
    items: Iterable[int]


@dataclasses.dataclass
class Endless:
    limit: float = float("inf")


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (NeedsAnotherPackage, "email-validator is not installed"),
        (Annotated[str, pydantic.Field(pattern="^(?!a)")], "look-around"),
        (Unfinished, "Unfinished"),
        (list[Lazy], r"Lazy has an Iterable.*list\[\.\.\.\]"),
        (Endless, "JSON"),
    ],
)
def test_whatever_a_type_raises_while_it_is_read_is_our_error(output: Any, says: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"(?s)output takes a type.*{says}"):
        json_schema(output)


@dataclasses.dataclass
class Careful:
    n: int

    def __post_init__(self) -> None:
        raise RuntimeError("not this one")


def test_what_a_type_s_own_code_raises_is_told_as_a_misfit() -> None:
    with pytest.raises(OutputInvalid, match="RuntimeError: not this one") as caught:
        validate('{"n": 1}', Careful)
    assert caught.value.problems == ("RuntimeError: not this one",)
    with pytest.raises(OutputInvalid, match="constraint 'gt'"):
        validate("[1]", Annotated[list[int], pydantic.Field(gt=3)])


def test_every_item_of_an_iterable_is_checked() -> None:
    assert validate("[1, 2]", Iterable[int]) == [1, 2]
    assert validate('{"a": [[1]]}', dict[str, Iterable[Iterable[int]]]) == {"a": [[1]]}
    with pytest.raises(OutputInvalid, match=r"1: Input should be a valid integer"):
        validate('[1, "q"]', Iterable[int] | None)


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("[0-9]{3}", "123", "1234"),
        ("a|b", "b", "ab"),
        ("a+", "aa", "aa\n"),
        ("(?x) a  # one letter", "a", "b"),
        ("(a*)*b", "aab", "a" * 100_000),
    ],
)
def test_a_text_held_to_a_pattern_matches_it_as_a_whole(pattern: str, fits: str, does_not: str) -> None:
    assert validate(fits, Regex(pattern)) == fits
    with pytest.raises(OutputInvalid, match="does not match"):
        validate(does_not, Regex(pattern))
