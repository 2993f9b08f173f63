"""Beam search over the engine: a job whose step is one span for each live beam."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence as Rows
from concurrent.futures import Executor
from dataclasses import dataclass, field

import torch

from ambidex.decoding import Beams
from ambidex.errors import InvalidRequest
from ambidex.reply import FinishReason, Usage

from .answer_text import AnswerText
from .beam import Beam, Continuation, Group, Rules, common_prefix, final_score
from .constraint import Constraint
from .model import Model, Span
from .outbox import Outbox
from .outputs import End, Ending, Piece
from .sampling import NEVER, Sampler
from .scores import Scorer
from .sequence import check_finite, next_span
from .stopwatch import Stopwatch
from .tracing import Fate, Stages, Told, Tracer

DIVERSITY_PENALTY = 0.5


@dataclass(slots=True, eq=False)
class BeamSearch:
    """The best answers to a prompt. What all beams agree on is given out as it becomes certain."""

    ids: list[int]  # the prompt
    decoding: Beams
    answers: int
    sampler: Sampler  # its processors; nothing is drawn
    text: AnswerText  # of the best answer, as far as it is certain
    ends: frozenset[int]
    max_tokens: int
    deadline: float
    seconds: float
    scorer: Scorer | None
    constraint: Constraint | None
    emit: Outbox
    tracer: Tracer | None = None
    cancelled: bool = False
    watch: Stopwatch = field(default_factory=Stopwatch)
    _model: Model | None = None
    _root: Beam = field(init=False)
    _start_text: AnswerText = field(init=False)
    _groups: list[Group] = field(init=False)
    _holders: list[Beam] = field(default_factory=list[Beam])  # all beams that have a cache
    _cached: int = 0
    _certain: int = 0  # ids of the best answer that were given out
    _names: int = 0
    _stages: dict[int, Stages] = field(default_factory=dict[int, Stages])  # of each beam at this step, if traced

    def __post_init__(self) -> None:
        decoding = self.decoding
        forced = deque(self.constraint.begin(self.max_tokens) if self.constraint is not None else ())
        watched = self.text.fork() if self.text.stops.has_any else None
        self._root = Beam([], text=watched, constraint=self.constraint, forced=forced)
        self._start_text = self.text.fork()
        rules = Rules(
            1.0 if decoding.length_penalty is None else decoding.length_penalty,
            False if decoding.early_stopping is None else decoding.early_stopping,
            self.max_tokens,
        )
        count = decoding.groups or 1
        self._groups = [Group(decoding.width // count, rules, [self._root]) for _ in range(count)]

    @property
    def is_started(self) -> bool:
        return self.watch.started is not None

    @property
    def computed(self) -> int:
        if self._root.cache is not None:
            return self._root.cache.length
        return len(self.ids) if self.is_started else 0

    @property
    def pending(self) -> int:
        return max(len(self.ids) - self.computed, len(self._live))

    @property
    def _live(self) -> list[Beam]:
        """Each live beam once: at first all groups have the same."""
        return list(dict.fromkeys(beam for group in self._groups for beam in group.live))

    def start(self, model: Model) -> FinishReason | None:
        """Takes a cache for the prompt."""
        self.watch.start()
        if self.tracer is not None:
            self.tracer.started()
        self._model = model
        if not self._root.forced and (ending := self._form_ending(self._root)) is not None:
            self._root.ending = ending
            self._groups[0].finished = [self._root]
            return ending.reason
        self._root.cache = model.open(self.ids)
        self._holders = [self._root]
        self._cached = min(self._root.cache.length, len(self.ids))
        return None

    def spans(self, workers: Executor, size: int) -> list[Span]:
        """The next chunk of the prompt, then the last id of each live beam."""
        spans: list[Span] = []
        for beam in self._live:
            assert beam.cache is not None
            spans.append(next_span(self.ids + beam.ids, beam.cache, size))
            if spans[-1].scored and beam.constraint is not None and not beam.forced:
                beam.constraint.prepare(workers)
        return spans

    def advance(self, logits: Rows[torch.Tensor]) -> FinishReason | None:
        """One step of every group."""
        if not len(logits[0]):
            return None
        parents = self._live
        raw = {id(beam): row[-1] for beam, row in zip(parents, logits, strict=True)}
        rows = {id(beam): self._log_probabilities(beam, raw[id(beam)]) for beam in parents}
        chosen: Counter[int] = Counter()  # by the groups before, at this step
        for group in self._groups:
            if group.live:
                self._advance_group(group, rows, raw, chosen)
                chosen.update(beam.ids[-1] for beam in group.live)
        self._hand_on_caches(parents)
        self._give_out_what_is_certain()
        if self._live:
            return None
        if not self._finished:
            raise InvalidRequest("No token is allowed here: the bans, biases and processors leave no beam.")
        ending = self._finished[0].ending
        assert ending is not None
        return ending.reason

    def finish(self, reason: FinishReason) -> None:
        """Emits the rest of the best answer, the other answers, and the end."""
        best = self._finished[: self.answers]
        if reason == "cancelled" or not best:
            endings = [Ending(reason)]
            self.emit(Piece(self.text.flush()))
            tokens = self._certain
        else:
            endings = [self._write(choice, beam) for choice, beam in enumerate(best)]
            tokens = sum(len(beam.ids) for beam in best)
            if self.tracer is not None:
                self.tracer.ended(self.ids + best[0].ids, len(self.ids))
        usage = Usage(input_tokens=len(self.ids), output_tokens=tokens, cached_tokens=self._cached)
        self.emit(End(tuple(endings), usage, self.watch.timings))

    def release(self, model: Model) -> None:
        """Keeps the cache that has most of the best answer, and frees the others."""
        self.sampler.release()
        best = self._finished[0] if self._finished else self._root
        self._holders = [beam for beam in self._holders if beam.cache is not None]
        self._holders.sort(key=lambda beam: common_prefix([beam, best], 0))
        kept = self._holders.pop() if self._holders else None
        self._free(self._holders)
        if kept is not None and kept.cache is not None:
            model.release(kept.cache, self.ids + kept.ids)
            kept.cache = None

    @property
    def _finished(self) -> list[Beam]:
        """All finished beams, best first."""
        return sorted((beam for group in self._groups for beam in group.finished), key=final_score, reverse=True)

    def _log_probabilities(self, beam: Beam, row: torch.Tensor) -> torch.Tensor:
        """Of the ids [V] after a beam: what is excluded is -inf, the rest is not normalised again."""
        check_finite(row, len(beam.ids))
        scores = torch.log_softmax(row, dim=-1)
        constraint = None if beam.forced else beam.constraint
        sampler = self.sampler.without_contrast() if beam.forced else self.sampler
        if self.tracer is not None:
            scores, self._stages[beam.name] = self.tracer.scores(scores, constraint, sampler, self.ids + beam.ids)
        else:
            scores = scores if constraint is None else constraint.masked(scores)
            scores = sampler.shaped(scores, self.ids + beam.ids)
        if beam.forced:
            only = torch.full_like(scores, NEVER)
            only[beam.forced[0]] = scores[beam.forced[0]]
            return only
        return scores

    def _advance_group(
        self, group: Group, rows: dict[int, torch.Tensor], raw: dict[int, torch.Tensor], chosen: Counter[int]
    ) -> None:
        scores = torch.stack([rows[id(beam)] for beam in group.live])
        if chosen:
            penalty = DIVERSITY_PENALTY if self.decoding.diversity_penalty is None else self.decoding.diversity_penalty
            ids = torch.tensor(list(chosen), device=scores.device)
            counts = torch.tensor(list(chosen.values()), dtype=scores.dtype, device=scores.device)
            scores[:, ids] -= penalty * counts
            for beam, row in zip(group.live, scores, strict=True):
                self._stages[beam.name] = [*self._stages.get(beam.name, ()), ("diversity", row)]
        parents, grown = group.live, dict[Continuation, Beam]()
        twins: set[tuple[int, int]] = set()

        def grow(continuation: Continuation) -> Beam | None:
            row = scores[parents.index(continuation.parent)]
            beam = self._grown(group, continuation, row, raw[id(continuation.parent)], twins)
            if beam is not None:
                grown[continuation] = beam
            return beam

        continuations = group.continuations(scores, len(self.ends))
        group.advance(continuations, grow)
        if self.tracer is not None:
            for beam in parents:
                mine = [continuation for continuation in continuations if continuation.parent is beam]
                branches = [_branch(group, continuation, grown.get(continuation)) for continuation in mine]
                self.tracer.branched(len(beam.ids), beam.name, raw[id(beam)], self._stages[beam.name], branches)

    def _grown(
        self,
        group: Group,
        continuation: Continuation,
        row: torch.Tensor,
        raw: torch.Tensor,
        twins: set[tuple[int, int]],
    ) -> Beam | None:
        """The beam that a continuation makes. A constraint may turn it into the way to the form's end."""
        parent, token = continuation.parent, continuation.token
        self._names += 1
        beam = Beam(list(parent.ids), continuation.score, list(parent.logprobs), name=self._names, parent=parent.name)
        beam.forced, beam.constraint = deque(parent.forced), parent.constraint
        tokens = [token]
        if parent.forced:
            beam.forced.popleft()
        elif parent.constraint is not None:
            beam.constraint = parent.constraint.fork()
            tokens = beam.constraint.take(token, self.max_tokens - len(parent.ids))
            beam.forced = deque(tokens[1:])
        if not tokens:
            beam.score = parent.score
        elif tokens[0] != token:
            beam.score = parent.score + self._score_on_the_way_out(parent, tokens[0], row, raw)
        if (id(parent), tokens[0] if tokens else -1) in twins or beam.score == NEVER:
            return None
        twins.add((id(parent), tokens[0] if tokens else -1))
        if tokens:
            beam.ids.append(tokens[0])
            if self.scorer is not None:
                beam.logprobs.append(self.scorer.score(raw, tokens[0]))
        reason = self._reason(parent, beam) if tokens else self._form_reason(beam) or "stop"
        if reason is not None:
            beam.ending = Ending(reason, score=group.rules.normalised(beam.score, len(beam.ids)))
        return beam

    def _score_on_the_way_out(self, parent: Beam, token: int, row: torch.Tensor, raw: torch.Tensor) -> float:
        """Of an id that leads to a form's end and was not chosen: contrast has no say there."""
        if self.decoding.contrast:
            row = self.sampler.roughly_shaped(torch.log_softmax(raw, dim=-1), self.ids + parent.ids)
        return float(row[token])

    def _reason(self, parent: Beam, beam: Beam) -> FinishReason | None:
        """Why a beam ends with its last id, if it does."""
        if beam.ids[-1] in self.ends:
            return "stop"
        if parent.text is not None:
            beam.text = parent.text.fork()
            beam.text.push(beam.ids[-1])
            if beam.text.stops.matched is not None:
                return "stop"
        if not beam.forced and (reason := self._form_reason(beam)) is not None:
            return reason
        return "length" if len(beam.ids) >= self.max_tokens else None

    def _form_reason(self, beam: Beam) -> FinishReason | None:
        if beam.constraint is None or not beam.constraint.is_complete:
            return None
        return "length" if beam.constraint.is_cut else "stop"

    def _form_ending(self, beam: Beam) -> Ending | None:
        reason = self._form_reason(beam)
        return None if reason is None else Ending(reason, score=beam.score)

    def _hand_on_caches(self, parents: list[Beam]) -> None:
        """Each live beam gets its parent's cache: the first child the cache itself, the others forks of it."""
        children = self._live
        if not children:
            return  # what the parents hold is given back when the job ends
        self._holders = [*parents, *children]  # should memory run out on the way, all are given back
        by_name = {beam.name: beam for beam in parents}
        for child in children:
            parent = by_name[child.parent or 0]
            siblings_left = sum(other.parent == child.parent and other.cache is None for other in children)
            assert parent.cache is not None
            child.cache = parent.cache.fork() if siblings_left > 1 else parent.cache
            if siblings_left == 1:
                parent.cache = None
        self._free(parents)
        self._holders = children

    def _free(self, beams: list[Beam]) -> None:
        """Gives their caches back, empty: what they computed is not worth keeping."""
        for beam in beams:
            if beam.cache is not None and self._model is not None and self._model.can_rewind:
                beam.cache.truncate(0)
                self._model.release(beam.cache, [])
            beam.cache = None

    def _give_out_what_is_certain(self) -> None:
        """The ids that the best answer has whichever beam wins: those of all live beams and of the best finished."""
        beams = self._live + self._finished[:1]
        if not beams:
            return
        end = common_prefix(beams, self._certain)
        self._push(self.text, beams[0], self._certain, end, 0)
        self._certain = end

    def _write(self, choice: int, beam: Beam) -> Ending:
        """Emits a finished beam's text, of the best one the rest; how it ended."""
        assert beam.ending is not None
        text = self._start_text.fork() if choice else self.text
        self._push(text, beam, 0 if choice else self._certain, len(beam.ids), choice)
        if rest := text.flush():
            self.emit(Piece(rest, choice=choice))
        stopped = text.stops.matched
        return Ending("stop" if stopped is not None else beam.ending.reason, stopped, beam.ending.score)

    def _push(self, text: AnswerText, beam: Beam, start: int, end: int, choice: int) -> None:
        for position in range(start, end):
            self.watch.token()
            token = beam.ids[position]
            piece = "" if token in self.ends else text.push(token)
            logprob = beam.logprobs[position] if self.scorer is not None else None
            if piece or logprob is not None:
                self.emit(Piece(piece, logprob, choice))


def _branch(group: Group, continuation: Continuation, beam: Beam | None) -> Told:
    """What became of a continuation."""
    if beam is None:
        return Told(None, continuation.token, continuation.score, "pruned")
    fate: Fate = "live" if beam in group.live else "finished" if beam in group.finished else "pruned"
    return Told(beam.name, beam.ids[-1] if beam.ids else continuation.token, beam.score, fate)
