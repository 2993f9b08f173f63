"""One request inside the engine: its ids, its cache, and what ends it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from transformers.cache_utils import Cache

from ambidex.errors import AmbidexError
from ambidex.reply import FinishReason, Timings, TokenLogprob, Usage

from .constraint import Constraint
from .detokenizer import Detokenizer
from .sampling import Sampler
from .stops import StopMatcher


@dataclass(frozen=True, slots=True)
class Piece:
    """One decoding step's outcome: text that became certain (may be empty), and its score if asked for."""

    text: str
    logprob: TokenLogprob | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The sequence is whole."""

    reason: FinishReason
    stop_sequence: str | None
    usage: Usage
    timings: Timings


Output = Piece | End | AmbidexError


@dataclass(slots=True, eq=False)
class Sequence:
    """What the engine decodes. `emit` is called on the engine's thread: `Piece`s, then one `End` or error."""

    ids: list[int]  # prompt, then the answer
    sampler: Sampler
    detokenizer: Detokenizer
    stops: StopMatcher
    ends: frozenset[int]
    max_tokens: int
    deadline: float  # of time.monotonic()
    seconds: float
    logprobs: int | None
    constraint: Constraint | None
    emit: Callable[[Output], None]
    forced: deque[int] = field(default_factory=deque[int])  # ids that follow in any case
    prompt_length: int = 0
    cache: Cache | None = None
    computed: int = 0  # leading ids whose keys and values the cache holds
    cached: int = 0  # of these, the ones that did not have to be computed
    cancelled: bool = False
    created: float = field(default_factory=time.monotonic)
    started: float | None = None
    first_token: float | None = None

    def __post_init__(self) -> None:
        self.prompt_length = len(self.ids)

    @property
    def new_tokens(self) -> int:
        return len(self.ids) - self.prompt_length

    @property
    def tokens_left(self) -> int:
        return self.max_tokens - self.new_tokens

    @property
    def form_ends_with(self) -> FinishReason | None:
        """The finish reason of an answer in a form that is complete."""
        if self.constraint is None or not self.constraint.is_complete:
            return None
        return "length" if self.constraint.is_cut else "stop"

    def end(self, reason: FinishReason) -> End:
        now = time.monotonic()
        return End(
            reason,
            self.stops.matched,
            Usage(input_tokens=self.prompt_length, output_tokens=self.new_tokens, cached_tokens=self.cached),
            Timings(
                queued=None if self.started is None else self.started - self.created,
                first_token=None if self.first_token is None else self.first_token - self.created,
                total=now - self.created,
            ),
        )
