"""Guesses at the next tokens: by what followed the same words before, or by a smaller model.

A guess never decides anything: the model picks every token as it would without, and sees in one pass how many of the
guesses it would have picked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from .draft_model import DraftModel

GRAMS = (3, 2)
"""The last so many ids are looked for in what came before; the longest that occurs wins."""

Pick = Callable[[torch.Tensor, Sequence[int]], list[int]]
"""What the answer would go on with after logits [V] and the ids so far; empty where it would not go on."""


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


class ModelDrafter:
    """Guesses of a `DraftModel`, one token after another. If it fails once, it is not asked again."""

    def __init__(self, draft: DraftModel) -> None:
        self._draft = draft
        self._scores = draft.scores()

    def propose(self, ids: Sequence[int], count: int, pick: Pick) -> list[int]:
        """`count` guesses, or fewer where the answer would end."""
        most = self._draft.context_length
        if self._draft.is_dead or (most is not None and len(ids) + count > most):
            return []
        seen = list(ids)
        try:
            while len(seen) < len(ids) + count:
                following = pick(self._scores.after(seen), seen)
                if not following:
                    break
                seen += following
        except Exception as error:
            self._draft.failed(error)
            return []
        return seen[len(ids) :]

    def release(self) -> None:
        self._scores.release()
