"""What a server said about itself, kept for a time. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic

from typing_extensions import TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """`value` is the last that was learnt, however old: better than nothing while the server does not answer.

    `is_due` says whether to ask: `seconds` after it was learnt, `pause` after a question that stayed without an answer.
    """

    def __init__(self, seconds: float, *, pause: float, now: Callable[[], float] = time.monotonic) -> None:
        self.value: T | None = None
        self._seconds = seconds
        self._pause = pause
        self._now = now
        self._asks_again = now()

    @property
    def is_due(self) -> bool:
        return self._now() >= self._asks_again

    def learn(self, value: T) -> None:
        self.value = value
        self._asks_again = self._now() + self._seconds

    def forgo(self) -> None:
        self._asks_again = self._now() + self._pause

    def expire(self) -> None:
        """Whoever needs it next asks anew."""
        self._asks_again = self._now()
