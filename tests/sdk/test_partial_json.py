"""JSON as it comes: what is certain so far, however the text is cut, never more than is there, in linear time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex.partial_json import MAX_DEPTH, PartialJson

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside, max_size=4),
    max_leaves=12,
)


def values(pieces: list[str]) -> list[Any]:
    partial = PartialJson()
    return [partial.value for piece in pieces if partial.feed(piece)]


def is_beginning(part: Any, whole: Any) -> bool:
    """Whether `part` is what a reader may have seen of `whole`."""
    if isinstance(whole, str):
        return isinstance(part, str) and whole.startswith(part)
    if isinstance(whole, list):
        return (
            isinstance(part, list)
            and len(part) <= len(whole)
            and all(
                is_beginning(a, b) if i == len(part) - 1 else a == b
                for i, (a, b) in enumerate(zip(part, whole, strict=False))
            )
        )
    if isinstance(whole, dict):
        keys = list(whole)[: len(part)] if isinstance(part, dict) else []
        return (
            isinstance(part, dict) and list(part) == keys and all(is_beginning(part[key], whole[key]) for key in keys)
        )
    return bool(part == whole) and type(part) is type(whole)


@given(JSON, st.booleans(), st.sampled_from([None, 1]), st.data())
def test_every_value_is_a_beginning_of_the_whole(
    whole: Any, ascii_only: bool, indent: int | None, data: st.DataObject
) -> None:
    text = json.dumps(whole, ensure_ascii=ascii_only, indent=indent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    partial = PartialJson()
    for piece in pieces:
        if partial.feed(piece):
            assert is_beginning(partial.value, whole)
    if isinstance(whole, (str, list, dict)):
        assert partial.value == whole
    by_letter = PartialJson()
    for letter in text:
        by_letter.feed(letter)
    assert by_letter.value == partial.value


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (['{"na', 'me": "O', 's", "at": 5', "9}"], [{}, {"name": "O"}, {"name": "Os"}, {"name": "Os", "at": 59}]),
        (["[1", "2, tr", "ue]"], [[], [12], [12, True]]),
        (["Here it is: {}"], []),
        (["``", "`json\n", '{"a"', ": 1}\n```"], [{}, {"a": 1}]),
        (['["\\ud83d', '\\ude00"', "]"], [[""], ["\U0001f600"], ["\U0001f600"]]),
        (['["\\ud83d', 'x"]'], [[""], ["\ufffdx"]]),
        (['["a', "\\", 'n"]'], [["a"], ["a\n"]]),
        (['{"a": 1}', " and more"], [{"a": 1}]),
        (['{"a": [1}', "]}"], [{"a": [1]}]),
        (["12", "3"], []),
    ],
)  # fmt: skip
def test_what_is_certain_so_far(pieces: list[str], expected: list[Any]) -> None:
    assert values(pieces) == expected


def test_a_value_that_was_given_does_not_change() -> None:
    partial = PartialJson()
    partial.feed('{"a": [1, ')
    before = partial.value
    partial.feed('2], "b": "x"}')
    assert (before, partial.value) == ({"a": [1]}, {"a": [1, 2], "b": "x"})


@given(st.text(alphabet='{}[]":,\\u0019adtrue \n`', max_size=40))
def test_no_text_is_an_error(text: str) -> None:
    values(list(text))


def test_deep_and_long_texts_end() -> None:
    partial = PartialJson()
    partial.feed("[" * 100_000)
    depth, value = 0, partial.value
    while value:
        depth, value = depth + 1, value[0]
    assert depth < MAX_DEPTH

    def seconds(items: int) -> float:
        text = json.dumps(["word " * 3] * items)
        partial, start = PartialJson(), time.thread_time()
        for at in range(0, len(text), 4):
            if partial.feed(text[at : at + 4]):
                _ = partial.value
        assert partial.value == json.loads(text)
        return time.thread_time() - start

    seconds(100)
    assert seconds(16_000) < 16 * 5 * seconds(1_000)
