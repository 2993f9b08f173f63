"""Which jobs run: first come, first served, at most `slots` at once, with a bounded queue behind them."""

from __future__ import annotations

from collections import deque

from ambidex.errors import Overloaded

from .job import Job


class Scheduler:
    """Waiting and running jobs. Not thread-safe: the engine holds its lock around each call."""

    def __init__(self, *, slots: int = 8, queue: int = 256) -> None:
        self._slots = slots
        self._queue = queue
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []

    def add(self, job: Job) -> None:
        """Raises `Overloaded` when the queue is full."""
        if len(self._waiting) >= self._queue:
            raise Overloaded(
                f"The engine is busy: {len(self._running)} requests run and {len(self._waiting)} wait, "
                "which is all it takes. Try again later, or ask for less at once."
            )
        self._waiting.append(job)

    def schedule(self) -> list[Job]:
        """The jobs to advance by one step each, in the order in which they came."""
        while self._waiting and len(self._running) < self._slots:
            self._running.append(self._waiting.popleft())
        return list(self._running)

    def remove(self, job: Job) -> None:
        """The job has ended."""
        if job in self._running:
            self._running.remove(job)
        elif job in self._waiting:
            self._waiting.remove(job)

    def cancelled(self) -> list[Job]:
        """Waiting jobs that need not start."""
        return [job for job in self._waiting if job.cancelled]

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._running

    def clear(self) -> list[Job]:
        """All jobs, taken out."""
        everything = [*self._running, *self._waiting]
        self._running.clear()
        self._waiting.clear()
        return everything
