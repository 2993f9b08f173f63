"""How many ids each job computes in a step, so that a long prompt stops neither running answers nor short prompts.

The ids of all prompts in a step share a budget. While answers run beside them, it is what fits into `STALL_SECONDS` at
the speed measured so far: that is how long a prompt holds up the others' next tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from .job import Job
from .model import CELL

SHORT = 32
"""So few ids are computed at once and count as nothing: an answer's next token, or a few that follow in any case."""

LEAST = 64
"""Fewer ids of one prompt are not worth a pass: the weights are read all the same."""

STALL_SECONDS = 0.1


class Prefill:
    """The shares of each step. `budget` ids of prompts a step; `deterministic`: a `CELL` of each prompt."""

    def __init__(self, budget: int, *, deterministic: bool = False) -> None:
        self._budget = budget
        self._deterministic = deterministic
        self._seconds_per_id: float | None = None
        self._turn = 0

    def sizes(self, jobs: Sequence[Job]) -> list[int]:
        """How many ids each of the jobs may compute in this step; 0 for those whose turn is later."""
        sizes = [self._cell(job) for job in jobs]
        long = [index for index, size in enumerate(sizes) if size > SHORT]
        if not long:
            return sizes
        budget = self._step_budget(beside_answers=len(long) < len(jobs))
        chosen = self._next(long, max(1, budget // (CELL if self._deterministic else LEAST)))
        given = [sizes[index] for index in chosen]
        if not self._deterministic:
            given = shares(given, budget)
        for index in long:
            sizes[index] = 0
        for index, size in zip(chosen, given, strict=True):
            sizes[index] = size
        return sizes

    def took(self, seconds: float, sizes: Sequence[int]) -> None:
        """A step computed `sizes` ids; what it says about the speed."""
        ids = sum(size for size in sizes if size > SHORT)
        if ids >= LEAST:
            new, old = seconds / ids, self._seconds_per_id
            self._seconds_per_id = new if old is None else (new + old) / 2

    def _cell(self, job: Job) -> int:
        """What the job could compute now."""
        return min(job.pending, CELL - job.computed % CELL) if self._deterministic else job.pending

    def _step_budget(self, *, beside_answers: bool) -> int:
        if not beside_answers or self._seconds_per_id is None:
            return self._budget
        return max(LEAST, min(self._budget, int(STALL_SECONDS / self._seconds_per_id)))

    def _next(self, indices: list[int], count: int) -> list[int]:
        """`count` of the indices, in turns from step to step."""
        first = self._turn % len(indices)
        chosen = [*indices[first:], *indices[:first]][:count]
        self._turn += len(chosen)
        return chosen


def shares(wanted: Sequence[int], budget: int) -> list[int]:
    """`budget` in equal parts; what one does not need goes to the others. Every part is at least 1."""
    given = [0] * len(wanted)
    left = budget
    for rank, index in enumerate(sorted(range(len(wanted)), key=lambda index: wanted[index])):
        given[index] = max(1, min(wanted[index], left // (len(wanted) - rank)))
        left -= given[index]
    return given
