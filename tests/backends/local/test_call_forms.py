"""Held to the form of its calls, whatever a model writes in any family's format is read back as calls that fit."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import llguidance
import pytest
from tests.backends.local.conftest import CHATML, save_model

from ambidex import Request, Sampling, Tool, ToolCall, User, collect, formats, tool
from ambidex.schema_check import schema_problems
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.grammars import lark

FAMILIES = formats.names()
END = 256
FIRST_CONTROL = 257
LIMIT = 3000


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
) -> None:
    """Everything that an argument can be."""


@tool
def ping() -> None:
    """No arguments."""


@tool
def look(where: str | None = None, zoom: float = 1.0, layers: list[str | int] | None = None) -> None:
    """No argument has to be there."""


TOOLS: Sequence[Tool[..., Any]] = (book, ping, look)


class Vocabulary:
    """Bytes, and control tokens."""

    is_tokenizer_wrapper = True
    bos_token_id = None
    eos_token_id = END

    def __init__(self, control: Sequence[str]) -> None:
        self.tokens = [bytes([byte]) for byte in range(256)] + [b"<end>", *(spelling.encode() for spelling in control)]
        self.special_token_ids = list(range(END, len(self.tokens)))

    def __call__(self, text: str | bytes) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


class Walk:
    """A random text of a grammar, which likes brackets, quotes, and tags in part and whole."""

    def __init__(self, grammar: str, vocabulary: Vocabulary, scraps: Sequence[str], draw: random.Random) -> None:
        known: Any = vocabulary
        tokenizer = llguidance.LLTokenizer(known, eos_token=[END])
        self._matcher = llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_lark(grammar), log_level=0)
        assert not self._matcher.is_error(), self._matcher.get_error()[:500]
        self._tokens = vocabulary.tokens
        self._scraps = [scrap.encode() for scrap in scraps]
        self._draw = draw
        self._written = b""

    def text(self) -> str | None:
        """None if it does not come to an end."""
        while len(self._written) < LIMIT:
            allowed = [id for id, may in enumerate(self._matcher.compute_logit_bias()) if may]
            is_long = len(self._written) > LIMIT // 4
            if not allowed or (END in allowed and (is_long or len(allowed) == 1 or self._draw.random() < 0.5)):
                return self._written.decode("utf-8", "replace")
            if self._draw.random() < (0.9 if is_long else 0.5):
                self._scrap()
            else:
                self._take(self._choice([id for id in allowed if id != END]))
        return None

    def _choice(self, allowed: list[int]) -> int:
        marks = [id for id in allowed if id >= FIRST_CONTROL or id in b'"}])>|<\n\\']
        plain = [id for id in allowed if 32 <= id < 127]
        return self._draw.choice((self._draw.random() < 0.4 and marks) or plain or allowed)

    def _scrap(self) -> None:
        """As much of a scrap as may stand here."""
        scrap = self._draw.choice(self._scraps)
        fits = self._matcher.validate_tokens(list(scrap)) if isinstance(scrap, bytes) else 0
        for byte in scrap[:fits]:
            self._take(byte)

    def _take(self, id: int) -> None:
        assert self._matcher.consume_token(id)
        self._written += self._tokens[id]


def scraps_of(family: str) -> list[str]:
    """The tags of a family, and its calls in pieces."""
    form = formats.get(family)
    whole = form.render_call(ToolCall("123456789", "look", {"where": "a", "zoom": 2, "layers": ["</tool_call>"]}))
    pieces = [whole[at:end] for at in range(len(whole)) for end in (at + 5, at + 20, len(whole))]
    return [*form.MARKERS, *form.REASONING, *form.STOP_TOKENS, *pieces, '"', '"}', "null", "1", "</", "\n"]


def check(family: str, draw: random.Random, *, several: bool, control: Sequence[str]) -> bool:
    """Whether a walk came to an end; what it wrote is calls, and nothing else."""
    form = formats.get(family)
    ids = {spelling: FIRST_CONTROL + at for at, spelling in enumerate(control)}
    grammar = lark(form.call_form(TOOLS).whole(several=several), ids)
    text = Walk(grammar, Vocabulary(control), scraps_of(family), draw).text()
    if text is None:
        return False
    answer = formats.parse(family, text, TOOLS)
    offered = {offer.name: offer.parameters for offer in TOOLS}
    assert answer.tool_calls, text
    assert len(answer.tool_calls) == 1 or several, text
    assert not answer.invalid_calls, (text, answer)
    assert not answer.reasoning + answer.text.strip(), (text, answer)
    for call in answer.tool_calls:
        assert not call.repaired, (text, call)
        assert not schema_problems(offered[call.name], dict(call.arguments)), (text, call)
    return True


def walks(family: str, count: int) -> None:
    draw = random.Random(family)
    form = formats.get(family)
    tags = {*form.MARKERS, *form.REASONING}
    control = sorted(tag for tag in tags if tag.startswith(("<|", "<｜", "[", "]<", "<tool")))
    ended = sum(check(family, draw, several=at % 3 > 0, control=control if at % 2 else ()) for at in range(count))
    assert ended >= count // 4


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_held_to_a_familys_calls_is_read_back_as_calls(family: str) -> None:
    walks(family, 6)


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_however_much_is_held_it_is_read_back(family: str) -> None:
    walks(family, 100)


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
        assert not reply.text.strip() or reply.finish_reason == "length"  # cut inside of a tag
        assert {call.name for call in reply.tool_calls} <= {"ping", "look"}
        assert reply.tool_calls or reply.finish_reason == "length"
