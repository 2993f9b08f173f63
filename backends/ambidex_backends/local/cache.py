"""Keys and values of tokens already computed: `KVCache` for one sequence, `PrefixStore` for those kept for later.

The cache is ours, in the form that transformers' forward passes expect. Every layer keeps all positions (a
sliding-window layer's mask limits what it sees), so that any prefix can be taken up again by a later request.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

FIRST_CAPACITY = 256


class GrowingLayer(CacheLayerMixin):
    """One layer's keys and values in buffers [1, heads, capacity, head_dim] that double when full.

    Appending writes in place; concatenating, as `DynamicLayer` does, would copy all earlier positions at each token.
    """

    is_sliding = False
    is_croppable = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers' base class is untyped
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys = _buffer_like(key_states, FIRST_CAPACITY)
        self.values = _buffer_like(value_states, FIRST_CAPACITY)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Appends [1, heads, new, head_dim]; returns all keys and values so far."""
        if self.keys is None or self.values is None:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        start, end = self.length, self.length + key_states.shape[-2]
        if end > self.keys.shape[-2]:
            self.keys = _grown(self.keys, start, end)
            self.values = _grown(self.values, start, end)
        self.keys[:, :, start:end] = key_states
        self.values[:, :, start:end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1

    def copy(self, length: int) -> GrowingLayer:
        """A layer of its own with the first `length` positions."""
        layer = GrowingLayer()
        if self.keys is not None and self.values is not None:
            layer.keys = _grown(self.keys, length, length)
            layer.values = _grown(self.values, length, length)
            layer.is_initialized = True
            layer.length = length
        return layer


class KVCache(Cache):
    """The keys and values of one sequence, one `GrowingLayer` for each attention layer."""

    layers: list[GrowingLayer]  # type: ignore[assignment]  # narrower than the base class: ours alone

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)

    @property
    def length(self) -> int:
        """Positions held."""
        return self.layers[0].length if self.layers else 0

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers."""
        tensors = (tensor for layer in self.layers for tensor in (layer.keys, layer.values) if tensor is not None)
        return sum(tensor.nbytes for tensor in tensors)

    def truncate(self, length: int) -> None:
        """Forgets all positions from `length` on."""
        for layer in self.layers:
            layer.length = min(layer.length, length)

    def copy(self, length: int) -> KVCache:
        """A cache of its own with the first `length` positions."""
        other = KVCache()
        other.layers = [layer.copy(min(length, layer.length)) for layer in self.layers]
        return other

    def fork(self) -> KVCache:
        """A cache of its own with the same positions."""
        return self.copy(self.length)


class PrefixStore:
    """Caches of ended sequences, found again by their longest common prefix with a new prompt.

    Bounded by `budget` bytes; the least recently used go first. Used by the engine's thread alone.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._entries: list[tuple[tuple[int, ...], KVCache]] = []  # least recently used first

    @property
    def nbytes(self) -> int:
        return sum(cache.nbytes for _, cache in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, ids: Sequence[int], cache: KVCache) -> None:
        """Keeps `cache`, which holds the first `cache.length` of `ids`."""
        held = tuple(ids[: cache.length])
        if not held:
            return
        self._entries = [entry for entry in self._entries if entry[0] != held[: len(entry[0])]]
        self._entries.append((held, cache))
        while self._entries and self.nbytes > self.budget:
            self._entries.pop(0)

    def take(self, ids: Sequence[int]) -> KVCache | None:
        """A cache with the longest stored prefix of `ids`, at least the last id being left to compute; or None.

        An entry that is continued is handed over; one that shares only a part of its tokens stays, and is copied.
        """
        best, best_length = -1, 0
        for index, (held, _) in enumerate(self._entries):
            common = _common_prefix(held, ids, len(ids) - 1)
            if common > best_length:
                best, best_length = index, common
        if best < 0:
            return None
        held, cache = self._entries.pop(best)
        if best_length >= len(held) - 1:
            cache.truncate(best_length)
            return cache
        self._entries.append((held, cache))
        return cache.copy(best_length)

    def clear(self) -> None:
        self._entries.clear()


def _common_prefix(first: Sequence[int], second: Sequence[int], limit: int) -> int:
    limit = min(limit, len(first))
    for index in range(limit):
        if first[index] != second[index]:
            return index
    return max(limit, 0)


def _buffer_like(states: torch.Tensor, capacity: int) -> torch.Tensor:
    batch, heads, _, head_dim = states.shape
    return states.new_empty((batch, heads, capacity, head_dim))


def _grown(buffer: torch.Tensor, used: int, needed: int) -> torch.Tensor:
    """A copy of the first `used` positions with room for at least `needed`; capacities are powers of two."""
    capacity = FIRST_CAPACITY
    while capacity < needed:
        capacity *= 2
    grown = _buffer_like(buffer, capacity)
    grown[:, :, :used] = buffer[:, :, :used]
    return grown
