"""Our kernels compute what transformers computes, and the same bits however the work is cut."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.backends.local.conftest import ARCHITECTURES, VOCABULARY, save_model
from transformers import AutoConfig, AutoModelForCausalLM

from ambidex.errors import ModelLoadError
from ambidex_backends.local.model import Span
from ambidex_backends.local.native.architecture import FAMILIES, read_architecture
from ambidex_backends.local.native.blocks import BlockCache
from ambidex_backends.local.native.checkpoint import Checkpoint
from ambidex_backends.local.native.library import NoKernels, kernels
from ambidex_backends.local.native.matrix import GROUPS, KINDS, STEP, Kind, quantise
from ambidex_backends.local.native.matrix_reader import MatrixReader
from ambidex_backends.local.native.model import NativeModel
from ambidex_backends.local.native.weights import Weights

try:
    kernels()
except NoKernels as missing:
    pytest.skip(f"no kernels on this machine: {missing}", allow_module_level=True)

MADE = [kind for kind in KINDS if kind != "mxfp4"]  # of any weights
NATIVE = [kind for kind in ARCHITECTURES if kind in FAMILIES]
TOLERANCE = 2e-4
LENGTH = 61
CHUNK = 512  # of positions, in attention.h


def native(folder: Path, kind: Kind = "float32", *, cache_bytes: int = 1 << 28) -> NativeModel:
    architecture = read_architecture(AutoConfig.from_pretrained(folder))
    assert architecture is not None
    base = torch.float32 if kind == "float32" else torch.bfloat16
    return NativeModel(architecture, Weights(architecture, MatrixReader(Checkpoint(folder), kind), base), cache_bytes)


def some_ids(seed: int, length: int = LENGTH) -> list[int]:
    return [random.Random(seed * 1000 + index).randrange(3, VOCABULARY) for index in range(length)]


def whole(model: NativeModel, ids: list[int]) -> torch.Tensor:
    """Logits [T, V] in one pass, with nothing kept before."""
    model.clear()
    cache = model.open(ids)
    logits = model.forward([Span(ids, cache, len(ids))])[0]
    model.release(cache, ids)
    model.clear()
    return logits


@pytest.fixture(params=[(kind, family) for kind in MADE for family in ("qwen3", "qwen3_moe")], ids="-".join)
def model(request: pytest.FixtureRequest, model_folder: Callable[[str], Path]) -> NativeModel:
    """A Qwen 3 in every precision, without and with experts: it has norms of heads, and grouped queries."""
    kind, family = request.param
    return native(model_folder(family), kind)


@pytest.mark.parametrize("kind", NATIVE)
def test_logits_are_those_of_transformers(kind: str, model_folder: Callable[[str], Path]) -> None:
    folder = model_folder(kind)
    reference: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = some_ids(1)
    with torch.inference_mode():
        expected = reference(input_ids=torch.tensor([ids])).logits[0]
    assert torch.allclose(whole(native(folder), ids), expected, atol=TOLERANCE)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 10000.0},
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
            "rope_theta": 10000.0,
        },
    ],
    ids=lambda rope: rope["rope_type"],
)
def test_scaled_positions_are_those_of_transformers(rope: dict[str, object], tmp_path: Path) -> None:
    folder = save_model(tmp_path, "llama", {"rope_parameters": rope, "attention_bias": True, "mlp_bias": True})
    reference: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = some_ids(2)
    with torch.inference_mode():
        expected = reference(input_ids=torch.tensor([ids])).logits[0]
    assert torch.allclose(whole(native(folder), ids), expected, atol=TOLERANCE)


CALM = {"initializer_range": 0.2}  # or rounding is multiplied from layer to layer
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("qwen3_moe", {**EXPERTS, "norm_topk_prob": True, "num_experts": 37, "num_experts_per_tok": 8}),
        ("qwen3_moe", {**EXPERTS, "mlp_only_layers": [1], "use_sliding_window": True, "sliding_window": 16}),
        ("qwen3_moe", {**EXPERTS, "decoder_sparse_step": 2}),
        ("qwen2_moe", {**EXPERTS, "shared_expert_intermediate_size": 64}),
        ("qwen2_moe", {**EXPERTS, "shared_expert_intermediate_size": 192, "mlp_only_layers": [0, 2]}),
        ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 16}),
        ("olmoe", {"num_experts": 4, "num_experts_per_tok": 3}),
        ("granitemoe", {"num_local_experts": 4, "num_experts_per_tok": 2, **ARCHITECTURES["granite"]}),
        ("gpt_oss", {**ARCHITECTURES["gpt_oss"], "swiglu_limit": 0.5, "num_local_experts": 7}),
    ],
)
def test_mixtures_of_experts_are_those_of_transformers_however_they_are_cut(
    family: str, settings: dict[str, object], tmp_path: Path
) -> None:
    folder = save_model(tmp_path, family, {**CALM, **settings})
    reference: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids, model = some_ids(2), native(folder)
    with torch.inference_mode():
        expected = reference(input_ids=torch.tensor([ids])).logits[0]
    logits = whole(model, ids)
    assert torch.allclose(logits, expected, atol=TOLERANCE)
    cache = BlockCache(model.pool)
    parts = [model.forward([Span(ids[at : at + 7], cache, len(ids[at : at + 7]))])[0] for at in range(0, LENGTH, 7)]
    assert torch.equal(torch.cat(parts), logits)


@pytest.mark.parametrize("kind", MADE)
def test_an_mlp_that_all_share_leaves_nothing_behind(kind: Kind, tmp_path: Path) -> None:
    settings = {**EXPERTS, "shared_expert_intermediate_size": 192, "mlp_only_layers": [0, 2], "intermediate_size": 72}
    folder = save_model(tmp_path, "qwen2_moe", {**settings, "tie_word_embeddings": False})
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"][1] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model, ids = native(folder, kind), some_ids(3)
    expected = whole(model, ids)
    assert whole(model, [1] * LENGTH).isnan().all()
    assert torch.equal(whole(model, ids), expected)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("mixtral", {"norm_topk_prob": False, "moe_intermediate_size": 7, "layer_types": ["full_attention"] * 4}),
        ("mixtral", {"sliding_window": 16, "layer_types": ["full_attention"] * 4}),
        ("granitemoe", {"norm_topk_prob": False, "num_local_experts": 4}),
        ("olmoe", {"mlp_only_layers": [1], "partial_rotary_factor": 0.5, "num_experts": 4, "num_experts_per_tok": 2}),
        ("qwen3_moe", {**EXPERTS, "shared_expert_intermediate_size": 64, "attention_bias": True}),
        ("llama", {"num_experts": 4, "num_experts_per_tok": 2, "swiglu_limit": None, "qkv_bias": True}),
        ("llama", {"layer_types": ["sliding_attention"] * 4, "sliding_window": 16}),
        ("gpt_oss", {**ARCHITECTURES["gpt_oss"], "attention_bias": False, "swiglu_alpha": 0.0}),
    ],
)
def test_what_a_family_does_not_look_at_is_not_looked_at(
    family: str, settings: dict[str, object], tmp_path: Path
) -> None:
    folder = save_model(tmp_path, family, {**CALM, **settings})
    tensors = load_file(folder / "model.safetensors")  # nor are tensors that it does not have
    tensors.setdefault("model.layers.0.self_attn.q_proj.bias", torch.ones(48))
    tensors.setdefault("model.layers.0.mlp.gate.bias", torch.ones(4))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    reference: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = some_ids(2)
    with torch.inference_mode():
        expected = reference(input_ids=torch.tensor([ids])).logits[0]
    assert torch.allclose(whole(native(folder), ids), expected, atol=TOLERANCE)


@pytest.mark.parametrize("family", ["qwen3_moe", "olmoe", "mixtral", "granitemoe"])
def test_experts_in_one_tensor_are_those_in_many(family: str, tmp_path: Path) -> None:
    settings = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2}
    folder, other = save_model(tmp_path / "many", family, settings), tmp_path / "one"
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.save_pretrained(other, save_original_format=False)
    ids = some_ids(2)
    assert torch.equal(whole(native(other), ids), whole(native(folder), ids))


@pytest.mark.parametrize(("count", "chosen"), [(4, 0), (4, 5), (4, -1), (5000, 2)])
def test_numbers_of_experts_that_cannot_be_are_left_to_transformers(count: int, chosen: int) -> None:
    settings = {**EXPERTS, "num_experts": count, "num_experts_per_tok": chosen}
    assert read_architecture(AutoConfig.for_model("qwen3_moe", **settings)) is None
    assert read_architecture(AutoConfig.for_model("olmoe", clip_qkv=8.0)) is None


@pytest.mark.parametrize("name", ["self_attn.k_norm.weight", "self_attn.q_norm.weight"])
@pytest.mark.parametrize("family", ["olmoe", "qwen3"])
def test_a_norm_that_is_missing_is_named(family: str, name: str, tmp_path: Path) -> None:
    settings = {"num_experts": 4, "num_experts_per_tok": 2} if family == "olmoe" else {}
    folder = save_model(tmp_path, family, settings)
    tensors = load_file(folder / "model.safetensors")
    del tensors[f"model.layers.2.{name}"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=rf"missing keys: model\.layers\.2\.{name}"):
        native(folder)


@pytest.mark.parametrize("stored", ["both, the same", "both, not the same", "only the head", "only the embedding"])
def test_embeddings_are_tied_where_transformers_ties_them(stored: str, tmp_path: Path) -> None:
    folder, ids = save_model(tmp_path, "qwen3", {"tie_word_embeddings": True}), some_ids(2)
    tensors = load_file(folder / "model.safetensors")
    embedding = tensors["model.embed_tokens.weight"]
    if stored != "only the embedding":
        tensors["lm_head.weight"] = embedding.flip(0) if stored == "both, not the same" else embedding.clone()
    if stored == "only the head":
        del tensors["model.embed_tokens.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    reference: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        expected = reference(input_ids=torch.tensor([ids])).logits[0]
    model = native(folder)
    assert torch.allclose(whole(model, ids), expected, atol=TOLERANCE)
    assert (model._weights.head is model._weights.embedding) == (stored != "both, not the same")


@pytest.mark.parametrize("family", ["qwen3", "qwen3_moe"])
def test_names_of_a_model_without_its_head_are_read(family: str, tmp_path: Path) -> None:
    folder, ids = save_model(tmp_path, family, {**ARCHITECTURES[family], "tie_word_embeddings": True}), some_ids(2)
    expected = whole(native(folder), ids)
    tensors = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    assert torch.equal(whole(native(folder), ids), expected)


def test_a_file_that_is_changed_later_changes_nothing(tmp_path: Path) -> None:
    folder, ids = save_model(tmp_path, "gpt_oss", ARCHITECTURES["gpt_oss"]), some_ids(2)
    model = native(folder)
    expected = whole(model, ids)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(100)
    assert torch.equal(whole(model, ids), expected)


def test_an_expert_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "qwen3_moe", ARCHITECTURES["qwen3_moe"])
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.2.mlp.experts.3.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"missing keys: model\.layers\.2\.mlp\.experts\.3\.up_proj\.weight"):
        native(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}},
        {"hidden_act": "relu"},
    ],
    ids=["dynamic positions", "relu"],
)
def test_what_the_kernels_cannot_compute_is_left_to_transformers(settings: dict[str, object]) -> None:
    assert read_architecture(AutoConfig.for_model("llama", **settings)) is None


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "mistral", "olmo2"])
def test_however_a_text_is_cut_the_bits_are_the_same(kind: str, model_folder: Callable[[str], Path]) -> None:
    model = native(model_folder(kind))
    ids = some_ids(3)
    expected = whole(model, ids)
    for seed in range(5):
        rng = random.Random(seed)
        cache, parts = BlockCache(model.pool), []
        while cache.length < len(ids):
            chunk = ids[cache.length : cache.length + rng.choice([1, 2, 3, 5, 16, 17])]
            parts.append(model.forward([Span(chunk, cache, len(chunk))])[0])
        assert torch.equal(torch.cat(parts), expected)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {}),
        ("qwen3", {"head_dim": 20}),
        ("gemma3_text", {"sliding_window": 40}),
        ("mistral", {"sliding_window": CHUNK + 100}),
        ("gpt_oss", {"sliding_window": 40, "num_local_experts": 2, "initializer_range": 0.2}),
    ],
    ids=["llama", "odd heads", "short window", "long window", "sinks"],
)
def test_attention_over_several_chunks_is_that_of_transformers_however_it_is_cut(
    kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    limit = {"max_position_embeddings": 4 * CHUNK}
    folder = save_model(tmp_path, kind, {**ARCHITECTURES[kind], **limit, **settings})
    reference: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids, model = some_ids(4, 2 * CHUNK + 70), native(folder)
    with torch.inference_mode():
        expected = reference(input_ids=torch.tensor([ids])).logits[0]
    logits = whole(model, ids)
    assert torch.allclose(logits, expected, atol=TOLERANCE)
    rng = random.Random(0)
    cache, parts = BlockCache(model.pool), []
    while cache.length < len(ids):
        near_an_edge = cache.length % CHUNK > CHUNK - 8
        chunk = ids[cache.length : cache.length + (rng.randint(1, 3) if near_an_edge else rng.randint(1, 200))]
        parts.append(model.forward([Span(chunk, cache, len(chunk))])[0])
    assert torch.equal(torch.cat(parts), logits)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {}),
        ("mistral", {"sliding_window": 5}),
        ("qwen3_moe", {}),
        ("mixtral", {"sliding_window": 5}),
        ("gpt_oss", {"sliding_window": 5}),
    ],
)
def test_what_is_no_number_reaches_only_the_rows_that_see_it(
    kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    ids = [*some_ids(5, 13), 1, *some_ids(6, 25)]
    folder = save_model(tmp_path, kind, {**ARCHITECTURES[kind], **settings, "tie_word_embeddings": False})
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"][1] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model = native(folder)
    logits = whole(model, ids)
    assert logits[:13].isfinite().all()
    cache = BlockCache(model.pool)
    parts = [model.forward([Span([id], cache, 1)])[0] for id in ids]
    assert torch.equal(torch.cat(parts).isnan(), logits.isnan())
    assert torch.equal(torch.cat(parts)[:13], logits[:13])


def test_alone_and_in_any_batch_the_bits_are_the_same(model: NativeModel) -> None:
    texts = [some_ids(seed, 20 + 7 * seed) for seed in range(5)]
    expected = [whole(model, ids) for ids in texts]
    rng = random.Random(0)
    caches = [BlockCache(model.pool) for _ in texts]
    while left := [index for index, ids in enumerate(texts) if caches[index].length < len(ids)]:
        chosen = rng.sample(left, rng.randint(1, len(left)))
        spans = []
        for index in chosen:
            start = caches[index].length
            chunk = texts[index][start : start + rng.randint(1, 9)]
            spans.append(Span(chunk, caches[index], rng.randint(0, len(chunk))))
        for index, span, logits in zip(chosen, spans, model.forward(spans), strict=True):
            end = caches[index].length
            assert torch.equal(logits, expected[index][end - span.scored : end])


def test_behind_a_kept_prefix_the_bits_are_the_same(model: NativeModel) -> None:
    ids = some_ids(4)
    expected = whole(model, ids)
    for length in (5, 16, 17, 40, LENGTH):
        cache = model.open(ids[:length])
        model.forward([Span(ids[cache.length : length], cache, 0)])
        model.release(cache, ids[:length])
        again = model.open(ids)
        found = min(length, LENGTH - 1)
        assert again.length == found
        got = model.forward([Span(ids[found:], again, LENGTH - found)])[0]
        assert torch.equal(got, expected[found:])
        model.release(again, ids)
        model.clear()


def test_forks_and_cuts_do_not_disturb_each_other(model: NativeModel) -> None:
    ids, other = some_ids(5), some_ids(6)
    cache = model.open(ids)
    model.forward([Span(ids[:30], cache, 0)])
    fork = cache.fork()
    fork.truncate(21)
    changed = ids[:21] + other[:20]
    got = model.forward([Span(ids[30:], cache, 1), Span(other[:20], fork, 20)])
    assert torch.equal(got[0], whole_tail(model, ids, 1))
    assert torch.equal(got[1], whole_tail(model, changed, 20))
    assert fork.ids == changed
    assert cache.ids == ids


def whole_tail(model: NativeModel, ids: list[int], count: int) -> torch.Tensor:
    cache = BlockCache(model.pool)
    logits = model.forward([Span(ids, cache, count)])[0]
    cache.close()
    return logits


def test_the_number_of_threads_changes_no_bit(model: NativeModel) -> None:
    ids, threads = some_ids(7), torch.get_num_threads()
    expected = whole(model, ids)
    try:
        for count in (1, 3, 5):
            torch.set_num_threads(count)
            assert torch.equal(whole(model, ids), expected)
    finally:
        torch.set_num_threads(threads)


def test_ids_that_the_model_does_not_have_are_refused(model: NativeModel) -> None:
    for ids in ([5, VOCABULARY], [-1]):
        with pytest.raises(ValueError, match="ids must be within 0 and 383"):
            model.forward([Span(ids, BlockCache(model.pool), 1)])


class Restored(Checkpoint):
    """The weights as they are once they were stored in lower precision, in float32 again."""

    kind: Kind = "float32"

    def tensor(self, name: str, *shape: int) -> torch.Tensor:
        found = super().tensor(name, *shape)
        is_router = name.endswith("mlp.gate.weight")
        if len(shape) == 1 or self.kind == "float32" or is_router:
            return found
        if self.kind == "bfloat16":
            return found.bfloat16().float()
        whole = torch.nn.functional.pad(found, (0, -found.shape[1] % STEP))
        numbers, scales = quantise(whole, self.kind)
        wide = scales.float().repeat_interleave(GROUPS[self.kind], dim=1)
        return (numbers.float() * wide)[:, : found.shape[1]]


@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
@pytest.mark.parametrize("kind", ["bfloat16", "int8", "int4"])
def test_lower_precision_computes_what_its_weights_say(
    kind: Kind, family: str, model_folder: Callable[[str], Path]
) -> None:
    folder, ids = model_folder(family), some_ids(8)
    architecture = read_architecture(AutoConfig.from_pretrained(folder))
    assert architecture is not None
    restored = Restored(folder)
    restored.kind = kind
    expected = whole(
        NativeModel(architecture, Weights(architecture, MatrixReader(restored, "float32"), torch.float32), 0), ids
    )
    stored = Weights(architecture, MatrixReader(Checkpoint(folder), kind), torch.float32)
    got = whole(NativeModel(architecture, stored, 0), ids)
    if kind == "bfloat16":  # a processor that multiplies pairs of them takes activations in bfloat16, as PyTorch does
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        with torch.inference_mode():
            logits = theirs(torch.tensor([ids])).logits[0].float()
        assert (got - expected).norm() < 0.8 * (logits - expected).norm()
    else:
        assert (got - expected).norm() < 2**-11 * expected.norm()  # activations are rounded to 16 bits


def test_a_failed_pass_leaves_caches_as_they_were(model: NativeModel) -> None:
    ids = some_ids(9)
    cache = model.open(ids)
    model.forward([Span(ids[:20], cache, 0)])
    cache.reserve(40)
    cache.truncate(20)
    logits = model.forward([Span(ids[20:], cache, 1)])[0]
    assert torch.equal(logits, whole_tail(model, ids, 1))


@pytest.mark.parametrize("failing", range(15))  # fourteen buffers, positions
def test_without_memory_for_a_pass_the_next_one_is_right(
    failing: int, model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ids = model_folder("qwen3_moe"), some_ids(3, 300)
    model, expected = native(folder), whole(native(folder), ids)
    whole(model, ids[:4])
    calls = itertools.count()

    def without_memory(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def made(*args: Any, **options: Any) -> torch.Tensor:
            if next(calls) == failing:
                raise MemoryError
            return make(*args, **options)

        return made

    with monkeypatch.context() as patch:
        patch.setattr(torch, "zeros", without_memory(torch.zeros))
        patch.setattr(torch, "arange", without_memory(torch.arange))
        with pytest.raises(MemoryError):
            model._fit(300, 300)
    assert torch.equal(whole(model, ids), expected)
