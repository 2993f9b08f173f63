"""The decoding loop, on one thread: for each running sequence, logits -> processors -> draw -> detokenise -> stop.

A language model is autoregressive: one forward pass scores every token of the vocabulary as the next one, a strategy
picks one, it becomes input, until an end token, a stop sequence or a limit. The prompt is computed first (prefill),
in chunks, so that a long one neither stops the other sequences nor delays a cancel.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from transformers.cache_utils import Cache

from ambidex.errors import (
    AmbidexError,
    BackendClosed,
    ConfigError,
    DeadlineExceeded,
    EngineError,
    NonFiniteLogits,
    OutOfMemory,
)
from ambidex.reply import FinishReason, TokenLogprob

from .cache import KVCache, PrefixStore
from .scheduler import Scheduler
from .sequence import Piece, Sequence

PREFILL_CHUNK = 512
"""Prompt tokens computed in one forward pass."""

IDLE_SECONDS = 5.0
"""How long the thread waits for work before it ends; the next request starts it again."""

Forward = Callable[[torch.Tensor, Cache], torch.Tensor]
"""`(ids [1, T], cache) -> logits [V]` of the last position, float32; appends T positions to the cache."""


class Engine:
    """Runs sequences over one model. `submit` and `cancel` may be called from any thread."""

    def __init__(
        self,
        forward: Forward,
        describe: Callable[[int], tuple[str, bytes]],
        *,
        device: torch.device,
        new_cache: Callable[[], Cache],
        prefixes: PrefixStore | None,
    ) -> None:
        self._forward = forward
        self._describe = describe  # id -> text and bytes, for log probabilities
        self._device = device
        self._new_cache = new_cache
        self._scheduler = Scheduler()
        self._prefixes = prefixes  # None: this architecture's caches cannot be cut back to a prefix
        self._work = threading.Condition()
        self._thread: threading.Thread | None = None
        self._workers = ThreadPoolExecutor(1, thread_name_prefix="ambidex-masks")
        self._closed = False
        self._process = os.getpid()
        _engines.add(self)

    def submit(self, sequence: Sequence) -> None:
        """Raises `BackendClosed`, `Overloaded`, or `ConfigError` in a forked child."""
        if os.getpid() != self._process:
            raise ConfigError(
                "The model was loaded before this process was forked: connect again in the child process."
            )
        with self._work:
            if self._closed:
                raise BackendClosed("The backend is closed: connect again.")
            self._scheduler.add(sequence)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ambidex-engine", daemon=True)
                self._thread.start()
            self._work.notify()

    def cancel(self, sequence: Sequence) -> None:
        """The sequence ends with "cancelled" within one step."""
        sequence.cancelled = True
        with self._work:
            self._work.notify()

    def close(self) -> None:
        """Ends all sequences with `BackendClosed`, then the thread; frees the caches."""
        with self._work:
            self._closed = True
            thread = self._thread
            self._work.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._workers.shutdown()
        if self._prefixes is not None:
            self._prefixes.clear()

    def _run(self) -> None:
        while True:
            with self._work:
                if self._scheduler.idle and not self._closed:
                    self._work.wait(IDLE_SECONDS)
                if self._closed or self._scheduler.idle:
                    self._thread = None
                    ended = self._scheduler.clear()
                    break
                sequences = [*self._scheduler.schedule(), *self._scheduler.cancelled()]
            for sequence in sequences:
                self._advance(sequence)
        for sequence in ended:
            sequence.emit(BackendClosed("The backend was closed while it answered."))

    def _advance(self, sequence: Sequence) -> None:
        """One step of one sequence: a chunk of its prompt, or its next token."""
        try:
            reason = self._step(sequence)
        except AmbidexError as error:
            self._drop(sequence, error)
        except torch.OutOfMemoryError as error:
            if self._prefixes is not None:
                self._prefixes.clear()
            self._drop(sequence, OutOfMemory(f"No memory left on {self._device} for this request: {error}"))
        except Exception as error:
            failure = EngineError(f"The model failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._drop(sequence, failure)
        else:
            if reason is not None:
                self._finish(sequence, reason)

    @torch.inference_mode()
    def _step(self, sequence: Sequence) -> FinishReason | None:
        if sequence.cancelled:
            return "cancelled"
        if time.monotonic() > sequence.deadline:
            limit = sequence.seconds
            raise DeadlineExceeded(
                f"The answer took longer than its {limit:g} s; set timeout=.", kind="total", limit=limit
            )
        if sequence.cache is None and (reason := self._start(sequence)) is not None:
            return reason
        chunk = sequence.ids[sequence.computed : sequence.computed + PREFILL_CHUNK]
        assert sequence.cache is not None
        is_last = sequence.computed + len(chunk) == len(sequence.ids)
        if is_last and sequence.constraint is not None and not sequence.forced:
            sequence.constraint.prepare(self._workers)
        logits = self._forward(torch.tensor([chunk], device=self._device), sequence.cache)
        sequence.computed += len(chunk)
        return self._next_token(sequence, logits) if is_last else None

    def _start(self, sequence: Sequence) -> FinishReason | None:
        """Why the sequence ends before it has begun, if all of it is known beforehand."""
        sequence.started = time.monotonic()
        while sequence.forced and sequence.logprobs is None:
            if (reason := self._take(sequence, sequence.forced.popleft(), None)) is not None:
                return reason
        kept = None if self._prefixes is None else self._prefixes.take(sequence.ids)
        sequence.cache = self._new_cache() if kept is None else kept
        sequence.computed = sequence.cached = 0 if kept is None else kept.length
        return None if sequence.forced else sequence.form_ends_with

    def _next_token(self, sequence: Sequence, logits: torch.Tensor) -> FinishReason | None:
        """Picks the token after `logits` [V]; why the sequence ends with it, if it does."""
        if not math.isfinite(float(logits.max())):
            step = sequence.new_tokens
            raise NonFiniteLogits(
                f"The model's logits are not finite at step {step}: its weights or dtype overflow.", step=step
            )
        if not sequence.forced:
            sequence.forced.extend(self._pick(sequence, logits))
        if not sequence.forced:
            return sequence.form_ends_with
        token = sequence.forced.popleft()
        if sequence.first_token is None:
            sequence.first_token = time.monotonic()
        scored = None if sequence.logprobs is None else self._score(logits, token, sequence.logprobs)
        reason = self._take(sequence, token, scored)
        while reason is None and sequence.forced and scored is None:
            reason = self._take(sequence, sequence.forced.popleft(), None)
        return reason if sequence.forced else sequence.form_ends_with or reason

    def _pick(self, sequence: Sequence, logits: torch.Tensor) -> list[int]:
        """Draws a token; what the answer goes on with: it and what a constraint adds, or nothing more."""
        constraint = sequence.constraint
        if constraint is None:
            return [sequence.sampler.pick(logits, sequence.ids)]
        drawn = sequence.sampler.pick(constraint.masked(logits), sequence.ids)
        return constraint.take(drawn, sequence.tokens_left)

    def _take(self, sequence: Sequence, token: int, scored: TokenLogprob | None) -> FinishReason | None:
        """The answer goes on with this token; why it ends with it, if it does."""
        sequence.ids.append(token)
        if token in sequence.ends:
            if scored is not None:
                sequence.emit(Piece("", scored))
            return "stop"
        text = sequence.stops.push(sequence.detokenizer.push(token))
        if text or scored is not None:
            sequence.emit(Piece(text, scored))
        if sequence.stops.matched is not None:
            return "stop"
        return "length" if sequence.new_tokens >= sequence.max_tokens else None

    def _score(self, logits: torch.Tensor, token: int, alternatives: int) -> TokenLogprob:
        """Natural-log probabilities of the raw softmax over float32 logits [V]."""
        logprobs = torch.log_softmax(logits, dim=-1)
        best = torch.topk(logprobs, min(alternatives, logprobs.shape[-1]))
        top = tuple(
            TokenLogprob(*self._describe(id), id, value)
            for id, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        )
        return TokenLogprob(*self._describe(token), token, float(logprobs[token]), top)

    def _finish(self, sequence: Sequence, reason: FinishReason) -> None:
        if rest := sequence.stops.push(sequence.detokenizer.flush()) + sequence.stops.flush():
            sequence.emit(Piece(rest))
        if reason == "length" and sequence.stops.matched is not None:
            reason = "stop"
        self._release(sequence)
        sequence.emit(sequence.end(reason))

    def _drop(self, sequence: Sequence, error: AmbidexError) -> None:
        self._release(sequence)
        sequence.emit(error)

    def _release(self, sequence: Sequence) -> None:
        """Takes the sequence out; its cache is kept for what continues it."""
        with self._work:
            self._scheduler.remove(sequence)
        if isinstance(sequence.cache, KVCache) and self._prefixes is not None:
            self._prefixes.put(sequence.ids, sequence.cache)
        sequence.cache = None


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _close_all(*_: Any) -> None:
    """A thread inside PyTorch must not meet the interpreter's end."""
    for engine in list(_engines):
        engine.close()


atexit.register(_close_all)
