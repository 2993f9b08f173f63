"""Held without a grammar: to one of some texts, or to anything but one token. Needs no library."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
import torch

from ambidex.errors import InvalidRequest

from .constraint import NEVER, only


class ChoiceConstraint:
    """One of some texts, each given by its ids."""

    is_cut = False

    def __init__(self, choices: Sequence[Sequence[int]], end: int | None, left: int | None = None) -> None:
        """`end` ends an answer that could also go on, as "no" could to "nothing". Those that take more than `left`
        tokens are left out. Raises `InvalidRequest` where none is short enough."""
        self._open = [list(choice) for choice in choices if choice and (left is None or len(choice) <= left)]
        self._end = end
        self._written = 0
        if not self._open:
            raise InvalidRequest(
                f"{left} tokens (max_tokens) are too few for an answer in the form that was asked for: it takes "
                f"{min(map(len, choices), default=0)} at least.",
                param="max_tokens",
            )

    def fork(self) -> ChoiceConstraint:
        return copy.copy(self)  # its lists are replaced, never changed

    @property
    def is_complete(self) -> bool:
        return not any(len(choice) > self._written for choice in self._open)

    def prepare(self, workers: Executor) -> None:
        """Nothing takes time here."""

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        allowed = np.zeros(logits.shape[-1], dtype=np.bool_)
        allowed[self._next()] = True
        return only(allowed, logits)

    def starts_with(self, tokens: list[int]) -> bool:
        fits = any(choice[: len(tokens)] == tokens for choice in self._open)
        for token in tokens if fits else ():
            self._write(token)
        return fits

    def begin(self, left: int) -> list[int]:
        tokens: list[int] = []
        while not self.is_complete and len(following := self._next()) == 1 and following[0] != self._end:
            tokens += following
            self._write(following[0])
        return tokens

    def take(self, token: int, left: int) -> list[int]:
        self._write(token)
        return [token, *self.begin(left - 1)]

    def _write(self, token: int) -> None:
        if token == self._end and any(len(choice) == self._written for choice in self._open):
            self._open = []
            return
        self._open = [item for item in self._open if len(item) > self._written and item[self._written] == token]
        self._written += 1

    def _next(self) -> list[int]:
        following = {choice[self._written] for choice in self._open if len(choice) > self._written}
        if self._end is not None and any(len(choice) == self._written for choice in self._open):
            following.add(self._end)
        return sorted(following)


class WithoutConstraint:
    """Anything but one token: the one that begins a call, where none is to be made."""

    is_complete = False
    is_cut = False

    def __init__(self, token: int) -> None:
        self._token = token

    def fork(self) -> WithoutConstraint:
        return self

    def prepare(self, workers: Executor) -> None:
        """Nothing takes time here."""

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.index_fill(0, torch.tensor([self._token], device=logits.device), NEVER)

    def starts_with(self, tokens: list[int]) -> bool:
        return self._token not in tokens

    def begin(self, left: int) -> list[int]:
        return []

    def take(self, token: int, left: int) -> list[int]:
        return [token]
