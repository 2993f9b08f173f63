"""`Agent`: ask the model, run the tools that it calls, tell it what they returned; until it answers without a call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Self

from typing_extensions import TypeVar

from .agent_events import (
    AgentEvent,
    AgentFinished,
    AgentResult,
    AgentStep,
    StepStarted,
    ToolReturned,
    ToolStarted,
)
from .agent_settings import AgentSettings
from .agent_step import AgentRun
from .agent_stream import AgentStream, RunWatcher
from .backend import notify
from .messages import Message
from .option_names import refuses_unknown_options
from .stop_signal import StopSignal

__all__ = [
    "Agent",
    "AgentEvent",
    "AgentFinished",
    "AgentResult",
    "AgentStep",
    "AgentStream",
    "StepStarted",
    "ToolReturned",
    "ToolStarted",
]

T = TypeVar("T", default=None)


@refuses_unknown_options()
class Agent(AgentSettings[T]):
    """A model that works on a task with tools.

        agent = Agent("local:pocket", tools=[weather])
        print(agent.run("Do I need an umbrella in Paris?").answer)

    model             a model string (see `connect`), or a Backend, which stays open when the agent closes
    tools             `Tool`s and typed functions, sync or async
    system            instructions; put first unless the task brings a System message of its own
    output            a type that the last answer must fit; an answer that does not is sent back with its problems,
                      twice at most, then `OutputInvalid` is raised
    max_steps         how often the model is asked
    max_tokens        of each answer
    max_total_tokens  of all steps, in and out; only as good as the usage that the backend reports
    timeout           seconds for the whole run
    tool_timeout      seconds for each call. A thread cannot be stopped: a sync tool is then no longer waited for, and
                      the model is told; an async tool is cancelled
    parallel          the calls of one answer run at the same time, sync tools each in a thread. False: one after
                      another, in the calling thread where there is no tool_timeout
    strict_calls      a call that had to be repaired is not run; the model is told to write it again
    decoding, reasoning, stop, extra   as in `Request`
    observe           called with every request, event and error

    What goes wrong with a call (no such tool, wrong arguments, an exception, a time limit) is told to the model as the
    call's result, and the run goes on; a `ToolError` is told in its own words. Calls run only when the answer that
    made them is whole. One agent may run many tasks, also at the same time.
    """

    def run(self, task: str | Sequence[Message]) -> AgentResult[T]:
        """Works on the task until the model answers without a call.

        `task` is a text or a conversation; calls that wait in it are run first.
        Raises `LimitReached` with the run so far in `.result`, `OutputInvalid`, and the backend's errors.
        """
        stream = self.stream(task)
        for _ in stream:
            pass
        return stream.result

    def stream(self, task: str | Sequence[Message]) -> AgentStream[T]:
        """As `run`, event by event, `AgentFinished` last.

        `cancel()` ends it before the next tool or step, and waits for no tool.
        """
        run = self._new_run(task)
        stop = StopSignal()
        watcher = RunWatcher(run, self._observe)
        return AgentStream(self._steps(run, stop), on_cancel=stop.request, watcher=watcher)

    def _steps(self, run: AgentRun, stop: StopSignal) -> Iterator[AgentEvent]:
        while run.stopped == "unfinished":
            if run.calls:
                run.check_limits(time.monotonic())
                run.returned((yield from self._runner.run(run.calls, run.deadline, stop)))
            if stop.is_requested:
                run.stopped = "cancelled"
                break
            yield from self._step(run, stop)
        yield AgentFinished(run.result())

    def _step(self, run: AgentRun, stop: StopSignal) -> Iterator[AgentEvent]:
        request = run.request(time.monotonic())
        yield StepStarted(len(run.steps) + 1)
        notify(self._observe, request)
        try:
            with self._backend.stream(request) as stream:
                stop.tell(stream.cancel)
                for event in stream:
                    yield run.take(event, request, time.monotonic())
        except Exception as error:
            failure = run.failure(error, time.monotonic())
            raise failure from (error if failure is not error else error.__cause__)

    def close(self) -> None:
        """Closes the backend if the agent connected it. May be called again."""
        owned, self._owns_backend = self._owns_backend, False
        if owned and (close := getattr(self._backend, "close", None)) is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
