"""Streams of backends that know no async, read from async code: in a thread of their own, never on the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

from .backend import Backend, FullBackend
from .events import Event
from .request import Request
from .stream import AsyncEventStream, EventStream


def open_async(backend: Backend, request: Request) -> AsyncEventStream:
    """The backend's own `astream`, or its `stream` read in a thread."""
    if hasattr(backend, "astream"):
        return cast(FullBackend, backend).astream(request)
    reader = ThreadedReader(lambda: backend.stream(request))
    return AsyncEventStream(reader, on_cancel=reader.cancel)


class ThreadedReader:
    """An async iterator over a blocking stream. One thread, so that a stream sees no other; started when first read."""

    def __init__(self, open_stream: Callable[[], EventStream]) -> None:
        self._open = open_stream
        self._stream: EventStream | None = None
        self._reading: Future[Event | None] | None = None
        self._cancelled = False
        self._thread: ThreadPoolExecutor | None = None

    def __aiter__(self) -> ThreadedReader:
        return self

    async def __anext__(self) -> Event:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="ambidex-stream")
        self._reading = self._thread.submit(contextvars.copy_context().run, self._read)
        event = await asyncio.wrap_future(self._reading)
        if event is None:
            raise StopAsyncIteration
        return event

    def cancel(self) -> None:
        """From any thread: the stream ends in `Finished("cancelled")` as soon as the backend lets it."""
        self._cancelled = True
        if self._stream is not None:
            self._stream.cancel()

    async def aclose(self) -> None:
        """Never waits for the backend: a read under way is cancelled, and the thread closes the stream after it."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._reading is not None and not self._reading.done():
            self.cancel()
        closing = thread.submit(self._close)
        thread.shutdown(wait=False)
        if self._reading is None or self._reading.done():
            await asyncio.wrap_future(closing)

    def _read(self) -> Event | None:
        if self._stream is None:
            self._stream = self._open()
            if self._cancelled:
                self._stream.cancel()
        return next(self._stream, None)

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
