"""A request gives the same tokens alone, in any batch, with and without what is cached; prefixes are computed once."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest

from ambidex import Greedy, Request, Sampling, collect
from ambidex.errors import AmbidexError
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.model import Span
from ambidex_backends.local.native.model import NativeModel

from .conftest import PATHS, OpenBackend

STATES = ("lfm2", "mamba")
"""Architectures with a running state; the second's forgets it when several ids follow at once."""

Strategy: TypeAlias = Greedy | Sampling
Chat: TypeAlias = list[tuple[list[int], Strategy]]
"""Its turns: what is said, and how it is answered."""

LONG = 150  # ids of a long beginning: more than two blocks
SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(2, 40))]


def ids_of(outcome: Any) -> list[int]:
    assert not isinstance(outcome, AmbidexError), outcome
    return [scored.id for scored in outcome.logprobs or ()]


def some_ids(draw: random.Random, count: int) -> list[int]:
    return [draw.randrange(5, 380) for _ in range(count)]


def strategy(draw: random.Random) -> Strategy:
    seed = draw.randrange(1000)
    kinds: list[Strategy] = [Greedy(min_tokens=50), Sampling(temperature=1.0, seed=seed), Sampling(top_k=9, seed=seed)]
    return draw.choice(kinds)


def chats(seed: int, count: int = 5, turns: int = 3) -> list[Chat]:
    """Most begin with one of two long prompts."""
    draw = random.Random(seed)
    beginnings = [some_ids(draw, LONG - 1), some_ids(draw, 40), []]
    return [
        [
            ([*(draw.choice(beginnings) if turn == 0 else []), *some_ids(draw, draw.randrange(1, 12))], strategy(draw))
            for turn in range(turns)
        ]
        for _ in range(count)
    ]


def request(ids: list[int], decoding: Strategy) -> Request:
    return Request(prompt=ids, decoding=decoding, max_tokens=8, logprobs=0)


def answers(backend: LocalBackend, talks: list[Chat], *, together: bool) -> list[list[int]]:
    """Each chat's whole history after its turns; turn by turn all chats at once, or one after another."""
    histories: list[list[int]] = [[] for _ in talks]
    for turn in range(len(talks[0])):
        asked = [request([*histories[index], *talk[turn][0]], talk[turn][1]) for index, talk in enumerate(talks)]
        outcomes: Sequence[Any] = backend.batch(asked) if together else [collect(backend.stream(one)) for one in asked]
        for index, (talk, outcome) in enumerate(zip(talks, outcomes, strict=True)):
            histories[index] += [*talk[turn][0], *ids_of(outcome)]
    return histories


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", [*PATHS, *STATES])
def test_cached_and_batched_equals_uncached_and_alone(kind: str, seed: int, open_backend: OpenBackend) -> None:
    talks = chats(seed)
    alone = answers(open_backend(kind, cache_bytes=0), talks, together=False)
    draw = random.Random(seed)
    for cache_bytes in (None, 400_000):  # all is kept; most is evicted
        backend = open_backend(
            kind, cache_bytes=cache_bytes, max_batch=draw.randrange(1, 6), prefill_tokens=draw.choice([20, 100, 512])
        )
        assert answers(backend, talks, together=True) == alone
        assert answers(backend, talks, together=False) == alone


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_deterministic_means_so_in_lower_precisions_too(
    kind: str, dtype: str, seed: int, open_backend: OpenBackend
) -> None:
    talks = chats(seed)
    alone = answers(open_backend(kind, dtype=dtype, cache_bytes=0, deterministic=True), talks, together=False)
    backend = open_backend(kind, dtype=dtype, deterministic=True, max_batch=4, prefill_tokens=70)
    assert answers(backend, talks, together=True) == alone
    assert answers(backend, talks, together=False) == alone


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["llama", "gemma3_text"])
@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"quantize": "int8"}, {"quantize": "int4"}])
def test_the_kernels_give_the_same_in_every_precision_without_asking(
    kind: str, options: dict[str, str], seed: int, open_backend: OpenBackend
) -> None:
    if not isinstance(open_backend(kind)._runtime.engine._model, NativeModel):
        pytest.skip("no compiler, so no kernels")
    talks = chats(seed)
    alone = answers(open_backend(kind, cache_bytes=0, **options), talks, together=False)
    backend = open_backend(kind, max_batch=4, prefill_tokens=70, **options)
    assert answers(backend, talks, together=True) == alone
    assert answers(backend, talks, together=False) == alone


def count_ids(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many ids went through the model since the last call."""
    model = backend._runtime.engine._model
    forward, counted = model.forward, 0

    def counting(spans: Sequence[Span]) -> Any:
        nonlocal counted
        counted += sum(len(span.ids) for span in spans)
        return forward(spans)

    def count() -> int:
        nonlocal counted
        result, counted = counted, 0
        return result

    monkeypatch.setattr(model, "forward", counting)
    return count


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("deterministic", [False, True])
def test_what_chats_begin_with_is_computed_once_though_they_come_at_the_same_time(
    kind: str, deterministic: bool, open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = open_backend(kind, deterministic=deterministic, max_batch=8)
    computed = count_ids(backend, monkeypatch)
    draw = random.Random(0)
    system = some_ids(draw, LONG)
    asked = [request([*system, *some_ids(draw, 5)], Greedy(min_tokens=50)) for _ in range(8)]
    replies = [outcome for outcome in backend.batch(asked) if not isinstance(outcome, AmbidexError)]
    assert len(replies) == 8
    cached = [reply.usage.cached_tokens or 0 for reply in replies]
    assert min(cached) == 0
    assert all(number >= LONG // 64 * 64 for number in sorted(cached)[1:]), "whole blocks of it at least"
    assert computed() == sum(LONG + 5 + 8 - 1 for _ in asked) - sum(cached), "the counts are true"


@pytest.mark.parametrize("kind", [*PATHS, *STATES])
def test_a_turn_computes_what_is_new(kind: str, open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = open_backend(kind)
    computed = count_ids(backend, monkeypatch)
    draw = random.Random(0)
    history = some_ids(draw, 20)
    for turn in range(6):
        reply = collect(backend.stream(request(history, Greedy(min_tokens=50))))
        new = (
            len(history) if turn == 0 else 1 + 7
        )  # the last id of the answer, which nothing followed, and the question
        assert reply.usage.cached_tokens == len(history) - new
        assert computed() == new + 8 - 1
        history = [*history, *ids_of(reply), *some_ids(draw, 7)]


def test_nothing_is_kept_without_memory_for_it(open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = open_backend(cache_bytes=0)
    prompt = some_ids(random.Random(0), LONG)
    for _ in range(2):
        assert collect(backend.stream(request(prompt, Greedy()))).usage.cached_tokens == 0
