"""A form begins behind its trigger in whatever tokens that is written, and behind nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from tests.backends.local.test_call_forms import END, TOOLS, tokens_with

from ambidex import formats
from ambidex.grammar import Grammar, Regex
from ambidex_backends.local.grammars import Grammars
from ambidex_backends.local.tokenizer import Tokenizer
from ambidex_backends.local.triggered import TriggeredConstraint

CONTROL = ("<|channel|>", "<|message|>", "<|constrain|>", "<|start|>", "<|end|>", "<|call|>", "<tool_call>")


def triggered(grammars: Grammars, trigger: str, grammar: Grammar, reserve: int | None = None) -> TriggeredConstraint:
    return TriggeredConstraint(
        grammars.trigger(trigger),
        lambda _: grammars.constraint(grammar, None),
        ends=frozenset({END}),
        reserve=reserve,
    )


def cut(tokenizer: Tokenizer, text: str, draw: random.Random) -> list[int]:
    """Ordinary tokens that spell the text, in one of the many ways."""
    left, ids = text.encode(), list[int]()
    ordinary = [id for id, data in enumerate(tokenizer.vocabulary_bytes) if data and id not in tokenizer.special_ids]
    while left:
        id = draw.choice([id for id in ordinary if left.startswith(tokenizer.vocabulary_bytes[id])])
        ids.append(id)
        left = left[len(tokenizer.vocabulary_bytes[id]) :]
    return ids


def allowed_behind(constraint: TriggeredConstraint, tokenizer: Tokenizer, ids: Sequence[int]) -> set[bytes]:
    """What may follow these tokens and what the form adds to them."""
    constraint.begin(500)
    for id in ids:
        constraint.take(id, 500)
    free = torch.zeros(tokenizer.vocab_size)
    return {tokenizer.vocabulary_bytes[id] for id in constraint.masked(free).isfinite().nonzero().flatten().tolist()}


def everything(tokenizer: Tokenizer) -> set[bytes]:
    return set(tokenizer.vocabulary_bytes)


def test_however_its_letters_are_cut_into_tokens() -> None:
    tokenizer, grammars = tokens_with(())
    draw = random.Random(0)
    for _ in range(40):
        ids = cut(tokenizer, "the wind in the north <tool_call>", draw)
        held = triggered(grammars, "<tool_call>", Regex("[0-9]{3}"))
        assert {data for data in allowed_behind(held, tokenizer, ids) if len(data) == 1} == {
            bytes([digit]) for digit in b"0123456789"
        }


@pytest.mark.parametrize("written", ["<tool_cal>", "<tool<tool_call", "<tool_call", "tool_call>"])
def test_what_is_nearly_the_trigger_is_none(written: str) -> None:
    tokenizer, grammars = tokens_with(())
    draw = random.Random(0)
    for _ in range(20):
        held = triggered(grammars, "<tool_call>", Regex("[0-9]{3}"))
        assert allowed_behind(held, tokenizer, cut(tokenizer, written, draw)) == everything(tokenizer)


def test_a_token_that_goes_on_behind_the_trigger() -> None:
    tokenizer, grammars = tokens_with(())
    (token,) = (id for id, data in enumerate(tokenizer.vocabulary_bytes) if data == b" and")
    assert allowed_behind(triggered(grammars, " a", Regex("nd[xy]")), tokenizer, [token]) == {b"x", b"y"}
    other = triggered(grammars, " a", Regex("[xy]"))
    assert allowed_behind(other, tokenizer, [token]) == everything(tokenizer), "that is another text"
    assert allowed_behind(triggered(grammars, " a", Regex("[xy]"), reserve=4), tokenizer, [token]) == {b"x", b"y"}


def test_a_control_token_is_only_itself() -> None:
    tokenizer, grammars = tokens_with(CONTROL)
    draw = random.Random(0)
    held = triggered(grammars, "<tool_call>", Regex("[xy]"))
    assert allowed_behind(held, tokenizer, [tokenizer.special["<tool_call>"]]) == {b"x", b"y"}
    for _ in range(10):
        held = triggered(grammars, "<tool_call>", Regex("[xy]"))
        assert allowed_behind(held, tokenizer, cut(tokenizer, "<tool_call>", draw)) == everything(tokenizer)


def test_a_preamble_of_gpt_oss_is_no_call() -> None:
    """Both are on the channel of commentary; a call has a recipient."""
    tokenizer, grammars = tokens_with(CONTROL)
    draw = random.Random(0)
    calls = formats.get("gpt_oss").call_form(TOOLS)
    channel, message = tokenizer.special["<|channel|>"], tokenizer.special["<|message|>"]
    for _ in range(10):
        spoken = [channel, *cut(tokenizer, "commentary", draw), message, *cut(tokenizer, "I look it up.", draw)]
        held = triggered(grammars, calls.opening, calls.rest(several=False))
        assert allowed_behind(held, tokenizer, spoken) == everything(tokenizer)
        called = [channel, *cut(tokenizer, "commentary to=functions.", draw)]
        held = triggered(grammars, calls.opening, calls.rest(several=False))
        assert allowed_behind(held, tokenizer, called) & {bytes([letter]) for letter in range(128)} == {
            b"b",
            b"p",
            b"l",
        }
