"""Memory for weights in huge pages, where the system has them.

All weights are read once for each token. In pages of 4 KiB the processor's prefetch stops at every page's end and its
table of pages is far too small; pages of 2 MiB let it read at the memory's own speed.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence

import torch

PIECE = 64 << 20
ALIGNMENT = 64
PRIVATE = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
"""Memory that could be shared with other processes, Python's default, gets no huge pages on most systems."""


class Arena:
    """Gives tensors their place, one after another, in pieces of anonymous memory. Nothing is freed before all is."""

    def __init__(self) -> None:
        self._piece = torch.empty(0, dtype=torch.uint8)
        self._used = 0

    def room(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Zeros; memory is freed with the last tensor in its piece."""
        size = math.prod(shape) * dtype.itemsize
        if self._used + size > self._piece.nbytes:
            self._piece, self._used = huge(max(PIECE, size)), 0
        room = self._piece[self._used : self._used + size]
        self._used += -(-size // ALIGNMENT) * ALIGNMENT
        return room.view(dtype).view(*shape)


def huge(size: int) -> torch.Tensor:
    """So many zero bytes, untouched. Raises `MemoryError`."""
    try:
        memory = mmap.mmap(-1, size, flags=PRIVATE) if PRIVATE else mmap.mmap(-1, size)
    except OSError as error:
        raise MemoryError(f"no {size} bytes for weights, or keys and values: {error}") from None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)
