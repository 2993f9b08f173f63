"""No object has a name twice: in a text however it is cut, and in what a model is held to that would rather repeat."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
import torch
from tests.backends.local.conftest import text_tokenizer
from tests.backends.local.forms import Chance, text_of, walk

from ambidex import strict_json
from ambidex.formats import get
from ambidex.grammar import Chain, Grammar, Json, OneOf, Regex, Repeat, Text, Until, chain
from ambidex.output import form, validate
from ambidex.tools import tool
from ambidex_backends.local.distinct_names import Place, walked
from ambidex_backends.local.grammars import Grammars
from ambidex_backends.local.json_openings import openings
from ambidex_backends.local.tokenizer import Tokenizer

NAMES = ["a", "b", "ab", "", "é", 'q"', "\\", "\n", "😀", "{", ","]
ANYTHING = Json({"type": "object"})


class Pairs(list[tuple[str, Any]]):
    """An object whose names may repeat."""


def value(draw: random.Random, depth: int) -> Any:
    kind = draw.choice(["text", "number", "list", "object", "object"]) if depth else "text"
    count = draw.randint(0, 3)
    if kind == "object":
        return Pairs((draw.choice(NAMES), value(draw, depth - 1)) for _ in range(count))
    if kind == "list":
        return [value(draw, depth - 1) for _ in range(count)]
    return draw.choice(NAMES) if kind == "text" else draw.randint(-99, 99)


def written(item: Any, draw: random.Random) -> str:
    if isinstance(item, Pairs):
        members = (f"{spelled(name, draw)}: {written(inner, draw)}" for name, inner in item)
        return "{" + ", ".join(members) + "}"
    if isinstance(item, list):
        return "[" + ", ".join(written(inner, draw) for inner in item) + "]"
    return spelled(item, draw) if isinstance(item, str) else str(item)


def spelled(text: str, draw: random.Random) -> str:
    """A JSON string, in one of its spellings."""
    if draw.random() < 0.3:
        return '"' + "".join(f"\\u{unit:04x}" for unit in np.frombuffer(text.encode("utf-16-le"), "<u2")) + '"'
    return json.dumps(text, ensure_ascii=draw.random() < 0.5)


def cut(data: bytes, draw: random.Random) -> list[bytes]:
    ends = sorted({*(draw.randrange(len(data)) for _ in range(draw.randint(0, len(data)))), len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def repeats(text: str) -> bool:
    try:
        strict_json.loads(text)
    except strict_json.StrictJSONError:
        return True
    return False


def is_refused(text: str, grammar: Grammar, draw: random.Random) -> bool:
    place: Place | None = Place()
    for piece in cut(text.encode(), draw):
        place = walked(place, piece, openings(grammar)) if place is not None else None
    return place is None


def test_what_repeats_a_name_is_refused_and_nothing_else() -> None:
    draw = random.Random(0)
    refused = 0
    for _ in range(1500):
        text = written([value(draw, 4), value(draw, 4)], draw)
        assert is_refused(text, Json({}), draw) == repeats(text), text
        refused += repeats(text)
    assert 200 < refused < 1300, refused


def test_json_is_told_from_the_text_around_it() -> None:
    draw = random.Random(1)
    tags = OneOf((chain("<a>", ANYTHING, "</a>"), chain("<b>", Until("</b>")), chain("<c>", Regex("'[^']*'"), "</c>")))
    grammar = Chain((Text("begin "), Repeat(tags, ";")))
    for _ in range(500):
        pieces: list[str] = []
        expected = False
        for _ in range(draw.randint(1, 4)):
            inner = written(Pairs([("x", value(draw, 3)), (draw.choice("xy"), 1)]), draw)
            tag = draw.choice("abc")
            if tag == "a":
                expected |= repeats(inner)
            elif tag == "c":
                inner = "'" + inner.replace("'", "") + "<a>{'"
            pieces.append(f"<{tag}>{inner}</{tag}>")
        text = "begin " + ";".join(pieces)
        assert is_refused(text, grammar, draw) == expected, text


class Stubborn(Chance):
    """Scores that never change: what was written once is written again."""

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        super().__init__(seed, tokenizer.vocab_size)
        scores = np.random.default_rng(seed).standard_normal(tokenizer.vocab_size).astype(np.float32)
        scores[[id for id, data in enumerate(tokenizer.vocabulary_bytes) if data in (b'"', b",", b"{")]] += 4
        scores[[id for id, data in enumerate(tokenizer.vocabulary_bytes) if len(data) > 1]] -= 1
        self._unchanging = torch.from_numpy(scores)

    def logits(self) -> torch.Tensor:
        return self._unchanging


OPEN: list[Any] = [dict[str, int], list[dict[str, str]], dict[str, dict[str, int]], dict[str, Any]]


def answers(output: Any) -> list[str]:
    tokenizer = Tokenizer(text_tokenizer())
    grammars = Grammars(tokenizer, frozenset({2}), tokenizer.vocab_size)
    found: list[str] = []
    for seed in range(6):
        ids = walk(grammars.constraint(form(output), 160), Stubborn(tokenizer, seed), 160, frozenset({2}))
        found.append(text_of(tokenizer, ids))
    return found


@pytest.mark.parametrize("output", OPEN, ids=str)
def test_a_model_that_repeats_itself_gives_values(output: Any) -> None:
    for text in answers(output):
        validate(text, output)


def test_without_it_names_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing is shown here."""
    monkeypatch.setattr("ambidex_backends.local.grammars.openings", lambda grammar: {})
    assert any(repeats(text) for text in answers(dict[str, int]))


@tool
def store(count: int, fields: dict[str, str] | None = None) -> None:
    """An object that has any names."""


def test_where_every_object_names_its_members_nothing_is_watched() -> None:
    @tool
    def add(a: int, b: int) -> None:
        """Nothing open."""

    for family in ("hermes", "qwen3_coder", "pythonic", "gemma4", "mistral_v3"):
        assert not openings(get(family).call_form([add]).whole(several=True))
        assert bool(openings(get(family).call_form([store]).whole(several=True))) == (family != "gemma4")
