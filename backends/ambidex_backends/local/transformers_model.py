"""A model computed by its forward pass in transformers, one span after another, over our cache or its own."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import get_layer_types_and_kwargs

from ambidex.errors import ModelLoadError, Unsupported

from .cache import KVCache
from .model import SequenceCache, Span
from .prefix_tree import PrefixTree
from .state_cache import StateCache, StateStore

PLAIN_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention", "dummy"}

SAME = 0.1
"""Logits that differ relatively by less are the same but for rounding; a state that was forgotten makes others."""

APART = 0.01
"""The same of one pass computed twice, with another sequence's between its parts: only rounding may differ."""


class TransformersModel:
    """Any causal language model that transformers knows.

    cache_bytes    memory for keys and values; what running sequences leave of it is for prefixes of later prompts
    deterministic  a prefix that is taken up was computed as an uncached prompt would be
    """

    def __init__(self, model: PreTrainedModel, cache_bytes: int, *, deterministic: bool = False) -> None:
        """Raises `ModelLoadError` for an architecture whose state is not all in a cache that is given to it."""
        self._model: Any = model
        self._device = model.device
        embeddings: Any = model.get_input_embeddings()
        self.vocabulary = int(embeddings.weight.shape[0])
        accepted = inspect.signature(model.forward).parameters
        names = [name for name in ("past_key_values", "cache_params") if name in accepted]
        if not names:
            raise self._no_cache_of_ours("its forward pass takes no cache")
        self._cache_name = names[0]
        self._takes_logits_to_keep = "logits_to_keep" in accepted
        self._takes_positions = "position_ids" in accepted
        self.can_rewind = keeps_all_positions(model.config)
        if not self.can_rewind:
            self._check_states_are_apart()
        self._short_until = short_until(model.config)
        if self._short_until is not None and not (self.can_rewind and self._takes_positions):
            raise ModelLoadError(f"A {model.config.model_type} model that is turned by LongRoPE is not supported.")
        self._prefixes = PrefixTree(cache_bytes, whole_cells=deterministic)
        self._states = StateStore(0 if deterministic else cache_bytes)

    def open(self, ids: Sequence[int]) -> SequenceCache:
        """A cache with the longest prefix kept, or an empty one."""
        if self.can_rewind:
            return self._prefixes.open(ids, is_long=self._short_until is not None and len(ids) > self._short_until)
        return self._states.take(list(ids)) or StateCache(self._model.config)

    def forward(self, spans: Sequence[Span]) -> list[torch.Tensor]:
        """Float32 logits `[scored, V]` for each span."""
        logits: list[torch.Tensor] = []
        for span in spans:
            logits.append(self._forward(span))
        return logits

    def release(self, cache: SequenceCache, ids: Sequence[int]) -> None:
        """Keeps what the cache holds for later prompts, as far as the budget goes."""
        if isinstance(cache, KVCache):
            cache.truncate(cache.length)  # what a pass that failed has left
            self._prefixes.keep(cache, computed=0, ended=True)
            self._prefixes.close(cache)
        elif isinstance(cache, StateCache) and not cache.is_broken and not cache.put_off:
            self._states.put(cache)

    def prepare(self) -> bool:
        """Nothing: its caches take their memory as they grow."""
        return False

    def clear(self) -> None:
        """Frees all that is kept."""
        self._prefixes.clear()
        self._states.clear()

    @torch.inference_mode()
    def attention(self, ids: Sequence[int]) -> torch.Tensor:
        """Float32 attention weights `[layers, heads, T, T]` of one pass over `ids` [T], computed plainly.

        Raises `Unsupported` where the architecture tells none.
        """
        usual = self._model.config._attn_implementation
        row = torch.tensor([list(ids)], device=self._device)
        try:
            self._model.set_attn_implementation("eager")
            output = self._model(input_ids=row, use_cache=False, output_attentions=True)
        finally:
            self._model.set_attn_implementation(usual)
        told: Sequence[torch.Tensor | None] = getattr(output, "attentions", None) or ()
        weights = [layer[0].float() for layer in told if layer is not None]
        if not weights:
            raise Unsupported("This architecture has no attention weights to tell.", param="extra")
        return torch.stack(weights)

    def _forward(self, span: Span) -> torch.Tensor:
        cache = span.cache
        if isinstance(cache, StateCache):
            return self._forward_state(span, cache)
        assert isinstance(cache, KVCache)
        if self._short_until is not None:
            return self._forward_by_length(span, cache, self._short_until)
        logits = self._pass(span.ids, cache, span.scored, past=cache.length)
        cache.ids.extend(span.ids)
        self._prefixes.keep(cache, computed=len(span.ids))
        return logits

    def _forward_by_length(self, span: Span, cache: KVCache, short: int) -> torch.Tensor:
        """LongRoPE turns all ids of a sequence in another way once it has more than `short`.

        What is scored is computed as in the sequence that ends there, a part of a prompt as in the whole prompt.
        """
        end = cache.length + len(span.ids)
        long = min(span.scored, max(0, end - short))  # guesses, and a given text, may lie on both sides
        cut = 0 if long == span.scored else len(span.ids) - long
        rows: list[torch.Tensor] = []
        if cut:
            rows.append(self._append(span.ids[:cut], cache, span.scored - long, is_long=False, short=short))
        if cut < len(span.ids):
            is_long = bool(long) or cache.is_long or end > short
            rows.append(self._append(span.ids[cut:], cache, long, is_long=is_long, short=short))
        return torch.cat(rows)

    def _append(self, ids: Sequence[int], cache: KVCache, scored: int, *, is_long: bool, short: int) -> torch.Tensor:
        """As `_pass`, with all ids turned in one of the ways; what the cache holds in the other is computed again."""
        past, end = cache.length, cache.length + len(ids)
        computed = len(ids)
        if cache.is_long != is_long:
            again, computed = KVCache(), end
            again.ids, again.is_long = [*cache.ids, *ids], is_long
            logits = self._pass(again.ids, again, scored, past=0)
            cache.replace(again)
        elif is_long and end <= short:
            # transformers looks at the last position: that of an id which these do not see, and which is forgotten
            positions = torch.tensor([*range(past, end), short], device=self._device)
            logits = self._pass([*ids, ids[-1]], cache, scored + 1, past=past, positions=positions)[:-1]
            cache.truncate(end)
            cache.ids.extend(ids)
        else:
            logits = self._pass(ids, cache, scored, past=past)
            cache.ids.extend(ids)
        self._prefixes.keep(cache, computed=computed)
        return logits

    def _forward_state(self, span: Span, cache: StateCache) -> torch.Tensor:
        """Where several ids cannot follow a state at once, a prompt waits until it is whole, and others go singly."""
        ids = [*cache.put_off, *span.ids]
        past = cache.length - len(cache.put_off)
        is_whole = self._takes_several or span.scored > 0
        with cache.broken_by_errors():
            if not is_whole:
                cache.put_off = ids
                logits = torch.empty(0)
            elif self._takes_several or past == 0:
                logits = self._pass(ids, cache.state, span.scored, past=past)
            else:
                rows = [self._pass([id], cache.state, 1, past=past + index) for index, id in enumerate(ids)]
                logits = torch.cat(rows[len(rows) - span.scored :])
        if is_whole:
            cache.put_off = []
        cache.ids.extend(span.ids)
        return logits

    def _pass(
        self, ids: Sequence[int], cache: Any, scored: int, *, past: int, positions: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Float32 logits `[scored, V]`; the cache, which holds `past` ids, grows by these."""
        given: dict[str, Any] = {self._cache_name: cache}
        if self._takes_logits_to_keep:
            given["logits_to_keep"] = max(scored, 1)
        if self._takes_positions:  # some architectures count from 0 in each pass when they are not told
            usual = torch.arange(past, past + len(ids), device=self._device)
            given["position_ids"] = (usual if positions is None else positions)[None]
        row = torch.tensor([list(ids)], device=self._device)  # [1, T]
        logits: torch.Tensor = self._model(input_ids=row, use_cache=True, **given).logits[0]  # [T or scored, V]
        return logits[logits.shape[0] - scored :].float()

    @torch.inference_mode()
    def _check_states_are_apart(self) -> None:
        """Raises `ModelLoadError` where one sequence's pass changes another's: some modules keep a state."""

        def after_four(*, beside: bool) -> torch.Tensor:
            mine, other = StateCache(self._model.config), StateCache(self._model.config)
            self._pass([1, 2, 3], mine.state, 1, past=0)
            if beside:
                self._pass([6, 5], other.state, 1, past=0)
            return self._pass([4], mine.state, 1, past=3)

        try:
            expected = after_four(beside=False)
            difference = after_four(beside=True) - expected
        except (ValueError, TypeError, AttributeError) as error:  # a cache of a class of its own was expected
            raise self._no_cache_of_ours(str(error).rstrip(".")) from error
        if difference.norm() > APART * expected.norm():
            raise self._no_cache_of_ours("it is not in the cache, so that one answer would go on with another's")

    def _no_cache_of_ours(self, why: str) -> ModelLoadError:
        name = self._model.config.model_type
        return ModelLoadError(f"A {name} model keeps its state in a way of its own, which is not supported: {why}.")

    @cached_property
    def _takes_several(self) -> bool:
        """Whether several ids can follow a running state in one pass: some architectures forget it then."""
        ids = [1, 2, 3, 4, 5, 6]
        whole, parts = StateCache(self._model.config), StateCache(self._model.config)
        expected = self._pass(ids, whole.state, 1, past=0)
        self._pass(ids[:3], parts.state, 1, past=0)
        difference = self._pass(ids[3:], parts.state, 1, past=3) - expected
        return bool(difference.norm() < SAME * expected.norm())


def keeps_all_positions(config: Any) -> bool:
    """Whether every layer is attention with keys and values, so that a prefix of its cache can be taken up again."""
    return set(get_layer_types_and_kwargs(config.get_text_config(decoder=True))[0]) <= PLAIN_ATTENTION


def short_until(config: Any) -> int | None:
    """How many ids LongRoPE (2402.13753) turns by its factors for short sequences; None for a model without it."""
    ropes: dict[str, Any] = getattr(config.get_text_config(decoder=True), "rope_parameters", None) or {}
    kinds = [ropes, *(value for value in ropes.values() if isinstance(value, dict))]  # one for each type of layer
    found = [kind["original_max_position_embeddings"] for kind in kinds if kind.get("rope_type") == "longrope"]
    return min(found, default=None)
