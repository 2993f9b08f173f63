"""A second, smaller model of the same vocabulary, which guesses ahead, and whose words an answer may keep away from."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from ambidex.errors import EngineError

from .model import Model, SequenceCache, Span
from .out_of_memory import is_out_of_memory
from .peak import peak

CHUNK = 512
"""Ids in one pass, at most."""

_log = logging.getLogger("ambidex")


class DraftModel:
    """The model, for all answers. Used by the engine's thread only."""

    def __init__(self, model: Model, vocabulary: int, context_length: int | None, *, repeats_itself: bool) -> None:
        """`vocabulary`: how many scores the model that it stands beside gives.

        `repeats_itself`: whether scores are as equal each time as was asked for.
        """
        self.model = model
        self.vocabulary = vocabulary
        self.context_length = context_length
        self.repeats_itself = repeats_itself
        self.is_dead = False

    def scores(self) -> DraftScores:
        """For one answer."""
        return DraftScores(self)

    def failed(self, error: Exception) -> None:
        """It does not guess any more: answers go on without it."""
        self.is_dead = True
        _log.warning("The draft model guesses no more: %s: %s", type(error).__name__, error)


class DraftScores:
    """Its scores of the token after one answer's ids, over a cache of its own."""

    def __init__(self, draft: DraftModel) -> None:
        self._draft = draft
        self._cache: SequenceCache | None = None
        self._held: list[int] = []  # the ids in the cache

    def after(self, ids: Sequence[int]) -> torch.Tensor:
        """Logits after `ids`, as wide as the other model's; -inf for ids that it does not have.

        What these ids and those of the last call begin with is not computed again. Raises `EngineError`.
        """
        try:
            row = self._forward(ids)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise EngineError(f"The draft model failed: {type(error).__name__}: {error}") from error
        if peak(row) is None:
            raise EngineError("The draft model failed: its logits are not finite.")
        missing = max(0, self._draft.vocabulary - row.shape[-1])
        return torch.nn.functional.pad(row[: self._draft.vocabulary], (0, missing), value=float("-inf"))

    def release(self) -> None:
        """The answer has ended."""
        if self._cache is not None:
            self._draft.model.release(self._cache, self._held)
            self._cache = None

    def _forward(self, ids: Sequence[int]) -> torch.Tensor:
        cache = self._open(ids)
        logits: list[torch.Tensor] = []
        while cache.length < len(ids):
            chunk = ids[cache.length : cache.length + CHUNK]
            is_last = cache.length + len(chunk) == len(ids)
            logits = self._draft.model.forward([Span(chunk, cache, scored=int(is_last))])
        self._held = list(ids)
        return logits[0][-1]

    def _open(self, ids: Sequence[int]) -> SequenceCache:
        """The cache with what it has of `ids`, their last one excepted."""
        if self._cache is None:
            self._cache = self._draft.model.open(ids)
            self._held = list(ids[: self._cache.length])
        common = next(
            (index for index, (one, two) in enumerate(zip(self._held, ids, strict=False)) if one != two),
            min(len(self._held), len(ids)),
        )
        if min(common, len(ids) - 1) < self._cache.length:
            self._cache.truncate(min(common, len(ids) - 1))
        return self._cache
