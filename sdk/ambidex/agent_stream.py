"""The streams of agents: the model's events and the agent's, `AgentFinished` last."""

from __future__ import annotations

from typing import Any, Generic, cast

from typing_extensions import TypeVar

from .accumulator import Accumulator
from .agent_events import AgentEvent, AgentFinished, AgentResult, StepStarted, ToolReturned, ToolStarted
from .agent_step import AgentRun
from .backend import Observer, notify
from .errors import AmbidexError
from .run_record import RunRecord
from .stream import AsyncEventStream, EventStream, StreamState, Watcher

T = TypeVar("T", default=Any)


class RunWatcher(Watcher[AgentEvent]):
    """Ties a stream to its run and what is recorded of it, and tells the observer."""

    def __init__(self, run: AgentRun, record: RunRecord, observe: Observer | None) -> None:
        self.run = run
        self._record = record
        self._observe = observe

    def accept(self, event: AgentEvent) -> AgentEvent:
        notify(self._observe, event)
        return event

    def failed(self, error: AmbidexError) -> None:
        notify(self._observe, error)

    def closed(self) -> None:
        self._record.close()


class _RunStreamState(StreamState[AgentEvent]):
    """What both twins share: how an agent's stream ends, and that each step has a reply of its own."""

    @property
    def _run(self) -> AgentRun:
        return cast(RunWatcher, self._watcher).run

    def _accept(self, event: AgentEvent) -> AgentEvent:
        event = self._watcher.accept(event)
        match event:
            case StepStarted():
                self._so_far = Accumulator()
            case AgentFinished():
                self._ended = True
            case ToolStarted() | ToolReturned():
                pass
            case _:
                self._so_far.add(event)
        return event

    @property
    def run_id(self) -> str | None:
        """Under which the journal has the run; None without a journal."""
        return self._run.run_id

    def _cancelled_end(self) -> AgentEvent:
        self._run.stopped = "cancelled"
        return self._accept(AgentFinished(self._run.result()))


class AgentStream(_RunStreamState, EventStream[AgentEvent], Generic[T]):
    """An `EventStream` of a run, with a `RunWatcher`. `.reply` is the answer of the step under way."""

    @property
    def result(self) -> AgentResult[T]:
        """The run so far; the whole run once the stream has ended."""
        return cast("AgentResult[T]", self._run.result())


class AsyncAgentStream(_RunStreamState, AsyncEventStream[AgentEvent], Generic[T]):
    """The async twin of `AgentStream`."""

    @property
    def result(self) -> AgentResult[T]:
        """The run so far; the whole run once the stream has ended."""
        return cast("AgentResult[T]", self._run.result())
