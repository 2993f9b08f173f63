"""Keys and values in blocks of 16 tokens, shared by all sequences that begin alike (PagedAttention, 2309.06180).

A block holds 16 positions of every layer. It is known by its tokens and by what stands before it, so that a later
prompt finds the longest prefix that is kept, to the token. A sequence that forks shares its blocks; who writes into a
block that others hold, or may find, gets a copy of it first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch

from .arena import huge

BLOCK = 16
"""Tokens in a block: the lanes of the kernels' vectors."""

SLAB_BYTES = 4 << 20
"""Memory is taken in pieces of about this size."""

Content = tuple[int, tuple[int, ...]]
"""What a block holds: the serial number of the content before it, and its tokens."""


class Block:
    """Memory for 16 tokens. `users`: sequences that hold it; `content`: its name among the kept prefixes, if any.

    `address`: where whoever computes finds it.
    """

    __slots__ = ("address", "content", "memory", "serial", "users")

    def __init__(self, memory: torch.Tensor, address: int) -> None:
        self.memory = memory
        self.address = address
        self.users = 0
        self.content: Content | None = None
        self.serial = 0


class BlockPool:
    """All blocks of one model. `budget`: bytes of blocks, beyond which none is kept for later prompts."""

    def __init__(self, block_shape: int, dtype: torch.dtype, budget: int) -> None:
        """`block_shape`: numbers in a block, over all layers, keys and values."""
        self._size = block_shape
        self._dtype = dtype
        self._free: list[Block] = []
        self._known: dict[int, dict[tuple[int, ...], Block]] = {}  # by the content before, then by tokens
        self._kept: OrderedDict[Block, None] = OrderedDict()  # known and unused, least recently used first
        self._serial = 0
        self.block_bytes = block_shape * dtype.itemsize
        self._most_kept = budget // self.block_bytes
        self.allocated = 0
        self._filled: int | None = 0  # blocks in use or kept when memory was last got ready
        self._wanted = 0  # free blocks to be got ready

    @property
    def nbytes(self) -> int:
        """Bytes taken for blocks, used or not."""
        return self.allocated * self.block_bytes

    @property
    def kept(self) -> int:
        """Blocks that no sequence uses but a later prompt may."""
        return len(self._kept)

    def take(self) -> Block:
        """A block to write into."""
        if not self._free and self._kept and self.allocated >= self._most_kept:
            self._forget(next(iter(self._kept)))
        if not self._free:
            self._allocate()
        block = self._free.pop()
        block.users = 1
        return block

    def prepare(self) -> bool:
        """Between requests: takes a slab, within the budget, if fewer blocks are free than were filled since last time.

        A system gives memory page by page as it is first written to, and in a virtual machine each
        page may have to be got from elsewhere; so it is written to here. Whether there is more to take.
        """
        filled = self.allocated - len(self._free)
        if filled != self._filled:
            self._wanted = 0 if self._filled is None else filled - self._filled
            self._filled = filled
        if len(self._free) >= self._wanted or self.allocated >= self._most_kept:
            return False
        held = len(self._free)
        try:
            self._allocate()
        except MemoryError:
            return False  # whoever needs it is told so
        for block in self._free[held:]:
            block.memory.zero_()
        return len(self._free) < self._wanted

    def share(self, block: Block) -> Block:
        """One more sequence holds it."""
        if not block.users:
            self._kept.pop(block, None)
        block.users += 1
        return block

    def give_back(self, block: Block) -> None:
        """One sequence less holds it; a known one is kept, as far as the budget goes."""
        block.users -= 1
        if block.users:
            return
        if block.content is None:
            self._free.append(block)
            return
        self._kept[block] = None
        while len(self._kept) > self._most_kept:
            self._forget(next(iter(self._kept)))

    def copy(self, block: Block) -> Block:
        """A block of its own with the same numbers; `block` is given back."""
        copy = self.take()
        copy.memory.copy_(block.memory)
        self.give_back(block)
        return copy

    def name(self, block: Block, before: int, tokens: tuple[int, ...]) -> int:
        """`block` can be found by these tokens. Its content's serial number; 0 stands before the first."""
        after = self._known.setdefault(before, {})
        if (known := after.get(tokens)) is not None:
            return known.serial
        self._serial += 1
        block.serial, block.content = self._serial, (before, tokens)
        after[tokens] = block
        return block.serial

    def find(self, before: int, tokens: tuple[int, ...]) -> tuple[Block | None, int]:
        """The block after that content that agrees with the most of `tokens`, and with how many."""
        after = self._known.get(before)
        if not after:
            return None, 0
        if (exact := after.get(tokens)) is not None:
            return exact, len(tokens)
        most, best = max((_common(held, tokens), held) for held in after)
        return (after[best], most) if most else (None, 0)

    def clear(self) -> None:
        """Forgets everything that is kept, and frees the memory if no sequence holds any."""
        self._filled, self._wanted = None, 0  # memory may be short: none is got ready for what is filled now
        for block in list(self._kept):
            self._forget(block)
        if len(self._free) == self.allocated:
            self._free.clear()
            self.allocated = 0

    def _forget(self, block: Block) -> None:
        """Its content can no longer be found; what came after it neither, since serial numbers are never used twice."""
        del self._kept[block]
        self.unname(block)
        self._free.append(block)

    def unname(self, block: Block) -> None:
        """It can no longer be found."""
        assert block.content is not None
        before, tokens = block.content
        after = self._known[before]
        del after[tokens]
        if not after:
            del self._known[before]
        block.content = None

    def _allocate(self) -> None:
        count = max(1, SLAB_BYTES // self.block_bytes)
        if self.allocated < self._most_kept:
            count = min(count, self._most_kept - self.allocated)
        slab = huge(count * self.block_bytes).view(self._dtype).view(count, self._size)
        self._free += [Block(memory, memory.data_ptr()) for memory in reversed(slab.unbind())]
        self.allocated += count


class BlockCache:
    """The blocks of one sequence, and the ids they hold."""

    def __init__(self, pool: BlockPool) -> None:
        self._pool = pool
        self._blocks: list[Block] = []
        self._serials: list[int] = [0]  # of the content before each block; the full blocks' own follow
        self._addresses = torch.empty(8, dtype=torch.int64)
        self.ids: list[int] = []

    @classmethod
    def find(cls, pool: BlockPool, ids: Sequence[int]) -> BlockCache:
        """A cache with the longest kept prefix of `ids`, at least the last one being left to compute."""
        cache = cls(pool)
        while wanted := tuple(ids[len(cache.ids) : min(len(cache.ids) + BLOCK, len(ids) - 1)]):
            block, common = pool.find(cache._serials[-1], wanted)
            if block is None:
                break
            cache._append(pool.share(block))
            cache.ids += wanted[:common]
            if common < BLOCK:
                break
            cache._serials.append(block.serial)
        return cache

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def table(self) -> int:
        """Where the blocks' addresses lie. Valid until the cache grows."""
        return self._addresses.data_ptr()

    @property
    def addresses(self) -> torch.Tensor:
        """int64 `[blocks]`. Valid until the cache grows."""
        return self._addresses[: len(self._blocks)]

    def reserve(self, count: int) -> None:
        """Makes the next `count` positions writable."""
        start = len(self.ids) // BLOCK
        if start < len(self._blocks):
            block = self._blocks[start]
            if block.users == 1 and block.content == (self._serials[-1], tuple(self.ids[start * BLOCK :])):
                self._pool.unname(block)  # what goes on from here holds the same beginning
            if block.users > 1 or block.content is not None:
                self._blocks[start] = self._pool.copy(block)
                self._addresses[start] = self._blocks[start].address
        while len(self._blocks) * BLOCK < len(self.ids) + count:
            self._append(self._pool.take())

    def append(self, ids: Sequence[int]) -> None:
        """The positions of these ids were written; blocks that are full can be found from now on."""
        self.ids += ids
        for index in range(len(self._serials) - 1, len(self.ids) // BLOCK):
            tokens = tuple(self.ids[index * BLOCK : (index + 1) * BLOCK])
            self._serials.append(self._pool.name(self._blocks[index], self._serials[-1], tokens))

    def truncate(self, length: int) -> None:
        """Forgets all positions from `length` on."""
        del self.ids[length:]
        del self._serials[length // BLOCK + 1 :]
        while len(self._blocks) * BLOCK >= length + BLOCK:
            self._pool.give_back(self._blocks.pop())

    def fork(self) -> BlockCache:
        """A cache that shares all blocks."""
        other = BlockCache(self._pool)
        other.ids = list(self.ids)
        other._serials = list(self._serials)
        for block in self._blocks[: -(-len(self.ids) // BLOCK)]:
            other._append(self._pool.share(block))
        return other

    def close(self) -> None:
        """Gives all blocks back, the last first, so that beginnings are kept longest."""
        if tail := tuple(self.ids[(len(self._serials) - 1) * BLOCK :]):
            block = self._blocks[len(self._serials) - 1]
            if block.users == 1 and block.content is None:
                self._pool.name(block, self._serials[-1], tail)
        self.truncate(0)

    def _append(self, block: Block) -> None:
        if len(self._blocks) == len(self._addresses):
            self._addresses = torch.cat([self._addresses, torch.empty_like(self._addresses)])
        self._addresses[len(self._blocks)] = block.address
        self._blocks.append(block)


def _common(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """How many tokens at the beginning are the same."""
    return next(
        (i for i, (one, two) in enumerate(zip(first, second, strict=False)) if one != two), min(len(first), len(second))
    )
