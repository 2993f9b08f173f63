"""Contrastive decoding: what two models' scores say by the paper's formula, in every strategy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from ambidex import Beams, Greedy, Request, Sampling, collect
from ambidex.errors import EngineError, Unsupported
from ambidex.grammar import Regex
from ambidex.reply import Reply
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.contrast import PLAUSIBLE, contrast
from ambidex_backends.local.speculation import Pace

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


def test_every_strategy_gives_the_same_alone_together_and_with_guesses(
    connected: Callable[..., LocalBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [
        Request(prompt=PROMPT, max_tokens=20, decoding=Greedy(contrast=BY), logprobs=0),
        Request(prompt=PROMPT, max_tokens=20, decoding=Sampling(contrast=BY, temperature=1.2, seed=5), logprobs=0),
        Request(prompt=PROMPT, max_tokens=20, decoding=Sampling(contrast=2.0, seed=5), n=3),
        Request(prompt=PROMPT, max_tokens=12, decoding=Beams(3, contrast=BY), n=2),
        Request(prompt=PROMPT, max_tokens=40, decoding=Greedy(contrast=BY), output=Regex("(the (rain|sun) )+end")),
        Request(prompt=PROMPT, max_tokens=20, decoding=Greedy(), logprobs=0),
    ]

    def told(backend: LocalBackend) -> list[object]:
        replies = [collect(backend.stream(request)) for request in requests]
        return [(ids_of(reply), [choice.message.text for choice in reply.choices]) for reply in replies]

    backend = connected()
    monkeypatch.setattr(Pace, "next", lambda self: 0)
    alone = told(backend)
    together = [reply for reply in backend.batch(requests) if isinstance(reply, Reply)]
    assert [(ids_of(reply), [choice.message.text for choice in reply.choices]) for reply in together] == alone
    monkeypatch.setattr(Pace, "next", lambda self: 4)
    assert told(backend) == alone
    assert told(connected(kernels=False)) == alone


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
        with pytest.raises(EngineError, match="draft model"):
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


def test_ids_that_the_draft_does_not_have_are_left_out() -> None:
    weak = torch.zeros(VOCABULARY).index_fill(0, torch.tensor([VOCABULARY - 1]), NEVER)
    strong = torch.zeros(VOCABULARY).index_fill(0, torch.tensor([VOCABULARY - 1]), 9.0)
    assert torch.equal(contrast(1.0, lambda seen: weak)(strong, ()) > NEVER, weak > NEVER)
