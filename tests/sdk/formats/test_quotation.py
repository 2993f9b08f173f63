"""A tag that was spelled out is prose where it is known which pieces of the text were control tokens."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex import formats
from ambidex.events import Event
from ambidex.formats import Quotation, Unquoting
from ambidex.formats.quotation import MARK
from ambidex.messages import Assistant, ToolCall
from ambidex.tools import tool

from .reading import cut, merged, message

FAMILIES = formats.names()


FORGOTTEN = {"qwen3_coder", "nemotron3", "step3p5", "seed_oss", "dots", "minicpm5"}
"""Families whose calls are read without their section's tag as well, by a tag that is no control token."""


@tool
def f(a: int = 0, b: str = "") -> None:
    """F."""


def tags_of(family: str) -> list[str]:
    """Those of the family's tags that look like control tokens."""
    form = formats.get(family)
    written = (*form.MARKERS, *form.REASONING, *form.STOP_TOKENS)
    return sorted({tag for tag in written if tag[:1] in "<[]｜" and len(tag) > 2}, key=len, reverse=True)


def events_of(family: str, pieces: list[tuple[str, bool]]) -> list[Event]:
    """Of pieces that are control tokens or not."""
    quotation, parser = Quotation(tags_of(family)), Unquoting(formats.get(family).parser([f]))
    events: list[Event] = []
    for piece, is_tag in pieces:
        events += parser.feed(quotation.tag(piece) if is_tag else quotation.text(piece))
    return events + parser.close()


def as_tokens(family: str, text: str) -> list[tuple[str, bool]]:
    """The text, each tag in it as a control token."""
    tags = tags_of(family)
    pieces = re.split("(" + "|".join(map(re.escape, tags)) + ")", text) if tags else [text]
    return [(piece, piece in tags) for piece in pieces if piece]


def read(family: str, pieces: list[tuple[str, bool]]) -> Assistant:
    return message(events_of(family, pieces))


@pytest.mark.parametrize("family", FAMILIES)
def test_tags_that_are_tokens_count_and_others_are_text(family: str) -> None:
    form = formats.get(family)
    prose = f"they write {' and '.join(tags_of(family))} around it"
    pieces = as_tokens(family, form.render_call(ToolCall("123456789", "f", {"b": "HERE"})))
    answer = read(family, [(piece.replace("HERE", prose), is_tag) for piece, is_tag in pieces])
    assert [(call.name, dict(call.arguments)) for call in answer.tool_calls] == [("f", {"b": prose})], answer
    assert MARK not in repr(answer)


def call_of(family: str) -> str:
    return formats.get(family).render_call(ToolCall("123456789", "f", {"a": 1}))


MARKED = [name for name in FAMILIES if name not in FORGOTTEN and any(tag in call_of(name) for tag in tags_of(name))]


@pytest.mark.parametrize("family", MARKED)
def test_a_quoted_call_is_prose(family: str) -> None:
    call = call_of(family)
    assert len(MARKED) > 35
    text = f"One would write {call} to call it."
    answer = read(family, [(text, False)])
    assert answer.text == text
    assert answer.parts == read(family, [(letter, False) for letter in text]).parts


@pytest.mark.parametrize("family", FAMILIES)
def test_however_text_is_cut_the_marks_are_the_same(family: str) -> None:
    draw = random.Random(family)
    tags = tags_of(family)
    for _ in range(20):
        text = "".join(draw.choices([*tags, *(tag[:-1] for tag in tags), "<", ">", "x ", *tags], k=8))
        whole = Quotation(tags).text(text)
        for pieces in (list(text), cut(text, draw.choices(range(len(text) + 1), k=4))):
            quotation = Quotation(tags)
            assert "".join(map(quotation.text, pieces)) == whole
        assert whole.replace(MARK, "") == text
        assert not any(tag in whole for tag in tags)
        assert merged(events_of(family, [(text, False)])) == merged(events_of(family, [(c, False) for c in text]))


@given(st.text(max_size=40))
def test_text_without_tags_is_left_as_it_is(text: str) -> None:
    assert Quotation(["<tool_call>"]).text(text) == text
