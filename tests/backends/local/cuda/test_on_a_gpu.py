"""What only a GPU can show: recorded passes, where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.backends.local.conftest import VOCABULARY, cuda_model_on

from ambidex import Greedy, Request, Sampling, collect
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.cuda.model import CudaModel
from ambidex_backends.local.cuda.step_graphs import CudaRecorder
from ambidex_backends.local.model import Span

if not torch.cuda.is_available():
    pytest.skip("no GPU on this machine", allow_module_level=True)

GPU = "cuda:0"
TOLERANCE = 1e-2  # of matrix products that a GPU may do in TF32


def logits_of(model: CudaModel, ids: list[int]) -> torch.Tensor:
    """One id after another, after a prompt of three."""
    cache = model.open(ids)
    model.forward([Span(ids[:3], cache, 0)])
    return torch.cat([model.forward([Span([id], cache, 1)])[0] for id in ids[3:]])


def recording(folder: Path, cache_bytes: int = 1 << 22) -> CudaModel:
    return cuda_model_on(folder, device=GPU, cache_bytes=cache_bytes, recorder=CudaRecorder(torch.device(GPU)))


def test_recorded_steps_give_what_others_give(model_folder: Callable[[str], Path]) -> None:
    """Also after keys and values have moved, and after another model's graphs have gone."""
    folder, ids = model_folder("qwen3"), [7 + index % (VOCABULARY - 10) for index in range(280)]
    expected = logits_of(cuda_model_on(folder), ids)
    model, other = recording(folder, cache_bytes=0), recording(folder)
    assert torch.allclose(logits_of(model, ids), expected, atol=TOLERANCE)
    assert torch.allclose(logits_of(other, ids), expected, atol=TOLERANCE)
    assert len(model._graphs) == len(other._graphs) == 2
    other.clear()
    caches = [model.open([1]) for _ in range(8)]
    model.forward([Span(ids, cache, 0) for cache in caches])
    assert torch.allclose(logits_of(model, ids), expected, atol=TOLERANCE)


def test_answers_are_those_without_graphs(model_folder: Callable[[str], Path]) -> None:
    folder = str(model_folder("llama"))
    requests = [
        Request(prompt=list(range(5, 5 + length)), max_tokens=20, decoding=decoding)
        for length in (3, 40)
        for decoding in (Greedy(), Sampling(temperature=0.8, seed=1))
    ]
    texts = []
    for graphs in (False, True):
        backend = LocalBackend(folder, device=GPU, dtype="float32", cuda_graphs=graphs)
        texts.append([collect(backend.stream(request)).text for request in requests])
        backend.close()
    assert texts[0] == texts[1]
