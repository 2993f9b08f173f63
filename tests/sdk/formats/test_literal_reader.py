"""Literals as models write them: strict JSON comes out, the same however the text is cut."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex.formats.literal_reader import LiteralReader, literal_json

from .reading import cut


def read(text: str, **options: str) -> tuple[Any, bool]:
    """The value and whether it was repaired; the reason where there is none."""
    reader = LiteralReader(lambda text, at, final: at >= len(text) and final, **options)
    at = reader.read(text, 0, final=True)
    if not reader.complete or text[at:].strip():
        return reader.problem or "cut off", False
    return json.loads(reader.take()), reader.repaired


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_what_python_writes_is_read_as_it_was(value: Any) -> None:
    assert read(repr(value)) == (value, False)


@given(json_values)
def test_json_is_read_as_it_was(value: Any) -> None:
    assert read(json.dumps(value, ensure_ascii=False)) == (value, False)
    assert read(json.dumps(value)) == (value, False)


@pytest.mark.parametrize(
    ("text", "value", "repaired"),
    [
        ("'it\\'s \"so\"'", 'it\'s "so"', False),
        ('"""two\nlines"""', "two\nlines", False),
        ("'two\nlines'", "two\nlines", True),
        (
            r"'\d+ \x41 \101 \u00e9 \U0001F600 \
joined'",
            "\\d+ A A é 😀 joined",
            False,
        ),
        (r"r'\d'", "\\d", False),
        (r"'C:\path\new'", "C:\\path\new", False),
        ("'sed -n '1,2p' f'", "sed -n '1,2p' f", True),
        ("['it's', 'a, 'b'']", ["it's", "a, 'b'"], True),
        ("(1, 2)", [1, 2], False),
        ("('a')", "a", False),
        ("('a',)", ["a"], False),
        ("{'a', 'b'}", ["a", "b"], True),
        ("{}", {}, False),
        ("{'a': {'b': (1,)},}", {"a": {"b": [1]}}, False),
        ("{a: 1, b-c: 'x'}", {"a": 1, "b-c": "x"}, True),
        ("{1: 'a', True: 'b'}", {"1": "a", "true": "b"}, True),
        ("[true, None, null, False]", [True, None, None, False], False),
        ("07", 7, True),
        ("1_000", 1000, False),
        ("-.5", -0.5, False),
        ("5.", 5.0, False),
        ("+5", 5, False),
        ("0x1F", 31, False),
        ("00", 0, True),
        ("-0.0", -0.0, False),
        ("[1, # one\n 2 // two\n]", [1, 2], True),
        ("('one'\n'two')", "onetwo", False),
    ],
)
def test_what_models_write(text: str, value: Any, repaired: bool) -> None:
    assert read(text) == (value, repaired)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "f(1)",
            "2+2",
            "nan",
            "Infinity",
            "celsius",
            "[1 2]",
            "[1,,2]",
            "{'a' 1}",
            "{'a': }",
            "{'a': 1, 'b'}",
        ),
        *(
            "{'a', 'b': 1}",
            "'cut",
            "[1",
            "{'a': ",
            "1 2",
            "",
            "lambda: 0",
            "[" * 100 + "]" * 100,
            "'\\U00ffffff'",
            "f'{x}'",
        ),
        *("__import__('os')", "{[1]: 2}", "1j", "...", "--1", "1.2.3", "0x", "'a", '"""a', "[1)", "(1]"),
    ],
)
def test_what_is_no_literal_is_refused(text: str) -> None:
    assert literal_json(text) is None


literals = st.lists(
    st.sampled_from(
        [*"[](){},:'\"\\ \n#/=", "'a'", '"b"', "1", "07", "True", "null", "'''", '<|"|>', "key", "\\u00e9", "\\x4", "é"]
    ),
    max_size=14,
).map("".join)


@given(literals, st.lists(st.integers(min_value=0), max_size=6), st.sampled_from(["", '<|"|>']))
def test_however_the_text_is_cut_the_value_is_the_same(text: str, places: list[int], delimiter: str) -> None:
    def outcome(pieces: list[str]) -> tuple[str, bool, bool, str]:
        def follows(text: str, at: int, final: bool) -> bool | None:
            return None if at >= len(text) and not final else at >= len(text)

        reader = LiteralReader(follows, delimiter=delimiter)
        told, unread = "", ""
        for piece in pieces:
            unread += piece
            unread = unread[reader.read(unread, 0, final=False) :]
            told += reader.take()
        unread = unread[reader.read(unread, 0, final=True) :]
        return told + reader.take(), reader.complete, reader.repaired and reader.complete, unread * reader.complete

    assert outcome(list(text)) == outcome([text]) == outcome(cut(text, places))


@given(literals)
def test_where_python_reads_a_literal_of_json_the_value_is_pythons(text: str) -> None:
    try:
        value = ast.literal_eval(text)
        json.dumps(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return
    if "\n" not in text and not any(quote in text for quote in ("'", '"')):
        read_value, _ = read(text)
        assert read_value == json.loads(json.dumps(value)) or text.strip() != text or "{" in text


def test_a_string_in_the_formats_own_delimiter_has_no_escapes() -> None:
    assert read('{key:<|"|>a\\n"b\'}<|"|>,n:[1,<|"|>x<|"|>]}', delimiter='<|"|>') == (
        {"key": "a\\n\"b'}", "n": [1, "x"]},
        False,
    )


def test_an_outermost_string_is_told_as_it_comes() -> None:
    reader = LiteralReader(lambda text, at, final: text.startswith(")", at))
    assert reader.read("'one two", 0, final=False) == 8
    assert reader.take() == '"one two'
    assert reader.read(" three')", 0, final=False) == 7
    assert (reader.take(), reader.complete) == (' three"', True)


def test_time_is_linear_in_the_text() -> None:
    """Each place is looked at a bounded number of times, whatever the quotes."""
    for piece in ("'a ", "' ", "[", "'\\", "''", '"', "{'a':", "'a',", "x", "1", "#"):
        looked = [0]

        def follows(text: str, at: int, final: bool, looked: list[int] = looked) -> bool | None:
            looked[0] += 1
            return None if at >= len(text) and not final else False

        text = "'" + piece * 2000
        reader = LiteralReader(follows)
        unread = ""
        for character in text:
            unread += character
            unread = unread[reader.read(unread, 0, final=False) :]
            if reader.complete or reader.problem:
                break
            assert len(unread) <= 420
        assert looked[0] <= 2 * len(text)
