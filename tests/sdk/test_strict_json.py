"""The strict reader agrees with the standard one on plain JSON, and refuses what is ambiguous or unbounded."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex.strict_json import StrictJSONError, loads

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_reads_whatever_json_writes(value: Any) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "b": 2, "b": 3}', "'b' stands twice"),
        ('[{"x": {"a": 1, "a": 1}}]', "'a' stands twice"),
        ("NaN", "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("1e999", "too large"),
        ("9" * 4301, "digits"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ("[" * 500_000, "deeper than 64"),
        ('{"a": 1} {"b": 2}', "Extra data"),
        ('{"a": 1}x', "Extra data"),
        ("", "Expecting value"),
        ("{'a': 1}", "Expecting property name"),
        ('{"a": 1', "Expecting ',' delimiter"),
        ('"a\nb"', "control character"),
        (b'"\xff"', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM|Expecting value"),
    ],
)
def test_refuses(text: str | bytes, says: str) -> None:
    with pytest.raises(StrictJSONError, match=says):
        loads(text)


def test_brackets_inside_strings_are_not_depth() -> None:
    text = json.dumps(["[{" * 100 + '\\"', {"a": '"[' * 100}])
    assert loads(text) == json.loads(text)
    assert loads("[" * 64 + "]" * 64) == json.loads("[" * 64 + "]" * 64)


def test_the_depth_check_is_linear() -> None:
    hostile = '"\\"[' * 300_000
    began = time.monotonic()
    with pytest.raises(StrictJSONError):
        loads(hostile)
    assert time.monotonic() - began < 5
