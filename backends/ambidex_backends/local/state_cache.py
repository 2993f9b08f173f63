"""Caches of architectures with a running state, by transformers' own rules: they grow and never go back.

What one holds can only be taken up by a sequence that begins with all of its ids: the next turn of the same chat.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import DynamicCache


class StateCache:
    """The state after `ids`."""

    def __init__(self, config: Any) -> None:
        self.state = DynamicCache(config=config)
        self.ids: list[int] = []
        self.put_off: list[int] = []  # the last of them, which the state does not know yet
        self.is_broken = False

    @contextmanager
    def broken_by_errors(self) -> Generator[None]:
        """A pass that fails leaves a state that belongs to no ids."""
        self.is_broken = True
        yield
        self.is_broken = False

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors in its layers."""
        return sum(tensor.nbytes for layer in self.state.layers for tensor in _tensors(vars(layer).values()))

    def truncate(self, length: int) -> None:
        """A running state cannot go back."""
        raise NotImplementedError("This architecture's state cannot be cut back.")

    def fork(self) -> StateCache:
        """A copy of the whole state."""
        other: StateCache = copy.copy(self)
        other.state = copy.deepcopy(self.state)
        other.ids = list(self.ids)
        other.put_off = list(self.put_off)
        return other


class StateStore:
    """States of ended sequences, at most `budget` bytes; the least recently used go first."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: list[StateCache] = []  # least recently used first

    @property
    def nbytes(self) -> int:
        return sum(cache.nbytes for cache in self._kept)

    def take(self, ids: Sequence[int]) -> StateCache | None:
        """The longest state that `ids` begin with and that leaves the last id to compute. It is handed over."""
        fitting = [cache for cache in self._kept if cache.length < len(ids) and cache.ids == ids[: cache.length]]
        if not fitting:
            return None
        best = max(fitting, key=lambda cache: cache.length)
        self._kept.remove(best)
        return best

    def put(self, cache: StateCache) -> None:
        """The cache is the store's from now on."""
        if cache.ids:
            self._kept.append(cache)
        while self._kept and self.nbytes > self._budget:
            self._kept.pop(0)

    def clear(self) -> None:
        self._kept.clear()


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())
