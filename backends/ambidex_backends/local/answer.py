"""From the engine's outputs to events: the text goes through the format's parser, the end becomes `Finished`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable

from ambidex.accumulator import Accumulator
from ambidex.backend import Observer, notify
from ambidex.events import Event, Finished, TextDelta, TokenScored, ToolCalled
from ambidex.formats import Parser
from ambidex.request import Request

from .outbox import Outbox
from .outputs import End, Output, Piece
from .runtime import Runtime


class Answer:
    """The events of one request. `parser` is None for raw prompts, whose text is passed on as it is."""

    def __init__(self, model: str, parser: Parser | None, observe: Observer | None) -> None:
        self._model = model
        self._parser = parser
        self._observe = observe
        self._so_far = Accumulator()
        self._called = False
        self.ended = False

    def read(self, output: Output) -> list[Event]:
        """The events of the engine's next output. Raises it if it is an error."""
        match output:
            case Piece(text, logprob):
                scored: list[Event] = [TokenScored(logprob)] if logprob is not None else []
                events = self._seen(scored + self._text(text))
            case End():
                self.ended = True
                rest = self._seen(self._parser.close() if self._parser is not None else [])
                events = [*rest, self._finished(output)]
            case _:
                self.ended = True
                notify(self._observe, output)
                raise output
        for event in events:
            notify(self._observe, event)
        return events

    def _text(self, text: str) -> list[Event]:
        if not text:
            return []
        return [TextDelta(text)] if self._parser is None else self._parser.feed(text)

    def _seen(self, events: list[Event]) -> list[Event]:
        for event in events:
            self._so_far.add(event)
            self._called = self._called or isinstance(event, ToolCalled)
        return events

    def _finished(self, end: End) -> Finished:
        reason = "tool_calls" if end.reason == "stop" and self._called else end.reason
        choice = self._so_far.choice(reason, raw=end.reason, stop_sequence=end.stop_sequence)
        return Finished((choice,), end.usage, end.timings, model=self._model)


class AnswerSource:
    """Submits a request to the engine and iterates over its events, in the caller's thread.

    `in_bulk`: the reader wants the whole, so it is woken rarely.
    """

    def __init__(self, runtime: Runtime, request: Request, observe: Observer | None, *, in_bulk: bool = False) -> None:
        prompt = runtime.prompt(request)
        self._something_came = threading.Event()
        self._outbox = Outbox(self._something_came.set, in_bulk=in_bulk)
        self._ready: deque[Event] = deque()
        self._answer = Answer(runtime.name, prompt.parser, observe)
        self._engine = runtime.engine
        self._job = runtime.submit(request, prompt, self._outbox)

    def __iter__(self) -> AnswerSource:
        return self

    def __next__(self) -> Event:
        while not self._ready:
            if self._answer.ended:
                raise StopIteration
            while (output := self._outbox.take()) is None:
                self._something_came.wait()
                self._something_came.clear()
            self._ready.extend(self._answer.read(output))
        return self._ready.popleft()

    def cancel(self) -> None:
        """The answer ends within one decoding step. From any thread."""
        self._engine.cancel(self._job)

    def close(self) -> None:
        if not self._answer.ended:
            self.cancel()


class AsyncAnswerSource:
    """The async twin of `AnswerSource`. The engine holds nothing of it, so that a dropped one is collected."""

    def __init__(self, runtime: Runtime, request: Request, observe: Observer | None, *, in_bulk: bool = False) -> None:
        prompt = runtime.prompt(request)
        self._something_came = asyncio.Event()
        self._outbox = outbox_of_a_loop(self._something_came.set, in_bulk=in_bulk)
        self._ready: deque[Event] = deque()
        self._answer = Answer(runtime.name, prompt.parser, observe)
        self._engine = runtime.engine
        self._job = runtime.submit(request, prompt, self._outbox)
        weakref.finalize(self, self._engine.cancel, self._job).atexit = False

    def __aiter__(self) -> AsyncAnswerSource:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            if self._answer.ended:
                raise StopAsyncIteration
            while (output := self._outbox.take()) is None:
                await self._something_came.wait()
                self._something_came.clear()
            self._ready.extend(self._answer.read(output))
        return self._ready.popleft()

    def cancel(self) -> None:
        """The answer ends within one decoding step. From any thread."""
        self._engine.cancel(self._job)

    async def aclose(self) -> None:
        if not self._answer.ended:
            self.cancel()


def outbox_of_a_loop(ready: Callable[[], object], *, in_bulk: bool) -> Outbox:
    """An outbox whose reader is a task of the running event loop; gone when that loop is closed."""
    loop = asyncio.get_running_loop()

    def call() -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody listens any more
            loop.call_soon_threadsafe(ready)

    return Outbox(call, loop.is_closed, in_bulk=in_bulk)
