"""Keys and values on a device: blocks of one tensor, known by their numbers."""

from __future__ import annotations

import torch

from ambidex_backends.local.native.architecture import Architecture
from ambidex_backends.local.native.blocks import BLOCK, Block, BlockPool

ZEROS = 0
"""The number of a block that nobody writes: what fills up a sequence's blocks."""

SCRAP = 1
"""The number of a block that nobody reads: where rows write that fill up a pass."""

RESERVED = 2

LEAST = 64
"""Blocks taken at once, at least."""


class DevicePool(BlockPool):
    """All blocks of one model in `storage` `[layers, 2, blocks, BLOCK, kv_heads, head_size]`, keys before values.

    It is taken as a whole, or half of it and so on where there is no room, and as much again when more is needed than
    `budget`. Then `moved` is one more: whatever has been told where it lies must be told again.
    """

    def __init__(self, shape: Architecture, dtype: torch.dtype, device: torch.device, budget: int) -> None:
        self._inner = (BLOCK, shape.kv_heads, shape.head_size)
        self._layers = len(shape.layers)
        each = self._layers * 2 * BLOCK * shape.kv_heads * shape.head_size
        super().__init__(each, dtype, budget)
        self._device = device
        self._blocks: list[Block] = []
        self.storage = self._room(0)
        self.moved = 0

    def take(self) -> Block:
        """A block of zeros: what is masked out is multiplied by 0 all the same, and must be a number."""
        block = super().take()
        block.memory.zero_()
        return block

    def prepare(self) -> bool:
        """Nothing: it is taken as a whole."""
        return False

    def clear(self) -> None:
        super().clear()
        if not self.allocated:
            self._blocks.clear()
            self._move(self._room(0))

    def _allocate(self) -> None:
        more = self.allocated or max(self._most_kept, LEAST)
        while True:
            try:
                storage = self._room(RESERVED + self.allocated + more)
                break
            except torch.OutOfMemoryError:
                if more <= LEAST:
                    raise
                more = max(LEAST, more // 2)
        if self.allocated:
            storage[:, :, : self.storage.shape[2]] = self.storage
        self._move(storage)
        first = RESERVED + self.allocated
        added = [Block(storage[:, :, number], number) for number in range(first, first + more)]
        self._blocks += added
        self._free += reversed(added)
        self.allocated += more

    def _move(self, storage: torch.Tensor) -> None:
        self.storage = storage
        self.moved += 1
        for block in self._blocks:
            block.memory = storage[:, :, block.address]

    def _room(self, blocks: int) -> torch.Tensor:
        return torch.zeros(self._layers, 2, blocks, *self._inner, dtype=self._dtype, device=self._device)
