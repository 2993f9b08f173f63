"""The decoding loop, on one thread: for all running jobs together, one forward pass, then each one's next token.

A language model is autoregressive: one forward pass scores every token of the vocabulary as the next one, a strategy
picks one, it becomes input, until an end token, a stop sequence or a limit. Jobs join and leave at every step.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from ambidex.errors import AmbidexError, BackendClosed, ConfigError, DeadlineExceeded, EngineError, OutOfMemory
from ambidex.reply import FinishReason

from .job import Job
from .model import Model, Span
from .scheduler import Scheduler

IDLE_SECONDS = 5.0
"""How long the thread waits for work before it ends; the next request starts it again."""

Asked: TypeAlias = tuple[Job, list[Span]]


class Engine:
    """Runs jobs over one model. `submit` and `cancel` may be called from any thread."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._scheduler = Scheduler()
        self._work = threading.Condition()
        self._thread: threading.Thread | None = None
        self._workers = ThreadPoolExecutor(1, thread_name_prefix="ambidex-masks")
        self._closed = False
        self._process = os.getpid()
        _engines.add(self)

    def submit(self, job: Job) -> None:
        """Raises `BackendClosed`, `Overloaded`, or `ConfigError` in a forked child."""
        if os.getpid() != self._process:
            raise ConfigError(
                "The model was loaded before this process was forked: connect again in the child process."
            )
        with self._work:
            if self._closed:
                raise BackendClosed("The backend is closed: connect again.")
            self._scheduler.add(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ambidex-engine", daemon=True)
                self._thread.start()
            self._work.notify()

    def cancel(self, job: Job) -> None:
        """The job ends with "cancelled" within one step."""
        job.cancelled = True
        with self._work:
            self._work.notify()

    def close(self) -> None:
        """Ends all jobs with `BackendClosed`, then the thread; frees the caches."""
        with self._work:
            self._closed = True
            thread = self._thread
            self._work.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._workers.shutdown()
        self._model.clear()

    def _run(self) -> None:
        while (jobs := self._next_jobs()) is not None:
            self._step(jobs)

    def _next_jobs(self) -> list[Job] | None:
        """What is to be advanced by one step; None when the thread ends."""
        with self._work:
            if self._scheduler.idle and not self._closed:
                self._work.wait(IDLE_SECONDS)
            if not self._closed and not self._scheduler.idle:
                return [*self._scheduler.schedule(), *self._scheduler.cancelled()]
            self._thread = None
            ended = self._scheduler.clear()
        for job in ended:
            job.release(self._model)
            job.emit(BackendClosed("The backend was closed while it answered."))
        return None

    @torch.inference_mode()
    def _step(self, jobs: list[Job]) -> None:
        """One forward pass for all of them. A job that fails ends with its error; the others go on."""
        asked: list[Asked] = []
        for job in jobs:
            with self._errors_of(job):
                if spans := self._spans(job):
                    asked.append((job, spans))
        for batch in [asked] if self._model.can_rewind else [[one] for one in asked]:
            for job, logits in self._forward(batch):
                with self._errors_of(job):
                    if (reason := job.advance(logits)) is not None:
                        self._finish(job, reason)

    def _spans(self, job: Job) -> list[Span]:
        """What the job wants computed; nothing when it has ended."""
        reason: FinishReason | None = "cancelled" if job.cancelled else None
        if reason is None and time.monotonic() > job.deadline:
            limit = job.seconds
            raise DeadlineExceeded(
                f"The answer took longer than its {limit:g} s; set timeout=.", kind="total", limit=limit
            )
        if reason is None and not job.is_started:
            reason = job.start(self._model)
        if reason is None:
            return job.spans(self._workers)
        self._finish(job, reason)
        return []

    def _forward(self, asked: list[Asked]) -> list[tuple[Job, list[torch.Tensor]]]:
        """The jobs with their spans' logits. If the pass fails, each gets one of its own: it may be one job's fault."""
        spans = [span for _, spans in asked for span in spans]
        lengths = [span.cache.length for span in spans]
        if len(asked) > 1:
            try:
                logits = iter(self._model.forward(spans))
                return [(job, [next(logits) for _ in spans]) for job, spans in asked]
            except Exception:
                for span, length in zip(spans, lengths, strict=True):
                    span.cache.truncate(length)
        alone: list[tuple[Job, list[torch.Tensor]]] = []
        for job, spans in asked:
            with self._errors_of(job):
                alone.append((job, self._model.forward(spans)))
        return alone

    @contextmanager
    def _errors_of(self, job: Job) -> Generator[None]:
        """Whatever is raised within ends the job, as our error."""
        try:
            yield
        except AmbidexError as error:
            self._drop(job, error)
        except torch.OutOfMemoryError as error:
            self._model.clear()
            self._drop(job, OutOfMemory(f"No memory left for this request: {error}"))
        except Exception as error:
            failure = EngineError(f"The model failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._drop(job, failure)

    def _finish(self, job: Job, reason: FinishReason) -> None:
        self._release(job)
        job.finish(reason)

    def _drop(self, job: Job, error: AmbidexError) -> None:
        self._release(job)
        job.emit(error)

    def _release(self, job: Job) -> None:
        """Takes the job out; its caches may be kept for what continues it."""
        with self._work:
            self._scheduler.remove(job)
        job.release(self._model)


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _close_all(*_: Any) -> None:
    """A thread inside PyTorch must not meet the interpreter's end."""
    for engine in list(_engines):
        engine.close()


atexit.register(_close_all)
