"""`AsyncAgent`: the async twin of `Agent`."""

from __future__ import annotations

import asyncio
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
from .messages import Message
from .option_names import refuses_unknown_options
from .stop_signal import StopSignal
from .threaded_stream import open_async

T = TypeVar("T", default=None)


@refuses_unknown_options()
class AsyncAgent(AgentSettings[T]):
    """As `Agent`, with await and async for. Async tools run as tasks, sync tools in threads.

    Cancelling the task that runs it cancels the request and the async tools under way.
    """

    async def run(self, task: str | Sequence[Message]) -> AgentResult[T]:
        """See `Agent.run`."""
        async with self.stream(task) as stream:
            async for _ in stream:
                pass
        return stream.result

    def stream(self, task: str | Sequence[Message]) -> AsyncAgentStream[T]:
        """As `run`, event by event; a plain function. See `Agent.stream`."""
        run = self._new_run(task)
        stop = StopSignal()
        watcher = RunWatcher(run, self._observe)
        return AsyncAgentStream(self._steps(run, stop), on_cancel=stop.request, watcher=watcher)

    async def _steps(self, run: AgentRun, stop: StopSignal) -> AsyncIterator[AgentEvent]:
        while run.stopped == "unfinished":
            if run.calls:
                run.check_limits(time.monotonic())
                async with aclosing(self._runner.arun(run.calls, run.deadline, stop)) as items:
                    async for item in items:
                        if isinstance(item, tuple):
                            run.returned(item)
                        else:
                            yield item
            if stop.is_requested:
                run.stopped = "cancelled"
                break
            async with aclosing(self._step(run, stop)) as events:
                async for event in events:
                    yield event
        yield AgentFinished(run.result())

    async def _step(self, run: AgentRun, stop: StopSignal) -> AsyncGenerator[AgentEvent, None]:
        request = run.request(time.monotonic())
        yield StepStarted(len(run.steps) + 1)
        notify(self._observe, request)
        try:
            async with open_async(self._backend, request) as stream:
                stop.tell(stream.cancel)
                async for event in stream:
                    yield run.take(event, request, time.monotonic())
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
