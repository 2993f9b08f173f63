"""Several answers to one prompt: it is computed once, then each goes on with a fork of the cache."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import torch

from ambidex.reply import FinishReason

from .model import Model, Span
from .outbox import Outbox
from .outputs import End, Ending
from .sequence import Sequence


@dataclass(slots=True, eq=False)
class Samples:
    """A job of several `Sequence`s that begin with the same ids and differ in choice and random numbers."""

    sequences: list[Sequence]
    cancelled: bool = False
    deadline: float = field(init=False)
    seconds: float = field(init=False)
    _model: Model | None = None
    _is_forked: bool = False
    _endings: dict[int, Ending] = field(default_factory=dict[int, Ending])

    def __post_init__(self) -> None:
        self.deadline, self.seconds = self._first.deadline, self._first.seconds

    @property
    def emit(self) -> Outbox:
        return self._first.emit

    @property
    def ids(self) -> list[int]:
        return self._first.ids

    @property
    def computed(self) -> int:
        return self._first.computed

    @property
    def pending(self) -> int:
        return max(1, sum(sequence.pending for sequence in self._computed))

    @property
    def is_started(self) -> bool:
        return self._first.is_started

    def start(self, model: Model) -> FinishReason | None:
        """Takes a cache for the first; the others get theirs when the prompt is computed."""
        self._model = model
        reason: FinishReason | None = None
        for sequence in reversed(self.sequences):
            reason = sequence.start(model if sequence is self._first else None)
            if reason is not None:
                self._end(sequence, reason)
        return reason

    def spans(self, workers: Executor, size: int) -> list[Span]:
        """The first one's until the prompt is computed, then one for each that goes on."""
        if not self._is_forked:
            return self._first.spans(workers, size)
        return [span for sequence in self._open for span in sequence.spans(workers, sequence.pending)]

    def advance(self, logits: Rows[torch.Tensor]) -> FinishReason | None:
        """Each goes on with its own row; the prompt's goes to all."""
        going_on = self._computed
        if not self._is_forked:
            if not len(logits[0]):
                return None
            self._fork()
            going_on, logits = self._open, [logits[0]] * len(self._open)
        for sequence, row in zip(going_on, logits, strict=True):
            if (reason := sequence.advance([row])) is not None:
                self._end(sequence, reason)
        return None if self._open else "stop"  # each has a reason of its own

    def finish(self, reason: FinishReason) -> None:
        """Ends those that had not ended by themselves, with `reason`."""
        for sequence in self._open:
            self._endings[sequence.choice] = sequence.ending(reason)
        output_tokens = sum(sequence.new_tokens for sequence in self.sequences)
        endings = tuple(self._endings[choice] for choice in sorted(self._endings))
        usage = replace(self._first.usage, output_tokens=output_tokens)
        self.emit(End(endings, usage, self._first.watch.timings))

    def release(self, model: Model) -> None:
        """Gives all caches back."""
        for sequence in reversed(self.sequences):
            sequence.release(model)

    @property
    def _first(self) -> Sequence:
        return self.sequences[0]

    @property
    def _open(self) -> list[Sequence]:
        """Those that have not ended."""
        return [sequence for sequence in self.sequences if sequence.choice not in self._endings]

    @property
    def _computed(self) -> list[Sequence]:
        """Those that are part of the next forward pass."""
        return self._open if self._is_forked else [self._first]

    def _fork(self) -> None:
        assert self._first.cache is not None
        self._is_forked = True
        for sequence in self.sequences[1:]:
            sequence.cache = self._first.cache.fork()

    def _end(self, sequence: Sequence, reason: FinishReason) -> None:
        """This one has ended; its cache is free for others before the last one ends."""
        assert self._model is not None
        self._endings[sequence.choice] = sequence.ending(reason)
        sequence.release(self._model)
