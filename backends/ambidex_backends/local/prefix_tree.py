"""Keys and values kept for later prompts: a tree of blocks, so that what several sequences begin with is kept once."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from .cache import KVCache, LayerStates
from .model import CELL

BLOCK = CELL
"""Ids of a block. The last one of a sequence that has ended may hold fewer; nothing follows it."""


@dataclass(slots=True, eq=False)
class Block:
    """Ids that follow those of `parent`, with their keys and values."""

    ids: tuple[int, ...]
    states: LayerStates
    parent: Block | None
    end: int = 0  # ids from the root to the end of the block
    nbytes: int = 0
    is_kept: bool = True
    children: dict[int, list[Block]] = field(default_factory=dict[int, "list[Block]"])  # by their first id

    def __post_init__(self) -> None:
        self.end = len(self.ids) + (0 if self.parent is None else self.parent.end)
        self.nbytes = sum(tensor.nbytes for pair in self.states if pair is not None for tensor in pair)


class PrefixTree:
    """Blocks found again by the ids of a prompt. Used by the engine's thread alone.

    `budget`: bytes of the blocks and of the caches in use together; what those in use leave is for blocks, and the
    ones least recently used go first. `whole_cells`: only what one pass computed as a whole block is kept and found,
    so that a prompt's keys and values are the same however much of it was found (`deterministic`).
    """

    def __init__(self, budget: int, *, whole_cells: bool = False) -> None:
        self._budget = budget
        self._whole_cells = whole_cells
        self._roots = Block((), [], None), Block((), [], None)  # of caches that are not and that are `is_long`
        self._recent: OrderedDict[Block, None] = OrderedDict()  # least recently used first; parents after children
        self._in_use: weakref.WeakKeyDictionary[KVCache, Block] = weakref.WeakKeyDictionary()
        self.nbytes = 0

    def __len__(self) -> int:
        """Blocks kept."""
        return len(self._recent)

    def open(self, ids: Sequence[int], *, is_long: bool = False) -> KVCache:
        """A cache with the longest prefix of `ids` that is kept, at least the last id being left to compute."""
        found, length, last = list[LayerStates](), 0, self._roots[is_long]
        while length < len(ids) - 1:
            block, common = self._best_child(last, ids, length)
            if block is None or (self._whole_cells and common < BLOCK):
                break
            found.append(block.states if common == len(block.ids) else _beginning(block.states, common))
            length += common
            if common < BLOCK:
                self._touch(block)
                break
            last = block
        self._touch(last)
        cache = KVCache.joined(ids[:length], found, room=len(ids) + 1) if found else KVCache()
        cache.is_long = is_long
        self._in_use[cache] = last
        return cache

    def keep(self, cache: KVCache, *, computed: int, ended: bool = False) -> None:
        """Takes in what `cache` holds: whole blocks, and when its sequence has `ended` also the rest.

        `computed`: how many of its last ids one pass has computed.
        """
        if not self._budget or (self._whole_cells and computed != BLOCK):
            return
        root = self._roots[cache.is_long]
        block = self._in_use.get(cache, root)
        while block.parent is not None and (block.end > cache.uncut or not block.is_kept):
            block = block.parent
        block = root if block.parent is None else block
        cache.uncut = cache.length
        if cache.length - block.end < (1 if ended else BLOCK):
            return
        while cache.length - block.end >= (1 if ended and not self._whole_cells else BLOCK):
            start, end = block.end, min(block.end + BLOCK, cache.length)
            ids = tuple(cache.ids[start:end])
            if (child := self._child_with(block, ids)) is None:
                if self._whole_cells and end != cache.length:
                    break
                child = self._add(block, ids, cache.slice(start, end))
            block = child
        self._in_use[cache] = block
        self._touch(block)
        self._evict()

    def close(self, cache: KVCache) -> None:
        """The cache is used no more."""
        self._in_use.pop(cache, None)

    def clear(self) -> None:
        for block in self._recent:
            block.is_kept = False
        self._recent.clear()
        for root in self._roots:
            root.children.clear()
        self.nbytes = 0

    def _best_child(self, parent: Block, ids: Sequence[int], start: int) -> tuple[Block | None, int]:
        """The child that agrees longest with `ids[start:-1]`, and on how many ids."""
        best, longest = None, 0
        wanted = ids[start : min(start + BLOCK, len(ids) - 1)]
        for block in parent.children.get(wanted[0], ()):
            common = _common(block.ids, wanted)
            if common > longest:
                best, longest = block, common
        return best, longest

    def _child_with(self, parent: Block, ids: tuple[int, ...]) -> Block | None:
        """A child that begins with `ids`."""
        siblings = parent.children.get(ids[0], ())
        return next((block for block in siblings if block.ids[: len(ids)] == ids), None)

    def _add(self, parent: Block, ids: tuple[int, ...], states: LayerStates) -> Block:
        siblings = parent.children.setdefault(ids[0], [])
        for shorter in [
            block for block in siblings if len(block.ids) < len(ids) and ids[: len(block.ids)] == block.ids
        ]:
            self._remove(shorter)  # the end of a sequence that was continued
        block = Block(ids, states, parent)
        parent.children.setdefault(ids[0], []).append(block)
        self._recent[block] = None
        self.nbytes += block.nbytes
        return block

    def _remove(self, block: Block) -> None:
        assert block.parent is not None
        siblings = block.parent.children[block.ids[0]]
        siblings.remove(block)
        if not siblings:
            del block.parent.children[block.ids[0]]
        del self._recent[block]
        block.is_kept = False
        self.nbytes -= block.nbytes

    def _touch(self, block: Block) -> None:
        """Marks the path to `block` as used now, so that a parent is always younger than its children."""
        while block.parent is not None:
            self._recent.move_to_end(block)
            block = block.parent

    def _evict(self) -> None:
        room = self._budget - sum(cache.nbytes for cache in self._in_use)
        while self._recent and self.nbytes > room:
            self._remove(next(iter(self._recent)))


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


def _beginning(states: LayerStates, length: int) -> LayerStates:
    return [None if pair is None else (pair[0][:, :, :length], pair[1][:, :, :length]) for pair in states]
