"""Guesses ahead change no answer: token for token, and in distribution. How many are made follows what they gain."""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ambidex import Greedy, Reply, Request, Sampling, collect
from ambidex.decoding import Decoding
from ambidex.errors import Unsupported, VocabMismatch
from ambidex.grammar import Regex
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.drafting import PromptLookup
from ambidex_backends.local.speculation import MOST, Pace

from .conftest import ARCHITECTURES, save_model

PROMPT = "the rain in the north and the rain in the north and the"


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guesses at every step: whether it pays depends on the machine."""
    monkeypatch.setattr(Pace, "next", lambda self: 4)


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A draft model that is often wrong: another Llama with other random weights."""
    return save_model(tmp_path_factory.mktemp("draft"), "llama", {"num_hidden_layers": 1, "hidden_size": 24})


@pytest.fixture
def folder(model_folder: Callable[[str], Path]) -> Path:
    return model_folder("llama")


def connected(folder: Path, draft: str | Path | None, **options: Any) -> LocalBackend:
    return LocalBackend(
        str(folder), dtype="float32", device="cpu", draft=None if draft is None else str(draft), **options
    )


def answers(backend: LocalBackend, requests: Sequence[Request]) -> list[Reply[Any]]:
    return [collect(backend.stream(request)) for request in requests]


def same(plain: Sequence[Reply[Any]], guessed: Sequence[Reply[Any]]) -> None:
    for one, two in zip(plain, guessed, strict=True):
        assert two.text == one.text
        assert two.finish_reason == one.finish_reason
        assert two.stop_sequence == one.stop_sequence
        assert two.usage.output_tokens == one.usage.output_tokens
        assert [scored.id for scored in two.logprobs or ()] == [scored.id for scored in one.logprobs or ()]
        assert [scored.logprob for scored in two.logprobs or ()] == pytest.approx(
            [scored.logprob for scored in one.logprobs or ()], abs=2e-4
        )


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_answers_are_the_same_token_for_token(
    kind: str, model_folder: Callable[[str], Path], small_folder: Path, always: None
) -> None:
    decodings: list[Decoding] = [Greedy(), Sampling(temperature=0.8, top_k=20, repetition_penalty=1.1, seed=3)]
    requests = [Request(prompt=PROMPT, max_tokens=30, decoding=decoding, logprobs=1) for decoding in decodings]
    plain = connected(model_folder(kind), None)
    expected = answers(plain, requests)
    plain.close()
    drafts: list[str | Path] = ["prompt", small_folder]
    for draft in drafts:
        backend = connected(model_folder(kind), draft)
        found = answers(backend, requests)
        same(expected, found)
        same(expected, answers(backend, requests))
        assert draft == "prompt" or all(reply.usage.drafted_tokens for reply in found)
        backend.close()


@pytest.mark.parametrize("draft", ["prompt", "small", "self"])
def test_with_everything_that_shapes_an_answer(folder: Path, small_folder: Path, draft: str, always: None) -> None:
    stop = " sun"
    requests = [
        Request(prompt=PROMPT, max_tokens=40, decoding=Greedy(), stop=[stop, "\x0c"]),
        Request(prompt=PROMPT, max_tokens=1, decoding=Greedy()),
        Request(prompt=PROMPT, max_tokens=2, decoding=Greedy(min_tokens=2)),
        Request(prompt=PROMPT, max_tokens=30, decoding=Sampling(seed=1, frequency_penalty=0.7, no_repeat_ngram=3)),
        Request(prompt=PROMPT, max_tokens=30, decoding=Sampling(seed=2, banned=("nor", "and the"))),
        Request(prompt=PROMPT, max_tokens=60, decoding=Greedy(), output=Regex("(the (rain|sun) )+end"), logprobs=0),
        Request(prompt=PROMPT, max_tokens=60, decoding=Sampling(seed=4), output=Regex("(the (rain|sun) )+end")),
    ]
    plain = connected(folder, None)
    drafts: dict[str, str | Path] = {"prompt": "prompt", "small": small_folder, "self": folder}
    backend = connected(folder, drafts[draft])
    same(answers(plain, requests), answers(backend, requests))
    together = backend.batch(requests)
    same(answers(plain, requests), [reply for reply in together if isinstance(reply, Reply)])
    plain.close()
    backend.close()


@pytest.mark.parametrize("decoding", [Greedy(min_tokens=40), Sampling(temperature=1.3, seed=9, min_tokens=40)])
def test_a_draft_model_with_the_same_scores_is_always_right(folder: Path, decoding: Decoding, always: None) -> None:
    """Also when tokens are drawn: it uses the random numbers that belong to the positions."""
    backend = connected(folder, folder)
    usage = collect(backend.stream(Request(prompt=PROMPT, max_tokens=40, decoding=decoding))).usage
    assert usage.drafted_tokens is not None
    assert usage.accepted_tokens == usage.drafted_tokens
    assert usage.drafted_tokens >= 30
    backend.close()


@pytest.mark.parametrize("draft", ["prompt", "small"])
def test_the_distribution_is_the_model_s(folder: Path, small_folder: Path, draft: str, always: None) -> None:
    """The second and third token of many answers, five ids being allowed: chi-square against the exact numbers."""
    allowed = torch.tensor([40, 90, 200, 300, 350])

    def only(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        return torch.full_like(logits, -torch.inf).index_copy(0, allowed, logits[allowed] * 0.3)

    backend = connected(folder, small_folder if draft == "small" else "prompt")
    count = 500
    found: collections.Counter[tuple[int, ...]] = collections.Counter()
    for seed in range(count):
        sampling = Sampling(temperature=1.0, seed=seed, processors=(only,))
        reply = collect(backend.stream(Request(prompt=PROMPT, max_tokens=3, decoding=sampling, logprobs=0)))
        found[tuple(scored.id or 0 for scored in reply.logprobs or ())[1:]] += 1
    exact = _exact(backend, only, allowed.tolist())
    backend.close()
    rare = [pair for pair, probability in exact.items() if probability * count < 5]
    cells = [(found[pair], probability * count) for pair, probability in exact.items() if pair not in rare]
    cells.append((sum(found[pair] for pair in rare), sum(exact[pair] for pair in rare) * count))
    statistic = sum((seen - expected) ** 2 / expected for seen, expected in cells if expected > 0)
    freedom = len(cells) - 1
    assert freedom >= 4
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5 + 4, "about one in ten thousand would be this far"


def _exact(backend: LocalBackend, only: Any, allowed: list[int]) -> dict[tuple[int, int], float]:
    """Probabilities of the second and the third token together."""
    scores: dict[tuple[int, ...], list[float]] = {}

    def probabilities(ids: tuple[int, ...]) -> list[float]:
        if ids not in scores:
            seen: list[torch.Tensor] = []

            def keep(logits: torch.Tensor, _: Sequence[int]) -> torch.Tensor:
                seen.append(torch.softmax(only(logits, ()), -1))
                return logits

            prompt = [*backend.tokenizer.raw_prompt(PROMPT), *ids]
            collect(backend.stream(Request(prompt=prompt, max_tokens=1, decoding=Greedy(processors=(keep,)))))
            scores[ids] = [float(seen[0][id]) for id in allowed]
        return scores[ids]

    exact: collections.defaultdict[tuple[int, int], float] = collections.defaultdict(float)
    for first, p in zip(allowed, probabilities(()), strict=True):
        for second, q in zip(allowed, probabilities((first,)), strict=True):
            for third, r in zip(allowed, probabilities((first, second)), strict=True):
                exact[second, third] += p * q * r
    return dict(exact)


@pytest.mark.parametrize("how", ["raises", "nan"])
def test_a_dead_draft_model_is_left_out(
    folder: Path,
    small_folder: Path,
    how: str,
    always: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = Request(prompt=PROMPT, max_tokens=20, decoding=Greedy(min_tokens=20))
    plain = connected(folder, None)
    backend = connected(folder, small_folder)
    draft: Any = backend._runtime._strategies.draft_model
    model = draft.model
    forward = model.forward

    def dead(spans: Any) -> Any:
        if how == "raises":
            raise RuntimeError("the draft model died")
        return [logits * float("nan") for logits in forward(spans)]

    monkeypatch.setattr(model, "forward", dead)
    with caplog.at_level(logging.WARNING, logger="ambidex"):
        reply = collect(backend.stream(request))
        assert collect(backend.stream(request)).text == reply.text
    assert reply.text == collect(plain.stream(request)).text
    assert reply.usage.drafted_tokens == 0
    assert sum("draft model guesses no more" in record.message for record in caplog.records) == 1
    plain.close()
    backend.close()


def test_a_draft_model_guesses_within_its_context(folder: Path, tmp_path: Path, always: None) -> None:
    short = save_model(tmp_path, "gpt2", {**ARCHITECTURES["gpt2"], "max_position_embeddings": 32})
    backend = connected(folder, short)
    reply = collect(backend.stream(Request(prompt=PROMPT, max_tokens=60, decoding=Greedy(min_tokens=60))))
    assert reply.usage.output_tokens == 60
    assert (reply.usage.drafted_tokens or 0) > 0
    draft: Any = backend._runtime._strategies.draft_model
    assert not draft.is_dead
    backend.close()


def test_what_cannot_draft_is_refused(folder: Path, model_folder: Callable[[str], Path]) -> None:
    with pytest.raises(VocabMismatch, match="other ids"):
        connected(folder, "pocket")
    with pytest.raises(Unsupported, match="cut back"):
        connected(model_folder("lfm2"), "prompt")
    with pytest.raises(Unsupported, match="cut back"):
        connected(folder, model_folder("lfm2"))
    with pytest.raises(Unsupported, match="deterministic"):
        LocalBackend(str(model_folder("gpt2")), dtype="bfloat16", device="cpu", draft="prompt", deterministic=True)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 9))
def test_look_up_copies_what_followed(ids: list[int], count: int) -> None:
    lookup = PromptLookup()
    for length in range(1, len(ids) + 1):  # as the answer grows
        seen = ids[:length]
        found = lookup.propose(seen, count, lambda logits, seen: [])
        places = {
            size: [end for end in range(size, length) if seen[end - size : end] == seen[-size:]] for size in (3, 2)
        }
        size = 3 if places[3] else 2
        if not places[size] or length < size:
            assert found == []
        else:
            start = max(places[size])
            assert found == ((seen[start:] or []) * count)[:count]


@pytest.fixture
def paces() -> Callable[[float, float], list[int]]:
    def run(right_share: float, cost: float) -> list[int]:
        """What is guessed over 300 steps: each guess is right with that share and costs so much of a step."""
        generator = torch.Generator().manual_seed(0)
        pace, guessed = Pace(), []
        for _ in range(300):
            count = pace.next()
            right = 0
            while right < count and float(torch.rand(1, generator=generator)) < right_share:
                right += 1
            pace.took(1.0 + cost * count, right + 1, count, right)
            guessed.append(count)
        return guessed

    return run


def test_the_pace_follows_what_guesses_gain(paces: Callable[[float, float], list[int]]) -> None:
    worthless = paces(0.0, 0.3)
    assert sum(count > 0 for count in worthless[50:]) < 12
    good = paces(0.95, 0.1)
    assert sum(good[50:]) / 250 > MOST / 2
    dear = paces(0.5, 2.0)
    assert sum(count > 0 for count in dear[50:]) < 25
    assert 0 < sum(paces(0.5, 0.05)[50:]) / 250 < MOST
