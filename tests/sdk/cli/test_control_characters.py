"""Nothing that steers a terminal passes, everything else does."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ambidex.cli.control_characters import visible

REORDER = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    for character in visible(text):
        assert character in "\t\n" or unicodedata.category(character) != "Cc"
        assert unicodedata.bidirectional(character) not in {
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }


@given(st.text(st.characters(exclude_categories=("Cc", "Cf"))))
def test_text_without_them_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_pieces_give_what_the_whole_gives() -> None:
    text = "a\x1b]0;title\x07b\r\n\x7f\x9b31m\u202e"
    assert "".join(map(visible, text)) == visible(text) == "a␛]0;title␇b␍\n␡<U+009B>31m<U+202E>"
