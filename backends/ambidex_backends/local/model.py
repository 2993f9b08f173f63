"""What computes the logits: the seam between the decoding loop and a model's forward pass.

The loop knows spans of ids and caches that grow by them; how a pass is computed, and how keys and values are stored
and shared, is the model's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

CELL = 64
"""With `deterministic=True` so many ids of a prompt, at positions that are multiples of it, are computed by one pass.
Where a model's bits depend on how many ids go through it together, a cache that is opened then holds only cells that
were computed so."""


class SequenceCache(Protocol):
    """Keys and values (or the running state) of the leading ids of one sequence."""

    @property
    def length(self) -> int:
        """Ids held."""
        ...

    def truncate(self, length: int) -> None:
        """Forgets all ids from `length` on. Only where the model's `can_rewind` is true."""
        ...

    def fork(self) -> SequenceCache:
        """A cache of its own that holds the same ids."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """Ids of one sequence that go through the model together, right after those that `cache` holds.

    `scored`: how many of the last ids want their logits; 0 for a chunk of a prompt that is not its last.
    """

    ids: Sequence[int]
    cache: SequenceCache
    scored: int = 1


class Model(Protocol):
    """A causal language model. Used by the engine's thread only."""

    can_rewind: bool
    """Whether caches can be cut back; an architecture with a running state has none of its former states."""

    vocabulary: int
    """V: how many ids it has embeddings for."""

    def open(self, ids: Sequence[int]) -> SequenceCache:
        """A cache for a sequence that begins with `ids`, holding the longest prefix of `ids[:-1]` that was kept."""
        ...

    def forward(self, spans: Sequence[Span]) -> list[torch.Tensor]:
        """Computes all spans in one pass and appends them to their caches.

        Returns float32 logits `[scored, V]` for each span. A span's logits do not depend on the other spans. If it
        raises, caches may hold anything beyond their former lengths.
        """
        ...

    def release(self, cache: SequenceCache, ids: Sequence[int]) -> None:
        """The sequence `ids` has ended; what the cache holds may be kept for later ones that begin alike."""
        ...

    def prepare(self) -> bool:
        """Nothing is to be computed now: a moment to get ready for what may come. Whether there is more to do."""
        ...

    def clear(self) -> None:
        """Frees what was kept."""
        ...
