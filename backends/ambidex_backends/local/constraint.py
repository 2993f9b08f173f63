"""Held to a form: after each token, which tokens may follow.

A `Constraint` is asked for the allowed tokens (`masked`) and told what was drawn (`take`); what must follow in any case
it adds by itself, which then needs no forward pass. Where there is no more room for what was drawn, it takes the
shortest way to a complete text instead, so that a form is never left half-written.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Protocol

import numpy as np
import torch

from ambidex.errors import EngineError, InvalidRequest

from .closing import OUTSIDE, Allowed, Closing, Place
from .json_openings import START

NEVER = float("-inf")

GROWTH = 64
"""Tokens by which one token is taken to make the shortest way to the end longer, beside twice the whole form's shortest
text, until that is looked at anew. A piece of a text in which anything may stand is taken to need less
(`Closing.growth_of_piece`)."""

MAX_DIGITS = 64
"""Digits in a row after which a number ends: no double has so many, and a model may love to repeat itself."""

NEAR = 8
"""Tokens of a known way that may have been written, or made needless, since it was looked for."""

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


class TextEnds(Protocol):
    """How texts in a grammar end that cannot end anywhere."""

    def __bool__(self) -> bool: ...

    def ways(self, written: bytes, place: Place) -> Iterator[list[int]]: ...


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
        endings: Sequence[tuple[bytes, list[int]]] = (),
        texts: TextEnds | None = None,
        has_plain_pieces: bool = True,
        bounds_digits: bool = False,
        must_fit: bool = True,
    ) -> None:
        """`left` tokens are there for it; None: it may be left half-written where they run out.

        endings           texts that end a part of it: what may stand there of one, the ids of the rest; longest first
        texts             knows how those end that are held to a pattern or a length
        has_plain_pieces  none of these ends in a letter or a digit
        bounds_digits     no more than `MAX_DIGITS` stand in a row outside of texts, if anything else may follow
        must_fit          raises `InvalidRequest` where not even the shortest text fits; else it is left half-written,
                          as it is where no way to a complete text was found: that is no proof that there is none
        """
        self._matcher = matcher
        self._ends = ends
        self._closing = closing
        self._endings = endings
        self._texts = texts or None
        self._has_plain_pieces = has_plain_pieces and not texts
        self._bounds_digits = bounds_digits
        self._digits = 0
        self._pending: Future[Allowed] | None = None
        self._place: Place = OUTSIDE
        self._written = START.encode()
        """The bytes so far."""
        self._is_free = False
        """Whether any letter might have followed where the next token was drawn: in a text, not in a name or a tag."""
        self._has_ended = False
        self._grown = 0
        """Tokens by which the shortest way may have become longer since it was looked for."""
        self.problem: str | None = None
        """Why there is no complete text at all, if that was found out."""
        self._way_out: list[int] | None = None
        """A short way to a complete text, as far as it was looked for and found."""
        self._way_out = None if left is None else self._find_way_out(left)
        self.shortest = None if self._way_out is None else len(self._way_out)
        if left is None or self.shortest is None or self.shortest <= left:
            return
        self._way_out = None
        if must_fit:
            raise InvalidRequest(
                f"{left} tokens (max_tokens) are too few for an answer in the form that was asked for: "
                f"it takes {self.shortest} at least.",
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
        return only(allowed, logits)

    def _allowed(self) -> Allowed:
        return allowed_by(self._matcher)

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
        before = None if self._way_out is None else (self._matcher.deep_copy(), self._place, self._written)
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
        way_out = self._find_way_out(left - len(tokens))
        if way_out is not None and len(tokens) + len(way_out) <= left:
            self._way_out, self._grown = way_out, 0
            return tokens
        behind = self._matcher, self._place, self._written
        self._matcher, self._place, self._written = before
        way_out = self._find_way_out(left)
        if way_out is None or len(way_out) > left:  # none is known any more
            self._way_out = None
            self._matcher, self._place, self._written = behind
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
        self._written += self._closing.bytes_of(token)
        self._check()

    def _forced(self, matcher: Matcher) -> list[int]:
        return [token for token in matcher.compute_ff_tokens() if token not in self._ends]

    def _find_way_out(self, most: int) -> list[int] | None:
        """A short way to a complete text from here, greedily; None if it takes far more than so many steps."""
        matcher, place, written = self._matcher.deep_copy(), self._place, self._written
        tokens: list[int] = []
        for _ in range(min(most, MAX_WAY) + 256):
            if matcher.is_error():
                break
            if matcher.is_stopped() or matcher.is_accepting():
                return tokens
            if rest := self._rest_of_way_out(matcher, most - len(tokens)):
                return tokens + rest
            added = self._forced(matcher)
            if not added or matcher.try_consume_tokens(added) < len(added):
                added = self._next_of_way_out(matcher, place, written)
            for token in added:
                place = self._closing.place_after(token, place)
                written += self._closing.bytes_of(token)
            tokens += added
        if matcher.is_error():
            self.problem = _problem(matcher)
        return None

    def _rest_of_way_out(self, matcher: Matcher, most: int) -> list[int] | None:
        """What is left of the way that is known, if it leads out from here in so many tokens."""
        known = self._way_out or []
        for start in range(max(len(known) - most, 0), min(len(known), NEAR)):
            behind, rest = matcher.deep_copy(), known[start:]
            if behind.try_consume_tokens(rest) == len(rest) and (behind.is_stopped() or behind.is_accepting()):
                return rest
        return None

    def _next_of_way_out(self, matcher: Matcher, place: Place, written: bytes) -> list[int]:
        """What rather leads out, taken: the end of a part; else one of the few tokens that mostly lead out, for that
        takes no mask of the whole vocabulary."""
        is_text = self._closing.is_text(matcher.validate_tokens)
        endings = [ids for begun, ids in self._endings if written.endswith(begun)]
        for ending in [*endings, *self._closing.quotes] if is_text else endings:
            if matcher.validate_tokens(ending) == len(ending):
                behind = matcher.deep_copy()
                behind.try_consume_tokens(ending)
                if not self._closing.is_text(behind.validate_tokens):  # it was an end, and no text
                    matcher.try_consume_tokens(ending)
                    return ending
        for way in self._texts.ways(written, place) if self._texts is not None else ():
            if matcher.validate_tokens(way) == len(way):
                matcher.try_consume_tokens(way)
                return way
        for token in self._closing.letters if is_text else self._closing.likely[place]:
            if matcher.try_consume_tokens([token]):
                return [token]
        token = self._closing.best(allowed_by(matcher), place)
        matcher.consume_token(token)
        return [token]

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineError(f"The form that the answer is held to failed: {_problem(self._matcher)}")


def _problem(matcher: Matcher) -> str:
    return matcher.get_error().partition("\n")[0]


def allowed_by(matcher: Matcher) -> Allowed:
    """Which ids may follow."""
    allowed: Allowed = np.frombuffer(matcher.compute_logit_bias(), dtype=np.uint8) != 0
    return allowed


def only(allowed: Allowed, logits: torch.Tensor) -> torch.Tensor:
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
