"""`Circuit`: whether a backend that failed a moment ago is asked as usual or left in peace. No I/O."""

from __future__ import annotations

import threading
from collections.abc import Callable

LONGEST_REST = 60.0
"""Seconds; a server may ask for a longer pause, but is then tried again all the same."""


class Circuit:
    """Closed: asked as usual. Open, for `cooldown` seconds after a failure: it rests. Then half-open: one request
    tries it, and while that one has not come back, others leave it in peace for another `cooldown`.

    `clock` gives seconds and never goes back. Thread-safe.
    """

    def __init__(self, cooldown: float, clock: Callable[[], float]) -> None:
        self._cooldown = cooldown
        self._clock = clock
        self._rests_until: float | None = None
        self._lock = threading.Lock()

    @property
    def rests_until(self) -> float | None:
        """By the clock; None: it does not rest."""
        return self._rests_until

    def admits(self) -> bool:
        """Whether to ask it now. The request that is told so after a rest is the one that tries."""
        with self._lock:
            if self._rests_until is None:
                return True
            now = self._clock()
            if now < self._rests_until:
                return False
            self._rests_until = now + self._cooldown
            return True

    def answered(self) -> None:
        """It works."""
        with self._lock:
            self._rests_until = None

    def failed(self, retry_after: float | None = None) -> None:
        """It does not, and may have said how long."""
        seconds = max(self._cooldown, min(retry_after or 0.0, LONGEST_REST))
        with self._lock:
            self._rests_until = self._clock() + seconds
