"""Memory for weights in huge pages, where the system has them.

All weights are read once for each token. In pages of 4 KiB the processor's prefetch stops at every page's end and its
table of pages is far too small; pages of 2 MiB let it read at the memory's own speed.
"""

from __future__ import annotations

import mmap

import torch

PIECE = 64 << 20
ALIGNMENT = 64


class Arena:
    """Gives tensors their place, one after another, in pieces of anonymous memory. Nothing is freed before all is."""

    def __init__(self) -> None:
        self._piece = torch.empty(0, dtype=torch.uint8)
        self._used = 0

    def place(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of a contiguous tensor; memory is freed with the last tensor in its piece."""
        size = tensor.nbytes
        if self._used + size > self._piece.nbytes:
            self._piece, self._used = _huge(max(PIECE, size)), 0
        room = self._piece[self._used : self._used + size]
        self._used += -(-size // ALIGNMENT) * ALIGNMENT
        return room.view(tensor.dtype).view(tensor.shape).copy_(tensor)


def _huge(size: int) -> torch.Tensor:
    """So many bytes, untouched."""
    memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)
