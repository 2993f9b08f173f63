"""Banned texts never occur in an answer, however they are cut into tokens; nothing else is excluded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ambidex import Beams, Greedy, Request, Sampling, User, collect
from ambidex.errors import InvalidRequest
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.banned import TokenIndex, banned_texts

PIECES = [b"", b"a", b"b", b"ab", b"ba", b"aab", b"c", "\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), b"\xc3", b"\xa9"]
INDEX = TokenIndex(PIECES)
PROMPT = "the rain in the north"


@pytest.fixture
def backend(model_folder: Callable[[str], Path]) -> Iterator[LocalBackend]:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu")
    yield backend
    backend.close()


texts = st.lists(st.text("abc\N{LATIN SMALL LETTER E WITH ACUTE}", min_size=1, max_size=5), min_size=1, max_size=3)


@given(texts, st.lists(st.integers(0, len(PIECES) - 1), max_size=3), st.lists(st.integers(0, len(PIECES) - 1)))
def test_just_what_would_complete_a_text_is_excluded(banned: list[str], prompt: list[int], answer: list[int]) -> None:
    process = banned_texts(banned, INDEX, len(prompt))
    so_far = b"".join(PIECES[id] for id in answer)
    if any(text.encode() in so_far for text in banned):
        return  # the processor's own work keeps this from coming about
    changed = process(torch.zeros(len(PIECES)), prompt + answer)
    for id, piece in enumerate(PIECES):
        completes = any(text.encode() in so_far + piece for text in banned)
        assert bool(changed[id] == -torch.inf) == completes, (piece, so_far)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 40), st.integers(1, 6), st.integers(0, 10**6))
def test_answers_never_hold_them(start: int, length: int, seed: int) -> None:
    backend = LocalBackend("pocket", dtype="float32", device="cpu")
    for decoding in (Greedy, Sampling, Beams):
        options = {"seed": seed} if decoding is Sampling else {}
        request = Request(prompt="The weather", max_tokens=30, decoding=decoding(**options))  # type: ignore[arg-type]  # options of one
        banned = collect(backend.stream(request)).text[start : start + length]
        if not banned:
            continue
        held = Request(prompt="The weather", max_tokens=30, decoding=decoding(banned=(banned,), **options))  # type: ignore[arg-type]  # options of one
        assert banned not in collect(backend.stream(held)).text
    backend.close()


@pytest.mark.parametrize("banned", ["end", "<", "|>", "im_"])
@pytest.mark.parametrize("asked", [{"messages": [User("Hello!")]}, {"prompt": "Hello!"}])
def test_an_end_token_is_no_text_however_it_is_spelled(banned: str, asked: dict[str, Any]) -> None:
    backend = LocalBackend("pocket", dtype="float32", device="cpu")
    end = backend.tokenizer.special["<|im_end|>"]
    free, held = (
        collect(backend.stream(Request(**asked, max_tokens=20, decoding=Greedy(banned=texts, logit_bias={end: 100.0}))))
        for texts in ((), (banned,))
    )
    assert (held.text, held.finish_reason) == (free.text, "stop")
    backend.close()


def test_hidden_tokens_do_not_part_a_text(backend: LocalBackend) -> None:
    hidden, first, second = backend.tokenizer.special["<|im_start|>"], *backend.tokenizer.encode("xy")

    def leading(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        wanted = [first, hidden, second]
        logits[wanted[min(len(seen) - start, 2)]] += 1000.0
        return logits

    start = len(backend.tokenizer.encode(PROMPT))
    free, held = (
        collect(
            backend.stream(Request(prompt=PROMPT, max_tokens=3, decoding=Greedy(banned=texts, processors=(leading,))))
        )
        for texts in ((), ("xy",))
    )
    assert free.text == "xy"
    assert held.text.startswith("x")
    assert held.text != "xy"


def test_a_form_that_needs_a_banned_text_is_an_error(backend: LocalBackend) -> None:
    request = Request(prompt=PROMPT, output=Literal["red"], decoding=Greedy(banned=("ed",)))
    with pytest.raises(InvalidRequest, match="'ed'"):
        collect(backend.stream(request))
    free = Request(prompt=PROMPT, output=Literal["red", "blue"], decoding=Greedy(banned=("ed",)))
    assert collect(backend.stream(free)).text == '"blue"'
