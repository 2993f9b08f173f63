"""Log probabilities of a text that is given: a job that computes it and picks nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence as Rows
from concurrent.futures import Executor
from dataclasses import dataclass, field

import torch

from ambidex.errors import AmbidexError
from ambidex.reply import FinishReason, TokenLogprob, Usage

from .model import Model, SequenceCache, Span
from .outbox import Outbox
from .outputs import End, Ending, Piece
from .scores import Scorer
from .sequence import check_finite
from .stopwatch import Stopwatch

CHUNK = 128
"""Ids computed in one pass: each has as many logits as the vocabulary has tokens."""


@dataclass(slots=True, eq=False)
class Scoring:
    """Scores `ids` from index `first` on, at least 1. Emits a `Piece` for each, then the end."""

    ids: list[int]
    first: int
    scorer: Scorer
    deadline: float
    seconds: float
    emit: Outbox
    cancelled: bool = False
    cache: SequenceCache | None = None
    watch: Stopwatch = field(default_factory=Stopwatch)

    @property
    def is_started(self) -> bool:
        return self.watch.started is not None

    @property
    def computed(self) -> int:
        return 0 if self.cache is None else self.cache.length

    @property
    def pending(self) -> int:
        return max(1, len(self.ids) - 1 - self.computed)  # nothing is asked of what follows the last

    def start(self, model: Model) -> FinishReason | None:
        """Takes a cache that ends before the first scored id; "stop" where there is none."""
        self.watch.start()
        if self.first >= len(self.ids):
            return "stop"
        self.cache = model.open(self.ids[: self.first])
        return None

    def spans(self, workers: Executor, size: int) -> list[Span]:
        """The next chunk; scored as far as scored ids follow."""
        assert self.cache is not None
        start = self.cache.length
        end = min(start + size, start + CHUNK, len(self.ids) - 1)
        return [Span(self.ids[start:end], self.cache, scored=max(0, end - max(start, self.first - 1)))]

    def advance(self, logits: Rows[torch.Tensor]) -> FinishReason | None:
        """Emits the scores of the ids that follow."""
        following = self.ids[self.computed + 1 - len(logits[0]) : self.computed + 1] if len(logits[0]) else []
        for index, (row, id) in enumerate(zip(logits[0], following, strict=True)):
            check_finite(row, index)
            self.emit(Piece("", self.scorer.score(row, id)))
        return "stop" if self.computed >= len(self.ids) - 1 else None

    def finish(self, reason: FinishReason) -> None:
        """Emits the end."""
        self.emit(End((Ending(reason),), Usage(input_tokens=len(self.ids)), self.watch.timings))

    def release(self, model: Model) -> None:
        """Gives the cache back."""
        if self.cache is not None:
            model.release(self.cache, self.ids)
            self.cache = None


class Scores:
    """Waits for the scores of one job, in the caller's thread."""

    def __init__(self) -> None:
        self._something_came = threading.Event()
        self.outbox = Outbox(self._something_came.set)

    def read(self) -> tuple[TokenLogprob, ...]:
        """All of them. Raises what the job failed with."""
        scores: list[TokenLogprob] = []
        while True:
            while (output := self.outbox.take()) is None:
                self._something_came.wait()
                self._something_came.clear()
            match output:
                case Piece(_, logprob) if logprob is not None:
                    scores.append(logprob)
                case End():
                    return tuple(scores)
                case AmbidexError():
                    raise output
                case _:
                    pass
