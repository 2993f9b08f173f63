"""Weights that a checkpoint holds in fewer bits than a float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ambidex.errors import ModelLoadError

MX_GROUP = 32
"""Weights of a row that share an exponent in MXFP4 (OCP Microscaling Formats 1.0, 5.2)."""

FORMATS = (None, "fp8", "mxfp4")
"""Of `quantization_config` in a configuration, those which are read here; None: floats."""

E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
"""What the nibbles of MXFP4 stand for (OCP Microscaling Formats 1.0, 5.3.3)."""


def stored_as(config: Any) -> str | None:
    """The format of the weights by their configuration, None for floats."""
    settings = _settings(config)
    return str(settings.get("quant_method") or "a format without a name") if settings else None


def block_size(config: Any) -> tuple[int, int] | None:
    """How many rows and columns of fp8 weights share a scale; None: all of a matrix. Raises `ModelLoadError`."""
    size = _settings(config).get("weight_block_size", (128, 128))
    if size is None:
        return None
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(type(n) is int and n > 0 for n in size):
        raise ModelLoadError(f"weight_block_size in quantization_config takes two positive integers, got {size!r}.")
    return size[0], size[1]


def _settings(config: Any) -> dict[str, Any]:
    settings = getattr(config, "quantization_config", None) or {}
    return settings if isinstance(settings, dict) else dict(settings.to_dict())


def from_fp8(weight: torch.Tensor, scales: torch.Tensor, block: tuple[int, int] | None) -> torch.Tensor:
    """float32 `[rows, columns]` of float8 numbers and the scales that `block` of them share."""
    if block is None or scales.numel() == 1:
        return weight.float() * scales.float()
    rows, columns = weight.shape
    wide = scales.float().repeat_interleave(block[0], 0)[:rows].repeat_interleave(block[1], 1)[:, :columns]
    return weight.float() * wide


@dataclass(frozen=True, slots=True)
class Mxfp4:
    """Weights in MXFP4: `codes` int8 `[rows, columns]` of 0 to 15, `exponents` uint8 `[rows, columns / 32]`.

    A weight is `E2M1[code] * 2 ** (exponent - 127)`, and no number if the exponent is 255.
    """

    codes: torch.Tensor
    exponents: torch.Tensor

    @classmethod
    def unpacked(cls, blocks: torch.Tensor, exponents: torch.Tensor) -> Mxfp4:
        """From bytes `[rows, columns / 32, 16]`, each of two weights, the first one in the lower half."""
        codes = torch.stack([blocks & 0x0F, blocks >> 4], dim=-1).view(blocks.shape[0], -1)
        return cls(codes.to(torch.int8), exponents)

    @property
    def shape(self) -> torch.Size:
        """[rows, columns]."""
        return self.codes.shape

    @property
    def scales(self) -> torch.Tensor:
        """Of the doubled numbers, which are whole: bfloat16 `[rows, columns / 32]`, exact."""
        return _powers(self.exponents, 128).bfloat16()

    def every_other(self, first: int) -> Mxfp4:
        """Each second row from that one on."""
        return Mxfp4(self.codes[first::2].contiguous(), self.exponents[first::2].contiguous())

    def split(self, rows: int) -> Sequence[Mxfp4]:
        """Parts of so many rows."""
        parts = zip(self.codes.split(rows), self.exponents.split(rows), strict=True)
        return [Mxfp4(codes, exponents) for codes, exponents in parts]

    def float(self) -> torch.Tensor:
        """float32 `[rows, columns]`, exact."""
        numbers = torch.tensor(E2M1)[self.codes.long()].view(*self.exponents.shape, -1)
        return (numbers * _powers(self.exponents, 127)[..., None]).view(self.codes.shape)


def _powers(exponents: torch.Tensor, bias: int) -> torch.Tensor:
    """2 ** (exponent - bias) of E8M0, of which 255 is no number (5.4.1)."""
    return torch.exp2(exponents.float() - bias).masked_fill(exponents == 255, torch.nan)
