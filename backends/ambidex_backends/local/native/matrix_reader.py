"""From the names of a checkpoint's tensors to matrices in the kernels' order, one at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .arena import Arena
from .checkpoint import Checkpoint
from .matrix import Kind, Matrix
from .reader import Reader
from .stored import Mxfp4


class MatrixReader(Reader[Matrix]):
    """Reads into memory of its own. `kind`: how matrices are stored unless they ask for another."""

    def __init__(self, checkpoint: Checkpoint, kind: Kind) -> None:
        super().__init__(checkpoint)
        self._kind: Kind = kind
        self._arena = Arena()

    def pack(
        self, weights: Sequence[torch.Tensor | Mxfp4], bias: torch.Tensor | None = None, kind: Kind | None = None
    ) -> Matrix:
        """What is stored in MXFP4 stays so, unless all is to be in float32."""
        if isinstance(weights[0], Mxfp4) and self._kind != "float32":
            kind = "mxfp4"
        return Matrix(weights, kind or self._kind, self._arena, bias)

    def vector(self, name: str, size: int) -> torch.Tensor:
        return self.checkpoint.tensor(name, size).to(torch.float32, copy=True)
