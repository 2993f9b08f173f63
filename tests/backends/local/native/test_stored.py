"""Checkpoints that hold their weights in fewer bits are computed as what they stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.backends.local.conftest import ARCHITECTURES, save_model
from tests.backends.local.native.test_native_model import some_ids, whole
from transformers import AutoConfig
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from ambidex.errors import ModelLoadError, Unsupported
from ambidex_backends.local.model import Span
from ambidex_backends.local.native import native_model
from ambidex_backends.local.native.arena import Arena
from ambidex_backends.local.native.blocks import BlockCache
from ambidex_backends.local.native.library import NoKernels, kernels
from ambidex_backends.local.native.matrix import Matrix
from ambidex_backends.local.native.model import NativeModel
from ambidex_backends.local.native.stored import E2M1, Mxfp4, from_fp8

try:
    kernels()
except NoKernels as missing:
    pytest.skip(f"no kernels on this machine: {missing}", allow_module_level=True)

CPU = torch.device("cpu")


def loaded(folder: Path, dtype: torch.dtype = torch.float32, **options: Any) -> NativeModel:
    config = AutoConfig.from_pretrained(folder)
    settings: dict[str, Any] = {"quantize": None, "wanted": True, "cache_bytes": 1 << 24, **options}
    model = native_model(folder, config, CPU, dtype, **settings)
    assert model is not None
    return model


def change(folder: Path, tensors: dict[str, torch.Tensor], stored: dict[str, Any] | None) -> None:
    """Writes these weights, and in the configuration how they are stored."""
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    if stored:
        config["quantization_config"] = stored
    path.write_text(json.dumps(config), "utf-8")


def in_fp8(weight: torch.Tensor, block: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    if block is None:
        scale = weight.abs().max() / 448
        return (weight / scale).to(torch.float8_e4m3fn), scale
    rows, columns = weight.shape
    tiles = torch.nn.functional.pad(weight, (0, -columns % block, 0, -rows % block)).unfold(0, block, block)
    scales = tiles.unfold(1, block, block).abs().amax((2, 3)) / 448
    wide = scales.repeat_interleave(block, 0)[:rows].repeat_interleave(block, 1)[:, :columns]
    return (weight / wide).to(torch.float8_e4m3fn), scales


@pytest.mark.parametrize("block", [16, 32, None])
@pytest.mark.parametrize("family", ["qwen3", "qwen3_moe"])
def test_fp8_weights_are_multiplied_with_their_scales(family: str, block: int | None, tmp_path: Path) -> None:
    stored, plain = (save_model(tmp_path / name, family, ARCHITECTURES[family]) for name in ("stored", "plain"))
    fp8, floats = {}, {}
    for name, tensor in load_file(plain / "model.safetensors").items():
        fp8[name] = floats[name] = tensor
        if name.endswith("_proj.weight"):
            fp8[name], fp8[name + "_scale_inv"] = in_fp8(tensor, block)
            size = None if block is None else (block, block)
            floats[name] = from_fp8(fp8[name], fp8[name + "_scale_inv"], size)
            assert (floats[name] - tensor).abs().max() < tensor.abs().max() / 16
    settings: dict[str, Any] = {"quant_method": "fp8", "activation_scheme": "dynamic"}
    change(stored, fp8, {**settings, "weight_block_size": block and [block, block]})
    change(plain, floats, None)
    ids = some_ids(1)
    assert torch.equal(whole(loaded(stored), ids), whole(loaded(plain), ids))


def test_fp8_weights_without_scales_or_with_others_are_refused(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "qwen3", {})
    tensors, name = load_file(folder / "model.safetensors"), "model.layers.1.mlp.down_proj.weight"
    tensors[name], scales = in_fp8(tensors[name], 16)
    stored = {"quant_method": "fp8", "weight_block_size": [16, 16]}
    change(folder, tensors, stored)
    with pytest.raises(ModelLoadError, match=r"missing keys: .*down_proj\.weight_scale_inv"):
        loaded(folder)
    change(folder, {**tensors, name + "_scale_inv": scales[:, 1:].contiguous()}, stored)
    with pytest.raises(ModelLoadError, match=r"down_proj\.weight_scale_inv is \[3, 5\] of float32, expected \[3, 6\]"):
        loaded(folder)
    change(folder, {**tensors, name: torch.zeros(48, 96, dtype=torch.int8)}, stored)
    with pytest.raises(ModelLoadError, match=r"down_proj\.weight holds int8, expected floats"):
        loaded(folder)
    change(folder, {**tensors, name + "_scale_inv": scales}, {"quant_method": "fp8", "weight_block_size": [16, 0]})
    with pytest.raises(ModelLoadError, match=r"takes two positive integers, got \[16, 0\]"):
        loaded(folder)
    change(folder, {**tensors, name + "_scale_inv": scales}, stored)
    norm = "model.layers.1.input_layernorm.weight"
    change(folder, {**tensors, name + "_scale_inv": scales, norm: tensors[norm].to(torch.float8_e4m3fn)}, stored)
    with pytest.raises(ModelLoadError, match=r"layernorm\.weight holds float8_e4m3fn, expected floats"):
        loaded(folder)


def test_fp8_weights_share_scales_by_128_unless_told_otherwise(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "qwen3", {"intermediate_size": 160})
    tensors, name = load_file(folder / "model.safetensors"), "model.layers.1.mlp.down_proj.weight"
    tensors[name], tensors[name + "_scale_inv"] = in_fp8(tensors[name], 128)
    assert tensors[name + "_scale_inv"].shape == (1, 2)
    tensors[name + "_scale_inv"] = tensors[name + "_scale_inv"].contiguous()
    change(folder, tensors, {"quant_method": "fp8", "weight_block_size": [128, 128]})
    expected = whole(loaded(folder), some_ids(1))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    del config["quantization_config"]["weight_block_size"]
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    assert torch.equal(whole(loaded(folder), some_ids(1)), expected)


def test_what_is_stored_otherwise_is_left_to_transformers(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "qwen3", {})
    for stored, told in (
        ({"quant_method": "awq", "bits": 4}, "awq"),
        ({"load_in_4bit": True}, "a format without a name"),
    ):
        change(folder, load_file(folder / "model.safetensors"), stored)
        with pytest.raises(Unsupported, match=f"they do not read weights that are stored as '{told}'"):
            loaded(folder)
    assert native_model(folder, AutoConfig.from_pretrained(folder), CPU, torch.float32, None, None, 0) is None


def some_mxfp4(count: int, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    blocks = torch.randint(0, 256, (count, rows, columns // 32, 16), generator=generator).to(torch.uint8)
    return blocks, torch.randint(119, 125, (count, rows, columns // 32), generator=generator).to(torch.uint8)


def test_mxfp4_stands_for_what_transformers_reads() -> None:
    blocks, exponents = some_mxfp4(3, 10, 96)
    expected = convert_moe_packed_tensors(blocks, exponents, dtype=torch.float32).transpose(1, 2)
    for matrix, blocks_of, exponents_of in zip(expected, blocks, exponents, strict=True):
        assert torch.equal(Mxfp4.unpacked(blocks_of, exponents_of).float(), matrix)


def test_mxfp4_stays_as_it_is_in_a_matrix() -> None:
    blocks, exponents = some_mxfp4(1, 37, 96)
    weights = Mxfp4.unpacked(blocks[0], exponents[0])
    packed = Matrix([weights], "mxfp4", Arena())
    assert 8 * packed.nbytes == 48 * 128 * 4.5
    assert packed._scales is not None
    doubles = 2 * torch.tensor(E2M1)
    for row, column in ((0, 0), (17, 5), (36, 95), (20, 64)):
        lane = packed._weights.view(torch.int32)[row // 16, column // 8, row % 16, 0]
        code = (int(lane) >> (column % 2 * 16 + column % 8 // 2 * 4)) & 15
        value = doubles[code] * packed._scales[row // 16, column // 32, row % 16].float()
        assert value == weights.float()[row, column]


@pytest.fixture(scope="module")
def experts_in_mxfp4(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A gpt-oss as it is published, and the same one in floats."""
    sizes = {**ARCHITECTURES["gpt_oss"], "hidden_size": 64, "head_dim": 16, "num_local_experts": 6}
    plain, stored = (save_model(tmp_path_factory.mktemp(name), "gpt_oss", sizes) for name in ("plain", "stored"))
    tensors = load_file(plain / "model.safetensors")
    packed = dict(tensors)
    for name, tensor in tensors.items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            count, columns, rows = tensor.shape
            blocks, exponents = some_mxfp4(count, rows, columns)
            parts = zip(blocks, exponents, strict=True)
            tensors[name] = torch.stack([Mxfp4.unpacked(*part).float().T for part in parts]).contiguous()
            del packed[name]
            packed[name + "_blocks"], packed[name + "_scales"] = blocks, exponents
    change(plain, tensors, None)
    change(stored, packed, {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]})
    return plain, stored


def test_experts_in_mxfp4_are_those_in_floats(experts_in_mxfp4: tuple[Path, Path]) -> None:
    plain, stored = experts_in_mxfp4
    ids = some_ids(2)
    expected = whole(loaded(plain), ids)
    assert torch.equal(whole(loaded(stored), ids), expected)
    narrow, wide = loaded(stored, torch.bfloat16), loaded(plain, torch.bfloat16)
    assert narrow.nbytes < 0.6 * wide.nbytes
    got, other = whole(narrow, ids), whole(wide, ids)
    rounding = (other - expected).norm()  # in bfloat16 experts are exact here too; what they are given is rounded
    assert (got - expected).norm() < 1.1 * rounding


def test_an_exponent_of_255_is_no_number() -> None:
    weights = Mxfp4(torch.ones(1, 32, dtype=torch.int8), torch.full((1, 1), 255, dtype=torch.uint8))
    assert weights.float().isnan().all()
    assert weights.scales.isnan().all()


@pytest.mark.parametrize("quantize", [None, "int8", "int4"])
def test_in_mxfp4_the_bits_are_the_same_however_a_text_is_cut(
    quantize: str | None, experts_in_mxfp4: tuple[Path, Path]
) -> None:
    model, ids = loaded(experts_in_mxfp4[1], torch.bfloat16, quantize=quantize), some_ids(3)
    expected = whole(model, ids)
    for size in (1, 5, 16, 24):
        cache = BlockCache(model.pool)
        parts = [ids[at : at + size] for at in range(0, len(ids), size)]
        got = [model.forward([Span(part, cache, len(part))])[0] for part in parts]
        assert torch.equal(torch.cat(got), expected)


def test_experts_in_mxfp4_of_another_shape_or_kind_are_refused(
    experts_in_mxfp4: tuple[Path, Path], tmp_path: Path
) -> None:
    sizes = {**ARCHITECTURES["gpt_oss"], "hidden_size": 64, "head_dim": 16, "num_local_experts": 6}
    folder, tensors = save_model(tmp_path, "gpt_oss", sizes), load_file(experts_in_mxfp4[1] / "model.safetensors")
    name = "model.layers.0.mlp.experts.down_proj"
    wrong = {"_blocks": tensors[name + "_blocks"][:, :-1], "_scales": tensors[name + "_scales"].to(torch.float32)}
    for what, tensor in wrong.items():
        change(folder, {**tensors, name + what: tensor.contiguous()}, {"quant_method": "mxfp4"})
        with pytest.raises(
            ModelLoadError, match=rf"mismatched keys: {name}{what} is .*, expected \[6, 64, 3.* of uint8"
        ):
            loaded(folder)
    uneven = save_model(tmp_path / "uneven", "gpt_oss", {**ARCHITECTURES["gpt_oss"], "num_local_experts": 6})
    kept = load_file(uneven / "model.safetensors")
    for both in [one for one in kept if one.endswith("experts.gate_up_proj")]:
        count, columns, rows = kept.pop(both).shape
        kept[both + "_blocks"], kept[both + "_scales"] = some_mxfp4(count, rows, columns)
    change(uneven, kept, {"quant_method": "mxfp4"})
    with pytest.raises(ModelLoadError, match=r"gate_up_proj_blocks is \[6, 192, 1, 16\]"):
        loaded(uneven)
