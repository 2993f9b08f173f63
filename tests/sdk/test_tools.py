"""Tools: what is refused, what a function becomes, what its results become."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import MethodType
from typing import Any

import pydantic
import pytest

from ambidex.errors import InvalidRequest, ToolArgumentsInvalid, ToolFailed
from ambidex.messages import Image, Text
from ambidex.tools import Tool, as_tools, result_parts, tool

OBJECT: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@tool
def weather(city: str, days: int = 1) -> str:
    """Forecast for a city."""
    return f"{city}: {days} days of sun"


@tool(name="look up", description="Finds things.")
async def lookup(query: str) -> str:
    """Not this."""
    return query.upper()


def test_a_tool_is_still_the_function() -> None:
    assert weather("Oslo", days=2) == "Oslo: 2 days of sun"
    assert list(inspect.signature(weather).parameters) == ["city", "days"]
    assert asyncio.run(lookup("x")) == "X"
    assert (weather.is_async, lookup.is_async) == (False, True)


def test_names_and_descriptions() -> None:
    assert (weather.name, weather.description) == ("weather", "Forecast for a city.")
    assert (lookup.name, lookup.description) == ("look up", "Finds things.")


def test_openai_s_dict_is_a_fresh_copy() -> None:
    first = weather.to_openai()
    first["function"]["parameters"]["properties"].clear()
    assert set(weather.to_openai()["function"]["parameters"]["properties"]) == {"city", "days"}


def test_openai_s_dict_makes_the_same_tool_again() -> None:
    again = Tool.from_openai(weather.to_openai())
    assert again.to_openai() == weather.to_openai()
    with pytest.raises(InvalidRequest, match="without a function"):
        again("Oslo")


class Garden:
    def __init__(self, plants: int) -> None:
        self.plants = plants

    @tool
    def grow(self, more: int) -> int:
        """Plants more."""
        return self.plants + more

    @tool
    @staticmethod
    def water(liters: float) -> float:
        return liters * 2


def test_a_method_is_bound_to_its_object() -> None:
    grow = Garden(3).grow
    assert isinstance(grow, Tool)
    assert grow(more=2) == 5
    assert set(grow.parameters["properties"]) == {"more"}
    assert grow.description == "Plants more."
    assert Garden(3).water(1.5) == 3.0
    assert as_tools([Garden(1).grow, Garden.water])[1].name == "water"


class Seeds:
    kind = "beans"

    @classmethod
    @tool(name="sow_now")
    def sow(cls, rows: int) -> str:
        """Sows."""
        return f"{rows} rows of {cls.kind}"

    @tool
    @classmethod
    def reap(cls, rows: int) -> str:
        return f"{rows} rows of {cls.kind}"


class Peas(Seeds):
    kind = "peas"


@pytest.mark.parametrize(
    "made", [Peas.sow, Peas().sow, Peas.reap, Peas().reap, MethodType(vars(Seeds)["sow"].__func__, Peas)]
)
def test_a_method_of_a_class_is_bound_to_the_class(made: Any) -> None:
    (bound,) = as_tools([made])
    assert list(bound.parameters["properties"]) == ["rows"]
    assert bound(**bound.bind({"rows": 2})) == "2 rows of peas"
    assert bound.name in ("sow_now", "reap")


def test_a_method_without_its_object_is_refused() -> None:
    for made in (Garden.grow, Doubles.__call__, vars(Seeds)["reap"]):
        with pytest.raises(
            InvalidRequest, match=r"\w+\.\w+ is a method without its (object|class): give instance\.\w+"
        ):
            as_tools([made])


class Doubles:
    def __call__(self, n: int) -> int:
        return n * 2


def positional(a: int, /) -> int:
    return a


def several(*items: int) -> int:
    return len(items)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("weather", "a sequence"),
        (weather, "a sequence"),
        (None, "a sequence"),
        ([3], "typed function"),
        ([Doubles], "instance or a function"),
        ([Doubles()], "has no name"),
        ([lambda x: x], "has no name"),
        ([weather, weather], "named 'weather'"),
        ([positional], "a has no name"),
        ([several], r"\*items"),
    ],
)
def test_what_is_no_list_of_tools_is_refused(given: Any, expected: str) -> None:
    with pytest.raises(InvalidRequest, match=expected):
        as_tools(given)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 129, "\u202egpj", 5])
def test_names_that_are_no_names(name: Any) -> None:
    with pytest.raises(InvalidRequest, match="non-empty printable"):
        Tool(name, "", OBJECT)


@pytest.mark.parametrize("name", ["x" * 128, "a.b-c d", "größe"])
def test_names_that_are(name: str) -> None:
    assert Tool(name, "", OBJECT).name == name


@pytest.mark.parametrize(
    "schema", [[], "object", {"type": "array"}, {"properties": []}, {"a": float("nan")}, {"a": {1, 2}}]
)
def test_what_is_no_schema_of_an_object_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidRequest, match="parameters of f"):
        Tool("f", "", schema)


def test_a_schema_given_by_hand_is_checked_against() -> None:
    declared = Tool("f", "", OBJECT, run=lambda city: city)
    assert declared.bind({"city": "Oslo"}) == {"city": "Oslo"}
    with pytest.raises(ToolArgumentsInvalid, match=r"(?s)city is missing.*town is unknown"):
        declared.bind({"town": "Oslo"})


def test_a_callable_object_runs() -> None:
    doubled = tool(name="double")(Doubles())
    assert doubled(**doubled.bind({"n": 4})) == 8


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date


class Model(pydantic.BaseModel):
    name: str


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ("", ""),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ({"größe": [1, None]}, '{"größe":[1,null]}'),
        (Point(1, datetime.date(2026, 1, 2)), '{"x":1,"when":"2026-01-02"}'),
        (Model(name="n"), '{"name":"n"}'),
        ([Model(name="n")], '[{"name":"n"}]'),
        ((1, 2), "[1,2]"),
    ],
)
def test_results_are_text_that_a_model_reads(value: object, expected: str) -> None:
    assert result_parts(value) == (Text(expected),)


def test_parts_pass() -> None:
    image = Image(b"png", media_type="image/png")
    assert result_parts(image) == (image,)
    assert result_parts(["see", image]) == (Text("see"), image)


def test_what_has_no_text_is_said() -> None:
    with pytest.raises(ToolFailed, match="Return a str"):
        result_parts(object())
    circular: list[object] = []
    circular.append(circular)
    with pytest.raises(ToolFailed):
        result_parts(circular)


def test_decorating_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom ambidex import tool\n"
        "@tool\ndef f(a: int) -> int:\n    '''Does.'''\n    return a\n"
        "assert f(1) == 1 and not {'pydantic', 'docstring_parser'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)


def test_types_defined_in_a_function_are_found() -> None:
    @dataclasses.dataclass
    class Local:
        n: int

    @tool
    def use(local: Local) -> int:
        return local.n

    bound = use.bind({"local": {"n": 3}})
    assert bound == {"local": Local(3)}
    assert use(**bound) == 3


def test_an_annotation_that_means_nothing_is_refused() -> None:
    @tool
    def use(value: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821  # it is the point  # pyright: ignore
        pass

    with pytest.raises(InvalidRequest, match=r"use cannot be a tool.*Nowhere"):
        _ = use.parameters


def test_an_annotation_without_a_schema_is_refused() -> None:
    @tool
    def use(value: Callable[[int], int]) -> None:
        pass

    with pytest.raises(InvalidRequest, match="use cannot be a tool"):
        _ = use.parameters
