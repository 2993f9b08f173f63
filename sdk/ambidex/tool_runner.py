"""Runs the calls of one answer: sync tools in threads, async tools on an event loop, several at a time.

A sync agent runs async tools on a background loop; an async agent runs sync tools in threads. Context variables of
the caller are seen by every tool. A thread cannot be stopped: a tool whose time is over is no longer waited for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import inspect
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future
from dataclasses import dataclass
from typing import Any, TypeVar

from .agent_events import ToolReturned, ToolStarted
from .errors import ToolArgumentsInvalid, ToolError, UnknownTool
from .messages import ToolCall, ToolResult
from .run_record import StepRecord, off_loop
from .stop_signal import StopSignal
from .tool_batch import ToolBatch, failed
from .tools import Tool, result_parts

T = TypeVar("T")
AnyFuture = TypeVar("AnyFuture", Future[ToolResult], asyncio.Task[ToolResult])


@dataclass(frozen=True, slots=True)
class ToolRunner:
    """The tools of an agent, and how they are run."""

    tools: dict[str, Tool[..., Any]]
    strict_calls: bool
    parallel: bool
    tool_timeout: float | None

    def run(
        self, record: StepRecord, deadline: float | None, stop: StopSignal
    ) -> Generator[ToolStarted | ToolReturned, None, tuple[ToolResult, ...]]:
        """Runs `record.calls`. Yields as they start and return; the results in the order of the calls.

        Ends early, with an error for each call that has not returned, at `deadline` or when `stop` is requested.
        """
        batch = self._batch(record.calls, deadline)
        running: dict[Future[ToolResult], ToolCall] = {}
        try:
            while not batch.is_done:
                while not stop.is_requested and (call := batch.next_call()) is not None:
                    yield ToolStarted(call)
                    if not stop.is_requested:
                        batch.started(call, time.monotonic())
                        running[self._start(call, record)] = call
                wait = batch.seconds_to_wait(time.monotonic())
                waited_for: list[concurrent.futures.Future[Any]] = [*running, stop.requested]
                concurrent.futures.wait(waited_for, wait, FIRST_COMPLETED)
                # All as of now: how slowly events are read changes nothing.
                now = time.monotonic()
                events = self._returned(batch, running, now)
                for call, late in batch.overdue(now):
                    events.append(batch.returned(call, record.returned(call, late), now))
                self._give_up(batch, running, stop, now)
                yield from events
        finally:
            for future in running:
                future.cancel()
        return batch.results

    async def arun(
        self, record: StepRecord, deadline: float | None, stop: StopSignal
    ) -> AsyncGenerator[ToolStarted | ToolReturned | tuple[ToolResult, ...], None]:
        """The async twin of `run`; the results are its last item. Awaits the end of what it cancels."""
        batch = self._batch(record.calls, deadline)
        running: dict[asyncio.Task[ToolResult], ToolCall] = {}
        stopped = _future_of(stop)
        try:
            while not batch.is_done:
                while not stop.is_requested and (call := batch.next_call()) is not None:
                    yield ToolStarted(call)
                    if not stop.is_requested:
                        batch.started(call, time.monotonic())
                        running[asyncio.create_task(self._acall(call, record))] = call
                wait = batch.seconds_to_wait(time.monotonic())
                waited_for: list[asyncio.Future[Any]] = [*running, stopped]
                await asyncio.wait(waited_for, timeout=wait, return_when=FIRST_COMPLETED)
                now = time.monotonic()
                events = self._returned(batch, running, now)
                for call, late in batch.overdue(now):
                    kept = await off_loop(record, functools.partial(record.returned, call, late))
                    events.append(batch.returned(call, kept, now))
                self._give_up(batch, running, stop, now)
                for event in events:
                    yield event
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
                for task in running:
                    _ = task.cancelled() or task.exception()  # seen, so that asyncio logs none that nobody awaits
        yield batch.results

    def _returned(self, batch: ToolBatch, running: dict[AnyFuture, ToolCall], now: float) -> list[ToolReturned]:
        """Takes what is done. Raises what the journal raised; a tool's own exceptions are results."""
        done = [future for future in running if future.done()]
        return [batch.returned(running.pop(future), future.result(), now) for future in done]

    def _give_up(self, batch: ToolBatch, running: dict[AnyFuture, ToolCall], stop: StopSignal, now: float) -> None:
        """Lets go of what is late, and of everything where the run is over."""
        for future in [future for future, call in running.items() if batch.has_result(call)]:
            del running[future]
            future.cancel()  # stops an async tool; a thread goes on, and nobody waits for it
        if stop.is_requested or batch.is_out_of_time(now):
            batch.abandon()

    def _batch(self, calls: Sequence[ToolCall], deadline: float | None) -> ToolBatch:
        return ToolBatch(calls, parallel=self.parallel, tool_timeout=self.tool_timeout, deadline=deadline)

    def _start(self, call: ToolCall, record: StepRecord) -> Future[ToolResult]:
        """Runs the call: on the background loop where its tool is async, here if alone, else in a thread."""
        tool = self.tools.get(call.name)
        if tool is not None and tool.is_async:
            return _on_background_loop(self._acall(call, record))
        if not self.parallel and self.tool_timeout is None:
            done: Future[ToolResult] = Future()
            done.set_result(self._call(call, record))
            return done
        return in_thread(lambda: self._call(call, record))

    def _call(self, call: ToolCall, record: StepRecord, loop: asyncio.AbstractEventLoop | None = None) -> ToolResult:
        """What the model is told of the call; an awaitable that the tool returns is awaited on `loop`.

        Raises only what the journal raises, and then the tool did not run or its result is not told.
        """
        try:
            tool, arguments = self._bound(call)
        except Exception as error:
            return record.returned(call, failed(call, _told(error)))
        try:
            record.started(call)
            try:
                value = tool(**arguments)
                if inspect.isawaitable(value):
                    waiting = _awaited(value)
                    future = asyncio.run_coroutine_threadsafe(waiting, loop) if loop else _on_background_loop(waiting)
                    value = future.result()
                result = ToolResult(call.id, call.name, *result_parts(value))
            except asyncio.CancelledError:
                result = failed(call, "The tool was cancelled from inside.")
            except Exception as error:
                result = failed(call, _told(error))
            return record.returned(call, result)
        finally:
            record.left(call)

    async def _acall(self, call: ToolCall, record: StepRecord) -> ToolResult:
        """The async twin of `_call`, which a sync tool is left to, in a thread."""
        tool = self.tools.get(call.name)
        if tool is None or not tool.is_async:
            loop = asyncio.get_running_loop()
            return await asyncio.wrap_future(in_thread(lambda: self._call(call, record, loop)))
        try:
            tool, arguments = self._bound(call)
        except Exception as error:
            told = failed(call, _told(error))
            return await off_loop(record, lambda: record.returned(call, told))
        try:
            await off_loop(record, lambda: record.started(call))
            try:
                value = await tool(**arguments)
                result = ToolResult(call.id, call.name, *result_parts(value))
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                result = failed(call, "The tool was cancelled from inside.")
            except Exception as error:
                result = failed(call, _told(error))
            return await off_loop(record, lambda: record.returned(call, result))
        finally:
            record.left(call)

    def _bound(self, call: ToolCall) -> tuple[Tool[..., Any], dict[str, Any]]:
        """The tool to run and its arguments, rebuilt to their types. Raises `ToolError`s, before anything is run."""
        tool = self._tool(call)
        return tool, tool.bind(call.arguments)

    def _tool(self, call: ToolCall) -> Tool[..., Any]:
        """The tool to run. Raises `UnknownTool`, and `ToolArgumentsInvalid` for a repaired call where that is asked."""
        tool = self.tools.get(call.name)
        if tool is None:
            names = ", ".join(self.tools) or "none"
            raise UnknownTool(f"There is no tool named {call.name!r}. The tools are: {names}.")
        if self.strict_calls and call.repaired:
            raise ToolArgumentsInvalid(f"The call to {call.name!r} was malformed and not run. Write it as valid JSON.")
        return tool


def in_thread(function: Callable[[], T]) -> Future[T]:
    """Runs it in a daemon thread of its own, in a copy of the caller's context; an exception goes to the future."""
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(context.run(function))
            except BaseException as error:
                future.set_exception(error)

    threading.Thread(target=work, name="ambidex-tool", daemon=True).start()
    return future


def _future_of(stop: StopSignal) -> asyncio.Future[None]:
    """Done on this event loop when a stop is requested, from whichever thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def set_it() -> None:
        if not future.done():
            future.set_result(None)

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(set_it)

    stop.tell(wake)
    return future


def _told(error: Exception) -> str:
    """What the model is told: a ToolError's message as it is, else the type and the message."""
    return error.message if isinstance(error, ToolError) else f"{type(error).__name__}: {error}"


async def _awaited(value: Awaitable[T]) -> T:
    return await value


_depth = contextvars.ContextVar("ambidex-depth", default=0)
"""In how many async tools of sync agents this is running, whatever threads are between."""


def _on_background_loop(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Runs it on a loop that no tool around it holds up: an async tool may itself run a sync agent and wait for it."""
    depth = _depth.get()
    context = contextvars.copy_context()
    context.run(_depth.set, depth + 1)
    return context.run(asyncio.run_coroutine_threadsafe, coroutine, _background_loops(depth))


class _BackgroundLoops:
    """Event loops in daemon threads for all async tools of sync agents, one a depth; started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loops: dict[int, tuple[asyncio.AbstractEventLoop, threading.Thread]] = {}

    def __call__(self, depth: int) -> asyncio.AbstractEventLoop:
        with self._lock:
            # A forked process has the loop, but not the thread.
            if depth not in self._loops or not self._loops[depth][1].is_alive():
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_run_always, args=(loop,), name="ambidex-async-tools", daemon=True)
                thread.start()
                self._loops[depth] = loop, thread
            return self._loops[depth][0]


def _run_always(loop: asyncio.AbstractEventLoop) -> None:
    """A tool that exits or is interrupted ends `run_forever`: the exception is its caller's, the loop is for all."""
    while True:
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            loop.run_forever()


_background_loops = _BackgroundLoops()
