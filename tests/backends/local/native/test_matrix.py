"""Packing and quantising weights."""

from __future__ import annotations

import pytest
import torch

from ambidex_backends.local.native.arena import Arena
from ambidex_backends.local.native.matrix import GROUPS, LANES, SIDES, Kind, Matrix, nibbles, quantise, side_by_side

ROWS, COLUMNS = 48, 192


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))


def restored(numbers: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return numbers.float() * scales.float().repeat_interleave(numbers.shape[1] // scales.shape[1], dim=1)


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_no_number_is_further_off_than_its_scale(kind: Kind, weight: torch.Tensor) -> None:
    numbers, scales = quantise(weight, kind)
    assert numbers.dtype is torch.int8
    assert scales.shape == (ROWS, COLUMNS // GROUPS[kind])
    wide = scales.float().abs().repeat_interleave(GROUPS[kind], dim=1)
    assert bool(((restored(numbers, scales) - weight).abs() <= wide * (0.51 if kind == "int8" else 3.0)).all())


def test_scales_in_four_bits_are_better_than_the_plain_ones(weight: torch.Tensor) -> None:
    numbers, scales = quantise(weight, "int4")
    groups = weight.view(ROWS, -1, GROUPS["int4"])
    plain = groups.abs().amax(-1, keepdim=True) / 7
    simple = ((groups / plain).round().clamp(-8, 7) * plain).view(ROWS, COLUMNS)
    assert float((restored(numbers, scales) - weight).square().sum()) < 0.9 * float((simple - weight).square().sum())


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_zeros_stay_zeros(kind: Kind) -> None:
    numbers, scales = quantise(torch.zeros(16, 64), kind)
    assert not restored(numbers, scales).any()


@pytest.mark.parametrize("side", [1, 2, 8])
def test_rows_lie_side_by_side(side: int, weight: torch.Tensor) -> None:
    packed = side_by_side(weight, side)
    assert packed.shape == (ROWS // LANES, COLUMNS // side, LANES, side)
    for row, column in ((0, 0), (17, 5), (47, 191)):
        assert packed[row // LANES, column // side, row % LANES, column % side] == weight[row, column]


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8", "int4"])
@pytest.mark.parametrize("heights", [[48], [5], [16, 32, 16], [20, 12, 7], [3, 3], [1500, 32]])
def test_parts_lie_below_one_another(kind: Kind, heights: list[int]) -> None:
    whole = torch.randn(sum(heights), 71)
    packed = Matrix(whole.split(heights), kind, Arena())
    padded = torch.zeros(packed.rows, packed.columns)
    padded[: whole.shape[0], :71] = whole
    if kind in GROUPS:
        numbers, scales = quantise(padded, kind)
        expected = side_by_side(numbers, SIDES[kind])
        expected = expected if kind == "int8" else nibbles(expected)
        assert packed._scales is not None
        assert torch.equal(packed._scales, side_by_side(scales, 1).squeeze(-1))
    else:
        expected = side_by_side(padded.to(getattr(torch, kind)), SIDES[kind])
    assert torch.equal(packed._weights, expected)


def test_nibbles_hold_eight_columns() -> None:
    numbers = torch.randint(-8, 8, (3, 24, LANES, 8), dtype=torch.int8)
    lanes = nibbles(numbers).view(torch.int32).squeeze(-1)
    for column in range(8):
        shift = 28 - column % 2 * 16 - column // 2 * 4
        assert torch.equal((lanes << shift) >> 28, numbers[..., column].int())


def test_bytes_per_weight(weight: torch.Tensor) -> None:
    sizes = {
        kind: 8 * Matrix([weight], kind, Arena()).nbytes / weight.numel()
        for kind in ("float32", "bfloat16", "int8", "int4")
    }
    assert sizes == {"float32": 32, "bfloat16": 16, "int8": 8.25, "int4": 4.5}
