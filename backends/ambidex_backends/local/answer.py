"""From the engine's outputs to events: the text goes through the format's parser, the end becomes `Finished`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ambidex.accumulator import Accumulator
from ambidex.backend import Observer, notify
from ambidex.events import Event, Finished, StepTraced, TextDelta, TokenScored, ToolCalled
from ambidex.formats import Parser
from ambidex.reply import Choice
from ambidex.request import Request

from .outbox import Outbox
from .outputs import End, Ending, Output, Piece, Traced
from .runtime import Runtime


class Answer:
    """The events of one request. `parser` makes what reads a choice's text; None: the text is passed on as it is."""

    def __init__(self, model: str, parser: Callable[[], Parser] | None, observe: Observer | None) -> None:
        self._model = model
        self._make_parser = parser
        self._parsers: dict[int, Parser] = {}
        self._observe = observe
        self._so_far = Accumulator()
        self._called: set[int] = set()  # choices that call a tool
        self.ended = False

    def read(self, output: Output) -> list[Event]:
        """The events of the engine's next output. Raises it if it is an error."""
        match output:
            case Piece(text, logprob, choice):
                scored: list[Event] = [TokenScored(logprob, choice)] if logprob is not None else []
                events = self._seen(scored + self._text(text, choice))
            case Traced(trace, choice):
                events = self._seen([StepTraced(trace, choice)])
            case End():
                self.ended = True
                rest = self._seen([event for choice in range(len(output.endings)) for event in self._close(choice)])
                events = [*rest, self._finished(output)]
            case _:
                self.ended = True
                notify(self._observe, output)
                raise output
        for event in events:
            notify(self._observe, event)
        return events

    def _text(self, text: str, choice: int) -> list[Event]:
        if not text:
            return []
        parser = self._parser(choice)
        return [TextDelta(text, choice)] if parser is None else _of_choice(parser.feed(text), choice)

    def _close(self, choice: int) -> list[Event]:
        parser = self._parser(choice)
        return [] if parser is None else _of_choice(parser.close(), choice)

    def _parser(self, choice: int) -> Parser | None:
        if choice not in self._parsers and self._make_parser is not None:
            self._parsers[choice] = self._make_parser()
        return self._parsers.get(choice)

    def _seen(self, events: list[Event]) -> list[Event]:
        for event in events:
            self._so_far.add(event)
            if isinstance(event, ToolCalled):
                self._called.add(event.choice)
        return events

    def _finished(self, end: End) -> Finished:
        choices = tuple(self._choice(index, ending) for index, ending in enumerate(end.endings))
        return Finished(choices, end.usage, end.timings, model=self._model)

    def _choice(self, index: int, ending: Ending) -> Choice:
        reason = "tool_calls" if ending.reason == "stop" and index in self._called else ending.reason
        return self._so_far.choice(
            reason, index=index, raw=ending.reason, stop_sequence=ending.stop_sequence, score=ending.score
        )


def _of_choice(events: list[Event], choice: int) -> list[Event]:
    """A parser's events, as those of this choice."""
    return [replace(event, choice=choice) for event in events] if choice else events


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
