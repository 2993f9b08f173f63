"""`Fallback`: a backend made of backends. Where one cannot answer, the next is asked."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .backend import Backend, Capabilities, Observer, notify
from .circuit import Circuit
from .conversation import connected
from .errors import AmbidexError, BackendClosed, ConfigError
from .events import Event
from .failover import Failover, Member
from .option_names import refuses_unknown_options
from .printable_address import printable_model
from .reply import Reply
from .request import DEFAULT_TIMEOUT, Request
from .stream import AsyncEventStream, EventStream, collect
from .threaded_stream import open_async

COOLDOWN = 10.0
"""Seconds for which a backend that is out of order is asked only after the others."""

BATCH_CONCURRENCY = 16
"""Requests of one `batch` that are under way at a time."""


@refuses_unknown_options(ConfigError)
class Fallback:
    """Several backends as one: they are asked in their order until one begins to answer.

        Fallback(["hf:openai/gpt-oss-120b", "hf:openai/gpt-oss-20b", "local:pocket"])

    backends  model strings, which are connected here and closed by `close`, or backends, which stay open
    on        given an error, says whether the next backend is asked; None: `CONSEQUENCES` says it
    cooldown  seconds for which a backend that is out of order is asked only after all others; then one request tries
              it. Longer, up to a minute, where the server said so (`retry_after`). 0: no rest
    timeout   seconds in all, over all backends, for requests that bring no `timeout` of their own
    observe   called with every request, `BackendAsked`, event and error
    clock     seconds that never go back; for tests

    Only what fails before its first event goes to the next backend: an answer that has begun is never continued by
    another. How often one backend is tried and how long it is waited for is its own affair (`max_attempts`,
    `first_event_timeout` of a server), within what is left of `timeout`. When all fail, the error is the first that
    may pass with time (else the first), and `.errors` has the others in the order in which they were asked.

    An option is honoured if one backend honours it, and so `capabilities` say; `context_length` is the smallest that
    is known, so that what fits may go to each. `Reply.model` is the model that answered. Thread-safe.
    """

    def __init__(
        self,
        backends: Iterable[str | Backend],
        *,
        on: Callable[[AmbidexError], bool] | None = None,
        cooldown: float = COOLDOWN,
        timeout: float = DEFAULT_TIMEOUT,
        observe: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in (("cooldown", cooldown), ("timeout", timeout)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ConfigError(f"{name} takes seconds, got {value!r}.", param=name)
        if on is not None and not callable(on):
            raise ConfigError(
                f"on takes a function that says of an error whether the next backend is asked, got {on!r}.", param="on"
            )
        if isinstance(backends, str) or not isinstance(backends, Iterable):
            raise ConfigError(
                f"Fallback takes several backends in a list, got {type(backends).__name__}.", param="backends"
            )
        self._on = on
        self._timeout = timeout
        self._observe = observe
        self._clock = clock
        self._closed = False
        self._members: list[Member] = []
        try:
            for backend in backends:
                self._members.append(_member(backend, Circuit(cooldown, clock)))
            if not self._members:
                raise ConfigError("Fallback takes at least one backend, got none.", param="backends")
        except BaseException:
            self.close()
            raise

    @property
    def capabilities(self) -> Capabilities:
        """What at least one of the backends can do."""
        return _together([member.backend.capabilities for member in self._members])

    def stream(self, request: Request, /) -> EventStream:
        """Raises what is known before the first event, when no backend is left to ask."""
        source = _Source(self._failover(request))
        source.open()
        return EventStream(source, on_cancel=source.cancel)

    def astream(self, request: Request, /) -> AsyncEventStream:
        """The async twin; the first backend is asked when the first event is."""
        source = _AsyncSource(self._failover(request))
        return AsyncEventStream(source, on_cancel=source.cancel)

    def batch(self, requests: Sequence[Request], /) -> list[Reply[Any] | AmbidexError]:
        """Each request's reply, or the error that it ended in, in their order; `BATCH_CONCURRENCY` at a time."""

        def reply(request: Request) -> Reply[Any] | AmbidexError:
            try:
                return collect(self.stream(request))
            except AmbidexError as error:
                return error

        with ThreadPoolExecutor(BATCH_CONCURRENCY, thread_name_prefix="ambidex-batch") as threads:
            return list(threads.map(reply, requests))

    def count(self, request: Request, /) -> int | None:
        """Tokens of the prompt, the most that one of the backends counts; None where none of them can say."""
        counted = [
            tokens
            for member in self._members
            if (count := getattr(member.backend, "count", None)) is not None
            if (tokens := count(request)) is not None
        ]
        return max(counted, default=None)

    def close(self) -> None:
        """Closes what was connected here; what was given stays open. May be called again."""
        for member in self._to_close():
            if (close := getattr(member.backend, "close", None)) is not None:
                close()

    async def aclose(self) -> None:
        """The async twin of `close`."""
        for member in self._to_close():
            close = getattr(member.backend, "aclose", None) or getattr(member.backend, "close", None)
            if inspect.iscoroutinefunction(close):
                await close()
            elif close is not None:
                await asyncio.to_thread(close)

    def __repr__(self) -> str:
        return f"Fallback([{', '.join(repr(member.name) for member in self._members)}])"

    def _to_close(self) -> list[Member]:
        was_closed, self._closed = self._closed, True
        return [] if was_closed else [member for member in self._members if member.is_ours]

    def _failover(self, request: Request) -> Failover:
        if self._closed:
            raise BackendClosed("This Fallback was closed: make another.")
        notify(self._observe, request)
        seconds = self._timeout if request.timeout is None else request.timeout
        return Failover(request, self._members, seconds, on=self._on, observe=self._observe, clock=self._clock)


class _Source:
    """What the `EventStream` reads."""

    def __init__(self, failover: Failover) -> None:
        self._failover = failover
        self._stream: EventStream | None = None
        self._cancelled = False

    def open(self) -> EventStream:
        """The stream of the first backend that takes the request."""
        while self._stream is None:
            backend, request = self._failover.take()
            try:
                self._stream = backend.stream(request)
            except Exception as problem:
                if self._cancelled:
                    raise
                self._failover.failed(problem)
        if self._cancelled:  # meanwhile, by another thread
            self._stream.cancel()
        return self._stream

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> Event:
        while self._stream is not None or not self._cancelled:
            stream = self.open()
            try:
                event = next(stream)
            except StopIteration:
                raise
            except Exception as problem:
                if self._cancelled:
                    raise
                self._failover.failed(problem)
                self._stream = None
            else:
                return self._failover.passed(event)
        raise StopIteration

    def cancel(self) -> None:
        """Ends the answer, or the search for one. From any thread."""
        self._cancelled = True
        if (stream := self._stream) is not None:
            stream.cancel()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


class _AsyncSource:
    """The async twin of `_Source`."""

    def __init__(self, failover: Failover) -> None:
        self._failover = failover
        self._stream: AsyncEventStream | None = None
        self._cancelled = False

    def open(self) -> AsyncEventStream:
        while self._stream is None:
            backend, request = self._failover.take()
            try:
                self._stream = open_async(backend, request)
            except Exception as problem:
                if self._cancelled:
                    raise
                self._failover.failed(problem)
        if self._cancelled:
            self._stream.cancel()
        return self._stream

    def __aiter__(self) -> _AsyncSource:
        return self

    async def __anext__(self) -> Event:
        while self._stream is not None or not self._cancelled:
            stream = self.open()
            try:
                event = await anext(stream)
            except StopAsyncIteration:
                raise
            except Exception as problem:
                if self._cancelled:
                    raise
                self._failover.failed(problem)
                self._stream = None
            else:
                return self._failover.passed(event)
        raise StopAsyncIteration

    def cancel(self) -> None:
        self._cancelled = True
        if (stream := self._stream) is not None:
            stream.cancel()

    async def aclose(self) -> None:
        if self._stream is not None:
            await self._stream.close()


def _member(backend: str | Backend, circuit: Circuit) -> Member:
    is_ours = isinstance(backend, str)
    name = printable_model(backend) if isinstance(backend, str) else type(backend).__name__
    return Member(name, connected(backend), is_ours, circuit)


def _together(every: Sequence[Capabilities]) -> Capabilities:
    """What one of them can, all can: the others raise `Unsupported`, and it is asked."""

    def joined(name: str) -> Any:
        values = [getattr(capabilities, name) for capabilities in every]
        known = [value for value in values if value is not None]
        if name == "context_length":
            return min(known, default=None)
        return True if True in known else None if len(known) < len(values) else False

    return Capabilities(**{field.name: joined(field.name) for field in dataclasses.fields(Capabilities)})
