"""`Limiter`: how many requests of one backend are under way, and how many begin in a minute.

It stands before httpx's connection pool, in which no request of ours ever waits: an async request that is cancelled
while it waits there blocks the pool for good (encode/httpcore#1093).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future

from ambidex.errors import DeadlineExceeded, StreamInterrupted

from .cancelling import Cancelling

BURST_SECONDS = 6.0
"""A backend that was idle may begin so many seconds' worth of requests at once."""


class Limiter:
    """First come, first served; None is no limit. Thread-safe, and threads and tasks may wait side by side."""

    def __init__(self, max_concurrency: int | None = None, max_per_minute: float | None = None) -> None:
        self._max = max_concurrency
        self._free = max_concurrency or 0
        self._waiting: deque[Future[None]] = deque()
        self._interval = 0.0 if max_per_minute is None else 60.0 / max_per_minute
        self._next = 0.0
        self._lock = threading.Lock()

    def enter(self, seconds: float, cancelling: Cancelling) -> None:
        """Waits so long for a place; `leave` gives it back. Raises `DeadlineExceeded`, or `StreamInterrupted`."""
        place = self._ask()
        if place is None:
            return
        try:
            with cancelling.woken_by(lambda: self._give_up(place)):
                place.result(max(0.0, seconds))
        except TimeoutError:
            if not self._withdraw(place):
                raise self._no_place(seconds) from None
        except BaseException:
            if self._withdraw(place):
                self.leave()
            raise

    async def aenter(self, seconds: float, cancelling: Cancelling) -> None:
        """The async twin of `enter`."""
        place = self._ask()
        if place is None:
            return
        try:
            with cancelling.woken_by(lambda: self._give_up(place)):
                async with asyncio.timeout(max(0.0, seconds)):
                    await asyncio.shield(asyncio.wrap_future(place))
        except TimeoutError:
            if not self._withdraw(place):
                raise self._no_place(seconds) from None
        except BaseException:
            if self._withdraw(place):
                self.leave()
            raise

    def leave(self) -> None:
        """Gives the place to who waits longest."""
        if self._max is None:
            return
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set_result(None)
            else:
                self._free += 1

    def delay(self, now: float) -> float:
        """Takes the next beginning; the seconds until then. `now` is on a clock that never goes back."""
        if not self._interval:
            return 0.0
        with self._lock:
            earliest = now - max(0.0, BURST_SECONDS - self._interval)
            begin = max(self._next, earliest)
            self._next = begin + self._interval
        return max(0.0, begin - now)

    def _ask(self) -> Future[None] | None:
        """None: there was a place. Else what is done as soon as there is one."""
        if self._max is None:
            return None
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            place: Future[None] = Future()
            self._waiting.append(place)
            return place

    def _give_up(self, place: Future[None]) -> None:
        """Whoever waits for it is told that the stream was cancelled, unless the place came first."""
        with self._lock:
            if not place.done():
                self._waiting.remove(place)
                place.set_exception(StreamInterrupted("The stream was cancelled.", phase="connect", sent=False))

    def _withdraw(self, place: Future[None]) -> bool:
        """No longer waits; whether the place had come meanwhile."""
        with self._lock:
            if place.done():
                return place.exception() is None
            self._waiting.remove(place)
            return False

    def _no_place(self, seconds: float) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"All {self._max} requests that this backend may have under way (max_concurrency) stayed so for "
            f"{seconds:.3g} s; nothing was sent. Close streams that nobody reads, or allow more.",
            kind="pool",
            limit=seconds,
        )
