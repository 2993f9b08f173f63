"""Whatever stands around calls, and in whatever order: each family's answers come apart into what they were made of."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from ambidex import Tool, ToolCall, formats, tool

from .scoring import same

FAMILIES = formats.names()

AT_THE_BEGINNING = {"llama3_json", "xlam", "generic", "phi4_mini"}
"""Families in which a bare call is one only at the beginning of an answer, behind its reasoning."""

IN_MESSAGES = {"gpt_oss", "muse_glimmer", "functionary_v32", "inkling", "react"}
"""Families whose text and reasoning stand in messages or lines of their own."""

ONE_CALL = {"generic", "gigachat3", "gpt_oss", "react", "muse_glimmer", "functionary_v32"}
"""Families with one call in an answer, or none that can be written one after the other."""


@tool
def weather(city: str, unit: Literal["c", "f"] = "c", days: int = 1, detailed: bool = False) -> None:
    """The weather."""


@tool
def search(
    query: str,
    filters: dict[str, int] | None = None,
    tags: list[str] | None = None,
    limit: int | None = None,
    ratio: float = 1.0,
) -> None:
    """Searches."""


@tool
def ping() -> None:
    """Nothing."""


@tool
def write(path: str, content: str) -> None:
    """Writes a file."""


TOOLS: Sequence[Tool[..., Any]] = [weather, search, ping, write]
CALLS: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("weather", {"city": "Paris"}),
    ("weather", {"city": "São Paulo, 東京 😀", "unit": "f", "days": 3, "detailed": True}),
    ("search", {"query": "a \"quoted\" 'single' \\ back", "filters": {"a b": 1, "é": -2}, "tags": []}),
    ("search", {"query": "", "tags": ["x", "y, z", "[1]", "a)"], "limit": None, "ratio": -0.5}),
    ("search", {"query": "line1\nline2\ttab", "filters": {"n": 10**12}, "limit": 0}),
    ("ping", {}),
    ("write", {"path": "src/a b.py", "content": "def f(x):\n    if x < 3 > 1:\n        return {'a': [1]}\n\n# end"}),
    ("write", {"path": "x.html", "content": '<div class="a">\n  <p>1 & 2 &amp; 3</p>\n</div>'}),
    ("write", {"path": "n", "content": "null"}),
    ("write", {"path": "42", "content": "  padded  "}),
)
TEXTS = ("", "", "I'll check that for you.", "Sure! Let me look: `a<b` {x}\n", "Voilà 🙂")
ENDINGS = ("", "", "Done.", "\nAnything else?")
THOUGHTS = ("Let me think. The user wants weather.", 'Hmm,\nwell < 3 {"a": 1}')
SPACES = ("", "\n", "\n\n")


@dataclass
class Answer:
    """An answer, and what it is made of."""

    raw: str
    starts_in_reasoning: bool
    calls: Sequence[tuple[str, Mapping[str, Any]]]
    text: str
    reasoning: str


def made(family: str, draw: random.Random) -> Answer:
    form = formats.get(family)
    calls = draw.choices(CALLS, k=1 if family in ONE_CALL else draw.choice((1, 1, 2, 3)))
    written = [
        form.render_call(ToolCall(f"abcdefg{at:02}", name, arguments)) for at, (name, arguments) in enumerate(calls)
    ]
    separator = "; " if family == "llama3_json" else draw.choice(SPACES)
    raw = separator.join(written)
    if family in IN_MESSAGES:
        return Answer(raw.removeprefix(">>>"), False, calls, "", "")
    before = "" if family in AT_THE_BEGINNING else draw.choice(TEXTS)
    after, space = draw.choice(ENDINGS), draw.choice(SPACES)
    raw = before + space + raw + after + draw.choice(("", form.STOP_TOKENS[0]))
    kind = draw.choice(("none", "opened", "begun"))
    if kind == "none":
        return Answer(raw, False, calls, before + after, "")
    thought = draw.choice(THOUGHTS)
    reasoned = f"{space}{thought}{space}{form.REASONING[1]}{space}{raw}"
    opening = form.REASONING[0] if kind == "opened" else ""
    return Answer(opening + reasoned, kind == "begun", calls, before + after, thought)


def check(family: str, count: int) -> None:
    draw = random.Random(family)
    for _ in range(count):
        wanted = made(family, draw)
        answer = formats.parse(family, wanted.raw, TOOLS, starts_in_reasoning=wanted.starts_in_reasoning)
        called = [(call.name, dict(call.arguments)) for call in answer.tool_calls]
        assert [name for name, _ in called] == [name for name, _ in wanted.calls], (wanted, answer)
        for (_, arguments), (_, expected) in zip(called, wanted.calls, strict=True):
            assert same(arguments, dict(expected)), (wanted, answer)
        assert not any(call.repaired for call in answer.tool_calls), (wanted, answer)
        assert "".join(answer.text.split()) == "".join(wanted.text.split()), (wanted, answer)
        assert answer.reasoning.strip() == wanted.reasoning, (wanted, answer)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_comes_apart_into_what_it_was_made_of(family: str) -> None:
    check(family, 40)


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_many_answers_come_apart(family: str) -> None:
    check(family, 2000)
