"""When a request was made, started, and gave its first token."""

from __future__ import annotations

import time

from ambidex.reply import Timings


class Stopwatch:
    """Begins to run when made."""

    def __init__(self) -> None:
        self.created = time.monotonic()
        self.started: float | None = None
        self._first_token: float | None = None

    def start(self) -> None:
        """The request left the queue."""
        self.started = time.monotonic()

    def token(self) -> None:
        """A token was picked."""
        if self._first_token is None:
            self._first_token = time.monotonic()

    @property
    def timings(self) -> Timings:
        """Until now."""
        return Timings(
            queued=None if self.started is None else self.started - self.created,
            first_token=None if self._first_token is None else self._first_token - self.created,
            total=time.monotonic() - self.created,
        )
