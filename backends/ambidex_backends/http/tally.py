"""`Tally`: how much one answer holds so far, against its limits. No I/O."""

from __future__ import annotations

from ambidex.errors import LimitExceeded
from ambidex.events import Event, ReasoningDelta, TextDelta, TokenScored, ToolCallDelta

from .limits import Limits


class Tally:
    """`count` every event of the answer. Raises `LimitExceeded` for the one that is too much."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = 0
        self._parts = 0
        self._scores = 0
        self._last: type[Event] | None = None

    def count(self, event: Event) -> None:
        kind = type(event)
        if kind is TextDelta or kind is ReasoningDelta:
            assert isinstance(event, (TextDelta, ReasoningDelta))
            self._count_bytes(event.text)
            if kind is not self._last:
                self._last = kind
                self._parts += 1
                if self._parts > self._limits.answer_parts:
                    raise exceeded("answer_parts", self._limits.answer_parts, "parts of text and reasoning")
        elif isinstance(event, ToolCallDelta):
            self._count_bytes(event.json)
        elif isinstance(event, TokenScored):
            self._scores += 1 + len(event.logprob.top)
            if self._scores > self._limits.scores:
                raise exceeded("scores", self._limits.scores, "log probabilities")

    def _count_bytes(self, text: str) -> None:
        self._bytes += len(text) if text.isascii() else len(text.encode())
        if self._bytes > self._limits.answer_bytes:
            raise exceeded("answer_bytes", self._limits.answer_bytes, "bytes")


def exceeded(name: str, limit: int, of_what: str) -> LimitExceeded:
    """Beyond a limit that a caller can set."""
    return LimitExceeded(
        f"The answer holds more than {limit} {of_what}; reading stopped. limits=Limits({name}=...) allows more.",
        name=name,
        limit=limit,
    )
