"""Beams, and what one step does to them: of all continuations the best are kept, what ends is set aside.

The rules are those of transformers' beam search, so that both find the same answers: scores are sums of float32 log
probabilities after the processors; of the `width` best continuations those that end are finished, and the best that
do not end go on. Diverse beam search (1610.02424) runs groups one after another, each kept from what the ones before
it chose.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from ambidex.reply import TokenLogprob

from .answer_text import AnswerText
from .constraint import Constraint
from .model import SequenceCache
from .outputs import Ending


@dataclass(slots=True, eq=False)
class Beam:
    """A hypothesis. It has ended once `ending` is set, whose score is normalised by the length."""

    ids: list[int]  # after the prompt
    score: float = 0.0  # the sum of the log probabilities
    logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])
    text: AnswerText | None = None  # kept where there are stop sequences to look for
    constraint: Constraint | None = None
    forced: deque[int] = field(default_factory=deque[int])  # ids that follow in any case
    cache: SequenceCache | None = None
    ending: Ending | None = None
    name: int = 0
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Continuation:
    """A beam with one more id; `rank` among all continuations of its group at this step, 0 the best."""

    parent: Beam
    token: int
    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Rules:
    """When a beam search ends, and how its answers are ranked."""

    length_penalty: float
    early_stopping: bool | str
    max_tokens: int

    def normalised(self, score: float, length: int) -> float:
        """The score by which finished beams of `length` new ids are ranked."""
        return score / float(max(length, 1) ** self.length_penalty)

    def can_improve(self, best_live: float, length: int, worst_finished: float) -> bool:
        """Whether a live beam of `length` ids with this score may still come before a finished one."""
        longest = self.early_stopping == "never" and self.length_penalty > 0.0
        return self.normalised(best_live, self.max_tokens if longest else length) > worst_finished


@dataclass(slots=True, eq=False)
class Group:
    """`width` beams that compete with each other."""

    width: int
    rules: Rules
    live: list[Beam]
    finished: list[Beam] = field(default_factory=list[Beam])  # best first

    def continuations(self, rows: torch.Tensor, end_count: int) -> list[Continuation]:
        """The best continuations, best first, of log probabilities `[live, V]`; enough to have `width` that go on."""
        scores = torch.tensor([beam.score for beam in self.live], dtype=torch.float32, device=rows.device)
        totals = (rows + scores[:, None]).flatten()
        best = torch.topk(totals, min(max(2, 1 + end_count) * self.width, len(totals)))
        size = rows.shape[-1]
        return [
            Continuation(self.live[index // size], index % size, score, rank)
            for rank, (index, score) in enumerate(zip(best.indices.tolist(), best.values.tolist(), strict=True))
            if score > float("-inf")
        ]

    def advance(self, continuations: Sequence[Continuation], grow: Callable[[Continuation], Beam | None]) -> list[Beam]:
        """One step: the live beams are replaced by their continuations. Returns what was looked at, best first.

        `grow` makes a beam of a continuation; None for one that is another's twin.
        """
        seen: list[Beam] = []
        going_on: list[Beam] = []
        finished = list(self.finished)
        for continuation in continuations:
            if len(going_on) == self.width and continuation.rank >= self.width:
                break
            beam = grow(continuation)
            if beam is None:
                continue
            seen.append(beam)
            if beam.ending is None:
                if len(going_on) < self.width:
                    going_on.append(beam)
            elif continuation.rank < self.width:
                finished.append(beam)
        self.finished = sorted(finished, key=final_score, reverse=True)[: self.width]
        self.live = going_on if self._goes_on(going_on) else []
        return seen

    def _goes_on(self, live: list[Beam]) -> bool:
        if not live or len(self.finished) < self.width:
            return bool(live)
        if self.rules.early_stopping is True:
            return False
        return self.rules.can_improve(live[0].score, len(live[0].ids), final_score(self.finished[-1]))


def final_score(beam: Beam) -> float:
    """A finished beam's rank."""
    assert beam.ending is not None
    assert beam.ending.score is not None
    return beam.ending.score


def common_prefix(beams: Sequence[Beam], start: int) -> int:
    """How many leading ids all beams have in common; `start` of them are known to be."""
    first = beams[0].ids
    end = min(len(beam.ids) for beam in beams)
    while start < end and all(beam.ids[start] == first[start] for beam in beams):
        start += 1
    return start
