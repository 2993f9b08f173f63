"""Which jobs run, which wait, and which must end: first come, first served, with a bounded queue behind `max_batch`."""

from __future__ import annotations

from collections import deque

from ambidex.errors import AmbidexError, DeadlineExceeded, Overloaded, ReaderStalled
from ambidex.reply import FinishReason

from .engine_options import EngineOptions
from .job import Job

OPEN_PER_SLOT = 2
"""Jobs that may be open for each that runs: those whose reader is behind keep their caches, and their place is free."""

SHARED = 64
"""A job waits for another that is about to compute at least so many ids which both begin with."""


class Scheduler:
    """Waiting and open jobs. Not thread-safe: the engine holds its lock around each call."""

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._waiting: deque[Job] = deque()
        self._open: list[Job] = []
        self._stalled: dict[int, float] = {}  # id of a job whose reader is behind: since when

    def add(self, job: Job) -> None:
        """Raises `Overloaded` when the queue is full."""
        if len(self._waiting) >= self._options.max_queue:
            raise Overloaded(
                f"The engine is busy: {len(self._open)} requests run and {len(self._waiting)} wait "
                f"(max_batch={self._options.max_batch}, max_queue={self._options.max_queue}), which is all it takes. "
                "Try again later, or ask for less at once: batch() submits its requests as room comes."
            )
        self._waiting.append(job)

    def schedule(self, now: float) -> list[Job]:
        """The jobs to advance by one step, in the order in which they came; those whose reader is behind pause."""
        self._look_at_readers(now)
        slots = self._options.max_batch
        running = [job for job in self._open if id(job) not in self._stalled][:slots]
        for job in list(self._waiting):
            if len(running) >= slots or len(self._open) >= OPEN_PER_SLOT * slots:
                break
            if not any(_computes_for(other, job) for other in running):
                self._waiting.remove(job)
                self._open.append(job)
                running.append(job)
        return running

    def ending(self, now: float) -> list[tuple[Job, FinishReason | AmbidexError]]:
        """The jobs that end now, whatever they were doing, and why."""
        jobs = [*self._open, *self._waiting]
        return [(job, why) for job in jobs if (why := self._reason(job, now)) is not None]

    def remove(self, job: Job) -> None:
        """The job has ended."""
        self._stalled.pop(id(job), None)
        if job in self._open:
            self._open.remove(job)
        elif job in self._waiting:
            self._waiting.remove(job)

    def seconds_to_wait(self, now: float) -> float | None:
        """When nothing is to be advanced: how long until a job must end; None when there is no job."""
        limits = [job.deadline for job in [*self._open, *self._waiting]]
        limits += [since + self._options.reader_timeout for since in self._stalled.values()]
        return max(0.0, min(limits) - now) if limits else None

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._open

    def clear(self) -> list[Job]:
        """All jobs, taken out."""
        everything = [*self._open, *self._waiting]
        self._open.clear()
        self._waiting.clear()
        self._stalled.clear()
        return everything

    def _look_at_readers(self, now: float) -> None:
        for job in self._open:
            if not job.emit.is_full:
                self._stalled.pop(id(job), None)
            else:
                self._stalled.setdefault(id(job), now)

    def _reason(self, job: Job, now: float) -> FinishReason | AmbidexError | None:
        if job.cancelled or job.emit.is_gone:
            return "cancelled"
        if now > job.deadline:
            limit = job.seconds
            where = "" if job.is_started else " It was still waiting for its turn."
            return DeadlineExceeded(
                f"The answer took longer than its {limit:g} s; set timeout=.{where}", kind="total", limit=limit
            )
        limit = self._options.reader_timeout
        if now > self._stalled.get(id(job), now) + limit and job.emit.is_full:
            return ReaderStalled(
                f"Nobody read the answer for {limit:g} s while it waited for its reader: read streams to their end or "
                "close them, or set reader_timeout=.",
                limit=limit,
            )
        return None


def _computes_for(other: Job, job: Job) -> bool:
    """Whether `other` is computing ids that `job` begins with too, and which `job` then finds in the cache."""
    start, end = other.computed, other.computed + SHARED
    if other.pending < SHARED or len(job.ids) <= end:
        return False
    return job.ids[start:end] == other.ids[start:end] and job.ids[:start] == other.ids[:start]
