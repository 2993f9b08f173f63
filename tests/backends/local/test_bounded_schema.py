"""What a schema lets a model write fits what Python reads."""

from __future__ import annotations

import calendar
import json
import random
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter
from tests.bench.models import POCKET

from ambidex_backends.local.bounded_schema import bounded


def fits(kind: str, text: str) -> bool:
    return re.match(bounded({"type": "string", "format": kind})["pattern"], text) is not None


def test_dates_are_those_of_the_calendar() -> None:
    for year in range(10_000):
        assert fits("date", f"{year:04d}-02-29") == (year > 0 and calendar.isleap(year)), year
    for year in (0, 1, 10, 100, 2023, 9999):
        for month in range(1, 13):
            for day in range(1, 29):
                assert fits("date", f"{year:04d}-{month:02d}-{day:02d}") == (year > 0)


@pytest.mark.parametrize("kind", ["time", "date-time"])
def test_there_is_no_leap_second(kind: str) -> None:
    day = "2024-02-29T" if kind == "date-time" else ""
    assert fits(kind, f"{day}23:59:59Z")
    assert fits(kind, f"{day}00:00:00.5+01:00")
    assert not fits(kind, f"{day}10:00:60Z")
    assert not fits("date-time", "2023-02-29T10:00:00Z")
    assert not fits("date-time", "0000-01-01T10:00:00Z")


def test_a_pattern_or_values_of_its_own_are_left() -> None:
    for more in ({"pattern": "^1"}, {"enum": ["2024-01-01"]}, {"const": "2024-01-01"}):
        schema = {"type": "string", "format": "date", **more}
        assert bounded(schema) == schema


def lets(schema: dict[str, Any]) -> Callable[[str], bool]:
    """Whether a grammar of the schema lets a text through."""
    import llguidance.hf
    from transformers import PreTrainedTokenizerFast

    tokenizer = llguidance.hf.from_tokenizer(PreTrainedTokenizerFast.from_pretrained(POCKET))
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(bounded(schema)))
    start = llguidance.LLMatcher(tokenizer, grammar)

    def through(text: str) -> bool:
        matcher, ids = start.deep_copy(), tokenizer.tokenize_str(text)
        return bool(matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting())

    return through


def test_names_that_must_match_a_pattern_do() -> None:
    through = lets(TypeAdapter(dict[Annotated[str, Field(pattern="^[a-z]$")], int]).json_schema())
    assert through('{"a":1,"b":2}')
    assert through("{}")
    assert not through('{"aa":1}')
    assert not through('{"A":1}')
    named = lets({"type": "object", "properties": {"AB": {}}, "patternProperties": {"^[a-z]$": {"type": "integer"}}})
    assert named('{"AB":"x","b":2}')
    assert not named('{"CD":1}')


BOUNDS = [(0, 0.5), (3, 3.75), (0.25, 0.5), (-0.5, 0), (-3.75, -3), (-0.25, 0.5), (0, 1), (1, 2.5), (0, 1e-7), (0.5, 1)]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("keywords", [("gt", "le"), ("ge", "lt"), ("gt", "lt"), ("ge", "le")], ids="-".join)
def test_numbers_stay_within_their_bounds(bounds: tuple[float, float], keywords: tuple[str, str]) -> None:
    held: dict[str, Any] = dict(zip(keywords, bounds, strict=True))
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[float, Field(**held)])
    through = lets(adapter.json_schema())
    least, most = bounds
    inside = 0
    for value in (least, most, (least + most) / 2, least + (most - least) / 100, least - 0.25, most + 0.25):
        for text in (f"{value:f}", f"{value:.9f}", f"{value:.1f}", f"{value:.0f}", f"{value:.12f}"):
            if through(text):
                assert least <= adapter.validate_json(text) <= most
                inside += 1
    assert inside


def test_bounds_that_are_no_numbers_of_ours_are_left() -> None:
    for bound in (10**400, float("inf"), float("nan"), True, "3"):
        for other in (bound, 0, 0.5, -(10**400)):
            schema = {"type": "number", "exclusiveMinimum": bound, "maximum": other}
            assert bounded(schema) == schema


@pytest.mark.parametrize("form", ["uri", [], {}, 5, None])
def test_another_format_is_left(form: Any) -> None:
    assert bounded({"type": "string", "format": form}) == {"type": "string", "format": form}


@pytest.mark.parametrize(("kind", "read"), [("date", date), ("date-time", datetime), ("time", time)])
def test_what_a_grammar_lets_through_python_reads(kind: str, read: type) -> None:
    """The patterns together with what llguidance makes of the formats."""
    through = lets({"type": "string", "format": kind})
    adapter: TypeAdapter[Any] = TypeAdapter(read)
    draw = random.Random(0)
    let_through = 0
    for _ in range(1000):
        year = draw.choice([0, 1, 4, 100, 400, 1900, 2000, 2023, 2024, 9999])
        day = f"{year:04d}-{draw.choice([2, 2, 4, 12, 13]):02d}-{draw.choice([0, 1, 19, 28, 29, 30, 31]):02d}"
        hour = f"{draw.choice([0, 9, 23, 24]):02d}:{draw.choice([0, 59, 60]):02d}:{draw.choice([0, 59, 60]):02d}"
        hour += draw.choice(["", "Z", ".5Z", "+23:59"])
        text = json.dumps({"date": day, "date-time": f"{day}T{hour}", "time": hour}[kind])
        if through(text):
            adapter.validate_json(text)
            let_through += 1
    assert let_through > 50


def test_durations_are_those_that_a_timedelta_can_be() -> None:
    through = lets({"type": "string", "format": "duration"})
    adapter: TypeAdapter[Any] = TypeAdapter(timedelta)
    let_through = 0
    for shape in (
        "P{}D",
        "P{}W",
        "P1Y{}M",
        "P{}Y{}M{}D",
        "PT{}H",
        "PT{}M5S",
        "P1DT{}S",
        "P{}Y{}M{}DT{}H{}M{}S",
        "P{}YT{}H",
    ):
        for count in (0, 1, 12, 99, 999_999, 1_000_000, 999_999_999, 99_999_999_999_999):
            text = json.dumps(shape.replace("{}", str(count)))
            if through(text):
                adapter.validate_json(text)
                let_through += 1
            assert through(text) <= (count < 1_000_000)
    assert let_through > 30
