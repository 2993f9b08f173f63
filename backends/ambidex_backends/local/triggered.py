"""Held from somewhere on: a form that begins once a text was written, as a call does with its opening."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import torch

from .constraint import NEVER, Constraint


@dataclass(frozen=True, slots=True)
class Trigger:
    """A text in whatever tokens it is written: ordinary ones by their bytes, control tokens as themselves.

    ids      as it is written for a model
    symbols  what it consists of: bytes, and control tokens as numbers below 0
    """

    ids: Sequence[int]
    symbols: tuple[int, ...]
    symbols_of: Callable[[int], tuple[int, ...]]
    ids_of: Callable[[bytes], list[int]]

    def seen(self, tail: tuple[int, ...], token: int) -> tuple[tuple[int, ...], list[int] | None]:
        """The last symbols behind this token; and where the trigger ends in it, what the token has beyond that."""
        symbols = self.symbols_of(token)
        so_far = tail + symbols
        if self.symbols[-1] in symbols:
            for end in range(len(tail) + 1, len(so_far) + 1):
                if so_far[:end][-len(self.symbols) :] == self.symbols:
                    return (), self.ids_of(bytes(so_far[end:]))
        return so_far[-len(self.symbols) :], None


class TriggeredConstraint:
    """Nothing is held until `trigger` was written; then what `begin` gives, until that is complete.

    begin    makes the constraint, given the tokens that are left
    again    after that, nothing is held until the next trigger; else the answer is complete
    ends     what ends the answer
    reserve  if given, the answer cannot end before the trigger, which is written for the model when only so many tokens
             are left
    """

    def __init__(
        self,
        trigger: Trigger,
        begin: Callable[[int], Constraint],
        *,
        ends: frozenset[int],
        again: bool = False,
        reserve: int | None = None,
    ) -> None:
        self._trigger = trigger
        self._begin = begin
        self._again = again
        self._ends = sorted(ends)
        self._reserve = reserve
        self._tail: tuple[int, ...] = ()
        self._inner: Constraint | None = None

    def fork(self) -> TriggeredConstraint:
        twin = copy.copy(self)
        twin._inner = None if self._inner is None else self._inner.fork()
        return twin

    @property
    def is_complete(self) -> bool:
        return self._inner is not None and self._inner.is_complete

    @property
    def is_cut(self) -> bool:
        return self._inner is not None and self._inner.is_cut

    def prepare(self, workers: Executor) -> None:
        if self._inner is not None:
            self._inner.prepare(workers)

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        if self._inner is not None:
            return self._inner.masked(logits)
        if self._reserve is None:
            return logits
        return logits.index_fill(0, torch.tensor(self._ends, device=logits.device), NEVER)

    def begin(self, left: int) -> list[int]:
        return self._go_on([], left)

    def take(self, token: int, left: int) -> list[int]:
        if self._inner is not None:
            tokens = self._inner.take(token, left)
            self._end_of_inner()
            return tokens
        return self._go_on([token], left)

    def starts_with(self, tokens: list[int]) -> bool:
        return False

    def _go_on(self, tokens: list[int], left: int) -> list[int]:
        if self._reserve is not None and left - len(tokens) <= self._reserve + len(self._trigger.ids):
            tokens = list(self._trigger.ids)
        for token in tokens:
            self._tail, rest = self._trigger.seen(self._tail, token)
            if rest is not None:
                return tokens + self._held(rest, left - len(tokens))
        return tokens

    def _held(self, rest: list[int], left: int) -> list[int]:
        """What must follow the trigger and the `rest` of its last token."""
        inner = self._begin(left)
        if rest and not inner.starts_with(rest) and self._reserve is None:
            return []  # it goes on otherwise than the form does
        self._inner, self._tail = inner, ()
        tokens = inner.begin(left)
        self._end_of_inner()
        return tokens

    def _end_of_inner(self) -> None:
        if self._again and self.is_complete:
            self._inner, self._tail = None, ()
