"""What the engine advances step by step: one request, however many sequences it takes to answer it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Protocol

import torch

from ambidex.reply import FinishReason

from .model import Model, Span
from .outputs import Output


class Job(Protocol):
    """One request inside the engine. Used by the engine's thread, but for `cancelled`."""

    deadline: float  # of time.monotonic()
    seconds: float  # the limit that the deadline came from
    cancelled: bool

    @property
    def emit(self) -> Callable[[Output], None]:
        """Gives something out: pieces, then one end or error."""
        ...

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""
        ...

    def start(self, model: Model) -> FinishReason | None:
        """Takes its caches; why it ends before any forward pass, if it does."""
        ...

    def spans(self, workers: Executor) -> list[Span]:
        """What it wants computed next, at least one span; `workers` may prepare masks beside the pass."""
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
