"""A tag that a model spells out with other tokens than the control token is text, however it is spelled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from tests.backends.local.conftest import CHATML, save_model, text_tokenizer
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from ambidex import Beams, Greedy, Request, User, collect, formats
from ambidex.accumulator import Accumulator
from ambidex.errors import InvalidRequest
from ambidex.grammar import Regex
from ambidex.messages import Assistant
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.tokenizer import Tokenizer

TAGS = ["<tool_call>", "</tool_call>", "<think>", "</think>"]
CALL = '{"name": "f", "arguments": {"a": 1}}'


def with_tags() -> PreTrainedTokenizerFast:
    tokenizer = text_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": TAGS})
    return tokenizer


def read(tokenizer: Tokenizer, ids: list[int]) -> Assistant:
    tags = {tokenizer.plain.control[tag]: tag for tag in TAGS}
    detokenizer = tokenizer.detokenizer([], frozenset(), tags)
    parser = formats.Unquoting(formats.get("hermes").parser())
    so_far = Accumulator()
    for text in [*map(detokenizer.push, ids), detokenizer.flush()]:
        for event in parser.feed(text):
            so_far.add(event)
    for event in parser.close():
        so_far.add(event)
    return so_far.choice().message


def test_tokens_are_tags_and_their_spellings_are_text() -> None:
    tokenizer = Tokenizer(with_tags())
    tag = tokenizer.plain.control
    quoted = f"Calls look like <tool_call>{CALL}</tool_call>, é </think>."
    ids = [*tokenizer.encode(quoted), tag["<tool_call>"], *tokenizer.encode(CALL), tag["</tool_call>"]]
    answer = read(tokenizer, ids)
    assert answer.text == quoted
    assert [(call.name, dict(call.arguments)) for call in answer.tool_calls] == [("f", {"a": 1})]


def test_however_the_spelling_is_cut_into_tokens_it_is_text() -> None:
    tokenizer = Tokenizer(with_tags())
    draw = random.Random(0)
    for _ in range(30):
        text = "".join(draw.choices([*TAGS, CALL, "<", "the rain ", "é"], k=6))
        cuts = sorted(draw.choices(range(len(text) + 1), k=8))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        answer = read(tokenizer, [id for piece in pieces for id in tokenizer.encode(piece)])
        assert (answer.text, answer.reasoning, answer.tool_calls) == (text, "", ())


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    """A random model whose vocabulary has the tags of its family as tokens."""
    folder = save_model(tmp_path_factory.mktemp("tags"), "llama", {"max_position_embeddings": 1024})
    tokenizer = with_tags()
    tokenizer.chat_template = f"{{# <tool_call> tojson #}}{CHATML}"
    tokenizer.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    backend = LocalBackend(str(folder), device="cpu", dtype="float32")
    yield backend
    backend.close()


@pytest.mark.parametrize("stop", ["<think>", "nk> d", "ink"])
@pytest.mark.parametrize("options", [{}, {"n": 2}, {"decoding": Beams(width=2)}])
def test_a_stop_text_may_touch_a_tag_that_is_spelled_out(
    stop: str, options: dict[str, Any], backend: LocalBackend
) -> None:
    request = Request([User("hi")], output=Regex("abc <think> def"), max_tokens=40, stop=stop, **options)
    choice = collect(backend.stream(request)).choices[0]
    assert (choice.message.text, choice.stop_sequence) == ("abc <think> def".partition(stop)[0], stop)


def test_a_form_that_needs_a_banned_tag_is_an_error(backend: LocalBackend) -> None:
    banned = Request([User("hi")], output=Regex("abc <think> def"), decoding=Greedy(banned=("<think>",)))
    with pytest.raises(InvalidRequest, match="'<think>'"):
        collect(backend.stream(banned))


def test_a_model_that_spells_a_call_out_calls_nothing(backend: LocalBackend) -> None:
    text = f"<tool_call>{CALL}</tool_call>"
    pattern = text.replace("{", r"\{").replace("}", r"\}")
    reply = collect(backend.stream(Request([User("hi")], output=Regex(pattern), max_tokens=200)))
    assert (reply.text, reply.tool_calls) == (text, ())
