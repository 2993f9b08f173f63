"""Watching a decoding: each step as a `Step`, without changing anything. Made only for requests with `trace=True`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch

from ambidex.trace import Attention, Branch, Candidate, Guess, Step

from .constraint import Constraint
from .outbox import Outbox
from .outputs import Traced
from .sampling import Sampler

SHOWN = 10
"""So many of the likeliest tokens are shown, before the processors and after them."""

Stages: TypeAlias = list[tuple[str, torch.Tensor]]
"""Scores [V] after each of what changed them, by its name."""

Fate: TypeAlias = Literal["live", "finished", "pruned"]


class Told(NamedTuple):
    """A continuation of a beam: the name of the beam it became, if it did, its token and the beam's score."""

    name: int | None
    token: int
    score: float
    fate: Fate


@runtime_checkable
class Attentive(Protocol):
    """A model that can tell its attention weights."""

    def attention(self, ids: Sequence[int]) -> torch.Tensor:
        """Float32 weights `[layers, heads, T, T]` of one pass over `ids` [T]."""
        ...


class Tracer:
    """Of one answer. Used by the engine's thread only."""

    def __init__(self, describe: Callable[[int], str], emit: Outbox, choice: int, model: Attentive | None) -> None:
        """`model`: where the attention weights are wanted, whose they are."""
        self._describe = describe
        self._emit = emit
        self._choice = choice
        self._model = model
        self._last: float | None = None
        self._is_told = False  # of the token that comes next

    def started(self) -> None:
        """The answer left the queue."""
        self._last = time.monotonic()

    def scores(
        self, logits: torch.Tensor, constraint: Constraint | None, sampler: Sampler, seen: Sequence[int]
    ) -> tuple[torch.Tensor, Stages]:
        """The scores after all that changes them, and after each of it."""
        stages: Stages = []
        scores = logits
        if constraint is not None:
            scores = constraint.masked(scores)
            stages.append(("form", scores))
        for stage in sampler.stages:
            scores = stage.process(scores, seen)
            stages.append((stage.name, scores))
        return scores, stages

    def chosen(self, step: int, logits: torch.Tensor, stages: Stages, token: int | None, guess: int | None) -> None:
        """A token was picked; None where the answer ends without one."""
        shown = [id for id in (token, guess) if id is not None]
        seen = None if guess is None else Guess(id=guess, text=self._describe(guess), is_right=guess == token)
        self._tell(step, logits, stages, shown, token, guess=seen)
        self._is_told = token is not None

    def taken(self, step: int, token: int) -> None:
        """The answer has one more token: one that was picked, or one that had to follow."""
        if not self._is_told:
            self._tell(step, None, [], [], token, is_forced=True)
        self._is_told = False

    def branched(self, step: int, beam: int, logits: torch.Tensor, stages: Stages, branches: Sequence[Told]) -> None:
        """What became of a beam's continuations."""
        told = tuple(
            Branch(name=name, id=token, text=self._describe(token), score=score, fate=fate)
            for name, token, score, fate in branches
        )
        self._tell(step, logits, stages, [branch.id for branch in told], None, beam=beam, branches=told)

    def ended(self, ids: Sequence[int], prompt_length: int) -> None:
        """The answer is whole: its attention weights, if they are wanted."""
        if self._model is None or len(ids) == prompt_length:
            return
        rows = self._model.attention(ids[:-1])[:, :, prompt_length - 1 :].tolist()
        weights = tuple(tuple(tuple(map(tuple, head)) for head in layer) for layer in rows)
        self._emit(
            Traced(Attention(choice=self._choice, ids=tuple(ids), start=prompt_length, weights=weights), self._choice)
        )

    def _tell(
        self,
        step: int,
        logits: torch.Tensor | None,
        stages: Stages,
        shown: list[int],
        token: int | None,
        *,
        is_forced: bool = False,
        guess: Guess | None = None,
        beam: int | None = None,
        branches: tuple[Branch, ...] = (),
    ) -> None:
        now = time.monotonic()
        seconds, self._last = now - (self._last or now), now
        before = None if logits is None else torch.softmax(logits, dim=-1)
        after = [_distribution(scores) for _, scores in stages]
        last = after[-1] if after else before
        names = tuple(name for name, _ in stages)
        told = Step(
            choice=self._choice,
            step=step,
            stages=names,
            candidates=() if before is None else self._candidates(before, names, after, shown),
            chosen=token,
            text="" if token is None else self._describe(token),
            is_forced=is_forced,
            entropy=None if before is None else _entropy(before),
            entropy_after=None if last is None else _entropy(last),
            seconds=seconds,
            guess=guess,
            beam=beam,
            branches=branches,
        )
        self._emit(Traced(told, self._choice))

    def _candidates(
        self, before: torch.Tensor, names: Sequence[str], after: Sequence[torch.Tensor], shown: list[int]
    ) -> tuple[Candidate, ...]:
        count = min(SHOWN, len(before))
        likely = [distribution.topk(count).indices.tolist() for distribution in [before, *after[-1:]]]
        possible = [id for id in likely[-1] if float((after[-1] if after else before)[id]) > 0.0]
        wanted: set[int] = {*likely[0], *possible, *shown}
        ids = sorted(sorted(wanted), key=lambda id: float(before[id]), reverse=True)
        found: list[Candidate] = []
        for id in ids:
            shares = tuple(float(distribution[id]) for distribution in after)
            removed = next((name for name, share in zip(names, shares, strict=True) if share == 0.0), None)
            found.append(
                Candidate(
                    id=id, text=self._describe(id), probability=float(before[id]), after=shares, removed_by=removed
                )
            )
        return tuple(found)


def _distribution(scores: torch.Tensor) -> torch.Tensor:
    """Probabilities; zeros where every token is excluded."""
    return torch.softmax(scores, dim=-1).nan_to_num(0.0)


def _entropy(probabilities: torch.Tensor) -> float:
    return float(torch.special.entr(probabilities).sum())
