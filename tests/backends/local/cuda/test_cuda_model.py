"""What a GPU computes, on the CPU: all of it but the recording of passes."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.backends.local.conftest import ARCHITECTURES, BY_CUDA, VOCABULARY, OpenBackend, cuda_model_on
from transformers import AutoConfig, AutoModelForCausalLM

from ambidex import Beams, Greedy, Request, Sampling, collect
from ambidex.errors import Unsupported
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.cuda.choice import cuda_model
from ambidex_backends.local.cuda.model import CudaModel
from ambidex_backends.local.cuda.pool import DevicePool
from ambidex_backends.local.cuda.rows import Rows
from ambidex_backends.local.model import Span
from ambidex_backends.local.native.architecture import FAMILIES, MIXTURES

DENSE = [kind for kind in ARCHITECTURES if kind in FAMILIES - MIXTURES]
TOLERANCE = 2e-4


def some_ids(seed: int, length: int) -> list[int]:
    return [random.Random(seed * 1000 + index).randrange(3, VOCABULARY) for index in range(length)]


def expected(folder: Path, ids: list[int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    reference: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    with torch.inference_mode():
        logits: torch.Tensor = reference(input_ids=torch.tensor([ids])).logits[0].float()
    return logits


@pytest.mark.parametrize("kind", DENSE)
def test_logits_are_those_of_transformers_however_a_text_is_cut(kind: str, model_folder: Callable[[str], Path]) -> None:
    folder, ids = model_folder(kind), some_ids(1, 61)
    model, found = cuda_model_on(folder), []
    cache = model.open(ids)
    for start, end in ((0, 1), (1, 34), (34, 35), (35, 36), (36, 60), (60, 61)):
        found.append(model.forward([Span(ids[start:end], cache, end - start)])[0])
    assert torch.allclose(torch.cat(found), expected(folder, ids), atol=TOLERANCE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["llama", "gemma3_text"])
def test_lower_precisions_are_as_near_as_those_of_transformers(
    kind: str, dtype: torch.dtype, model_folder: Callable[[str], Path]
) -> None:
    folder, ids = model_folder(kind), some_ids(2, 40)
    truth = expected(folder, ids)
    model = cuda_model_on(folder, dtype=dtype)
    ours = model.forward([Span(ids, model.open(ids), len(ids))])[0]
    assert (ours - truth).norm() < 1.5 * (expected(folder, ids, dtype) - truth).norm()


def test_sequences_of_other_lengths_go_through_one_pass(model_folder: Callable[[str], Path]) -> None:
    """Prompts, steps and several ids at once, beside each other; then all as steps, some of them in a fork."""
    folder = model_folder("mistral")  # its window is shorter than the longest
    model = cuda_model_on(folder)
    texts = [some_ids(seed, length) for seed, length in ((1, 5), (2, 33), (3, 270), (4, 18), (5, 64))]
    caches = [model.open(text) for text in texts]
    model.forward([Span(text[:-3], cache, 0) for text, cache in zip(texts, caches, strict=True)])
    mixed = [Span(text[-3:-2] if i % 2 else text[-3:-1], caches[i], 1) for i, text in enumerate(texts)]
    model.forward(mixed)
    for i in (1, 3):
        model.forward([Span(texts[i][-2:-1], caches[i], 1)])
    caches.append(caches[2].fork())
    texts.append([*texts[2][:-1], 7])
    logits = model.forward([Span(text[-1:], cache, 1) for text, cache in zip(texts, caches, strict=True)])
    for text, found in zip(texts, logits, strict=True):
        assert torch.allclose(found[0], expected(folder, text)[-1], atol=TOLERANCE)


def test_keys_and_values_stay_when_more_room_is_taken(model_folder: Callable[[str], Path]) -> None:
    folder, ids = model_folder("llama"), some_ids(6, 200)
    model = cuda_model_on(folder, cache_bytes=0)
    first = model.open(ids)
    model.forward([Span(ids[:150], first, 0)])
    others = [model.open(ids) for _ in range(12)]
    for number, other in enumerate(others):
        model.forward([Span(some_ids(10 + number, 200), other, 0)])
    assert model.pool.moved > 1
    found = model.forward([Span(ids[150:], first, 50)])[0]
    assert torch.allclose(found, expected(folder, ids)[150:], atol=TOLERANCE)
    for cache in [first, *others]:
        model.release(cache, [])
    model.clear()
    assert model.pool.storage.shape[2] == 0


def test_a_prefix_is_taken_up_to_the_token(model_folder: Callable[[str], Path]) -> None:
    folder, ids = model_folder("qwen3"), some_ids(7, 50)
    model = cuda_model_on(folder)
    cache = model.open(ids)
    model.forward([Span(ids, cache, 1)])
    model.release(cache, ids)
    other = [*ids[:45], 9, 9, 9]
    again = model.open(other)
    assert again.length == 45
    found = model.forward([Span(other[45:], again, 3)])[0]
    assert torch.allclose(found, expected(folder, other)[45:], atol=TOLERANCE)


def test_ids_beyond_the_vocabulary_are_refused_before_the_device_sees_them(
    model_folder: Callable[[str], Path],
) -> None:
    model = cuda_model_on(model_folder("llama"))
    with pytest.raises(ValueError, match="within 0 and 383"):
        model.forward([Span([3, VOCABULARY], model.open([1, 2]), 1)])


class Recordings:
    """Records as CUDA does, as far as memory goes: the same tensor is given each time, with what `rows` hold then."""

    def __init__(self, failures: int = 0) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self.failures, self.forgotten = failures, 0

    def record(self, step: Callable[[Rows], torch.Tensor], rows: Rows) -> Callable[[], torch.Tensor]:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("operation not permitted when stream is capturing")
        self.sizes.append(tuple(rows.packed.shape))
        result = step(rows)

        def replay() -> torch.Tensor:
            return result.copy_(step(rows))

        return replay

    def forget(self) -> None:
        self.forgotten += 1


def test_steps_are_recorded_in_few_sizes_and_once(model_folder: Callable[[str], Path]) -> None:
    folder, recordings = model_folder("llama"), Recordings()
    model = cuda_model_on(folder, recorder=recordings)
    for count in (1, 2, 3, 4, 5, 7, 8):
        caches = [model.open([1, 2]) for _ in range(count)]
        for length in (1, 20, 100):
            model.forward([Span(some_ids(length, length + 1), cache, 0) for cache in caches])
            model.forward([Span([5], cache, 1) for cache in caches])
        for cache in caches:
            model.release(cache, [])
    assert recordings.sizes == [(1, 19), (2, 19), (4, 19), (8, 19)]


def test_what_is_recorded_gives_each_step_its_own_logits(model_folder: Callable[[str], Path]) -> None:
    folder, ids = model_folder("qwen3"), some_ids(8, 290)
    model, found = cuda_model_on(folder, recorder=Recordings()), []
    cache = model.open(ids)
    model.forward([Span(ids[:250], cache, 0)])
    for id in ids[250:]:  # beyond 256 ids of another size
        found.append(model.forward([Span([id], cache, 1)])[0])
    assert torch.allclose(torch.cat(found), expected(folder, ids)[250:], atol=TOLERANCE)


def test_recordings_are_dropped_when_keys_and_values_move(model_folder: Callable[[str], Path]) -> None:
    recordings = Recordings()
    model = cuda_model_on(model_folder("llama"), cache_bytes=0, recorder=recordings)
    first = model.open([1])
    model.forward([Span([5], first, 1)])
    dropped = recordings.forgotten
    for number in range(6):
        model.forward([Span(some_ids(number, 250), model.open([1]), 0)])
    assert recordings.forgotten > dropped
    assert len(model._graphs) == 0
    model.forward([Span([6], first, 1)])
    assert len(model._graphs) == 1


@pytest.mark.parametrize(("failures", "recorded"), [(1, 1), (2, 0)])
def test_a_step_that_cannot_be_recorded_is_computed(
    failures: int, recorded: int, model_folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder, ids = model_folder("llama"), some_ids(8, 12)
    model = cuda_model_on(folder, recorder=Recordings(failures))
    cache = model.open(ids)
    with caplog.at_level(logging.WARNING, "ambidex"):
        found = [model.forward([Span([id], cache, 1)])[0] for id in ids]
    assert torch.allclose(torch.cat(found), expected(folder, ids), atol=TOLERANCE)
    assert len(caplog.records) == failures
    assert len(model._graphs) == recorded


def test_what_is_no_number_stays_in_its_own_answer(model_folder: Callable[[str], Path]) -> None:
    """Keys and values that overflowed are in blocks which others get, and beside others' in a pass."""
    folder, ids = model_folder("llama"), some_ids(9, 20)
    model = cuda_model_on(folder, cache_bytes=0)
    overflowing = model.open([1])
    model.forward([Span([4], overflowing, 0)])
    model.pool.storage[:, :, 3:] = float("nan")  # all free blocks
    for start in (0, 17):
        cache = model.open(ids)
        model.forward([Span(ids[:start], cache, 0)] if start else [])
        found = model.forward([Span(ids[start:], cache, 1), Span([5, 6, 7], overflowing, 1)])[0]
        assert torch.allclose(found[0], expected(folder, ids)[-1], atol=TOLERANCE)
        model.release(cache, ids)


def test_less_is_taken_where_there_is_no_room(
    model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = DevicePool._room

    def small(self: DevicePool, blocks: int) -> torch.Tensor:
        if blocks > 300:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return room(self, blocks)

    monkeypatch.setattr(DevicePool, "_room", small)
    model = cuda_model_on(model_folder("llama"), cache_bytes=1 << 24)
    cache = model.open([1])
    model.forward([Span([5], cache, 1)])
    assert 128 < model.pool.storage.shape[2] <= 300
    with pytest.raises(torch.OutOfMemoryError):
        model.forward([Span(some_ids(1, 300 * 16), cache, 1)])


@pytest.mark.parametrize("kind", DENSE)
def test_a_pass_stays_on_its_device_and_asks_no_number_of_it(kind: str, model_folder: Callable[[str], Path]) -> None:
    """On a device of tensors without numbers: mixing devices, or asking for a number, is an error there."""
    model = cuda_model_on(model_folder(kind), device="meta", dtype=torch.bfloat16)
    for sequences, length, scored in ((1, 64, 37), (4, 1, 1), (1, 8, 0)):
        rows = Rows(torch.zeros(sequences, 3 * length + 16, dtype=torch.long, device="meta"), length)
        logits = model._forward(rows, model.pool.storage, slice(0, scored))
        assert logits.device.type == "meta"
        assert logits.shape == (sequences, scored, VOCABULARY)


@pytest.mark.parametrize(
    ("kind", "place", "wanted", "said"),
    [
        ("llama", "cpu", None, "the model is on cpu"),
        ("llama", "cuda:0", False, "kernels=False"),
        ("mixtral", "cuda:0", None, "'mixtral'"),
        ("gpt2", "cuda:0", None, "'gpt2'"),
    ],
)
def test_graphs_that_cannot_be_had_are_refused(
    kind: str, place: str, wanted: bool | None, said: str, model_folder: Callable[[str], Path]
) -> None:
    folder = model_folder(kind)
    config, device = AutoConfig.from_pretrained(folder), torch.device(place)
    assert cuda_model(folder, config, device, torch.float32, wanted, False, 0) is None
    with pytest.raises(Unsupported, match=said):
        cuda_model(folder, config, device, torch.float32, wanted, True, 0)


@pytest.mark.parametrize("kernels", [None, False])
def test_graphs_are_refused_on_a_cpu(kernels: bool | None, model_folder: Callable[[str], Path]) -> None:
    with pytest.raises(Unsupported, match="cuda_graphs=True cannot be had"):
        LocalBackend(str(model_folder("llama")), device="cpu", kernels=kernels, cuda_graphs=True)


def test_every_strategy_gives_what_it_gives_by_transformers(open_backend: OpenBackend) -> None:
    there = open_backend(BY_CUDA)
    drafting = open_backend(BY_CUDA, draft="prompt")
    here = open_backend(BY_CUDA, kernels=False)
    assert isinstance(there._runtime.engine._model, CudaModel)
    prompt = some_ids(9, 30)
    for decoding in (Greedy(), Sampling(temperature=0.8, seed=3), Beams(width=3, length_penalty=0.5)):
        request = Request(prompt=prompt, max_tokens=20, decoding=decoding, n=1 if decoding == Greedy() else 2)
        replies = [collect(backend.stream(request)) for backend in (there, here)]
        texts = [[choice.message.text for choice in reply.choices] for reply in replies]
        assert texts[0] == texts[1]
    request = Request(prompt=prompt * 2, max_tokens=20, decoding=Greedy())
    assert collect(drafting.stream(request)).text == collect(here.stream(request)).text
