"""Speculative decoding: guesses at the next tokens are computed in one pass, and those are kept that are right.

A guess is right if the sampler picks just this token from the model's own scores. So an answer has the tokens that it
would have without guesses (as far as the model's scores do not depend on how many positions are computed at once),
and their distribution is unchanged, whatever is guessed (compare 2211.17192, which keeps the distribution only).
Random numbers belong to positions: a draft model that uses the same ones guesses most of what will be drawn.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as Rows
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import torch

from ambidex.errors import InvalidRequest
from ambidex.reply import FinishReason, Usage

from .constraint import Constraint
from .drafting import Drafter, PromptLookup
from .model import Model, Span
from .sequence import Sequence

MOST = 8
"""Guesses in one pass at most."""

SMOOTHING = 0.2
PAUSE, LONGEST_PAUSE = 8, 128
"""Steps without guesses before they are tried again, doubled each time that they did not pay."""


@dataclass(slots=True)
class Speed:
    """Seconds for each token, of the latest steps."""

    _seconds: float = 0.0
    _tokens: float = 0.0

    def add(self, seconds: float, tokens: int) -> None:
        self._seconds += SMOOTHING * (seconds - self._seconds) if self._tokens else seconds
        self._tokens += SMOOTHING * (tokens - self._tokens) if self._tokens else tokens

    @property
    def per_token(self) -> float | None:
        return self._seconds / self._tokens if self._tokens else None


@dataclass(slots=True)
class Pace:
    """How many tokens to guess: more while they are right, none while going on without is faster."""

    count: int = 2
    _with: Speed = field(default_factory=Speed)
    _without: Speed = field(default_factory=Speed)
    _pause: int = PAUSE
    _until_next: int = 0

    def next(self) -> int:
        """Tokens to guess in the coming step."""
        without, guessing = self._without.per_token, self._with.per_token
        if without is None:
            return 0
        if guessing is None or guessing < without:
            return self.count
        if self._until_next > 0:
            self._until_next -= 1
            return 0
        self._until_next = self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return self.count

    def took(self, seconds: float, tokens: int, guessed: int, right: int) -> None:
        """A step gave so many tokens; so many of the guessed ones were right."""
        (self._with if guessed else self._without).add(seconds, tokens)
        if not guessed:
            return
        self.count = min(self.count + 2, MOST) if right == guessed else max(1, right + 1)
        if right == guessed:
            self._pause = PAUSE


@dataclass(slots=True, eq=False)
class SpeculativeSequence(Sequence):
    """A `Sequence` whose passes may hold guesses at what follows."""

    drafter: Drafter = field(default_factory=PromptLookup)
    pace: Pace = field(default_factory=Pace)
    drafted: int = 0
    accepted: int = 0
    _guesses: list[int] = field(default_factory=list[int])
    _began: float | None = None
    _start: int = 0

    def spans(self, workers: Executor, size: int) -> list[Span]:
        """The ids that are not computed yet, and guesses at those after them."""
        began = time.monotonic()
        self._guesses = []
        self._began = None
        if self.new_tokens and size >= self.pending:
            self._began = began
            if not self.forced and (most := min(self.pace.next(), self.tokens_left - 1)) > 0:
                self._guesses = self.drafter.propose(self.ids, most, _Picker(self))[:most]
        spans = Sequence.spans(self, workers, size)
        if self._guesses:
            spans = [Span([*spans[0].ids, *self._guesses], spans[0].cache, scored=1 + len(self._guesses))]
        return spans

    def advance(self, logits: Rows[torch.Tensor]) -> FinishReason | None:
        """Picks the token after each id that is right, up to the first guess that is wrong."""
        if not self._guesses:
            before = self.new_tokens
            reason = Sequence.advance(self, logits)
            self._measure(before)
            return reason
        assert self.cache is not None
        start, before = len(self.ids), self.new_tokens
        self._start = start
        reason = None
        row = 0
        while reason is None and row < len(logits[0]) and self.ids[start:] == self._guesses[:row]:
            reason = self._next_token(logits[0][row])
            row = max(row + 1, len(self.ids) - start)
        right = self._count_right(self.ids[start:])
        self.cache.truncate(min(start + right, len(self.ids) - (reason is None)))
        self.drafted += len(self._guesses)
        self.accepted += right
        self._measure(before, right)
        return reason

    def release(self, model: Model) -> None:
        """Gives the caches back, the drafter's too."""
        self.drafter.release()
        Sequence.release(self, model)

    @property
    def usage(self) -> Usage:
        counted = super(SpeculativeSequence, self).usage
        return replace(counted, drafted_tokens=self.drafted, accepted_tokens=self.accepted)

    @property
    def _guess(self) -> int | None:
        index = len(self.ids) - self._start
        return self._guesses[index] if index < len(self._guesses) else None

    def _count_right(self, taken: list[int]) -> int:
        right = 0
        while right < min(len(taken), len(self._guesses)) and taken[right] == self._guesses[right]:
            right += 1
        return right

    def _measure(self, tokens_before: int, right: int = 0) -> None:
        if self._began is not None and self.new_tokens > tokens_before:
            seconds = time.monotonic() - self._began
            self.pace.took(seconds, self.new_tokens - tokens_before, len(self._guesses), right)


class _Picker:
    """What an answer would go on with, found out on a copy of its state."""

    def __init__(self, sequence: Sequence) -> None:
        self._sampler = sequence.sampler
        self._ends = sequence.ends
        self._left = sequence.tokens_left
        self._original = sequence.constraint
        self._constraint: Constraint | None = None

    def __call__(self, logits: torch.Tensor, seen: Rows[int]) -> list[int]:
        if self._constraint is None and self._original is not None:
            self._constraint = self._original.fork()
        if self._constraint is not None and self._constraint.is_complete:
            return []
        masked = logits if self._constraint is None else self._constraint.masked(logits)
        try:
            token = self._sampler.guess(masked, seen)
        except InvalidRequest:
            return []  # no token is allowed after this guess, so that it is a wrong one
        if token in self._ends:
            return []
        tokens = [token] if self._constraint is None else self._constraint.take(token, self._left)
        self._left -= len(tokens)
        return tokens if self._left > 0 else []
