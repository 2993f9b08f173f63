"""LongRoPE turns short sequences in one way and long ones in another, as `generate` does, however their ids come.

Phi-3's models for long contexts have it: their factors change once a sequence is longer than its pretraining was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ambidex import Beams, Greedy, Request, Sampling, collect
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.transformers_model import short_until

from .conftest import save_model
from .test_parity import greedy_ids, reference_ids

SHORT = 64
"""Ids of the longest short sequence."""

TEXT = [5 + index * index % 370 for index in range(200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 6,
        "long_factor": [1.0, 1.5, 2.0, 4.0, 6.0, 8.0],
    }
    settings = {"rope_parameters": rope, "original_max_position_embeddings": SHORT}
    return save_model(tmp_path_factory.mktemp("longrope"), "phi3", settings)


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[..., LocalBackend]]:
    backends: list[LocalBackend] = []

    def open(**options: Any) -> LocalBackend:
        backends.append(LocalBackend(str(folder), dtype="float32", device="cpu", **options))
        return backends[-1]

    yield open
    for backend in backends:
        backend.close()


@pytest.mark.parametrize("options", [{}, {"prefill_tokens": 40}, {"deterministic": True}, {"draft": "prompt"}])
@pytest.mark.parametrize("length", [30, SHORT - 1, SHORT, SHORT + 1, 150])
def test_greedy_ids_equal_generate_on_both_sides_and_across(
    length: int, options: dict[str, Any], folder: Path, opened: Callable[..., LocalBackend]
) -> None:
    backend, prompt = opened(**options), TEXT[:length]
    expected = reference_ids(folder, prompt, 45)
    assert greedy_ids(backend, prompt, 45) == expected
    assert greedy_ids(backend, prompt, 45) == expected, "the second time, with what the first left in the cache"


@pytest.mark.parametrize("lengths", [(50, 150), (150, 50), (SHORT, SHORT + 2), (SHORT + 2, SHORT)])
def test_nothing_is_taken_up_from_the_other_side(
    lengths: tuple[int, int], folder: Path, opened: Callable[..., LocalBackend]
) -> None:
    backend = opened()
    for length in lengths:
        assert greedy_ids(backend, TEXT[:length], 8) == reference_ids(folder, TEXT[:length], 8)
    again = collect(backend.stream(Request(prompt=TEXT[: lengths[0]], max_tokens=1)))
    assert again.usage.cached_tokens == lengths[0] - 1, "what is on this side is"


@pytest.mark.parametrize(
    "decoding", [Greedy(min_tokens=40), Sampling(seed=1, min_tokens=40), Beams(width=3, min_tokens=40)]
)
def test_guesses_and_forks_across_change_nothing(decoding: Any, opened: Callable[..., LocalBackend]) -> None:
    prompt = [*TEXT[:25], *TEXT[:25]]
    request = Request(prompt=prompt, decoding=decoding, n=1 if isinstance(decoding, Greedy) else 3, max_tokens=40)

    def answers(**options: Any) -> list[str]:
        return [choice.message.text for choice in collect(opened(**options).stream(request)).choices]

    expected = answers()
    assert answers(prefill_tokens=7) == expected
    assert answers(draft="prompt") == expected


def test_scores_of_a_given_text_are_those_of_the_answer(opened: Callable[..., LocalBackend]) -> None:
    backend, prompt = opened(), TEXT[:50]
    request = Request(prompt=prompt, decoding=Greedy(min_tokens=30), max_tokens=30, logprobs=0)
    answer = collect(backend.stream(request)).logprobs
    assert answer is not None
    scores = backend.score([scored.id for scored in answer if scored.id is not None], given=prompt)
    assert [score.logprob for score in scores] == pytest.approx([score.logprob for score in answer], abs=2e-4)


def test_what_has_it() -> None:
    class Config:
        rope_parameters: Any = None

        def get_text_config(self, **_: Any) -> Any:
            return self

    config = Config()
    assert short_until(config) is None
    config.rope_parameters = {"rope_type": "llama3", "original_max_position_embeddings": 8}
    assert short_until(config) is None
    config.rope_parameters = {"full_attention": {"rope_type": "longrope", "original_max_position_embeddings": 8}}
    assert short_until(config) == 8
