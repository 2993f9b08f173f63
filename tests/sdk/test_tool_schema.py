"""The schema of a function's arguments, and the way from a model's JSON back to Python values."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import pydantic
import pytest
from typing_extensions import TypedDict

from ambidex.errors import InvalidRequest, ToolArgumentsInvalid
from ambidex.tools import tool


class Unit(enum.Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Place(TypedDict):
    city: str
    title: str


@dataclasses.dataclass
class Range:
    start: datetime.date
    days: int = 1


class Filter(pydantic.BaseModel):
    wet: bool
    inner: Filter | None = None


def google(city: str, unit: Unit = Unit.CELSIUS) -> str:
    """Forecast for a city.

    Only for today.

    Args:
        city: name in English
        unit (Unit): of the temperature

    Returns:
        A sentence.
    """
    return city


def numpy(city: str, unit: Unit = Unit.CELSIUS) -> str:
    """Forecast for a city.

    Only for today.

    Parameters
    ----------
    city : str
        name in English
    unit : Unit
        of the temperature
    """
    return city


def sphinx(city: str, unit: Unit = Unit.CELSIUS) -> str:
    """Forecast for a city.

    Only for today.

    :param city: name in English
    :param unit: of the temperature
    """
    return city


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_docstrings_of_three_styles_say_the_same(function: Callable[..., str]) -> None:
    made = tool(function)
    assert made.description == "Forecast for a city.\n\nOnly for today."
    assert made.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "name in English"},
            "unit": {
                "type": "string",
                "enum": ["celsius", "fahrenheit"],
                "description": "of the temperature",
                "default": "celsius",
            },
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_an_annotation_s_description_goes_first() -> None:
    @tool
    def f(
        a: Annotated[int, "from the annotation"],
        b: Annotated[int, pydantic.Field(description="from the field", ge=1)],
        c: int,
        d: int,
    ) -> None:
        """F.

        Args:
            a: no
            b: no
            c: from the docstring
        """

    described = {name: schema.get("description") for name, schema in f.parameters["properties"].items()}
    assert described == {"a": "from the annotation", "b": "from the field", "c": "from the docstring", "d": None}
    assert f.parameters["properties"]["b"]["minimum"] == 1


def test_a_field_as_default_counts_as_one_in_the_annotation() -> None:
    @tool
    def page(
        number: int = pydantic.Field(..., ge=1),
        size: int = pydantic.Field(10, le=50, description="rows"),
        tags: list[str] = pydantic.Field(default_factory=lambda: ["all"]),  # noqa: B008  # it is the point
    ) -> Any:
        """A page.

        Args:
            number: from 1
        """
        return number, size, tags

    assert page.parameters["properties"] == {
        "number": {"type": "integer", "minimum": 1, "description": "from 1"},
        "size": {"type": "integer", "maximum": 50, "description": "rows", "default": 10},
        "tags": {"type": "array", "items": {"type": "string"}},
    }
    assert page.parameters["required"] == ["number"]
    assert page(**page.bind({"number": 1})) == (1, 10, ["all"])
    with pytest.raises(ToolArgumentsInvalid, match=r"size: .*50.*got 999"):
        page.bind({"number": 1, "size": 999})


@tool
def plan(
    place: Place,
    span: Range,
    mode: Literal["fast", "slow"],
    filter: Filter | None = None,
    limit: int | str = 3,
    when: datetime.datetime | None = None,
    tags: tuple[str, ...] = (),
    anything: Any = None,
    schema: str = "",
    **ignored: object,
) -> Any:
    return locals()


def test_names_stay_and_titles_go() -> None:
    properties = plan.parameters["properties"]
    assert "title" in plan.parameters["$defs"]["Place"]["properties"]
    assert "title" not in plan.parameters
    assert all("title" not in schema for schema in properties.values())
    assert "schema" in properties
    assert "ignored" not in properties
    assert plan.parameters["required"] == ["place", "span", "mode"]
    assert properties["mode"]["enum"] == ["fast", "slow"]


@dataclasses.dataclass
class Settings:
    default: Unit
    title: str


@tool
def named_like_keywords(
    default: Unit,
    enum: Unit,
    const: Literal[Unit.CELSIUS],
    title: str,
    settings: Settings,
    examples: Unit | None = None,
) -> None:
    """Names that are JSON schema's own words."""


def test_arguments_may_be_named_like_the_words_of_a_schema() -> None:
    unit = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    properties = named_like_keywords.parameters["properties"]
    assert properties["default"] == properties["enum"] == properties["examples"]["anyOf"][0] == unit
    definitions = named_like_keywords.parameters["$defs"]
    assert definitions.keys() == {"Settings"}
    assert definitions["Settings"]["properties"] == {"default": unit, "title": {"type": "string"}}
    with pytest.raises(ToolArgumentsInvalid, match=r"default: .*'celsius'.*\n.*enum is missing"):
        named_like_keywords.bind({"default": "red"})


def test_arguments_are_rebuilt_to_their_types() -> None:
    given = {
        "place": {"city": "Oslo", "title": "x"},
        "span": {"start": "2026-01-02"},
        "mode": "fast",
        "filter": {"wet": True, "inner": {"wet": False}},
        "when": "2026-01-02T03:04:05Z",
        "tags": ["a", "b"],
        "anything": [1, {"b": None}],
    }
    bound = plan.bind(given)
    assert bound["span"] == Range(datetime.date(2026, 1, 2), 1)
    assert bound["filter"] == Filter(wet=True, inner=Filter(wet=False))
    assert bound["tags"] == ("a", "b")
    assert bound["when"].year == 2026
    assert "limit" not in bound
    assert plan(**bound)["limit"] == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, ["city is missing", "name in English"]),
        ({"city": "Oslo", "town": 1}, ["town is unknown", "city, unit"]),
        ({"city": "Oslo", "unit": "kelvin"}, ["unit: ", "'celsius'", '"kelvin"', '"enum"']),
        ({"city": ["Oslo"]}, ["city: ", '["Oslo"]', '"type": "string"']),
        ({"city": {"x": object()}}, ["not JSON"]),
    ],
)
def test_what_is_wrong_is_told_for_each_argument(arguments: dict[str, Any], says: list[str]) -> None:
    with pytest.raises(ToolArgumentsInvalid) as caught:
        tool(google).bind(arguments)
    assert "google" in caught.value.message
    assert all(text in caught.value.message for text in says), caught.value.message


def test_an_argument_given_beforehand_has_a_default() -> None:
    made = tool(name="in_celsius")(functools.partial(google, unit=Unit.CELSIUS))
    assert made.parameters["required"] == ["city"]
    assert made(**made.bind({"city": "Oslo"})) == "Oslo"


def test_a_default_that_json_cannot_say_is_left_out() -> None:
    def f(a: int = object()) -> None:  # type: ignore[assignment]  # it is the point  # pyright: ignore
        pass

    assert tool(f).parameters == {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "additionalProperties": False,
    }


def test_a_default_that_is_no_number_of_json_is_left_out() -> None:
    def wait(seconds: float = float("inf")) -> None:
        pass

    assert tool(wait).parameters["properties"] == {"seconds": {"type": "number"}}


def test_an_argument_may_have_an_alias_and_a_default() -> None:
    def f(x: Annotated[int, pydantic.Field(alias="why")] = 1) -> int:
        return x

    made = tool(f)
    assert made.parameters["properties"] == {"why": {"type": "integer"}}
    assert made(**made.bind({"why": 2})) == 2
    with pytest.raises(ToolArgumentsInvalid, match="x is unknown; the arguments are: why"):
        made.bind({"x": 2})


def test_every_item_of_an_iterable_is_checked() -> None:
    def total(numbers: Iterable[int], metadata: Iterable[int] = (), type: Iterable[int] = ()) -> int:
        return sum(numbers)

    assert tool(total).bind({"numbers": [1, 2]}) == {"numbers": [1, 2]}
    for name in ("metadata", "type"):  # which pydantic's own schema uses, too
        with pytest.raises(ToolArgumentsInvalid, match=rf"{name}\.0: "):
            tool(total).bind({"numbers": [1], name: ["q"]})
    with pytest.raises(ToolArgumentsInvalid, match=r"numbers\.1: .*got \"q\"; expected .*array"):
        tool(total).bind({"numbers": [1, "q"]})


class NeedsAnotherPackage:
    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> Any:
        raise ImportError("email-validator is not installed")


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (NeedsAnotherPackage, "email-validator is not installed"),
        (Annotated[str, pydantic.Field(pattern="^(?!a)")], "look-around"),
        ("1 / 0", "division by zero"),
        ("int |", "cannot be read"),
    ],
)
def test_whatever_an_annotation_raises_while_it_is_read_is_our_error(annotation: Any, says: str) -> None:
    def f(x: int) -> None:
        pass

    f.__annotations__["x"] = annotation
    with pytest.raises(InvalidRequest, match=rf"(?s)f cannot be a tool.*{says}"):
        _ = tool(f).parameters
    with pytest.raises(InvalidRequest, match=rf"(?s)f cannot be a tool.*{says}"):
        tool(f).bind({"x": 1})


def test_what_a_type_s_own_code_raises_is_told_to_the_model() -> None:
    def f(x: Annotated[list[int], pydantic.Field(gt=3)]) -> None:
        pass

    with pytest.raises(ToolArgumentsInvalid, match=r"TypeError: .*constraint 'gt'"):
        tool(f).bind({"x": [1]})


def test_no_arguments_are_an_empty_object() -> None:
    def f() -> int:
        return 1

    made = tool(f)
    assert made.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert made.bind({}) == {}
