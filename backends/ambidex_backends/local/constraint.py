"""Held to a form: after each token, which tokens may follow.

A `Constraint` is asked for the allowed tokens (`masked`) and told what was drawn (`take`); what must follow in any case
it adds by itself, which then needs no forward pass. Where there is no more room for what was drawn, it takes the
shortest way to a complete text instead, so that a form is never left half-written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Protocol

import torch

from ambidex.errors import EngineError, InvalidRequest

from .closing import Closing

NEVER = float("-inf")

CLOSE = 128
"""Tokens before the end from which on the way to it is watched at every step."""


class Constraint(Protocol):
    """Of one sequence. Used by the engine's thread only."""

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

    def deep_copy(self) -> Any: ...


class GrammarConstraint:
    """A grammar from the first token on. `ends` end the answer; `closing` knows the ways to them."""

    is_cut = False

    def __init__(self, matcher: Matcher, ends: frozenset[int], closing: Closing, left: int | None) -> None:
        """`left` tokens are there for it; None: it may be left half-written where they run out.

        Raises `InvalidRequest` where not even the shortest text fits.
        """
        self._matcher = matcher
        self._ends = ends
        self._closing = closing
        self._pending: Future[bytes] | None = None
        self._in_string = False
        self._has_ended = False
        self._way_out = None if left is None else self._find_way_out(left)
        """The shortest way from here, as far as it was looked for and found."""
        self.shortest = None if self._way_out is None else len(self._way_out)
        if left is not None and self.shortest is not None and self.shortest > left:
            raise InvalidRequest(
                f"{left} tokens (max_tokens) are too few for an answer in the form that was asked for: it takes "
                f"{self.shortest} at least.",
                param="max_tokens",
            )

    @property
    def is_complete(self) -> bool:
        return self._has_ended or self._matcher.is_stopped()

    def prepare(self, workers: Executor) -> None:
        self._pending = workers.submit(self._matcher.compute_logit_bias)

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        bias = self._matcher.compute_logit_bias() if self._pending is None else self._pending.result()
        self._pending = None
        self._check()
        return logits.masked_fill(~_allowed(bias, logits.shape[-1]).to(logits.device), NEVER)

    def begin(self, left: int) -> list[int]:
        return self._go_on([], left)

    def take(self, token: int, left: int) -> list[int]:
        if token in self._ends:
            self._has_ended = True
            return [token]
        return self._go_on([token], left)

    def _go_on(self, tokens: list[int], left: int) -> list[int]:
        """With these, and with what must follow them; or out, where that would no longer fit."""
        before = None if self._way_out is None else (self._matcher.deep_copy(), self._in_string)
        for token in tokens:
            self._write(token)
        forced = [token for token in self._matcher.compute_ff_tokens() if token not in self._ends]
        for token in forced:
            self._write(token)
        tokens = tokens + forced
        if before is None or left - len(tokens) > 2 * len(self._way_out or ()) + CLOSE:
            return tokens
        way_out = self._find_way_out(left)
        if way_out is None or len(tokens) + len(way_out) > left:
            self._matcher, self._in_string = before
            tokens = self._way_out or []
            self._has_ended = self.is_cut = True
        self._way_out = way_out
        return tokens

    def _write(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._in_string = self._closing.in_string_after(token, self._in_string)
        self._check()

    def _find_way_out(self, most: int) -> list[int] | None:
        """A short way to a complete text from here, greedily; None if it takes far more than so many tokens."""
        matcher, in_string = self._matcher.deep_copy(), self._in_string
        tokens: list[int] = []
        while len(tokens) < most + 256 and not matcher.is_error():
            if matcher.is_stopped():
                return tokens
            allowed = _allowed(matcher.compute_logit_bias(), self._closing.size)
            if any(bool(allowed[end]) for end in self._ends):
                return tokens
            token = self._closing.best(allowed, in_string)
            in_string = self._closing.in_string_after(token, in_string)
            tokens.append(token)
            matcher.consume_token(token)
        return None

    def _check(self) -> None:
        if self._matcher.is_error():
            problem = self._matcher.get_error().partition("\n")[0]
            raise EngineError(f"The form that the answer is held to failed: {problem}")


class ChoiceConstraint:
    """One of some texts, each given by its ids. Needs no library."""

    is_cut = False

    def __init__(self, choices: Sequence[Sequence[int]], end: int | None) -> None:
        """`end` ends an answer that could also go on, as "no" could to "nothing"."""
        self._open = [list(choice) for choice in choices if choice]
        self._end = end
        self._written = 0

    @property
    def is_complete(self) -> bool:
        return not any(len(choice) > self._written for choice in self._open)

    def prepare(self, workers: Executor) -> None:
        """Nothing takes time here."""

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        allowed = torch.zeros_like(logits, dtype=torch.bool)
        allowed[self._next()] = True
        return logits.masked_fill(~allowed, NEVER)

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


class TriggeredConstraint:
    """Nothing is held until the ids of `trigger` were written; then what `begin` gives, until that is complete.

    begin    makes the constraint, given the tokens that are left
    again    after that, nothing is held until the next trigger; else the answer is complete
    ends     what ends the answer
    reserve  if given, the answer cannot end before the trigger, which is written for the model when only so many tokens
             are left
    """

    def __init__(
        self,
        trigger: Sequence[int],
        begin: Callable[[int], Constraint],
        *,
        ends: frozenset[int],
        again: bool = False,
        reserve: int | None = None,
    ) -> None:
        self._trigger = list(trigger)
        self._begin = begin
        self._again = again
        self._ends = sorted(ends)
        self._reserve = reserve
        self._tail: list[int] = []
        self._inner: Constraint | None = None

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

    def _go_on(self, tokens: list[int], left: int) -> list[int]:
        if self._reserve is not None and left - len(tokens) <= self._reserve + len(self._trigger):
            tokens = list(self._trigger)
        self._tail = [*self._tail, *tokens][-len(self._trigger) :]
        if self._tail == self._trigger:
            self._inner = self._begin(left - len(tokens))
            tokens = tokens + self._inner.begin(left - len(tokens))
            self._end_of_inner()
        return tokens

    def _end_of_inner(self) -> None:
        if self._again and self.is_complete:
            self._inner, self._tail = None, []


def _allowed(bias: bytes, size: int) -> torch.Tensor:
    """Which of so many ids may follow, from a byte for each that the grammar knows."""
    known = torch.frombuffer(bytearray(bias), dtype=torch.uint8)[:size].bool()
    return torch.nn.functional.pad(known, (0, size - known.shape[0]))
