"""Beam search: the answers of `transformers.generate`, of a search through everything, and of diverse groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from ambidex import Beams, Reply, Request, collect
from ambidex_backends.local import LocalBackend

from .conftest import ARCHITECTURES, HYBRIDS

PROMPT = "the rain in the north and a wind from the sea, and the sun"


@pytest.fixture
def backend(model_folder: Callable[[str], Path]) -> Iterator[LocalBackend]:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu")
    yield backend
    backend.close()


def reference(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def ids_of(reply: Reply[Any], choice: int = 0) -> list[int]:
    return [scored.id for scored in reply.choices[choice].logprobs or () if scored.id is not None]


def beams_of_generate(model: Any, prompt: Sequence[int], count: int, **options: Any) -> list[tuple[list[int], float]]:
    """The answers and their scores, best first; padding after an end removed."""
    ids = torch.tensor([list(prompt)])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=count,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    answers = []
    for row, score in zip(out.sequences[:, len(prompt) :].tolist(), out.sequences_scores.tolist(), strict=True):
        end = row.index(2) + 1 if 2 in row else len(row)
        answers.append((row[:end], score))
    return answers


def assert_same_as_generate(
    backend: LocalBackend, model: Any, decoding: Beams, n: int, count: int, **extra: Any
) -> None:
    prompt = backend.tokenizer.raw_prompt(PROMPT)
    options: dict[str, Any] = {"num_beams": decoding.width, "num_return_sequences": n, **extra}
    if decoding.length_penalty is not None:
        options["length_penalty"] = decoding.length_penalty
    if decoding.early_stopping is not None:
        options["early_stopping"] = decoding.early_stopping
    expected = beams_of_generate(model, prompt, count, **options)
    reply = collect(backend.stream(Request(prompt=prompt, decoding=decoding, n=n, max_tokens=count, logprobs=0)))
    assert [ids_of(reply, choice) for choice in range(n)] == [ids for ids, _ in expected]
    assert [choice.score for choice in reply.choices] == pytest.approx([score for _, score in expected], abs=1e-4)


@pytest.mark.parametrize("kind", [*ARCHITECTURES, *HYBRIDS])
def test_beams_equal_generate(kind: str, model_folder: Callable[[str], Path]) -> None:
    backend = LocalBackend(str(model_folder(kind)), dtype="float32", device="cpu")
    model = reference(model_folder(kind))
    assert_same_as_generate(backend, model, Beams(width=4), 4, 24)
    backend.close()
