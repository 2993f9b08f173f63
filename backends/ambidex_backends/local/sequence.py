"""One answer while it is decoded: logits -> constraint -> processors -> draw -> detokenise -> stop?"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Rows
from concurrent.futures import Executor
from dataclasses import dataclass, field

import torch

from ambidex.errors import InvalidRequest, NonFiniteLogits
from ambidex.reply import FinishReason, TokenLogprob, Usage

from .constraint import Constraint
from .detokenizer import Detokenizer
from .model import Model, SequenceCache, Span
from .outbox import Outbox
from .outputs import End, Ending, Piece
from .peak import peak
from .sampling import Sampler
from .scores import Scorer
from .stops import StopMatcher
from .stopwatch import Stopwatch
from .tracing import Tracer


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt and the answer that grows behind it. `emit` gets `Piece`s, then one `End`; errors go there too."""

    ids: list[int]  # prompt, then the answer
    sampler: Sampler
    detokenizer: Detokenizer
    stops: StopMatcher
    ends: frozenset[int]
    max_tokens: int
    deadline: float  # of time.monotonic()
    seconds: float
    scorer: Scorer | None  # where log probabilities were asked for
    constraint: Constraint | None
    emit: Outbox
    choice: int = 0
    banned: tuple[str, ...] = ()  # texts that the sampler never completes; what a form demands may
    tracer: Tracer | None = None
    forced: deque[int] = field(default_factory=deque[int])  # ids that follow in any case
    prompt_length: int = 0
    cache: SequenceCache | None = None
    cached: int = 0  # leading ids that did not have to be computed
    cancelled: bool = False
    watch: Stopwatch = field(default_factory=Stopwatch)
    _guard: StopMatcher | None = None

    def __post_init__(self) -> None:
        self.prompt_length = len(self.ids)
        self._guard = StopMatcher(self.banned) if self.banned else None

    @property
    def is_started(self) -> bool:
        return self.watch.started is not None

    @property
    def new_tokens(self) -> int:
        return len(self.ids) - self.prompt_length

    @property
    def tokens_left(self) -> int:
        return self.max_tokens - self.new_tokens

    @property
    def computed(self) -> int:
        return 0 if self.cache is None else self.cache.length

    @property
    def pending(self) -> int:
        return len(self.ids) - self.computed

    def start(self, model: Model | None) -> FinishReason | None:
        """Takes a cache, if there is a model; why the answer ends before any forward pass, if it does."""
        self.watch.start()
        if self.tracer is not None:
            self.tracer.started()
        while self.forced and self.scorer is None:
            if (reason := self._take(self.forced.popleft(), None)) is not None:
                return reason
        if model is not None:
            self.cache = model.open(self.ids)
            self.cached = min(self.cache.length, self.prompt_length)
        return None if self.forced else self._form_ends_with

    def spans(self, workers: Executor, size: int) -> list[Span]:
        """The next `size` ids of what is not computed yet: of the prompt, or the last token."""
        assert self.cache is not None
        span = next_span(self.ids, self.cache, size)
        if span.scored and self.constraint is not None and not self.forced:
            self.constraint.prepare(workers)
        return [span]

    def advance(self, logits: Rows[torch.Tensor]) -> FinishReason | None:
        """Picks the token that follows; None for a chunk that was not the last."""
        return self._next_token(logits[0][-1]) if len(logits[0]) else None

    def finish(self, reason: FinishReason) -> None:
        """Emits the text that was held back, and the end."""
        self.emit(End((self.ending(reason),), self.usage, self.watch.timings))

    def ending(self, reason: FinishReason) -> Ending:
        """Emits the text that was held back; how the answer ended."""
        if rest := self.stops.push(self.detokenizer.flush()) + self.stops.flush():
            self.emit(Piece(rest, choice=self.choice))
        if reason == "length" and self.stops.matched is not None:
            reason = "stop"
        if self.tracer is not None and reason != "cancelled":
            self.tracer.ended(self.ids, self.prompt_length)
        return Ending(reason, self.stops.matched)

    @property
    def usage(self) -> Usage:
        return Usage(input_tokens=self.prompt_length, output_tokens=self.new_tokens, cached_tokens=self.cached)

    def release(self, model: Model) -> None:
        """Gives the caches back."""
        self.sampler.release()
        if self.cache is not None:
            model.release(self.cache, self.ids)
            self.cache = None

    @property
    def _form_ends_with(self) -> FinishReason | None:
        """The finish reason of an answer in a form that is complete."""
        if self.constraint is None or not self.constraint.is_complete:
            return None
        return "length" if self.constraint.is_cut else "stop"

    def _next_token(self, logits: torch.Tensor) -> FinishReason | None:
        """Picks the token after `logits` [V]; why the answer ends with it, if it does."""
        check_finite(logits, self.new_tokens)
        if not self.forced:
            self.forced.extend(self._pick(logits))
        if not self.forced:
            return self._form_ends_with
        token = self.forced.popleft()
        self.watch.token()
        scored = None if self.scorer is None else self.scorer.score(logits, token)
        reason = self._take(token, scored)
        while reason is None and self.forced and scored is None:
            reason = self._take(self.forced.popleft(), None)
        return reason if self.forced else self._form_ends_with or reason

    def _pick(self, logits: torch.Tensor) -> list[int]:
        """Draws a token; what the answer goes on with: it and what a constraint adds, or nothing more."""
        if self.tracer is not None:
            return self._pick_and_tell(logits, self.tracer)
        if self.constraint is None:
            return [self.sampler.pick(logits, self.ids)]
        drawn = self.sampler.pick(self.constraint.masked(logits), self.ids)
        return self.constraint.take(drawn, self.tokens_left)

    def _pick_and_tell(self, logits: torch.Tensor, tracer: Tracer) -> list[int]:
        """As `_pick`, in the sight of a tracer."""
        scores, stages = tracer.scores(logits, self.constraint, self.sampler, self.ids)
        drawn = self.sampler.draw(scores, self.ids)
        tokens = [drawn] if self.constraint is None else self.constraint.take(drawn, self.tokens_left)
        tracer.chosen(self.new_tokens, logits, stages, tokens[0] if tokens else None, self._guess)
        return tokens

    @property
    def _guess(self) -> int | None:
        """What was guessed for this place."""
        return None

    def _take(self, token: int, scored: TokenLogprob | None) -> FinishReason | None:
        """The answer goes on with this token; why it ends with it, if it does."""
        if self.tracer is not None:
            self.tracer.taken(self.new_tokens, token)
        self.ids.append(token)
        if token in self.ends:
            if scored is not None:
                self.emit(Piece("", scored, self.choice))
            return "stop"
        certain = self.detokenizer.push(token)
        if self._guard is not None and certain:
            self._refuse_banned(certain)
        text = self.stops.push(certain)
        if text or scored is not None:
            self.emit(Piece(text, scored, self.choice))
        if self.stops.matched is not None:
            return "stop"
        return "length" if self.new_tokens >= self.max_tokens else None

    def _refuse_banned(self, text: str) -> None:
        assert self._guard is not None
        self._guard.push(text)
        if self._guard.matched is not None:
            raise InvalidRequest(
                f"The form that the answer is held to needs {self._guard.matched!r}, which is banned.", param="banned"
            )


def next_span(ids: Rows[int], cache: SequenceCache, size: int) -> Span:
    """The next `size` of `ids` that `cache` does not hold; scored if they are the last."""
    computed = cache.length
    chunk = ids[computed : computed + size]
    return Span(chunk, cache, scored=int(computed + len(chunk) == len(ids)))


def check_finite(logits: torch.Tensor, step: int) -> None:
    """Raises `NonFiniteLogits` where `logits` [V] have no finite maximum."""
    if peak(logits) is None:
        raise NonFiniteLogits(
            f"The model's logits are not finite at step {step}: its weights or dtype overflow.", step=step
        )
