"""Lenient JSON: strict text comes out unchanged, what it repairs is strict JSON, whatever the cuts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex.formats.lenient_json import LenientReader, strict_object

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text(), values, max_size=4)


@given(objects, st.booleans(), st.sampled_from([None, 2]))
def test_strict_json_is_unchanged(value: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert strict_object(text) == (text, False)


@given(objects)
def test_python_s_repr_is_repaired(value: dict[str, Any]) -> None:
    read = strict_object(repr(value))
    if read is not None:  # repr escapes some characters as JSON cannot, \x00 for one: those are not guessed
        assert json.loads(read[0]) == value or "\\x" in repr(value) or "\\U" in repr(value)


@given(st.text(alphabet="{}[]\"',:\\/*# \nab1-.eTrueNoNn\x00é😀"))
def test_whatever_comes_out_is_json(text: str) -> None:
    read = strict_object("{" + text)
    if read is not None:
        assert isinstance(json.loads(read[0], strict=True), dict)


@given(st.text(alphabet="{}[]\"',:\\/*# \nab1-.eTrue"))
def test_piece_by_piece_is_the_same(text: str) -> None:
    whole, parts = LenientReader(), LenientReader()
    whole.feed(text, 0, len(text))
    for i in range(len(text)):
        parts.feed(text, i, i + 1)
    assert (whole.complete, whole.repaired, whole.problem) == (parts.complete, parts.repaired, parts.problem)
    assert "".join(f.text for f in whole.fragments) == "".join(f.text for f in parts.fragments)


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[1]", '"a"', "1", "", '{"a": }', '{"a" 1}', '{"a": 1 "b": 2}', '{"a": undefined}', '{"a": 1}}'),
        *('{"a": 0x1}', '{"a": +1}', '{"a": .5}', '{"a": 1.}', '{"a": --1}', '{"a": NaN}', '{"a": Infinity}'),
        *("{,}", '{"a": 1,,}', "[,]", '{"a": [1,,2]}', '{"a": 1]', '{"a": \\u12}', '{"a": "\\u12g4"}', "{1: 2}"),
        *('{"a": open("x")}', '{"a": (1,)}', '{"a": {1, 2}}', '{"a": "x" + "y"}', '{"a": b"x"}', '{"a": 1_000}'),
    ],
)
def test_what_would_be_a_guess_is_refused(text: str) -> None:
    assert strict_object(text) is None
