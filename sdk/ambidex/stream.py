"""`EventStream`: the one thing that a backend, a chat and an agent answer with, and its async twin.

A stream ends in `Finished` or raises one of our errors with `.partial`; after either, it is exhausted and closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, cast

from typing_extensions import TypeVar

from .accumulator import Accumulator
from .errors import AmbidexError, EngineError, IncompleteResponse, OutputInvalid
from .events import Event, Finished, TextDelta
from .output import validate
from .reply import Reply

E = TypeVar("E", default=Event)
T = TypeVar("T", default=Any)


class Watcher(Generic[E]):
    """Sits inside a stream: sees every event before the reader does, and learns how it ended."""

    def accept(self, event: E) -> E:
        """What the reader gets for `event`; raises to end the stream in an error."""
        return event

    def failed(self, error: AmbidexError) -> None:
        """The stream ends in this error."""

    def closed(self) -> None:
        """The stream is over, however it ended. May be called again."""


class StreamState(Generic[E]):
    """What both twins share: the reply so far, and how a stream ends."""

    def __init__(self, on_cancel: Callable[[], None] | None, watcher: Watcher[E] | None, output: Any = None) -> None:
        self._output = output
        self._watcher: Watcher[E] = Watcher() if watcher is None else watcher
        self._so_far = Accumulator()
        self._on_cancel = on_cancel
        self._cancelled = False
        self._ended = False

    @property
    def reply(self) -> Reply[Any]:
        """The reply: partial until the stream has ended in `Finished`."""
        return self._so_far.reply()

    def cancel(self) -> None:
        """Ends the stream in `Finished("cancelled")`. May be called from any thread, more than once."""
        self._cancelled = True
        if self._on_cancel is not None and not self._ended:
            self._on_cancel()

    def _must_stop(self) -> bool:
        """Whether a cancelled stream ends here; a source with `on_cancel` ends by itself."""
        return self._cancelled and self._on_cancel is None

    def _ends(self, event: E) -> bool:
        """Whether this event is the stream's last one."""
        return isinstance(event, Finished)

    def _accept(self, event: E) -> E:
        if self._ends(event):
            self._ended = True
            if isinstance(event, Finished):
                ended = self._so_far.cancelled(event) if self._cancelled else with_fitting_value(event, self._output)
                event = cast(E, ended)
        event = self._watcher.accept(event)
        self._so_far.add(cast(Event, event))
        return event

    def _cancelled_end(self) -> E:
        return self._accept(cast(E, self._so_far.cancelled()))

    def _failure(self, error: Exception) -> AmbidexError:
        """The error to raise instead: ours, with the partial reply."""
        failure = as_ambidex_error(error)
        if failure.partial is None:
            failure.partial = self.reply
        self._watcher.failed(failure)
        return failure

    def _cut_off(self) -> AmbidexError:
        return IncompleteResponse(
            "The stream ended without a finish reason: the answer was cut off. What came is in .partial.",
            partial=self.reply,
        )


class EventStream(StreamState[E]):
    """Iterates over events; a context manager. Breaking out of a `for` loop closes it.

    `source` yields events, the last of them `Finished`. `on_cancel`, if given, makes the source end soon (called
    from any thread); without it a cancelled source is closed before its next event. `output` is the request's: the
    last event gets a value of it, where the answer's text is one.

    start  has a source that asks a server ask now, and wait until the answer begins; else the first event does that.
           What goes wrong is raised by the next event. Of a source that is asked already it does nothing.
    """

    def __init__(
        self,
        source: Iterator[E],
        *,
        on_cancel: Callable[[], None] | None = None,
        watcher: Watcher[E] | None = None,
        output: Any = None,
    ) -> None:
        super().__init__(on_cancel, watcher, output)
        self._source = source
        # The source's own, however many streams it is wrapped in: that keeps the way to the network short.
        self.start: Callable[[], None] = getattr(source, "start", _is_started)
        self._is_new = True

    def __next__(self) -> E:
        if self._ended:
            raise StopIteration
        if self._must_stop():
            self.close()
            return self._cancelled_end()
        try:
            if self._is_new:
                self._is_new = False
                self.start()
            event = self._accept(next(self._source))
        except StopIteration:
            self.close()
            if self._cancelled:
                return self._cancelled_end()
            raise self._failure(self._cut_off()) from None
        except Exception as error:
            self.close()
            if self._cancelled:
                return self._cancelled_end()
            failure = self._failure(error)
            raise failure from failure.__cause__
        except BaseException:
            self.close()
            raise
        if self._ended:
            self.close()
        return event

    def __iter__(self) -> Iterator[E]:
        try:
            while not self._ended:
                yield self.__next__()
        finally:
            self.close()

    @property
    def text(self) -> Iterator[str]:
        """The text pieces of choice 0 only."""
        for event in self:
            if piece := _text_of(event):
                yield piece

    def close(self) -> None:
        """Releases what the stream holds; a stream that had not ended is over. May be called again."""
        self._ended = True
        self._watcher.closed()
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def __del__(self) -> None:
        if not self._ended:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncEventStream(StreamState[E]):
    """The async twin of `EventStream`: `async for`, `async with`, `await stream.close()`.

    Leaving a loop ends the stream at once; what the source holds is released as soon as the event loop runs.
    """

    def __init__(
        self,
        source: AsyncIterator[E],
        *,
        on_cancel: Callable[[], None] | None = None,
        watcher: Watcher[E] | None = None,
        output: Any = None,
    ) -> None:
        super().__init__(on_cancel, watcher, output)
        self._source = source
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __anext__(self) -> E:
        if self._ended:
            raise StopAsyncIteration
        self._loop = asyncio.get_running_loop()
        if self._must_stop():
            await self.close()
            return self._cancelled_end()
        try:
            event = self._accept(await anext(self._source))
        except StopAsyncIteration:
            await self.close()
            if self._cancelled:
                return self._cancelled_end()
            raise self._failure(self._cut_off()) from None
        except Exception as error:
            await self.close()
            if self._cancelled:
                return self._cancelled_end()
            failure = self._failure(error)
            raise failure from failure.__cause__
        except BaseException:
            await self.close()
            raise
        if self._ended:
            await self.close()
        return event

    def __aiter__(self) -> AsyncIterator[E]:
        return _Reading(self, lambda event: event, self._let_go)

    @property
    def text(self) -> AsyncIterator[str]:
        """The text pieces of choice 0 only."""
        return _Reading(self, _text_of, self._let_go)

    async def close(self) -> None:
        """Releases what the stream holds; a stream that had not ended is over. May be called again."""
        self._ended = True
        self._watcher.closed()
        close = getattr(self._source, "aclose", None)
        if close is not None:
            result = close()
            if inspect.isawaitable(result):
                await result

    aclose = close

    def _let_go(self) -> None:
        """As `close`, where nobody can wait: the event loop that read the source closes it."""
        if self._ended:
            return
        self._ended = True
        self._watcher.closed()
        loop = self._loop
        if loop is None or loop.is_closed():
            if self._on_cancel is not None:
                self._on_cancel()
        elif asyncio._get_running_loop() is loop:  # a task of now begins, though the loop may be about to end
            loop.create_task(self.close())
        else:
            loop.call_soon_threadsafe(lambda: loop.create_task(self.close()))

    def __del__(self) -> None:
        self._let_go()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Reading(Generic[T]):
    """What one `async for` reads of a stream. Who leaves it drops this; an async generator would be told too late."""

    def __init__(self, stream: AsyncEventStream[E], pick: Callable[[E], T | None], let_go: Callable[[], None]) -> None:
        self._stream = stream
        self._pick = pick
        self._let_go = let_go
        self._began = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        self._began = True
        while (item := self._pick(await anext(self._stream))) is None:
            pass
        return item

    async def aclose(self) -> None:
        await self._stream.close()

    def __del__(self) -> None:
        if self._began:
            self._let_go()


def _text_of(event: object) -> str | None:
    return event.text or None if isinstance(event, TextDelta) and event.choice == 0 else None


def with_fitting_value(event: Finished, output: Any) -> Finished:
    """The end of an answer, with its value where its text is one of type `output`; what calls a tool has none yet."""
    choice = event.choices[0]
    if output is None or event.value is not None or choice.message.tool_calls or choice.finish_reason == "cancelled":
        return event
    with contextlib.suppress(OutputInvalid):
        return dataclasses.replace(event, value=validate(choice.message.text, output))
    return event


def _is_started() -> None:
    pass


def as_ambidex_error(error: Exception) -> AmbidexError:
    """The error itself if it is ours, else one that says what the backend raised."""
    if isinstance(error, AmbidexError):
        return error
    failure = EngineError(f"The backend failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def collect(stream: EventStream[Any]) -> Reply[Any]:
    """Reads the stream to its end; the whole reply. Raises what the stream raises."""
    with stream:
        stream.start()
        for _ in stream:
            pass
    return stream.reply


async def acollect(stream: AsyncEventStream[Any]) -> Reply[Any]:
    """The async twin of `collect`."""
    async with stream:
        async for _ in stream:
            pass
    return stream.reply
