"""What a schema lets a model write fits what Python reads."""

from __future__ import annotations

import calendar
import re

import pytest

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
