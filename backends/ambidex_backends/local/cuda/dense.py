"""Weight matrices as PyTorch multiplies with them, on a device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import linear

from ambidex_backends.local.native.checkpoint import Checkpoint
from ambidex_backends.local.native.matrix import Kind
from ambidex_backends.local.native.reader import Reader
from ambidex_backends.local.native.stored import Mxfp4


class Dense:
    """Weights `[rows, columns]`, optionally with a bias `[rows]`."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    @property
    def nbytes(self) -> int:
        """Bytes of both."""
        return self.weight.nbytes + (0 if self.bias is None else self.bias.nbytes)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[..., columns]` -> `[..., rows]`."""
        return linear(x, self.weight, self.bias)


class DenseReader(Reader[Dense]):
    """Puts matrices, in `dtype`, and vectors on `device`, one tensor of the file after another."""

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(checkpoint)
        self._dtype, self._device = dtype, device

    def pack(
        self, weights: Sequence[torch.Tensor | Mxfp4], bias: torch.Tensor | None = None, kind: Kind | None = None
    ) -> Dense:
        floats = [part for part in weights if not isinstance(part, Mxfp4)]
        assert len(floats) == len(weights), "only experts are stored so"
        weight = torch.empty(sum(map(len, floats)), floats[0].shape[1], dtype=self._dtype, device=self._device)
        start = 0
        for part in floats:
            weight[start : start + len(part)] = part
            start += len(part)
        return Dense(weight, None if bias is None else bias.to(self._device, self._dtype, copy=True))

    def vector(self, name: str, size: int) -> torch.Tensor:
        return self.checkpoint.tensor(name, size).to(self._device, torch.float32, copy=True)
