"""The streams of a `StructuredAnswer`: one backend, asked until its answer is a value. Sync and async, thin twins."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from .backend import Backend, Observer, notify
from .events import Event
from .request import Request
from .stream import AsyncEventStream, EventStream
from .structured_answer import StructuredAnswer
from .threaded_stream import open_async

S = TypeVar("S", bound=EventStream | AsyncEventStream)


class _Tries(Generic[S]):
    """One try after the other, each a stream that `begin` opens. `observe` is told of every request but the first."""

    def __init__(self, begin: Callable[[Request], S], answer: StructuredAnswer, observe: Observer | None) -> None:
        self._begin = begin
        self._answer = answer
        self._observe = observe
        self._ready: deque[Event] = deque()
        self._stream: S | None = None
        self._cancelled = False
        self._asked = 0

    def open(self) -> S:
        """The stream of the try under way. Raises what the backend raises."""
        while self._stream is None:
            request = self._answer.request
            if self._asked:
                notify(self._observe, request)
            self._asked += 1
            try:
                self._stream = self._begin(request)
            except Exception as error:
                if not self._answer.refused(error):
                    raise
        if self._cancelled:  # meanwhile, by another thread
            self._stream.cancel()
        return self._stream

    def cancel(self) -> None:
        """Ends the answer, or the search for one. From any thread."""
        self._cancelled = True
        if (stream := self._stream) is not None:
            stream.cancel()


class StructuredSource(_Tries[EventStream]):
    """What an `EventStream` reads."""

    def __iter__(self) -> StructuredSource:
        return self

    def __next__(self) -> Event:
        while not self._ready:
            if self._cancelled and self._stream is None:
                raise StopIteration
            try:
                event = next(self.open())
            except StopIteration:
                raise
            except Exception as error:
                if self._cancelled or not self._answer.refused(error):
                    raise
            else:
                self._ready.extend(self._answer.take(event))
            if self._answer.asks_again:
                self._close_stream()
        return self._ready.popleft()

    def close(self) -> None:
        self._close_stream()

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class AsyncStructuredSource(_Tries[AsyncEventStream]):
    """The async twin of `StructuredSource`."""

    def __aiter__(self) -> AsyncStructuredSource:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            if self._cancelled and self._stream is None:
                raise StopAsyncIteration
            try:
                event = await anext(self.open())
            except StopAsyncIteration:
                raise
            except Exception as error:
                if self._cancelled or not self._answer.refused(error):
                    raise
            else:
                self._ready.extend(self._answer.take(event))
            if self._answer.asks_again:
                await self._close_stream()
        return self._ready.popleft()

    async def aclose(self) -> None:
        await self._close_stream()

    async def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()


def open_answer(
    backend: Backend, request: Request, *, tries: int | None = None, observe: Observer | None = None
) -> EventStream:
    """The answer to a request with `output`, of which a value is made in so many `tries` at most.

    `tries` None: the answer is not validated, for a caller who does that. Raises what the backend raises at once.
    """
    answer = StructuredAnswer(request, backend.capabilities, tries=tries)
    source = StructuredSource(backend.stream, answer, observe)
    source.open()
    return EventStream(source, on_cancel=source.cancel)


def open_async_answer(
    backend: Backend, request: Request, *, tries: int | None = None, observe: Observer | None = None
) -> AsyncEventStream:
    """The async twin of `open_answer`."""
    answer = StructuredAnswer(request, backend.capabilities, tries=tries)
    source = AsyncStructuredSource(partial(open_async, backend), answer, observe)
    source.open()
    return AsyncEventStream(source, on_cancel=source.cancel)
