"""Held to the form of its calls, whatever a model writes in any family's format is read back as calls that fit."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from tests.backends.local.conftest import CHATML, save_model, text_tokenizer
from tests.backends.local.forms import Chance, bfcl, walk

from ambidex import Request, Sampling, Tool, ToolCall, User, collect, formats, tool
from ambidex.schema_check import schema_problems
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.constraint import Constraint, GrammarConstraint
from ambidex_backends.local.grammars import Grammars
from ambidex_backends.local.tokenizer import Tokenizer

END = 2

FAMILIES = formats.names()
ROOM = 3000
"""Tokens in which any of the calls can be written."""


@dataclass
class Place:
    city: str
    at: tuple[float, float]


@tool
def book(
    nights: int,
    guest: str,
    wishes: list[str] | None = None,
    room: Literal["x", "y z"] = "x",
    paid: bool = False,
    place: Place | None = None,
    stops: list[Place] | None = None,
    number: int | str = 0,
    counts: dict[str, int] | None = None,
    by_place: dict[str, dict[str, str]] | None = None,
    other: dict[str, Any] | None = None,
) -> None:
    """Everything that an argument can be."""


@tool
def ping() -> None:
    """No arguments."""


@tool
def look(where: str | None = None, zoom: float = 1.0, layers: list[str | int] | None = None) -> None:
    """No argument has to be there."""


TOOLS: Sequence[Tool[..., Any]] = (book, ping, look)


class Walk:
    """A random text of a form, which likes brackets, quotes, and tags in part and whole."""

    def __init__(
        self, constraint: Constraint, tokenizer: Tokenizer, scraps: Sequence[str], draw: random.Random
    ) -> None:
        self._constraint = constraint
        self._data = tokenizer.vocabulary_bytes
        self._of_byte = {data[0]: id for id, data in enumerate(self._data) if len(data) == 1}
        self._scraps = [scrap.encode() for scrap in scraps]
        self._draw = draw
        self._ids: list[int] = []

    def text(self, left: int) -> str:
        """What comes of it in at most `left` tokens."""
        self._ids += self._constraint.begin(left)
        scrap = b""
        while not self._constraint.is_complete and len(self._ids) < left:
            allowed = self._allowed()
            if END in allowed and (len(allowed) == 1 or self._draw.random() < 0.5):
                break
            if not scrap and self._draw.random() < 0.5:
                scrap = self._draw.choice(self._scraps)
            next_byte = self._of_byte[scrap[0]] if scrap else -1
            drawn, scrap = (next_byte, scrap[1:]) if next_byte in allowed else (self._choice(allowed - {END}), b"")
            self._ids += self._constraint.take(drawn, left - len(self._ids))
        return b"".join(self._data[id] for id in self._ids).decode("utf-8", "replace")

    def _allowed(self) -> set[int]:
        return set(self._constraint.masked(torch.zeros(len(self._data))).isfinite().nonzero().flatten().tolist())

    def _choice(self, allowed: set[int]) -> int:
        marks = [id for id in sorted(allowed) if len(self._data[id]) > 1 or self._data[id] in b'"}])>|<\n\\']
        plain = [id for id in sorted(allowed) if self._data[id].isalnum()]
        return self._draw.choice((self._draw.random() < 0.4 and marks) or plain or sorted(allowed))


@functools.cache
def tokens_with(control: tuple[str, ...]) -> tuple[Tokenizer, Grammars]:
    """Nearly all single bytes, and these control tokens."""
    pretrained = text_tokenizer()
    pretrained.add_special_tokens({"additional_special_tokens": list(control)})
    tokenizer = Tokenizer(pretrained)
    return tokenizer, Grammars(tokenizer, frozenset({END}), tokenizer.vocab_size)


def scraps_of(family: str) -> list[str]:
    """The tags of a family, and its calls in pieces."""
    form = formats.get(family)
    whole = form.render_call(ToolCall("123456789", "look", {"where": "a", "zoom": 2, "layers": ["</tool_call>"]}))
    pieces = [whole[at:end] for at in range(len(whole)) for end in (at + 5, at + 20, len(whole))]
    return [*form.MARKERS, *form.REASONING, *form.STOP_TOKENS, *pieces, '"', '"}', "null", "1", "</", "\n"]


def check(family: str, draw: random.Random, *, several: bool, control: Sequence[str], room: int) -> None:
    """What a walk writes is calls, all of them whole, and nothing else."""
    form = formats.get(family)
    tokenizer, grammars = tokens_with(tuple(control))
    constraint = grammars.constraint(form.call_form(TOOLS).whole(several=several), room)
    text = Walk(constraint, tokenizer, scraps_of(family), draw).text(room)
    answer = formats.parse(family, text, TOOLS)
    offered = {offer.name: offer.parameters for offer in TOOLS}
    assert answer.tool_calls, text
    assert len(answer.tool_calls) == 1 or several, text
    assert not answer.invalid_calls, (text, answer)
    assert not answer.reasoning + answer.text.strip(), (text, answer)
    for call in answer.tool_calls:
        assert not call.repaired, (text, call)
        assert not schema_problems(offered[call.name], dict(call.arguments)), (text, call)


def walks(family: str, count: int) -> None:
    draw = random.Random(family)
    form = formats.get(family)
    tags = {*form.MARKERS, *form.REASONING}
    control = sorted(tag for tag in tags if tag.startswith(("<|", "<｜", "[", "]<", "<tool")))
    for at in range(count):
        room = draw.choice((ROOM, draw.randint(300, 800)))
        check(family, draw, several=at % 3 > 0, control=control if at % 2 else (), room=room)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_held_to_a_familys_calls_is_read_back_as_calls(family: str) -> None:
    walks(family, 6)


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_however_much_is_held_it_is_read_back(family: str) -> None:
    walks(family, 100)


def check_others_tools(family: str, shared: Path, count: int) -> None:
    """Whatever is drawn: a call to a tool that others wrote is whole, within the tokens that there are, and fits."""
    form = formats.get(family)
    tags = {*form.MARKERS, *form.REASONING}
    control = tuple(sorted(tag for tag in tags if tag.startswith(("<|", "<｜", "[", "]<", "<tool"))))
    draw = random.Random(family)
    for at, offered in enumerate(draw.sample([*bfcl(shared)], count)):
        tokenizer, grammars = tokens_with(control if at % 2 else ())
        room = 1200 if at % 3 else 900
        constraint = grammars.constraint(form.call_form([offered]).whole(several=False), room, must_fit=False)
        assert isinstance(constraint, GrammarConstraint)
        assert constraint.shortest is not None
        assert constraint.shortest <= room, offered.name
        ids = walk(constraint, Chance(at, tokenizer.vocab_size), room, frozenset({END}))
        text = b"".join(tokenizer.vocabulary_bytes[id] for id in ids).decode()
        answer = formats.parse(family, text, [offered])
        assert [call.name for call in answer.tool_calls] == [offered.name], (text, answer)
        (call,) = answer.tool_calls
        assert not call.repaired, text
        assert not answer.text.strip()
        assert schema_problems(offered.parameters, dict(call.arguments)) == [], (text, call)


@pytest.mark.parametrize("family", FAMILIES)
def test_calls_to_tools_that_others_wrote(family: str, shared: Path) -> None:
    check_others_tools(family, shared, 3)


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_many_calls_to_tools_that_others_wrote(family: str, shared: Path) -> None:
    check_others_tools(family, shared, 150)


MARKS = {
    "hermes": "<tool_call> tojson",
    "qwen3_coder": "<tool_call><function=<parameter=",
    "deepseek_v31": "<｜tool▁calls▁begin｜>",
    "mistral_v11": "[TOOL_CALLS][ARGS]",
    "llama3_json": "<|python_tag|>",
    "gemma4": "<|tool_call>",
    "lfm2": "<|tool_call_start|>",
    "glm45": "<tool_call>\n<arg_key>",
}


@pytest.fixture(scope="module", params=MARKS)
def of_a_family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    """A model that knows nothing at all, with the template of a family."""
    folder = tmp_path_factory.mktemp(request.param)
    template = f"{{# {MARKS[request.param]} #}}{CHATML}"
    save_model(folder, "llama", {"max_position_embeddings": 4096}, chat_template=template)
    backend = LocalBackend(str(folder), device="cpu", dtype="float32")
    yield backend
    backend.close()


def test_a_call_that_must_be_made_is_made_in_the_familys_form(of_a_family: LocalBackend) -> None:
    for seed in range(2):
        decoding = Sampling(temperature=1.5, seed=seed)
        asked = Request([User("hi")], tools=[ping, look], tool_choice="required", max_tokens=150, decoding=decoding)
        reply = collect(of_a_family.stream(asked))
        assert not reply.text.strip()
        assert reply.tool_calls
        assert not reply.message.invalid_calls
        assert {call.name for call in reply.tool_calls} <= {"ping", "look"}
