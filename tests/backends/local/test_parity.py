"""The decoding loop is exact: greedy ids equal `transformers.generate`, logits agree, in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ambidex import Greedy, Request, Special, collect
from ambidex.errors import ModelLoadError
from ambidex_backends.local import LocalBackend

from .conftest import ARCHITECTURES, HYBRIDS, save_model

PROMPT = "the rain in the north and a wind from the sea, and the sun"
TOLERANCE = 2e-4


def greedy_ids(backend: LocalBackend, prompt: list[int], count: int) -> list[int]:
    request = Request(prompt=prompt, max_tokens=count, decoding=Greedy(), logprobs=0)
    return [scored.id for scored in collect(backend.stream(request)).logprobs or () if scored.id is not None]


def reference_ids(folder: Path, prompt: list[int], count: int) -> list[int]:
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
    return [int(id) for id in out[0, len(prompt) :]]


@pytest.mark.parametrize("kind", [*ARCHITECTURES, *HYBRIDS])
def test_greedy_ids_equal_generate(kind: str, model_folder: Callable[[str], Path]) -> None:
    backend = LocalBackend(str(model_folder(kind)), dtype="float32", device="cpu")
    prompt = backend.tokenizer.raw_prompt(PROMPT)
    expected = reference_ids(model_folder(kind), prompt, 40)
    assert len(expected) > 3
    assert greedy_ids(backend, prompt, 40) == expected
    assert greedy_ids(backend, prompt, 40) == expected, "the second time, with what the first left in the cache"
    longer = prompt + expected[:5]
    assert greedy_ids(backend, longer, 30) == reference_ids(model_folder(kind), longer, 30)
    backend.close()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_logits_agree_with_one_uncached_pass(kind: str, model_folder: Callable[[str], Path]) -> None:
    backend = LocalBackend(str(model_folder(kind)), dtype="float32", device="cpu")
    prompt = backend.tokenizer.raw_prompt(PROMPT)
    request = Request(prompt=prompt, max_tokens=24, decoding=Greedy(), logprobs=3)
    scored = collect(backend.stream(request)).logprobs
    assert scored
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder(kind), dtype=torch.float32)
    ids = prompt + [item.id for item in scored if item.id is not None]
    with torch.inference_mode():
        logprobs = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().log_softmax(-1)
    for position, item in enumerate(scored, start=len(prompt) - 1):
        assert item.id is not None
        assert item.logprob == pytest.approx(float(logprobs[position, item.id]), abs=TOLERANCE)
        best = torch.topk(logprobs[position], 3).values
        assert [other.logprob for other in item.top] == pytest.approx(best.tolist(), abs=TOLERANCE)
    backend.close()


@pytest.mark.parametrize("kind", [*ARCHITECTURES, *HYBRIDS])
def test_prompts_computed_in_parts_and_second_turns_give_the_same(
    kind: str, model_folder: Callable[[str], Path]
) -> None:
    backend = LocalBackend(str(model_folder(kind)), dtype="float32", device="cpu", prefill_tokens=40)
    prompt = backend.tokenizer.raw_prompt(PROMPT * 8)
    assert len(prompt) > 100
    expected = reference_ids(model_folder(kind), prompt, 12)
    assert greedy_ids(backend, prompt, 12) == expected
    turn = [*prompt, *expected, *backend.tokenizer.raw_prompt(PROMPT * 3)]
    again = Request(prompt=turn, max_tokens=12, decoding=Greedy(), logprobs=0)
    reply = collect(backend.stream(again))
    assert [scored.id for scored in reply.logprobs or ()] == reference_ids(model_folder(kind), turn, 12)
    assert (reply.usage.cached_tokens or 0) >= len(prompt)
    backend.close()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("rwkv", {"attention_hidden_size": 48}),
        ("minimax", {"layer_types": ["linear_attention", "full_attention"] * 2, "num_local_experts": 2}),
        ("recurrent_gemma", {"lru_width": 48, "attention_window_size": 16, "partial_rotary_factor": 0.5}),
    ],
)
def test_a_state_that_is_no_cache_is_refused(kind: str, settings: dict[str, object], tmp_path: Path) -> None:
    folder = save_model(tmp_path, kind, settings)
    with pytest.raises(ModelLoadError, match=f"{kind} model keeps its state in a way of its own"):
        LocalBackend(str(folder), device="cpu")


@pytest.mark.parametrize(
    ("name", "prompt"),
    [("stories260K", ["Once upon a time"]), ("craftgpt-chat-5m", [Special("[INST]"), "hello", Special("[/INST]")])],
)
def test_real_models_equal_generate(shared: Path, name: str, prompt: list[str | Special]) -> None:
    folder = shared / "weights" / name
    backend = LocalBackend(str(folder), dtype="float32", device="cpu")
    ids = [*backend.tokenizer.beginning, *backend.tokenizer.raw_prompt(tuple(prompt))]
    limit = min(120, (backend.capabilities.context_length or 0) - len(ids))
    expected = reference_ids(folder, ids, limit)
    assert greedy_ids(backend, ids, limit) == expected
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = collect(backend.stream(Request(prompt=ids, max_tokens=limit, decoding=Greedy()))).text
    whole = tokenizer.decode(ids + expected, skip_special_tokens=True)
    assert text == whole[len(tokenizer.decode(ids, skip_special_tokens=True)) :]
    backend.close()


def test_lower_precisions_run(model_folder: Callable[[str], Path]) -> None:
    for dtype in ("bfloat16", "float16"):
        backend = LocalBackend(str(model_folder("llama")), dtype=dtype, device="cpu")
        reply = collect(backend.stream(Request(prompt=PROMPT, max_tokens=5, decoding=Greedy())))
        assert reply.usage.output_tokens
        assert dtype in repr(backend)
        backend.close()
