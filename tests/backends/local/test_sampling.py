"""Each processor against its definition, and the draw against its distribution."""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from ambidex import Greedy, Sampling
from ambidex.errors import EngineError, InvalidRequest
from ambidex_backends.local import noise, sampling
from ambidex_backends.local.sampling import ModelDefaults, make_sampler

NONE: frozenset[int] = frozenset()
rows = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=40).map(lambda values: torch.tensor(values))


def kept(logits: torch.Tensor) -> set[int]:
    return set(torch.isfinite(logits).nonzero().flatten().tolist())


@given(rows, st.integers(1, 50))
def test_top_k_keeps_the_best(logits: torch.Tensor, count: int) -> None:
    left = kept(sampling.top_k(count)(logits, ()))
    threshold = sorted(logits.tolist(), reverse=True)[min(count, len(logits)) - 1]
    assert left == {index for index, value in enumerate(logits.tolist()) if value >= threshold}


@given(rows, st.floats(0.01, 0.99))
def test_top_p_keeps_the_smallest_set_that_reaches_the_mass(logits: torch.Tensor, mass: float) -> None:
    left = kept(sampling.top_p(mass)(logits, ()))
    probabilities = torch.softmax(logits, -1)
    total = sum(float(probabilities[index]) for index in left)
    assert left
    assert total >= mass - 1e-4
    least = min(float(probabilities[index]) for index in left)
    assert total - least <= mass + 1e-4, "without its least likely token the set would still reach the mass"
    assert all(float(probabilities[index]) <= least + 1e-7 for index in range(len(logits)) if index not in left)


@given(rows, st.floats(0.0, 1.0))
def test_min_p_keeps_what_is_near_the_best(logits: torch.Tensor, share: float) -> None:
    left = kept(sampling.min_p(share)(logits, ()))
    probabilities = torch.softmax(logits, -1)
    assert int(logits.argmax()) in left
    assert left == {index for index in range(len(logits)) if probabilities[index] >= share * probabilities.max()}


@given(rows, st.floats(0.01, 0.99))
def test_typical_p_keeps_the_most_typical(logits: torch.Tensor, mass: float) -> None:
    left = kept(sampling.typical_p(mass)(logits, ()))
    logprobs = torch.log_softmax(logits.double(), -1)
    entropy = float(-(logprobs.exp() * logprobs).sum())
    strange = [abs(-float(value) - entropy) for value in logprobs]
    assert float(sum(logprobs[index].exp() for index in left)) >= mass - 1e-4
    outside = [strange[index] for index in range(len(logits)) if index not in left]
    assert not outside or max(strange[index] for index in left) <= min(outside) + 1e-4


def test_repetition_penalty_divides_positive_and_multiplies_negative_scores() -> None:
    changed = sampling.repetition_penalty(2.0)(torch.tensor([4.0, -4.0, 1.0]), [0, 1, 1])
    assert changed.tolist() == [2.0, -8.0, 1.0]


def test_occurrence_penalties_count_the_answer_only() -> None:
    logits = torch.zeros(4)
    changed = sampling.occurrence_penalties(0.5, 0.25, 2)(logits, [0, 0, 1, 1, 2])
    assert changed.tolist() == [0.0, -1.25, -0.75, 0.0]
    assert logits.tolist() == [0.0] * 4, "the raw scores are left as they are"


def test_no_repeat_ngram_bans_what_would_repeat() -> None:
    process = sampling.no_repeat_ngram(3)
    assert kept(process(torch.zeros(6), [1, 2, 3, 1, 2])) == {0, 1, 2, 4, 5}
    assert kept(process(torch.zeros(6), [1, 2])) == set(range(6))
    assert kept(sampling.no_repeat_ngram(1)(torch.zeros(4), [1, 3])) == {0, 2}


def test_min_tokens_forbids_the_end_until_then() -> None:
    process = sampling.min_tokens(2, 3, frozenset({1}))
    assert kept(process(torch.zeros(3), [5, 5, 5, 5])) == {0, 2}
    assert kept(process(torch.zeros(3), [5, 5, 5, 5, 5])) == {0, 1, 2}


def test_the_draw_follows_the_distribution() -> None:
    logits = torch.tensor([1.0, 2.0, 0.0, float("-inf"), 1.5])
    sampler = make_sampler(Sampling(temperature=0.7, seed=5), ModelDefaults(), prompt_length=0, ends=NONE)
    draws = 20_000
    counts = collections.Counter(sampler.pick(logits, range(step)) for step in range(draws))
    for index, probability in enumerate(torch.softmax(logits / 0.7, -1).tolist()):
        deviation = math.sqrt(probability * (1 - probability) / draws)
        assert abs(counts[index] / draws - probability) <= 4.5 * deviation + 1e-9


def test_a_seed_gives_the_same_draws_whatever_else_draws() -> None:
    logits = torch.randn(100, generator=torch.Generator().manual_seed(1))

    def draws(seed: int, choice: int = 0, steps: Sequence[int] = range(20)) -> list[int]:
        sampler = make_sampler(Sampling(seed=seed), ModelDefaults(), prompt_length=0, ends=NONE, choice=choice)
        torch.rand(3)
        return [sampler.pick(logits, range(step)) for step in steps]

    assert draws(1) == draws(1)
    assert draws(1) == draws(1, steps=range(19, -1, -1))[::-1], "in any order"
    assert draws(1) != draws(2)
    assert draws(1) != draws(1, choice=1)
    assert draws(1, choice=1) != draws(2)


def test_temperature_zero_is_greedy() -> None:
    sampler = make_sampler(Sampling(temperature=0.0, top_k=1), ModelDefaults(), prompt_length=0, ends=NONE)
    assert sampler.pick(torch.tensor([0.0, 3.0, 1.0]), ()) == 1


def test_the_models_defaults_fill_what_is_not_set() -> None:
    logits = torch.tensor([1.0, 0.9, 0.8])
    defaults = ModelDefaults(do_sample=True, top_k=1, repetition_penalty=2.0)
    assert make_sampler(None, defaults, prompt_length=0, ends=NONE).pick(logits, [0]) == 1
    assert make_sampler(Sampling(repetition_penalty=1.0), defaults, prompt_length=0, ends=NONE).pick(logits, [0]) == 0
    assert make_sampler(Greedy(), defaults, prompt_length=0, ends=NONE).pick(logits, [0]) == 1


def test_own_processors_come_last_and_are_held_to_their_contract() -> None:
    def only_two(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        assert kept(logits) == {1}
        return torch.full_like(logits, -math.inf).index_fill(0, torch.tensor([2]), 0.0)

    logits = torch.tensor([0.0, 3.0, 1.0])
    asked = Sampling(top_k=1, processors=(only_two,))
    assert make_sampler(asked, ModelDefaults(), prompt_length=0, ends=NONE).pick(logits, [7]) == 2
    for wrong, words in (
        (lambda logits, seen: logits[:1], "shape"),
        (lambda logits, seen: None, "NoneType"),
        (lambda logits, seen: 1 / 0, "ZeroDivisionError"),
    ):
        sampler = make_sampler(Greedy(processors=(wrong,)), ModelDefaults(), prompt_length=0, ends=NONE)
        with pytest.raises(EngineError, match=words):
            sampler.pick(logits, ())


def test_nothing_allowed_is_an_error_not_a_token() -> None:
    nothing = Greedy(processors=(lambda logits, seen: torch.full_like(logits, -math.inf),))
    with pytest.raises(InvalidRequest, match="No token is allowed"):
        make_sampler(nothing, ModelDefaults(), prompt_length=0, ends=NONE).pick(torch.zeros(3), ())


def test_logit_bias_beyond_the_vocabulary_is_refused() -> None:
    assert sampling.logit_bias({1: 5.0})(torch.zeros(3), ()).tolist() == [0.0, 5.0, 0.0]
    with pytest.raises(InvalidRequest, match="id 3"):
        sampling.logit_bias({3: 5.0})(torch.zeros(3), ())


def test_noise_is_the_same_for_an_id_whatever_stands_beside_it() -> None:
    ids = torch.tensor([5, 0, 2**31, 77])
    together = noise.gumbel(ids, 2**64 - 1)
    assert [float(noise.gumbel(ids[index : index + 1], 2**64 - 1)) for index in range(4)] == together.tolist()
    assert [noise.mixed(7, int(id)) % 2**64 for id in ids] == [
        int(word) % 2**64 for word in noise._mixed_tensor(ids, 7)
    ], "whole numbers in Python and in tensors"


def test_noise_is_gumbel_distributed() -> None:
    numbers = noise.gumbel(torch.arange(200_000), 3)
    assert float(numbers.mean()) == pytest.approx(0.5772, abs=0.01)
    assert float(numbers.var()) == pytest.approx(math.pi**2 / 6, abs=0.03)
    below = float((numbers < 1.0).double().mean())
    assert below == pytest.approx(math.exp(-math.exp(-1.0)), abs=0.005)


seen_ids = st.lists(st.integers(0, 11), min_size=1, max_size=24)
scores = st.lists(st.floats(-20, 20, width=32), min_size=12, max_size=12, unique=True).map(torch.tensor)


def theirs(processor: Any, logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
    changed: torch.Tensor = processor(torch.tensor([list(seen)]), logits[None].clone())[0]
    return changed


@given(scores, seen_ids, st.floats(0.5, 2.0))
def test_repetition_penalty_is_that_of_transformers(logits: torch.Tensor, seen: list[int], penalty: float) -> None:
    expected = theirs(RepetitionPenaltyLogitsProcessor(penalty), logits, seen)
    assert torch.allclose(sampling.repetition_penalty(penalty)(logits, seen), expected)


@given(scores, seen_ids, st.integers(1, 4))
def test_no_repeat_ngram_is_that_of_transformers(logits: torch.Tensor, seen: list[int], size: int) -> None:
    expected = theirs(NoRepeatNGramLogitsProcessor(size), logits, seen)
    assert torch.equal(sampling.no_repeat_ngram(size)(logits, seen), expected)


@given(scores, seen_ids, st.integers(0, 6), st.integers(0, 5))
def test_min_tokens_is_that_of_transformers(logits: torch.Tensor, seen: list[int], count: int, before: int) -> None:
    prompt = min(before, len(seen))
    expected = theirs(MinNewTokensLengthLogitsProcessor(prompt, count, [3, 7], device="cpu"), logits, seen)
    assert torch.equal(sampling.min_tokens(count, prompt, frozenset({3, 7}))(logits, seen), expected)


@given(scores, st.floats(0.05, 0.95))
def test_typical_p_is_that_of_transformers(logits: torch.Tensor, mass: float) -> None:
    logprobs = logits.double().log_softmax(-1)
    strange = (-logprobs - -(logprobs.exp() * logprobs).sum()).abs().sort()
    sums = logprobs.exp()[strange.indices].cumsum(-1)
    assume(float((sums - mass).abs().min()) > 1e-4)  # where rounding decides, neither is wrong
    assume(float(strange.values.diff().min()) > 1e-4)
    expected = theirs(TypicalLogitsWarper(mass), logits, [0])
    assert kept(sampling.typical_p(mass)(logits, ())) == kept(expected)


@given(scores, st.floats(0.05, 0.95))
def test_top_p_and_min_p_are_those_of_transformers(logits: torch.Tensor, share: float) -> None:
    probabilities = logits.double().softmax(-1).sort(descending=True).values
    assume(float((probabilities.cumsum(-1) - share).abs().min()) > 1e-4)
    assume(float((probabilities - share * probabilities[0]).abs().min()) > 1e-5)
    assume(float((-probabilities.diff()).min()) > 1e-7)
    assert kept(sampling.top_p(share)(logits, ())) == kept(theirs(TopPLogitsWarper(share), logits, [0]))
    assert kept(sampling.min_p(share)(logits, ())) == kept(theirs(MinPLogitsWarper(share), logits, [0]))
