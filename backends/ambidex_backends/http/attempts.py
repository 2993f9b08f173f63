"""The tries of one request: how often, after which waits, within one limit of time; and the handle that ends them."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from contextlib import suppress

from ambidex.backend import Observer, Retrying, notify
from ambidex.errors import AmbidexError, StreamInterrupted, TransportError

from .call import Call, Timeouts
from .cancelling import Cancelling
from .limiter import Limiter
from .retry import Budget, again, seconds_to_wait


class Attempts(Cancelling):
    """`begin` a try, make its exchanges with `new_call`, and ask `may_go_on` about the error it ends in.

    wait  seconds before the next try
    call  the exchange that is under way, or was the last

    Thread-safe where another thread has business: `request` to end it.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        seconds: float,
        *,
        most: int,
        budget: Budget,
        limiter: Limiter,
        observe: Observer | None,
    ) -> None:
        """`seconds` is the limit for all tries and the waits between them together."""
        super().__init__()
        self.wait = limiter.delay(time.monotonic())
        self._seconds = seconds
        self._began = time.monotonic()
        self._number = 0
        self._most = most
        self._once = False
        self._timeouts = timeouts
        self._budget = budget
        self._limiter = limiter
        self._observe = observe
        self.call = Call(timeouts, seconds, self._began)

    @property
    def remaining(self) -> float:
        """Seconds that are left in all."""
        return self._began + self._seconds - time.monotonic()

    def begin(self) -> None:
        """The next try begins, after its wait. Raises the error of a cancelled stream."""
        if self.wait > 0.0:
            awake = threading.Event()
            with self.woken_by(awake.set):
                awake.wait(self.wait)
        self._count()

    async def abegin(self) -> None:
        """The async twin of `begin`."""
        if self.wait > 0.0:
            with suppress(TimeoutError):
                async with self.timeout(self.wait):
                    await asyncio.Event().wait()
        self._count()

    def new_call(self) -> Call:
        """For one exchange of this try: there are several where something must be asked first."""
        call = self.call = Call(self._timeouts, self._seconds, self._began)
        if self.is_requested:
            call.request()
        return call

    def may_go_on(self, error: AmbidexError) -> bool:
        """Whether the next try may begin, in `wait` seconds; else `error` is the last word."""
        error.attempts = max(1, self._number)
        if self.call.lost_idle_connection and isinstance(error, TransportError) and not self.is_requested:
            self._number -= 1  # nothing was tried
            self.wait = 0.0
            return True
        wait = self._wait_after(error)
        if wait is None:
            return False
        self.wait = wait + self._limiter.delay(time.monotonic() + wait)
        notify(self._observe, Retrying(error, self._number + 1, self.wait))
        return True

    def succeeded(self) -> None:
        """The server works: part of what tries have cost comes back."""
        self._budget.succeeded()

    def request(self) -> None:
        """Ends every wait at once. From any thread."""
        super().request()
        self.call.request()

    def _count(self) -> None:
        if self.is_requested:
            raise StreamInterrupted("The stream was cancelled.", phase="read", sent=True)
        self._number += 1

    def _wait_after(self, error: AmbidexError) -> float | None:
        says = self.call.server_says_retry
        kind = again(error) if says is None else "yes" if says else "no"
        if kind == "no" or self.is_requested or self._number >= self._most or (kind == "once" and self._once):
            return None
        wait = seconds_to_wait(error, self._number, random.random())
        if wait is None or wait >= self.remaining or not self._budget.spend():
            return None
        self._once = self._once or kind == "once"
        return wait
