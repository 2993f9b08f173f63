"""Held to a form: after each token, which tokens may follow.

A `Constraint` is asked for the allowed tokens (`masked`) and told what was drawn (`take`); what must follow in any case
it adds by itself, which then needs no forward pass. Where there is no more room for what was drawn, it takes the
shortest way to a complete text instead, so that a form is never left half-written.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any, Protocol

import numpy as np
import torch

from ambidex.errors import EngineError, InvalidRequest

from .closing import OUTSIDE, Allowed, Closing, Place

NEVER = float("-inf")

GROWTH = 64
"""Tokens by which one token is taken to make the shortest way to the end longer, beside twice the whole form's shortest
text, until that is looked at anew. A piece of a text in which anything may stand is taken to need less
(`Closing.growth_of_piece`)."""

MAX_DIGITS = 64
"""Digits in a row after which a number ends: no double has so many, and a model may love to repeat itself."""

MAX_WAY = 4096
"""Tokens after which a way to the end is no longer looked for."""


class Constraint(Protocol):
    """Of one sequence. Used by the engine's thread only."""

    def fork(self) -> Constraint:
        """A constraint in the same state that goes on by itself: for the beams of a search, and for tokens that are
        only proposed. What is `prepare`d stays with the original."""
        ...

    @property
    def is_complete(self) -> bool:
        """Nothing may follow any more."""
        ...

    @property
    def is_cut(self) -> bool:
        """It was made complete before its time, because the tokens ran out."""
        ...

    def prepare(self, workers: Executor) -> None:
        """Begins to find out what may follow, beside the forward pass."""
        ...

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits [V], with -inf where a token may not follow."""
        ...

    def starts_with(self, tokens: list[int]) -> bool:
        """Whether its text may begin with these. Then it has begun with them, before `begin`."""
        ...

    def begin(self, left: int) -> list[int]:
        """What the answer begins with in any case; often nothing. `left` tokens may be written."""
        ...

    def take(self, token: int, left: int) -> list[int]:
        """What the answer goes on with once `token` was drawn: it, and what must follow. Never more than `left`."""
        ...


class Matcher(Protocol):
    """Where in a grammar a text is: what is needed of llguidance's `LLMatcher`."""

    def compute_logit_bias(self) -> bytes: ...

    def consume_token(self, sampled_token: int, /) -> bool: ...

    def compute_ff_tokens(self) -> list[int]: ...

    def is_stopped(self) -> bool: ...

    def is_error(self) -> bool: ...

    def get_error(self) -> str: ...

    def is_accepting(self) -> bool: ...

    def try_consume_tokens(self, tokens: list[int], /) -> int: ...

    def validate_tokens(self, tokens: list[int], /) -> int: ...

    def deep_copy(self) -> Any: ...


class GrammarConstraint:
    """A grammar from the first token on. `ends` end the answer; `closing` knows the ways to them."""

    is_cut = False

    def __init__(
        self,
        matcher: Matcher,
        ends: frozenset[int],
        closing: Closing,
        left: int | None,
        *,
        endings: Sequence[list[int]] = (),
        has_plain_pieces: bool = True,
        bounds_digits: bool = False,
        must_fit: bool = True,
    ) -> None:
        """`left` tokens are there for it; None: it may be left half-written where they run out.

        endings           the ids of texts that end a part of it, the longest first
        has_plain_pieces  none of these ends in a letter or a digit
        bounds_digits     no more than `MAX_DIGITS` stand in a row outside of texts, if anything else may follow
        must_fit          raises `InvalidRequest` where not even the shortest text fits; else it is left half-written
        """
        self._matcher = matcher
        self._ends = ends
        self._closing = closing
        self._endings = endings
        self._has_plain_pieces = has_plain_pieces
        self._bounds_digits = bounds_digits
        self._digits = 0
        self._pending: Future[Allowed] | None = None
        self._place: Place = OUTSIDE
        self._is_free = False
        """Whether any letter might have followed where the next token was drawn: in a text, not in a name or a tag."""
        self._has_ended = False
        self._grown = 0
        """Tokens by which the shortest way may have become longer since it was looked for."""
        self._way_out = None if left is None else self._find_way_out(left)
        """The shortest way to a complete text, as far as it was looked for and found."""
        self.shortest = None if self._way_out is None else len(self._way_out)
        if left is None or self.shortest is None or self.shortest <= left:
            return
        self._way_out = None
        if must_fit:
            raise InvalidRequest(
                f"{left} tokens (max_tokens) are too few for an answer in the form that was asked for: it takes "
                f"{self.shortest} at least.",
                param="max_tokens",
            )

    def fork(self) -> GrammarConstraint:
        if self._pending is not None:
            self._pending.result()  # while a worker has the matcher, nobody else may touch it
        twin = copy.copy(self)
        twin._matcher, twin._pending = self._matcher.deep_copy(), None
        return twin

    @property
    def is_complete(self) -> bool:
        return self._has_ended or self._matcher.is_stopped()

    def prepare(self, workers: Executor) -> None:
        self._pending = workers.submit(self._allowed)

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        allowed = self._allowed() if self._pending is None else self._pending.result()
        self._pending = None
        self._check()
        is_free = self._closing.is_free(allowed)
        if self._bounds_digits and self._digits >= MAX_DIGITS and not is_free:
            allowed = self._closing.without_digits(allowed)
        self._is_free = self._has_plain_pieces and is_free
        return _only(allowed, logits)

    def _allowed(self) -> Allowed:
        return _allowed(self._matcher)

    def starts_with(self, tokens: list[int]) -> bool:
        fits = self._matcher.validate_tokens(tokens) == len(tokens)
        for token in tokens if fits else ():
            self._write(token)
        return fits

    def begin(self, left: int) -> list[int]:
        return self._go_on([], left)

    def take(self, token: int, left: int) -> list[int]:
        if token in self._ends:
            self._has_ended = True
            return [token]
        return self._go_on([token], left)

    def _go_on(self, tokens: list[int], left: int) -> list[int]:
        """With these, and with what must follow them; or out, where that would no longer fit."""
        before = None if self._way_out is None else (self._matcher.deep_copy(), self._place)
        for token in tokens:
            self._write(token)
        forced = self._forced(self._matcher)
        for token in forced:
            self._write(token)
        tokens = tokens + forced
        if before is None or self._way_out is None:
            return tokens
        if left - len(tokens) > len(self._way_out) + self._grown:
            return tokens
        way_out = self._find_way_out(left)
        if way_out is not None and len(tokens) + len(way_out) <= left:
            self._way_out, self._grown = way_out, 0
            return tokens
        behind = self._matcher, self._place
        self._matcher, self._place = before
        way_out = self._find_way_out(left)
        if way_out is None or len(way_out) > left:  # none is known any more
            self._way_out = None
            self._matcher, self._place = behind
            return tokens
        self._has_ended = self.is_cut = True
        return way_out

    def _write(self, token: int) -> None:
        self._matcher.consume_token(token)
        piece = self._closing.growth_of_piece(token) if self._is_free else None
        self._grown += GROWTH + 2 * (self.shortest or 0) if piece is None else piece
        self._is_free = False
        self._digits = self._closing.digits_after(token, self._digits)
        self._place = self._closing.place_after(token, self._place)
        self._check()

    def _forced(self, matcher: Matcher) -> list[int]:
        return [token for token in matcher.compute_ff_tokens() if token not in self._ends]

    def _find_way_out(self, most: int) -> list[int] | None:
        """A short way to a complete text from here, greedily; None if it takes far more than so many tokens."""
        matcher, place = self._matcher.deep_copy(), self._place
        tokens: list[int] = []
        while len(tokens) < min(most, MAX_WAY) + 256 and not matcher.is_error():
            if matcher.is_stopped() or matcher.is_accepting():
                return tokens
            added = self._forced(matcher)
            if not added or matcher.try_consume_tokens(added) < len(added):
                added = self._next_of_way_out(matcher, place)
            for token in added:
                place = self._closing.place_after(token, place)
            tokens += added
        return None

    def _next_of_way_out(self, matcher: Matcher, place: Place) -> list[int]:
        """What rather leads out, taken: the end of a part; else one of the few tokens that mostly lead out, for that
        takes no mask of the whole vocabulary."""
        is_text = self._closing.is_text(matcher.validate_tokens)
        for ending in [*self._endings, *self._closing.quotes] if is_text else self._endings:
            if matcher.validate_tokens(ending) == len(ending):
                behind = matcher.deep_copy()
                behind.try_consume_tokens(ending)
                if not self._closing.is_text(behind.validate_tokens):  # it was an end, and no text
                    matcher.try_consume_tokens(ending)
                    return ending
        for token in self._closing.letters if is_text else self._closing.likely[place]:
            if matcher.try_consume_tokens([token]):
                return [token]
        token = self._closing.best(_allowed(matcher), place)
        matcher.consume_token(token)
        return [token]

    def _check(self) -> None:
        if self._matcher.is_error():
            problem = self._matcher.get_error().partition("\n")[0]
            raise EngineError(f"The form that the answer is held to failed: {problem}")


class ChoiceConstraint:
    """One of some texts, each given by its ids. Needs no library."""

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
        return _only(allowed, logits)

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


def _allowed(matcher: Matcher) -> Allowed:
    allowed: Allowed = np.frombuffer(matcher.compute_logit_bias(), dtype=np.uint8) != 0
    return allowed


def _only(allowed: Allowed, logits: torch.Tensor) -> torch.Tensor:
    """The logits [V] with -inf where `allowed` is false, and where it ends.

    On the CPU by NumPy: a PyTorch operation of this size would wake all its threads for some microseconds of work.
    """
    if allowed.shape[0] != logits.shape[-1]:
        known = allowed[: logits.shape[-1]]
        allowed = np.zeros(logits.shape[-1], dtype=np.bool_)
        allowed[: known.shape[0]] = known
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        return torch.from_numpy(np.where(allowed, logits.numpy(), np.float32(NEVER)))
    return logits.masked_fill(~torch.from_numpy(allowed).to(logits.device), NEVER)
