"""What models have in common whose keys and values lie in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from ambidex_backends.local.model import SequenceCache

from .blocks import BlockCache, BlockPool
from .reader import M
from .weights import Weights

P = TypeVar("P", bound=BlockPool)


class BlockModel(Generic[M, P]):
    """All of `Model` but the forward pass."""

    can_rewind = True

    def __init__(self, vocabulary: int, weights: Weights[M], pool: P) -> None:
        self.vocabulary = vocabulary
        self.pool = pool
        self._weights = weights

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self._weights.nbytes

    @property
    def nbytes_for_token(self) -> int:
        """Bytes of the weights that are read for a token alone."""
        return self._weights.nbytes_for_token

    def open(self, ids: Sequence[int]) -> BlockCache:
        """A cache with the longest kept prefix of `ids[:-1]`."""
        return BlockCache.find(self.pool, ids)

    def release(self, cache: SequenceCache, ids: Sequence[int]) -> None:
        """Gives the blocks back; they are kept for later prompts, as far as the budget goes."""
        assert isinstance(cache, BlockCache)
        cache.close()

    def prepare(self) -> bool:
        """Takes a piece of the memory that the next request may need; whether there is more to take."""
        return self.pool.prepare()

    def clear(self) -> None:
        """Frees what is kept."""
        self.pool.clear()
