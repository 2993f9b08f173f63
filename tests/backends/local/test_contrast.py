"""Contrastive decoding: what two models' scores say by the paper's formula, in every strategy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from ambidex import Beams, Greedy, Request, Sampling, collect
from ambidex.errors import ContextLengthExceeded, EngineError, Unsupported
from ambidex.events import StepTraced
from ambidex.grammar import Regex
from ambidex.reply import Reply
from ambidex.trace import Step
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.contrast import PLAUSIBLE, contrast
from ambidex_backends.local.native.library import NoKernels, kernels
from ambidex_backends.local.sampling import ModelDefaults, make_sampler

from .conftest import ARCHITECTURES, VOCABULARY, save_model

PROMPT = "the rain in the north and the"
BY = 0.7
NEVER = -math.inf


@pytest.fixture(scope="session")
def weaker_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another Llama, with other random weights."""
    shape = {"num_hidden_layers": 1, "hidden_size": 24, "initializer_range": 0.3}
    return save_model(tmp_path_factory.mktemp("weaker"), "llama", {**ARCHITECTURES["llama"], **shape})


@pytest.fixture
def connected(model_folder: Callable[[str], Path], weaker_folder: Path) -> Iterator[Callable[..., LocalBackend]]:
    opened: list[LocalBackend] = []

    def open(kind: str = "llama", draft: str | Path | None = weaker_folder, **options: Any) -> LocalBackend:
        folder = str(model_folder(kind))
        draft = None if draft is None else str(draft)
        opened.append(LocalBackend(folder, dtype="float32", device="cpu", draft=draft, **options))
        return opened[-1]

    yield open
    for backend in opened:
        backend.close()


def ids_of(reply: Reply[Any]) -> list[int | None]:
    return [scored.id for scored in reply.logprobs or ()]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
def test_greedy_answers_follow_the_formula(
    kind: str, connected: Callable[..., LocalBackend], model_folder: Callable[[str], Path], weaker_folder: Path
) -> None:
    models: list[Any] = [
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        for folder in (model_folder(kind), weaker_folder)
    ]
    backend = connected(kind)
    ids = list(backend.tokenizer.raw_prompt(PROMPT))
    expected: list[int] = []
    for _ in range(25):
        with torch.inference_mode():
            strong, weak = (model(input_ids=torch.tensor([ids])).logits[0, -1] for model in models)
        likely = torch.softmax(strong, -1) >= PLAUSIBLE * torch.softmax(strong, -1).max()
        scores = (1 + BY) * torch.log_softmax(strong, -1) - BY * torch.log_softmax(weak, -1)
        expected.append(int(scores.masked_fill(~likely, NEVER).argmax()))
        ids.append(expected[-1])
    decoding = Greedy(contrast=BY, min_tokens=25)
    found = collect(backend.stream(Request(prompt=PROMPT, max_tokens=25, decoding=decoding, logprobs=0)))
    assert ids_of(found) == expected
    plain = collect(backend.stream(Request(prompt=PROMPT, max_tokens=25, decoding=Greedy(min_tokens=25), logprobs=0)))
    assert ids_of(plain) != expected


def test_every_strategy_gives_the_same_alone_together_and_by_any_forward_pass(
    connected: Callable[..., LocalBackend],
) -> None:
    requests = [
        Request(prompt=PROMPT, max_tokens=20, decoding=Greedy(contrast=BY), logprobs=0),
        Request(prompt=PROMPT, max_tokens=20, decoding=Sampling(contrast=BY, temperature=1.2, seed=5), logprobs=0),
        Request(prompt=PROMPT, max_tokens=20, decoding=Sampling(contrast=2.0, seed=5), n=3),
        Request(prompt=PROMPT, max_tokens=12, decoding=Beams(width=3, contrast=BY), n=2),
        Request(prompt=PROMPT, max_tokens=40, decoding=Greedy(contrast=BY), output=Regex("(the (rain|sun) )+end")),
        Request(prompt=PROMPT, max_tokens=20, decoding=Greedy(), logprobs=0),
    ]

    def told(backend: LocalBackend) -> list[object]:
        replies = [collect(backend.stream(request)) for request in requests]
        return [(ids_of(reply), [choice.message.text for choice in reply.choices]) for reply in replies]

    backend = connected()
    alone = told(backend)
    drafted = [collect(backend.stream(request)).usage.drafted_tokens for request in (requests[0], requests[-1])]
    assert drafted[0] is None  # it would guess what the answer keeps away from
    assert drafted[1] is not None
    together = [reply for reply in backend.batch(requests) if isinstance(reply, Reply)]
    assert [(ids_of(reply), [choice.message.text for choice in reply.choices]) for reply in together] == alone
    assert told(connected(kernels=False)) == alone


def test_beams_are_the_best_by_the_formula(
    connected: Callable[..., LocalBackend], model_folder: Callable[[str], Path], weaker_folder: Path
) -> None:
    """All answers of two tokens, by brute force: as wide a search finds the best two, and their scores."""
    models: list[Any] = [
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        for folder in (model_folder("llama"), weaker_folder)
    ]
    backend = connected()
    prompt = list(backend.tokenizer.raw_prompt(PROMPT))

    def row(ids: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            strong, weak = (torch.log_softmax(m(input_ids=torch.tensor([ids])).logits[0, -1], -1) for m in models)
        strong = strong.index_fill(0, torch.tensor(sorted(backend._runtime._ends)), NEVER)
        plausible = strong >= strong.max() + math.log(PLAUSIBLE)
        return torch.log_softmax(((1 + BY) * strong - BY * weak).masked_fill(~plausible, NEVER), -1)

    first = row(prompt)
    scores = {
        (one, two): float(first[one] + score)
        for one in (first > NEVER).nonzero().flatten().tolist()
        for two, score in enumerate(row([*prompt, one]).tolist())
        if score > NEVER
    }
    best = sorted(scores, key=lambda pair: -scores[pair])[:2]
    decoding = Beams(width=200, contrast=BY, min_tokens=2, length_penalty=0.0)
    reply = collect(backend.stream(Request(prompt=PROMPT, max_tokens=2, decoding=decoding, n=2, logprobs=0)))
    for choice, pair in zip(reply.choices, best, strict=True):
        assert tuple(scored.id for scored in choice.logprobs or ()) == pair
        assert choice.score == pytest.approx(scores[pair], abs=1e-4)


@pytest.mark.parametrize(
    "decoding",
    [Greedy(contrast=BY), Beams(width=3, contrast=BY), Beams(width=1, contrast=BY)],
    ids=["greedy", "beams", "beam"],
)
def test_what_a_form_demands_is_not_weighed(decoding: Greedy | Beams, connected: Callable[..., LocalBackend]) -> None:
    backend = connected()
    form = Regex("hello world (yes|no)")
    reply = collect(backend.stream(Request(prompt=PROMPT, max_tokens=40, decoding=decoding, output=form)))
    assert reply.text in {"hello world yes", "hello world no"}
    for length in range(4, 20):  # an endless list is closed in time
        request = Request(prompt=PROMPT, max_tokens=length, decoding=decoding, output=list[str])
        assert isinstance(collect(backend.stream(request)).value, list)


def test_bans_come_before_what_is_plausible() -> None:
    """Where the model is sure of a token that may not come, the others are weighed."""
    sure = torch.tensor([0.0, 1.0, 9.0, 0.5, 0.0])
    for decoding in (
        Greedy(contrast=0.5, min_tokens=3),
        Greedy(contrast=0.5, no_repeat_ngram=1),
        Greedy(contrast=0.5, logit_bias={2: -100.0}),
    ):
        scores: Any = SimpleNamespace(after=lambda seen: torch.zeros(5), release=lambda: None)
        sampler = make_sampler(decoding, ModelDefaults(), prompt_length=1, ends=frozenset({2}), weaker=scores)
        assert sampler.pick(sure, [2]) == 1


def test_the_steps_can_be_seen(connected: Callable[..., LocalBackend]) -> None:
    request = Request(prompt=PROMPT, max_tokens=5, decoding=Sampling(contrast=BY, seed=1, min_tokens=5), trace=True)
    steps = [event.trace for event in connected().stream(request) if isinstance(event, StepTraced)]
    assert steps
    for step in steps:
        assert isinstance(step, Step)
        assert step.stages[:2] == ("min_tokens", "contrast")
        assert any(candidate.after[0] != candidate.after[1] for candidate in step.candidates)


def test_it_takes_no_more_than_the_draft_model_does(connected: Callable[..., LocalBackend], tmp_path: Path) -> None:
    short = save_model(tmp_path, "gpt2", {**ARCHITECTURES["gpt2"], "max_position_embeddings": 32})
    backend = connected(draft=short)
    decoding = Greedy(contrast=BY, min_tokens=32)
    reply = collect(backend.stream(Request(prompt=PROMPT, decoding=decoding)))
    assert reply.finish_reason == "length"
    assert (reply.usage.input_tokens or 0) + (reply.usage.output_tokens or 0) == 32
    with pytest.raises(ContextLengthExceeded) as caught:
        backend.stream(Request(prompt=PROMPT * 8, decoding=decoding))
    assert caught.value.limit == 32
    assert collect(backend.stream(Request(prompt=PROMPT * 8, max_tokens=4, decoding=Greedy(min_tokens=4)))).text


def test_deterministic_it_must_be_by_the_kernels(
    connected: Callable[..., LocalBackend], model_folder: Callable[[str], Path]
) -> None:
    try:
        kernels()
    except NoKernels as missing:
        pytest.skip(f"no kernels on this machine: {missing}")
    backend = connected(draft=model_folder("gpt2"), deterministic=True)
    assert backend.capabilities.contrast is False
    with pytest.raises(Unsupported, match="deterministic") as caught:
        backend.stream(Request(prompt=PROMPT, decoding=Greedy(contrast=BY)))
    assert caught.value.param == "contrast"
    by_kernels = connected(deterministic=True)
    assert by_kernels.capabilities.contrast is True
    assert collect(by_kernels.stream(Request(prompt=PROMPT, max_tokens=3, decoding=Greedy(contrast=BY)))).text


def test_nothing_of_the_draft_model_is_kept_when_the_backend_closes(connected: Callable[..., LocalBackend]) -> None:
    backend = connected()
    draft: Any = backend._runtime._strategies.draft_model
    stream = backend.stream(Request(prompt=PROMPT, max_tokens=99, decoding=Greedy(contrast=BY, min_tokens=99)))
    next(stream)
    stream.cancel()
    list(stream)
    backend.close()
    if hasattr(draft.model, "pool"):
        assert draft.model.pool.allocated == 0
    else:
        assert not draft.model._prefixes._in_use


def test_a_model_unlike_itself_is_itself(
    connected: Callable[..., LocalBackend], model_folder: Callable[[str], Path]
) -> None:
    backend = connected(draft=model_folder("llama"))
    texts = {
        collect(backend.stream(Request(prompt=PROMPT, max_tokens=30, decoding=Greedy(contrast=by)))).text
        for by in (None, 0, 0.5, 3.0)
    }
    assert len(texts) == 1


@pytest.mark.parametrize("draft", [None, "prompt"])
def test_without_a_draft_model_it_is_refused(draft: str | None, connected: Callable[..., LocalBackend]) -> None:
    with pytest.raises(Unsupported, match="draft") as caught:
        connected(draft=draft).stream(Request(prompt=PROMPT, decoding=Greedy(contrast=0.5)))
    assert caught.value.param == "contrast"


@pytest.mark.parametrize("how", ["raises", "nan"])
def test_a_draft_model_that_fails_ends_the_answer(
    how: str, connected: Callable[..., LocalBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = connected()
    draft: Any = backend._runtime._strategies.draft_model
    forward = draft.model.forward

    def dead(spans: Any) -> Any:
        if how == "raises":
            raise RuntimeError("the draft model died")
        return [logits * float("nan") for logits in forward(spans)]

    request = Request(prompt=PROMPT, max_tokens=20, decoding=Greedy(contrast=BY))
    with monkeypatch.context() as broken:
        broken.setattr(draft.model, "forward", dead)
        with pytest.raises(EngineError, match="The draft model failed"):
            collect(backend.stream(request))
    assert collect(backend.stream(request)).usage.output_tokens == 20
    if hasattr(draft.model, "pool"):  # else there is no compiler here
        pool = draft.model.pool
        assert len(pool._free) + pool.kept == pool.allocated


@given(st.data(), st.floats(0.0, 5.0))
def test_what_is_excluded_stays_so_and_the_best_stays_possible(data: st.DataObject, by: float) -> None:
    score = st.one_of(st.just(NEVER), st.floats(-30, 30, width=32))
    count = data.draw(st.integers(1, 8))
    strong, weak = (torch.tensor(data.draw(st.lists(score, min_size=count, max_size=count))) for _ in range(2))

    def weaker(seen: Sequence[int]) -> torch.Tensor:
        assert seen == [1, 2]
        return weak

    found = contrast(by, weaker)(strong, [1, 2])
    possible = (strong > NEVER) & (weak > NEVER)
    assert not found.isnan().any()
    assert not (found > NEVER)[~possible].any()
    if possible.any():
        best = int(strong.masked_fill(~possible, NEVER).argmax())
        assert found[best] > NEVER
        left = found > NEVER
        assert (strong[left] >= strong[best] + math.log(PLAUSIBLE) - 1e-5).all()
        assert float(found.exp().sum()) == pytest.approx(1.0, abs=1e-4)
        elsewhere = contrast(by, lambda seen: weak + 5.0)(strong, [1, 2])  # only differences between scores count
        assert torch.allclose(elsewhere, found, atol=1e-3)


def test_ids_that_the_draft_does_not_have_are_left_out() -> None:
    weak = torch.zeros(VOCABULARY).index_fill(0, torch.tensor([VOCABULARY - 1]), NEVER)
    strong = torch.zeros(VOCABULARY).index_fill(0, torch.tensor([VOCABULARY - 1]), 9.0)
    assert torch.equal(contrast(1.0, lambda seen: weak)(strong, ()) > NEVER, weak > NEVER)
