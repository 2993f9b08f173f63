"""From the names of a checkpoint's tensors to matrices in the kernels' order, one at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .arena import Arena
from .checkpoint import Checkpoint
from .matrix import Kind, Matrix
from .stored import Mxfp4


class MatrixReader:
    """Reads out of `checkpoint`, into memory of its own. `kind`: how matrices are stored unless they ask for another.

    All methods raise `ModelLoadError` where a tensor is missing or of the wrong shape.
    """

    def __init__(self, checkpoint: Checkpoint, kind: Kind) -> None:
        self.checkpoint = checkpoint
        self._kind: Kind = kind
        self._arena = Arena()

    def matrix(self, name: str, rows: int, columns: int, *, bias: bool = False) -> Matrix:
        """`name.weight`, with `name.bias` if it is to have one."""
        return self.stacked([name], [rows], columns, bias=bias)

    def stacked(self, names: Sequence[str], rows: Sequence[int], columns: int, *, bias: bool = False) -> Matrix:
        """Several matrices that are multiplied with the same input, as one."""
        sizes = list(zip(names, rows, strict=True))
        weights = [self.checkpoint.tensor(name + ".weight", count, columns) for name, count in sizes]
        biases = [self.vector(name + ".bias", count) for name, count in sizes] if bias else None
        return Matrix(weights, self._kind, self._arena, None if biases is None else torch.cat(biases))

    def pack(
        self, weights: Sequence[torch.Tensor | Mxfp4], bias: torch.Tensor | None = None, kind: Kind | None = None
    ) -> Matrix:
        """Of weights that are read. What is stored in MXFP4 stays so, unless all is to be in float32."""
        if isinstance(weights[0], Mxfp4) and self._kind != "float32":
            kind = "mxfp4"
        return Matrix(weights, kind or self._kind, self._arena, bias)

    def vector(self, name: str, size: int) -> torch.Tensor:
        """float32 `[size]`, a copy: what is read of a file would go with it."""
        return self.checkpoint.tensor(name, size).to(torch.float32, copy=True)
