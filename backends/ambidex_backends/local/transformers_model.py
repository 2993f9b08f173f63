"""A model computed by its forward pass in transformers, one span after another, over our cache or its own."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, get_layer_types_and_kwargs

from .cache import KVCache, PrefixStore
from .model import SequenceCache, Span

PLAIN_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention", "dummy"}


class TransformersModel:
    """Any causal language model that transformers knows. `cache_bytes` bounds the prefixes kept for later prompts."""

    def __init__(self, model: PreTrainedModel, cache_bytes: int) -> None:
        self._model: Any = model
        self._device = model.device
        embeddings: Any = model.get_input_embeddings()
        self.vocabulary = int(embeddings.weight.shape[0])
        accepted = inspect.signature(model.forward).parameters
        self._cache_name = "past_key_values" if "past_key_values" in accepted else "cache_params"
        self._takes_logits_to_keep = "logits_to_keep" in accepted
        self.can_rewind = keeps_all_positions(model.config)
        self._prefixes = PrefixStore(cache_bytes) if self.can_rewind else None

    def open(self, ids: Sequence[int]) -> SequenceCache:
        """A cache with the longest prefix kept, or an empty one."""
        if self._prefixes is None:
            return StateCache(self._model.config)
        return self._prefixes.take(ids) or KVCache()

    def forward(self, spans: Sequence[Span]) -> list[torch.Tensor]:
        """Float32 logits `[scored, V]` for each span."""
        logits: list[torch.Tensor] = []
        for span in spans:
            logits.append(self._forward(span))
        return logits

    def release(self, cache: SequenceCache, ids: Sequence[int]) -> None:
        """Keeps the cache for later prompts, as far as the budget goes."""
        if self._prefixes is not None and isinstance(cache, KVCache):
            self._prefixes.put(ids, cache)

    def clear(self) -> None:
        """Frees all kept prefixes."""
        if self._prefixes is not None:
            self._prefixes.clear()

    def _forward(self, span: Span) -> torch.Tensor:
        ids = torch.tensor([list(span.ids)], device=self._device)  # [1, T]
        cache = span.cache.state if isinstance(span.cache, StateCache) else span.cache
        keep = {"logits_to_keep": max(span.scored, 1)} if self._takes_logits_to_keep else {}
        output = self._model(input_ids=ids, use_cache=True, **{self._cache_name: cache}, **keep)
        if isinstance(span.cache, StateCache):
            span.cache.length += len(span.ids)
        logits: torch.Tensor = output.logits[0]  # [T or scored, V]
        return logits[logits.shape[0] - span.scored :].float()


class StateCache:
    """transformers' own cache of an architecture with a running state: it only grows."""

    def __init__(self, config: Any) -> None:
        self.state = DynamicCache(config=config)
        self.length = 0

    def truncate(self, length: int) -> None:
        """A running state cannot go back."""
        raise NotImplementedError("This architecture's state cannot be cut back.")

    def fork(self) -> StateCache:
        """A copy of the whole state."""
        other: StateCache = copy.copy(self)
        other.state = copy.deepcopy(self.state)
        return other


def keeps_all_positions(config: Any) -> bool:
    """Whether every layer is attention with keys and values, so that a prefix of its cache can be taken up again."""
    return set(get_layer_types_and_kwargs(config.get_text_config(decoder=True))[0]) <= PLAIN_ATTENTION
