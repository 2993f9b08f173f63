"""Whatever the strategy: a failing model is a typed error with what came, and the engine goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from ambidex import Beams, Greedy, Request, Sampling, collect
from ambidex.errors import AmbidexError, ContextLengthExceeded, EngineError, NonFiniteLogits, OutOfMemory
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.model import Span

PROMPT = "the rain in the north and the rain in the north and the"
STRATEGIES: dict[str, Request] = {
    "greedy": Request(prompt=PROMPT, decoding=Greedy(min_tokens=20), max_tokens=20),
    "samples": Request(prompt=PROMPT, decoding=Sampling(seed=1, min_tokens=20), n=3, max_tokens=20),
    "beams": Request(prompt=PROMPT, decoding=Beams(width=3, min_tokens=20), max_tokens=20),
    "traced": Request(prompt=PROMPT, decoding=Greedy(min_tokens=20), max_tokens=20, trace=True),
}


def out_of_memory(logits: list[torch.Tensor]) -> list[torch.Tensor]:
    return [torch.empty(2**50)]


def not_a_number(logits: list[torch.Tensor]) -> list[torch.Tensor]:
    return [row * float("nan") for row in logits]


def broken(logits: list[torch.Tensor]) -> list[torch.Tensor]:
    raise RuntimeError("the kernel broke")


@pytest.mark.parametrize("draft", [None, "prompt"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("failure", "error"), [(out_of_memory, OutOfMemory), (not_a_number, NonFiniteLogits), (broken, EngineError)]
)
@pytest.mark.parametrize("at", [1, 6])
def test_a_failing_pass(
    model_folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    draft: str | None,
    strategy: str,
    failure: Callable[[list[torch.Tensor]], list[torch.Tensor]],
    error: type[AmbidexError],
    at: int,
) -> None:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu", draft=draft)
    request = STRATEGIES[strategy]
    expected = collect(backend.stream(request))
    model: Any = backend._runtime.engine._model
    forward: Callable[[Sequence[Span]], list[torch.Tensor]] = model.forward
    calls = 0

    def failing(spans: Sequence[Span]) -> list[torch.Tensor]:
        nonlocal calls
        calls += 1
        return failure(forward(spans)) if calls == at else forward(spans)

    monkeypatch.setattr(model, "forward", failing)
    with pytest.raises(error) as caught:
        collect(backend.stream(request))
    assert type(caught.value) is error
    assert caught.value.partial is not None
    after = collect(backend.stream(request))
    assert [choice.message for choice in after.choices] == [choice.message for choice in expected.choices]
    backend.close()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_over_long_prompt_is_refused_up_front(model_folder: Callable[[str], Path], strategy: str) -> None:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu", draft="prompt")
    decoding, n = STRATEGIES[strategy].decoding, STRATEGIES[strategy].n
    with pytest.raises(ContextLengthExceeded, match="256"):
        backend.stream(Request(prompt=[5] * 256, decoding=decoding, n=n))
    backend.close()
