"""Guesses at the next tokens: by what followed the same words before, or by a smaller model.

A guess never decides anything: the model picks every token as it would without, and sees in one pass how many of the
guesses it would have picked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from .model import Model, SequenceCache, Span
from .peak import peak

CHUNK = 512
GRAMS = (3, 2)
"""The last so many ids are looked for in what came before; the longest that occurs wins."""

Pick = Callable[[torch.Tensor, Sequence[int]], list[int]]
"""What the answer would go on with after logits [V] and the ids so far; empty where it would not go on."""

_log = logging.getLogger("ambidex")


class Drafter(Protocol):
    """Guesses for one answer. Used by the engine's thread only."""

    def propose(self, ids: Sequence[int], count: int, pick: Pick) -> list[int]:
        """At most about `count` ids that may follow `ids`, the first first; none where it has no idea."""
        ...

    def release(self) -> None:
        """The answer has ended."""
        ...


class PromptLookup:
    """What followed the last ids when they occurred before, in the prompt or in the answer."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}  # the place after the latest occurrence
        self._known = 0  # places that were entered

    def propose(self, ids: Sequence[int], count: int, pick: Pick) -> list[int]:
        """Copies; where the copy reaches the end of what there is, it goes on with itself."""
        for place in range(self._known, len(ids)):
            for size in GRAMS:
                if place >= size:
                    self._after[tuple(ids[place - size : place])] = place
        self._known = len(ids)
        for size in GRAMS:
            after = self._after.get(tuple(ids[-size:]))
            if after is not None:
                copied = list(ids[after : after + count])
                while len(copied) < count:
                    copied.append(copied[len(copied) - (len(ids) - after)])
                return copied
        return []

    def release(self) -> None:
        """Nothing is held."""


class DraftModel:
    """A smaller model with the same vocabulary. If it fails once, it is not asked again."""

    def __init__(self, model: Model, vocabulary: int) -> None:
        """`vocabulary`: how many scores the model that it drafts for gives."""
        self.model = model
        self.vocabulary = vocabulary
        self.is_dead = False

    def drafter(self) -> ModelDrafter:
        """For one answer."""
        return ModelDrafter(self)

    def failed(self, error: Exception) -> None:
        """It is out: answers go on without it."""
        self.is_dead = True
        _log.warning("The draft model failed and is not used any more: %s: %s", type(error).__name__, error)


class ModelDrafter:
    """Guesses of a `DraftModel`, one token after another, over a cache of its own."""

    def __init__(self, draft: DraftModel) -> None:
        self._draft = draft
        self._cache: SequenceCache | None = None
        self._held: list[int] = []  # the ids in the cache

    def propose(self, ids: Sequence[int], count: int, pick: Pick) -> list[int]:
        """`count` guesses, or fewer where the answer would end."""
        if self._draft.is_dead:
            return []
        seen = list(ids)
        try:
            while len(seen) < len(ids) + count:
                following = pick(self._logits(seen), seen)
                if not following:
                    break
                seen += following
        except Exception as error:
            self._draft.failed(error)
            return []
        return seen[len(ids) :]

    def release(self) -> None:
        if self._cache is not None:
            self._draft.model.release(self._cache, self._held)
            self._cache = None

    def _logits(self, ids: list[int]) -> torch.Tensor:
        """After `ids`, as wide as the other model's."""
        cache = self._open(ids)
        logits: list[torch.Tensor] = []
        while cache.length < len(ids):
            chunk = ids[cache.length : cache.length + CHUNK]
            is_last = cache.length + len(chunk) == len(ids)
            logits = self._draft.model.forward([Span(chunk, cache, scored=int(is_last))])
        self._held = list(ids)
        row = logits[0][-1]
        if peak(row) is None:
            raise ArithmeticError("its logits are not finite")
        missing = max(0, self._draft.vocabulary - row.shape[-1])
        return torch.nn.functional.pad(row[: self._draft.vocabulary], (0, missing), value=float("-inf"))

    def _open(self, ids: list[int]) -> SequenceCache:
        """The cache with what it has of `ids`, their last one excepted."""
        if self._cache is None:
            self._cache = self._draft.model.open(ids)
            self._held = ids[: self._cache.length]
        common = next(
            (index for index, (one, two) in enumerate(zip(self._held, ids, strict=False)) if one != two),
            min(len(self._held), len(ids)),
        )
        if min(common, len(ids) - 1) < self._cache.length:
            self._cache.truncate(min(common, len(ids) - 1))
        return self._cache
