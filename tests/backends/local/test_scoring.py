"""Scores of a given text are those of one forward pass over it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from ambidex import Greedy, Request, collect
from ambidex.errors import BackendClosed, ContextLengthExceeded, DeadlineExceeded, InvalidRequest
from ambidex_backends.local import LocalBackend

TEXT = "the rain in the north and a wind from the sea, and the sun in the south" * 3


@pytest.fixture
def backend(model_folder: Callable[[str], Path]) -> Iterator[LocalBackend]:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu")
    yield backend
    backend.close()


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "gpt2", "gpt_oss", "qwen3_moe", "lfm2", "mamba"])
def test_scores_are_those_of_one_pass(
    kind: str, model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ambidex_backends.local.scoring.CHUNK", 17)
    backend = LocalBackend(str(model_folder(kind)), dtype="float32", device="cpu")
    ids = backend.tokenizer.raw_prompt(TEXT)
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder(kind), dtype=torch.float32)
    with torch.inference_mode():
        exact = model(torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
    for _ in range(2):  # the second time with what the first left in the cache
        scores = backend.score(TEXT, top=2)
        assert [score.id for score in scores] == ids[1:]
        for position, score in enumerate(scores):
            assert score.logprob == pytest.approx(float(exact[position, ids[position + 1]]), abs=2e-4)
            best = exact[position].topk(2).values.tolist()
            assert [other.logprob for other in score.top] == pytest.approx(best, abs=2e-4)
    after = backend.score(ids[40:], given=ids[:40])
    whole = backend.score(ids)
    assert [score.logprob for score in after] == pytest.approx([score.logprob for score in whole[39:]], abs=2e-4)
    assert "".join(score.text for score in backend.score(TEXT, given="x")) == TEXT
    backend.close()


def test_an_answer_s_scores_are_found_again(backend: LocalBackend) -> None:
    prompt = backend.tokenizer.raw_prompt("the rain")
    reply = collect(backend.stream(Request(prompt=prompt, max_tokens=12, decoding=Greedy(), logprobs=0)))
    told = reply.logprobs or ()
    again = backend.score([scored.id for scored in told if scored.id is not None], given=prompt)
    assert [score.logprob for score in again] == pytest.approx([scored.logprob for scored in told], abs=1e-4)
    assert asyncio.run(backend.ascore(prompt)) == backend.score(prompt)


def test_one_token_alone_has_nothing_before_it(backend: LocalBackend) -> None:
    assert backend.score([5]) == ()
    assert len(backend.score([5], given=[6])) == 1


def test_wrong_texts_are_refused(backend: LocalBackend) -> None:
    with pytest.raises(ContextLengthExceeded, match="257"):
        backend.score([5] * 257)
    assert len(backend.score([5] * 256)) == 255
    with pytest.raises(InvalidRequest):
        backend.score("")
    with pytest.raises(InvalidRequest, match="100000"):
        backend.score([100000, 5])
    with pytest.raises(DeadlineExceeded):
        backend.score(TEXT, timeout=1e-9)
    backend.close()
    with pytest.raises(BackendClosed):
        backend.score(TEXT)
