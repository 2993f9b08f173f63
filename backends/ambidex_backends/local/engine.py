"""The decoding loop, on one thread: for all running jobs together, one forward pass, then each one's next token.

A language model is autoregressive: one forward pass scores every token of the vocabulary as the next one, a strategy
picks one, it becomes input, until an end token, a stop sequence or a limit. Jobs join and leave at every step.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from ambidex.errors import AmbidexError, BackendClosed, ConfigError, EngineError, OutOfMemory
from ambidex.reply import FinishReason

from .engine_options import EngineOptions
from .job import Job
from .model import Model, Span
from .out_of_memory import is_out_of_memory
from .prefill import Prefill
from .scheduler import Scheduler

_log = logging.getLogger("ambidex")

IDLE_SECONDS = 5.0
"""How long the thread waits for work before it ends; the next request starts it again."""

Asked: TypeAlias = tuple[Job, list[Span]]
Ending: TypeAlias = tuple[Job, FinishReason | AmbidexError]


class Engine:
    """Runs jobs over one model. `submit` and `cancel` may be called from any thread."""

    def __init__(self, model: Model, options: EngineOptions | None = None, beside: Sequence[Model] = ()) -> None:
        """`beside`: other models that jobs ask, whose caches go with the first one's."""
        options = options or EngineOptions()
        self._model = model
        self._beside = tuple(beside)
        self._scheduler = Scheduler(options)
        self._prefill = Prefill(options.prefill_tokens, deterministic=options.deterministic)
        self._work = threading.Condition()
        self._thread: threading.Thread | None = None
        self._workers = ThreadPoolExecutor(1, thread_name_prefix="ambidex-masks")
        self._closed = False
        self._process = os.getpid()
        _engines.add(self)

    def submit(self, job: Job) -> None:
        """Raises `BackendClosed`, `Overloaded`, or `ConfigError` where `check_caller` does."""
        self.check_caller()
        with self._work:
            if self._closed:
                raise BackendClosed("The backend is closed: connect again.")
            self._scheduler.add(job)
            job.emit.when_room(self._wake)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ambidex-engine", daemon=True)
                self._thread.start()
            self._work.notify()

    def check_caller(self) -> None:
        """Raises `ConfigError` in a forked child, and in the engine's own thread, which would wait for itself."""
        if os.getpid() != self._process:
            raise ConfigError(
                "The model was loaded before this process was forked: connect again in the child process."
            )
        if threading.current_thread() is self._thread:
            raise ConfigError(
                "A logits processor asked the backend that it runs in, which cannot answer meanwhile: "
                "ask another backend, or ask before."
            )

    def cancel(self, job: Job) -> None:
        """The job ends with "cancelled" within one step."""
        job.cancelled = True
        self._wake()

    def close(self) -> None:
        """Ends all jobs with `BackendClosed`, then the thread; frees the caches."""
        if os.getpid() != self._process:
            return  # a forked child has neither the thread nor, maybe, the lock: they are its parent's
        with self._work:
            self._closed = True
            thread = self._thread
            self._work.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._workers.shutdown()
        self._clear()

    def _wake(self) -> None:
        if os.getpid() == self._process:
            with self._work:
                self._work.notify()

    @torch.inference_mode()
    def _run(self) -> None:
        try:
            while (turn := self._next_turn()) is not None:
                ending, jobs = turn
                for job, why in ending:
                    with self._errors_of(job):
                        self._end(job, why)
                if jobs:
                    self._step(jobs)
                self._rest()
        except BaseException as error:
            _log.exception("The engine's thread ended by an error; the next request starts another.")
            self._end_all(error)

    def _next_turn(self) -> tuple[list[Ending], list[Job]] | None:
        """Which jobs end now, and which are to be advanced by one step; None when the thread ends."""
        with self._work:
            while not self._closed:
                now = time.monotonic()
                if ending := self._scheduler.ending(now):
                    return ending, []
                if jobs := self._scheduler.schedule(now):
                    return [], jobs
                wait = self._scheduler.seconds_to_wait(now)
                wait = IDLE_SECONDS if wait is None else min(wait, threading.TIMEOUT_MAX)
                if not self._work.wait(wait) and self._scheduler.idle:
                    break
            self._thread = None
            ended = self._scheduler.clear()
        for job in ended:
            self._end(job, BackendClosed("The backend was closed while it answered."))
        return None

    def _end_all(self, error: BaseException) -> None:
        """Nobody waits for a thread that is gone: its jobs end first, also those that come meanwhile."""
        while True:
            with self._work:
                ended = self._scheduler.clear()
                if not ended:
                    self._thread = None
                    return
            for job in ended:
                self._end(job, self._as_ours(error))

    def _rest(self) -> None:
        """Between requests the model gets ready for the next one, bit by bit, until there is one."""
        while self._is_idle() and self._model.prepare():
            pass

    def _is_idle(self) -> bool:
        with self._work:
            return self._scheduler.idle and not self._closed

    def _clear(self) -> None:
        """Frees what the models keep."""
        for model in (self._model, *self._beside):
            model.clear()

    def _step(self, jobs: list[Job]) -> None:
        """One forward pass for all of them. A job that fails ends with its error; the others go on."""
        jobs = [job for job in jobs if self._is_started(job)]
        sizes = self._prefill.sizes(jobs)
        asked: list[Asked] = []
        for job, size in zip(jobs, sizes, strict=True):
            if size:
                with self._errors_of(job):
                    asked.append((job, job.spans(self._workers, size)))
        began = time.monotonic()
        for batch in [asked] if self._model.can_rewind else [[one] for one in asked]:
            for job, logits in self._forward(batch):
                with self._errors_of(job):
                    if (reason := job.advance(logits)) is not None:
                        self._end(job, reason)
        self._prefill.took(time.monotonic() - began, sizes)

    def _is_started(self, job: Job) -> bool:
        """Starts it if need be; false when it has ended with that."""
        with self._errors_of(job):
            reason = None if job.is_started else job.start(self._model)
            if reason is None:
                return True
            self._end(job, reason)
        return False

    def _forward(self, asked: list[Asked]) -> list[tuple[Job, list[torch.Tensor]]]:
        """The jobs with their spans' logits. If the pass fails, each gets one of its own: it may be one job's fault."""
        spans = [span for _, spans in asked for span in spans]
        lengths = [span.cache.length for span in spans]
        if len(asked) > 1:
            try:
                logits = iter(self._model.forward(spans))
                return [(job, [next(logits) for _ in spans]) for job, spans in asked]
            except Exception as error:
                _log.warning("A pass over %d requests failed, each gets one of its own: %r", len(asked), error)
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
            self._end(job, error)
        except BaseException as error:  # also SystemExit: it would end the thread, and all jobs would wait for ever
            self._end(job, self._as_ours(error))

    def _as_ours(self, error: BaseException) -> AmbidexError:
        if is_out_of_memory(error):
            self._clear()
            return OutOfMemory(f"No memory left for this request: {error}")
        failure = EngineError(f"The model failed: {type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure

    def _end(self, job: Job, why: FinishReason | AmbidexError) -> None:
        """Takes the job out, gives its caches back and emits its end."""
        with self._work:
            self._scheduler.remove(job)
        try:
            job.release(self._model)
        except Exception:
            _log.exception("The cache of an answer could not be kept.")
        if isinstance(why, AmbidexError):
            job.emit(why)
        else:
            job.finish(why)


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _close_all(*_: Any) -> None:
    """A thread inside PyTorch must not meet the interpreter's end."""
    for engine in list(_engines):
        engine.close()


atexit.register(_close_all)
