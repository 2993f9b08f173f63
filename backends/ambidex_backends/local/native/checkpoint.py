"""The tensors of a model's folder, read one at a time, so that no second copy of the weights is ever in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from ambidex.errors import ModelLoadError

from .stored import MX_GROUP, Mxfp4, from_fp8

MOST_MAPPED = 16 << 20
"""Bytes read from files before they are opened anew: what was read of a mapped file counts as this process's memory."""


class Checkpoint:
    """The safetensors files of `folder`, sharded or not. The caller has checked that they are whole.

    Names may lack the `model.` in front, as in what was saved of a model without its head.
    `block`: rows and columns of fp8 weights that share a scale; None: all of a matrix.
    """

    def __init__(self, folder: Path, block: tuple[int, int] | None = None) -> None:
        self._folder = folder
        self._block = block
        self._open: dict[str, Any] = {}
        self._read = 0
        if (folder / "model.safetensors").is_file():  # before an index, as transformers looks for them
            self._files: dict[str, str] = dict.fromkeys(self._file("model.safetensors").keys(), "model.safetensors")
        else:
            index = folder / "model.safetensors.index.json"
            self._files = json.loads(index.read_text("utf-8"))["weight_map"]

    def __contains__(self, name: str) -> bool:
        return self._stored(name) in self._files

    def tensor(self, name: str, *shape: int) -> torch.Tensor:
        """The tensor of that name, of floats. Raises `ModelLoadError` if it is missing or of another shape."""
        found = self._read_tensor(name)
        if found.shape != shape:
            raise self._unfit(f"mismatched keys: {name} is {list(found.shape)}, expected {list(shape)}")
        if found.dtype is not torch.float8_e4m3fn:
            if not found.is_floating_point() or found.dtype.itemsize < 2:
                raise self._unfit(f"{name} holds {str(found.dtype).removeprefix('torch.')}, expected floats")
            return found
        if len(shape) != 2:
            raise self._unfit(f"{name} holds float8_e4m3fn, expected floats")
        scales = self._read_tensor(name + "_scale_inv")
        rows, columns = self._block or shape
        blocks = [-(-shape[0] // rows), -(-shape[1] // columns)]
        if not scales.is_floating_point() or (scales.numel() != 1 and list(scales.shape) != blocks):
            raise self._unfit(f"{_told(name + '_scale_inv', scales)}, expected {blocks} of floats")
        return from_fp8(found, scales, self._block)

    def mxfp4(self, name: str, count: int, rows: int, columns: int) -> Iterator[Mxfp4]:
        """So many matrices of that name, stored as `name_blocks` and `name_scales`. Raises as `tensor` does."""
        blocks, exponents = self._read_tensor(name + "_blocks"), self._read_tensor(name + "_scales")
        groups = [count, rows, columns // MX_GROUP]
        for kind, found, wanted in (("blocks", blocks, [*groups, MX_GROUP // 2]), ("scales", exponents, groups)):
            if columns % MX_GROUP or list(found.shape) != wanted or found.dtype is not torch.uint8:
                raise self._unfit(f"{_told(f'{name}_{kind}', found)}, expected {wanted} of uint8")
        return (Mxfp4.unpacked(*both) for both in zip(blocks, exponents, strict=True))

    def _unfit(self, how: str) -> ModelLoadError:
        return ModelLoadError(f"The weights in {self._folder} do not fit their config.json: {how}.")

    def _stored(self, name: str) -> str:
        """The name as it is written there."""
        return name if name in self._files else name.removeprefix("model.")

    def _read_tensor(self, name: str) -> torch.Tensor:
        if name not in self:
            raise self._unfit(f"missing keys: {name}")
        name = self._stored(name)
        found: torch.Tensor = self._file(self._files[name]).get_tensor(name)
        self._read += found.nbytes
        if self._read > MOST_MAPPED:
            self._open.clear()
            self._read = 0
        return found

    def _file(self, name: str) -> Any:
        if name not in self._open:
            self._open[name] = safe_open(self._folder / name, framework="pt")
        return self._open[name]


def _told(name: str, found: torch.Tensor) -> str:
    return f"mismatched keys: {name} is {list(found.shape)} of {str(found.dtype).removeprefix('torch.')}"
