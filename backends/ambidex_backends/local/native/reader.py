"""What reads a model's matrices: the names in `weights` are the same, whoever multiplies with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import torch

from .checkpoint import Checkpoint
from .matrix import Kind
from .stored import Mxfp4


class HasBytes(Protocol):
    """A matrix with its bias."""

    @property
    def nbytes(self) -> int:
        """Bytes of it."""
        ...


M = TypeVar("M", bound=HasBytes)
"""A matrix as its reader makes it."""

M_co = TypeVar("M_co", bound=HasBytes, covariant=True)


class Reader(ABC, Generic[M_co]):
    """Reads matrices and vectors out of `checkpoint`. All raise `ModelLoadError` where one is missing or misshapen."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def matrix(self, name: str, rows: int, columns: int, *, bias: bool = False) -> M_co:
        """`name.weight`, with `name.bias` if it is to have one."""
        return self.stacked([name], [rows], columns, bias=bias)

    def stacked(self, names: Sequence[str], rows: Sequence[int], columns: int, *, bias: bool = False) -> M_co:
        """Several matrices that are multiplied with the same input, as one."""
        sizes = list(zip(names, rows, strict=True))
        weights = [self.checkpoint.tensor(name + ".weight", count, columns) for name, count in sizes]
        biases = [self.vector(name + ".bias", count) for name, count in sizes] if bias else None
        return self.pack(weights, None if biases is None else torch.cat(biases))

    @abstractmethod
    def pack(
        self, weights: Sequence[torch.Tensor | Mxfp4], bias: torch.Tensor | None = None, kind: Kind | None = None
    ) -> M_co:
        """Of weights that are read, one below the other. `kind` is for those who store matrices in several ways."""

    @abstractmethod
    def vector(self, name: str, size: int) -> torch.Tensor:
        """float32 `[size]`, a copy: what is read of a file would go with it."""
