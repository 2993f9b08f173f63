"""`Cancelling`: asked for once, from any thread, it ends the wait that is under way, and every later one. No I/O."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeAlias

Wake: TypeAlias = "Callable[[], object]"
"""Ends a wait at once; called from any thread, perhaps when the wait has just ended."""


class Cancelling:
    """`request` it; who waits does so inside of `woken_by`, for one thing at a time."""

    def __init__(self) -> None:
        self.is_requested = False
        self._lock = threading.Lock()
        self._wake: Wake | None = None

    def request(self) -> None:
        with self._lock:
            self.is_requested = True
            wake = self._wake
        if wake is not None:
            wake()

    @contextmanager
    def woken_by(self, wake: Wake) -> Generator[None]:
        """A wait, which `wake` ends; at once, if it was asked for before."""
        with self._lock:
            self._wake = wake
            is_late = self.is_requested
        if is_late:
            wake()
        try:
            yield
        finally:
            with self._lock:
                self._wake = None

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncGenerator[None]:
        """What is awaited inside of it ends in `TimeoutError` after so long, and when it is asked for.

        Not asyncio.wait_for, which on Python 3.11 swallows a cancel that comes when what it waits for is just done.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds) as limit:

            def end() -> None:
                with suppress(RuntimeError):  # it has ended by itself meanwhile
                    limit.reschedule(loop.time())

            def wake() -> None:
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(end)

            with self.woken_by(wake):
                yield
