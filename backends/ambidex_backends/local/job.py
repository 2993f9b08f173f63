"""What the engine advances step by step: one request, however many sequences it takes to answer it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Protocol

import torch

from ambidex.reply import FinishReason

from .model import Model, Span
from .outbox import Outbox


class Job(Protocol):
    """One request inside the engine. Used by the engine's thread, but for `cancelled`."""

    deadline: float  # of time.monotonic()
    seconds: float  # the limit that the deadline came from
    cancelled: bool

    @property
    def emit(self) -> Outbox:
        """Gives something out: pieces, then one end or error. While it is full, the job is not advanced."""
        ...

    @property
    def ids(self) -> list[int]:
        """The prompt, and maybe what came after it."""
        ...

    @property
    def computed(self) -> int:
        """How many leading `ids` need no computing any more; 0 before `start`."""
        ...

    @property
    def pending(self) -> int:
        """Ids to compute before the next one can be picked, at least 1: the rest of the prompt, or a step's ids."""
        ...

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""
        ...

    def start(self, model: Model) -> FinishReason | None:
        """Takes its caches; why it ends before any forward pass, if it does."""
        ...

    def spans(self, workers: Executor, size: int) -> list[Span]:
        """What it wants computed next, at least one span; `workers` may prepare masks beside the pass.

        `size`: 1 to `pending`. A part of a prompt holds so many ids; an answer's next step may ignore it.
        """
        ...

    def advance(self, logits: Sequence[torch.Tensor]) -> FinishReason | None:
        """Goes on with the logits `[scored, V]` of its spans; why it ends with them, if it does."""
        ...

    def finish(self, reason: FinishReason) -> None:
        """Emits what is left, then the end."""
        ...

    def release(self, model: Model) -> None:
        """Gives its caches back. Called once, whether it started or not."""
        ...
