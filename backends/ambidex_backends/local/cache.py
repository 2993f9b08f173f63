"""Keys and values of the ids of one sequence that are computed already.

The cache is ours, in the form that transformers' forward passes expect. Every layer keeps all positions (a
sliding-window layer's mask limits what it sees), so that any prefix can be taken up again by a later request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

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

    @classmethod
    def joined(cls, states: Sequence[tuple[torch.Tensor, torch.Tensor] | None], length: int, room: int) -> GrowingLayer:
        """A layer that holds the first `length` positions of `states` one after another."""
        layer = cls()
        held = [pair for pair in states if pair is not None]
        if held:
            for name, which in (("keys", 0), ("values", 1)):
                buffer = _buffer_like(held[0][which], _capacity(room))
                torch.cat([pair[which] for pair in held], dim=-2, out=buffer[:, :, :length])
                setattr(layer, name, buffer)
            layer.is_initialized = True
            layer.length = length
        return layer


LayerStates: TypeAlias = "list[tuple[torch.Tensor, torch.Tensor] | None]"
"""For each layer keys and values [1, heads, n, head_dim]; None for a layer that keeps none."""


class KVCache(Cache):
    """The keys and values of one sequence, one `GrowingLayer` for each attention layer, and the ids they belong to."""

    layers: list[GrowingLayer]  # type: ignore[assignment]  # narrower than the base class: ours alone

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)
        self.ids: list[int] = []
        self.uncut = 0  # so many of them are as they were when this was last set
        self.is_long = False  # turned as in a sequence that is longer than LongRoPE's short ones

    @property
    def length(self) -> int:
        """Ids held. A pass that failed may have left more in some layers."""
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers."""
        tensors = (tensor for layer in self.layers for tensor in (layer.keys, layer.values) if tensor is not None)
        return sum(tensor.nbytes for tensor in tensors)

    def truncate(self, length: int) -> None:
        """Forgets all ids from `length` on."""
        del self.ids[length:]
        self.uncut = min(self.uncut, length)
        for layer in self.layers:
            layer.length = min(layer.length, length)

    def replace(self, other: KVCache) -> None:
        """Takes what `other` holds instead of its own."""
        self.ids, self.layers, self.is_long = other.ids, other.layers, other.is_long
        self.uncut = 0

    def fork(self) -> KVCache:
        """A cache of its own with the same ids."""
        other = KVCache()
        other.ids = list(self.ids)
        other.is_long = self.is_long
        other.layers = [layer.copy(min(self.length, layer.length)) for layer in self.layers]
        return other

    def slice(self, start: int, end: int) -> LayerStates:
        """A copy of the keys and values from position `start` to `end`."""
        return [
            (layer.keys[:, :, start:end].clone(), layer.values[:, :, start:end].clone())
            if layer.keys is not None and layer.values is not None
            else None
            for layer in self.layers
        ]

    @classmethod
    def joined(cls, ids: Sequence[int], parts: Sequence[LayerStates], room: int) -> KVCache:
        """A cache of `ids` from the keys and values of their parts, with room for at least `room` ids in all."""
        cache = cls()
        cache.ids = list(ids)
        cache.layers = [GrowingLayer.joined(states, len(ids), room) for states in zip(*parts, strict=True)]
        return cache


def _buffer_like(states: torch.Tensor, capacity: int) -> torch.Tensor:
    batch, heads, _, head_dim = states.shape
    return states.new_empty((batch, heads, capacity, head_dim))


def _grown(buffer: torch.Tensor, used: int, needed: int) -> torch.Tensor:
    """A copy of the first `used` positions with room for at least `needed`."""
    grown = _buffer_like(buffer, _capacity(needed))
    grown[:, :, :used] = buffer[:, :, :used]
    return grown


def _capacity(needed: int) -> int:
    """The next power of two, so that growing copies each position a few times at most."""
    capacity = FIRST_CAPACITY
    while capacity < needed:
        capacity *= 2
    return capacity
