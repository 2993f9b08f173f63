"""What a schema lets a model write fits what Python reads."""

from __future__ import annotations

import calendar
import json
import random
import re
from datetime import date, datetime, time
from typing import Any

import pytest
from pydantic import TypeAdapter
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


@pytest.mark.parametrize("form", ["uri", [], {}, 5, None])
def test_another_format_is_left(form: Any) -> None:
    assert bounded({"type": "string", "format": form}) == {"type": "string", "format": form}


@pytest.mark.parametrize(("kind", "read"), [("date", date), ("date-time", datetime), ("time", time)])
def test_what_a_grammar_lets_through_python_reads(kind: str, read: type) -> None:
    """The patterns together with what llguidance makes of the formats."""
    import llguidance.hf
    from transformers import PreTrainedTokenizerFast

    tokenizer = llguidance.hf.from_tokenizer(PreTrainedTokenizerFast.from_pretrained(POCKET))
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(bounded({"type": "string", "format": kind})))
    adapter: TypeAdapter[Any] = TypeAdapter(read)
    draw = random.Random(0)
    let_through = 0
    for _ in range(1000):
        year = draw.choice([0, 1, 4, 100, 400, 1900, 2000, 2023, 2024, 9999])
        day = f"{year:04d}-{draw.choice([2, 2, 4, 12, 13]):02d}-{draw.choice([0, 1, 19, 28, 29, 30, 31]):02d}"
        hour = f"{draw.choice([0, 9, 23, 24]):02d}:{draw.choice([0, 59, 60]):02d}:{draw.choice([0, 59, 60]):02d}"
        hour += draw.choice(["", "Z", ".5Z", "+23:59"])
        text = json.dumps({"date": day, "date-time": f"{day}T{hour}", "time": hour}[kind])
        matcher = llguidance.LLMatcher(tokenizer, grammar)
        ids = tokenizer.tokenize_str(text)
        if matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting():
            adapter.validate_json(text)
            let_through += 1
    assert let_through > 50
