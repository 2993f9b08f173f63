"""`AsyncAgent`: the async twin of `Agent`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Self

from typing_extensions import TypeVar

from .agent_events import AgentEvent, AgentFinished, AgentResult, StepStarted
from .agent_settings import AgentSettings
from .agent_step import AgentRun
from .agent_stream import AsyncAgentStream, RunWatcher
from .backend import notify
from .events import Finished
from .journal import Settlement
from .messages import Message
from .option_names import refuses_unknown_options
from .run_record import RunRecord, off_loop
from .stop_signal import StopSignal
from .structured_stream import open_async_answer
from .threaded_stream import open_async

T = TypeVar("T", default=None)


@refuses_unknown_options()
class AsyncAgent(AgentSettings[T]):
    """As `Agent`, with await and async for. Async tools run as tasks, sync tools in threads.

    Cancelling the task that runs it cancels the request and the async tools under way.
    """

    async def run(self, task: str | Sequence[Message], *, run_id: str | None = None) -> AgentResult[T]:
        """See `Agent.run`."""
        return await _finished(self.stream(task, run_id=run_id))

    async def resume(self, run_id: str, *, settle: Sequence[Settlement] = ()) -> AgentResult[T]:
        """See `Agent.resume`."""
        return await _finished(self.resume_stream(run_id, settle=settle))

    def stream(self, task: str | Sequence[Message], *, run_id: str | None = None) -> AsyncAgentStream[T]:
        """As `run`, event by event; a plain function. See `Agent.stream`."""
        return self._stream(*self._new_run(task, run_id))

    def resume_stream(self, run_id: str, *, settle: Sequence[Settlement] = ()) -> AsyncAgentStream[T]:
        """As `resume`, event by event; a plain function. See `Agent.resume_stream`."""
        return self._stream(*self._resumed_run(run_id, settle))

    def _stream(self, run: AgentRun, record: RunRecord) -> AsyncAgentStream[T]:
        stop = StopSignal()
        watcher = RunWatcher(run, record, self._observe)
        return AsyncAgentStream(self._steps(run, record, stop), on_cancel=stop.request, watcher=watcher)

    async def _steps(self, run: AgentRun, record: RunRecord, stop: StopSignal) -> AsyncIterator[AgentEvent]:
        await off_loop(record, lambda: record.open(run))
        while run.stopped == "unfinished":
            if run.calls:
                step = record.step(run, self._is_idempotent)
                run.check_limits(time.monotonic())
                async with aclosing(self._runner.arun(step, run.deadline, stop)) as items:
                    async for item in items:
                        if isinstance(item, tuple):
                            run.returned([*step.known, *item])
                        else:
                            yield item
            if stop.is_requested:
                run.stopped = "cancelled"
                break
            async with aclosing(self._step(run, record, stop)) as events:
                async for event in events:
                    yield event
        await off_loop(record, lambda: record.ended(run))
        yield AgentFinished(run.result())

    async def _step(self, run: AgentRun, record: RunRecord, stop: StopSignal) -> AsyncGenerator[AgentEvent, None]:
        request = run.request(time.monotonic())
        tokens = await asyncio.to_thread(self._prompt_tokens, request) if self._limits.count_tokens else None
        request = run.bounded(request, tokens, self._backend.capabilities.context_length)
        yield StepStarted(len(run.steps) + 1)
        notify(self._observe, request)
        try:
            opened = open_async if request.output is None else open_async_answer
            async with opened(self._backend, request) as stream:
                stop.tell(stream.cancel)
                async for event in stream:
                    if isinstance(event, Finished):
                        await off_loop(record, functools.partial(record.answered, run, event))
                    yield run.take(event, time.monotonic())
        except Exception as error:
            failure = run.failure(error, time.monotonic())
            raise failure from (error if failure is not error else error.__cause__)

    async def close(self) -> None:
        """Closes the backend if the agent connected it. May be called again."""
        owned, self._owns_backend = self._owns_backend, False
        close = getattr(self._backend, "aclose", None) or getattr(self._backend, "close", None)
        if not owned or close is None:
            return
        if inspect.iscoroutinefunction(close):
            await close()
        else:
            await asyncio.to_thread(close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _finished(stream: AsyncAgentStream[T]) -> AgentResult[T]:
    async with stream:
        async for _ in stream:
            pass
    return stream.result
