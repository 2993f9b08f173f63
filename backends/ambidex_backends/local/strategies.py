"""From a request to the job that answers it: which strategy, with what."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ambidex.decoding import Beams
from ambidex.errors import InvalidRequest, Unsupported
from ambidex.request import Request

from .answer_form import AnswerForm
from .answer_text import AnswerText
from .banned import TokenIndex, banned_texts
from .beam_search import BeamSearch
from .constraint import Constraint
from .draft_model import DraftModel, DraftScores
from .drafting import Drafter, ModelDrafter, PromptLookup
from .job import Job
from .model import Model
from .outbox import Outbox
from .prompt import Prompt
from .samples import Samples
from .sampling import ModelDefaults, Processor, Sampler, decoding_or_default, make_sampler
from .scores import Scorer
from .scoring import Scoring
from .sequence import Sequence
from .speculation import SpeculativeSequence
from .stops import StopMatcher
from .tokenizer import Tokenizer
from .tracing import Attentive, Tracer

MOST_ANSWERS = 256
"""Answers or beams of one request: each has a cache of its own."""

MOST_ATTENTION = 1024
"""Tokens whose attention weights are told: there is one for each pair of them in each head of each layer."""


@dataclass
class Strategies:
    """Makes the jobs of one model."""

    tokenizer: Tokenizer
    defaults: ModelDefaults
    answer_form: AnswerForm
    model: Model
    looks_up: bool = False  # guesses ahead what followed the same words before
    draft_model: DraftModel | None = None  # guesses ahead, and is what `contrast` keeps away from
    _token_indices: dict[frozenset[int], TokenIndex] = field(default_factory=dict[frozenset[int], TokenIndex])

    def job(self, request: Request, prompt: Prompt, max_tokens: int, emit: Outbox) -> Job:
        """Raises `InvalidRequest`, `Unsupported`, `MissingExtra`."""
        decoding = decoding_or_default(request.decoding, self.defaults)
        self._check(request, len(prompt.ids), max_tokens)
        if isinstance(decoding, Beams):
            return self._beams(decoding, request, prompt, max_tokens, emit)
        if request.n > 1:
            return Samples([self._sequence(choice, request, prompt, max_tokens, emit) for choice in range(request.n)])
        return self._sequence(0, request, prompt, max_tokens, emit)

    def scoring(self, request: Request, ids: list[int], first: int, emit: Outbox) -> Job:
        """The job that scores `ids` from index `first` on; of the request, its options count."""
        scorer = Scorer(self._describe, request.logprobs or 0)
        return Scoring(ids, first, scorer, time.monotonic() + request.seconds, request.seconds, emit)

    def _check(self, request: Request, prompt_length: int, max_tokens: int) -> None:
        decoding = decoding_or_default(request.decoding, self.defaults)
        width = decoding.width if isinstance(decoding, Beams) else request.n
        if isinstance(decoding, Beams) and request.n > width:
            raise InvalidRequest(
                f"n={request.n} answers of {width} beams: beam search has at most as many as it is wide.", param="n"
            )
        if (request.extra or {}).get("attention"):
            self._check_attention(request, prompt_length + max_tokens)
        if width > MOST_ANSWERS:
            raise InvalidRequest(f"At most {MOST_ANSWERS} answers or beams are computed at once, got {width}.")

    def _check_attention(self, request: Request, length: int) -> None:
        if not request.trace:
            raise InvalidRequest("extra={'attention': True} needs trace=True: the weights are a part of the trace.")
        if not isinstance(self.model, Attentive):
            raise Unsupported(
                "Attention weights come from transformers' forward pass: load the model with kernels=False.",
                param="extra",
            )
        if length > MOST_ATTENTION:
            raise InvalidRequest(
                f"Attention weights are told of at most {MOST_ATTENTION} tokens of prompt and answer, and these may be "
                f"{length}: set max_tokens, or shorten the prompt.",
                param="extra",
            )

    def _tracer(self, request: Request, choice: int, emit: Outbox) -> Tracer | None:
        if not request.trace:
            return None
        asked = bool((request.extra or {}).get("attention"))
        model = self.model if asked and isinstance(self.model, Attentive) else None
        return Tracer(lambda id: self._describe(id)[0], emit, choice, model)

    def _sequence(self, choice: int, request: Request, prompt: Prompt, max_tokens: int, emit: Outbox) -> Sequence:
        constraint = self._constraint(request, prompt, max_tokens)
        kind: Callable[..., Sequence] = Sequence
        if request.n == 1 and (drafter := self._drafter(request)) is not None:
            kind = partial(SpeculativeSequence, drafter=drafter)
        sequence = kind(
            ids=list(prompt.ids),
            sampler=self._sampler(request, prompt, choice),
            detokenizer=self.tokenizer.detokenizer(prompt.ids, prompt.hidden, prompt.tags),
            stops=StopMatcher(request.stops),
            ends=prompt.ends,
            max_tokens=max_tokens,
            deadline=time.monotonic() + request.seconds,
            seconds=request.seconds,
            scorer=self._scorer(request),
            constraint=constraint,
            emit=emit,
            choice=choice,
            tracer=self._tracer(request, choice, emit),
            banned=() if request.decoding is None else request.decoding.banned,
        )
        if constraint is not None:
            sequence.forced.extend(constraint.begin(max_tokens))
        return sequence

    def _beams(self, decoding: Beams, request: Request, prompt: Prompt, max_tokens: int, emit: Outbox) -> BeamSearch:
        return BeamSearch(
            ids=list(prompt.ids),
            decoding=decoding,
            answers=request.n,
            sampler=self._sampler(request, prompt, 0),
            text=AnswerText(
                self.tokenizer.detokenizer(prompt.ids, prompt.hidden, prompt.tags), StopMatcher(request.stops)
            ),
            ends=prompt.ends,
            max_tokens=max_tokens,
            deadline=time.monotonic() + request.seconds,
            seconds=request.seconds,
            scorer=self._scorer(request),
            constraint=self._constraint(request, prompt, max_tokens),
            emit=emit,
            tracer=self._tracer(request, 0, emit),
        )

    def _constraint(self, request: Request, prompt: Prompt, max_tokens: int) -> Constraint | None:
        return self.answer_form.constraint(
            request, prompt.tools, starts_in_reasoning=prompt.starts_in_reasoning, left=max_tokens
        )

    def _drafter(self, request: Request) -> Drafter | None:
        if self.draft_model is None:
            return PromptLookup() if self.looks_up else None
        if request.decoding is not None and request.decoding.contrast:
            return None  # it would guess what the answer keeps away from
        return ModelDrafter(self.draft_model)

    def _sampler(self, request: Request, prompt: Prompt, choice: int) -> Sampler:
        return make_sampler(
            request.decoding,
            self.defaults,
            prompt_length=len(prompt.ids),
            ends=prompt.ends,
            banned=self._banned(request, prompt),
            weaker=self._weaker(request),
            choice=choice,
        )

    def _weaker(self, request: Request) -> DraftScores | None:
        """What the answer is to be unlike."""
        if request.decoding is None or not request.decoding.contrast:
            return None
        if self.draft_model is None:
            raise Unsupported(
                "contrast takes a smaller model with the same tokenizer, the draft: "
                'connect(..., draft="org/name" or a folder).',
                param="contrast",
            )
        if not self.draft_model.repeats_itself:
            raise Unsupported(
                "contrast with deterministic=True needs a draft model that our kernels compute: elsewhere the last "
                "bits of scores depend on what was computed before.",
                param="contrast",
            )
        return self.draft_model.scores()

    def _banned(self, request: Request, prompt: Prompt) -> Processor | None:
        if request.decoding is None or not request.decoding.banned:
            return None
        index = self._token_index(prompt.hidden | prompt.ends)
        return banned_texts(request.decoding.banned, index, len(prompt.ids))

    def _scorer(self, request: Request) -> Scorer | None:
        return None if request.logprobs is None else Scorer(self._describe, request.logprobs)

    def _describe(self, id: int) -> tuple[str, bytes]:
        piece = self.tokenizer.piece(id)
        return piece.text, piece.bytes

    def _token_index(self, silent: frozenset[int]) -> TokenIndex:
        """The index of the tokens that give text; made once for each set of those that give none: two in all."""
        if silent not in self._token_indices:
            spelled = self.tokenizer.vocabulary_bytes
            tokens = [b"" if id in silent else token for id, token in enumerate(spelled)]
            self._token_indices[silent] = TokenIndex(tokens)
        return self._token_indices[silent]
