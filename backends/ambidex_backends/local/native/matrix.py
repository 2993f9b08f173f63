"""Weight matrices in the order in which the kernels read them, in full precision or quantised."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch.nn.functional import pad

from .arena import Arena
from .stored import Mxfp4

LANES = 16
STEP = 64
GROUPS = {"int8": 64, "int4": 32, "mxfp4": 32}
"""Weights of one row that share a scale."""

SIDES = {"float32": 1, "bfloat16": 2, "int8": 2, "int4": 8, "mxfp4": 8}
"""Columns of one row that lie side by side, so that the processor can multiply pairs."""

Kind = Literal["float32", "bfloat16", "int8", "int4", "mxfp4"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order of the kernels' enumeration. In the last one are only weights that are stored so."""

SLICE = 1024
"""Rows packed at a time, a multiple of LANES, so that quantising needs no second copy in float32."""

SCALES_TRIED = 16
"""Candidates for each group's scale in 4 bits; the one with the least square error is taken."""


class MatrixStruct(ctypes.Structure):
    """`matrix` of the kernels."""

    _fields_ = [
        ("kind", ctypes.c_int32),
        ("rows", ctypes.c_int32),
        ("columns", ctypes.c_int32),
        ("weights", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
    ]


class Matrix:
    """Weights `[rows, columns]`, optionally with a bias `[rows]`, padded with zeros and packed.

    Several `parts` that are multiplied with the same input lie below one another. They are packed right into their
    place in the arena: what is read of a checkpoint is in memory once.
    """

    def __init__(
        self, parts: Sequence[torch.Tensor | Mxfp4], kind: Kind, arena: Arena, bias: torch.Tensor | None = None
    ) -> None:
        self.kind: Kind = kind
        height, width = sum(part.shape[0] for part in parts), parts[0].shape[1]
        self.rows, self.columns = padded(height, LANES), padded(width, STEP)
        self._bias = None if bias is None else pad(bias.float(), (0, self.rows - height)).contiguous()
        self._scales: torch.Tensor | None = None
        tiles, columns = self.rows // LANES, self.columns
        side = SIDES[kind]
        if kind in GROUPS:
            each, number = (side, torch.int8) if kind == "int8" else (side // 2, torch.uint8)
            self._weights = arena.room([tiles, columns // side, LANES, each], number)
            self._scales = arena.room([tiles, columns // GROUPS[kind], LANES], torch.bfloat16)
        else:
            self._weights = arena.room([tiles, columns // side, LANES, side], getattr(torch, kind))
        if any(part.shape[0] % LANES for part in parts[:-1]):
            parts = [torch.cat([part.float() for part in parts])]
        tile = 0
        for part in parts:
            for rows in part.split(SLICE):
                self._pack(rows, tile)
                tile += padded(rows.shape[0], LANES) // LANES

    @property
    def nbytes(self) -> int:
        """Bytes of weights, scales and bias."""
        tensors = (self._weights, self._scales, self._bias)
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)

    @property
    def struct(self) -> MatrixStruct:
        """For the kernels; valid as long as this object lives."""
        scales = None if self._scales is None else self._scales.data_ptr()
        bias = None if self._bias is None else self._bias.data_ptr()
        return MatrixStruct(KINDS.index(self.kind), self.rows, self.columns, self._weights.data_ptr(), scales, bias)

    def _pack(self, rows: torch.Tensor | Mxfp4, tile: int) -> None:
        """Puts these rows at that tile."""
        height, width = rows.shape
        end = tile + padded(height, LANES) // LANES
        side = SIDES[self.kind]
        if self._scales is None:
            rows = rows.float() if isinstance(rows, Mxfp4) else rows
            if odd := -width % side:
                rows, width = pad(rows, (0, odd)), width + odd
            whole, tiles = height // LANES * LANES, self._weights[tile:end, : width // side]
            tiles[: whole // LANES].copy_(rows[:whole].view(-1, LANES, width // side, side).transpose(1, 2))
            if rest := height - whole:
                tiles[-1, :, :rest].copy_(rows[whole:].view(rest, -1, side).transpose(0, 1))
            return
        if isinstance(rows, Mxfp4):
            numbers, scales = rows.codes, rows.scales
        else:
            numbers, scales = quantise(pad(rows.float(), (0, self.columns - width)), self.kind)
        below = padded(height, LANES) - height
        numbers = pad(numbers, (0, self.columns - numbers.shape[1], 0, below))
        scales = pad(scales, (0, self._scales.shape[1] - scales.shape[1], 0, below))
        packed = side_by_side(numbers, side)
        self._weights[tile:end] = packed if self.kind == "int8" else nibbles(packed)
        self._scales[tile:end] = side_by_side(scales, 1).squeeze(-1)


def quantise(weight: torch.Tensor, kind: Kind) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 numbers `[rows, columns]` and bfloat16 scales `[rows, columns / group]`: weight ~ number * scale.

    Symmetric, round to nearest. In 4 bits the greatest magnitude is not always met: of some scales, the one with the
    least square error is taken.
    """
    groups = weight.view(weight.shape[0], -1, GROUPS[kind])  # [rows, groups, group]
    low, high = (-127, 127) if kind == "int8" else (-8, 7)
    extreme = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))  # [rows, groups, 1], with its sign
    if kind == "int8":
        candidates = [extreme.abs() / high]
    else:  # a negative scale lets the extreme value be -8, the far end of the range
        candidates = [extreme / (low * share) for share in torch.linspace(0.7, 1.1, SCALES_TRIED).tolist()]
    best_numbers, best_scale, least = None, None, None
    for candidate in candidates:
        scale = candidate.bfloat16().float()
        numbers = (groups / scale.where(scale != 0, torch.ones_like(scale))).round_().clamp_(low, high)
        error = (numbers * scale - groups).square_().sum(-1, keepdim=True)
        if best_numbers is None or best_scale is None or least is None:
            best_numbers, best_scale, least = numbers, scale, error
        else:
            better = error < least
            best_numbers = torch.where(better, numbers, best_numbers)
            best_scale, least = torch.where(better, scale, best_scale), torch.where(better, error, least)
    assert best_numbers is not None
    assert best_scale is not None
    return best_numbers.to(torch.int8).view(weight.shape), best_scale.squeeze(-1).bfloat16()


def side_by_side(rows: torch.Tensor, side: int) -> torch.Tensor:
    """[rows, columns] as [rows / 16, columns / side, 16, side]."""
    return rows.view(-1, LANES, rows.shape[1] // side, side).transpose(1, 2).contiguous()


def nibbles(numbers: torch.Tensor) -> torch.Tensor:
    """[..., 8] of -8 to 7, eight columns, as bytes [..., 4]: the even columns in two of them, the odd ones behind."""
    both = numbers.view(torch.uint8)
    return (both[..., [0, 4, 1, 5]] & 0x0F) | (both[..., [2, 6, 3, 7]] << 4)


def padded(size: int, multiple: int) -> int:
    """`size` rounded up."""
    return -(-size // multiple) * multiple
