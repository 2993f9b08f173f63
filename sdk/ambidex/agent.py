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
from .events import Finished
from .journal import Settlement
from .messages import Message
from .option_names import refuses_unknown_options
from .request import Request
from .run_record import RunRecord
from .stop_signal import StopSignal
from .stream import EventStream
from .structured_stream import open_answer

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
    max_total_tokens  of all steps, in and out. What is left is the next answer's max_tokens, and the run stops when
                      not even its prompt fits. As good as the backend's count of prompts and the usage it reports:
                      where it counts no prompt, the next one is taken to be as long as what came before. An answer
                      without `max_tokens` is taken to have fewer than 16,384 tokens
    max_cost          of all steps, in the unit of `Usage.cost`, in the same way: prices are bounded by what the steps
                      so far came to, so the first step is bounded by its `max_tokens` alone. `Unsupported` where the
                      backend reports no cost
    max_tool_calls    how many calls are run; an answer with more than are left has none of its calls run
    max_repeats       how often in a row the same calls may have the same results before the run is stopped; None: no
                      limit, for tools that wait for something
    timeout           seconds for the whole run; a resumed run has them anew
    tool_timeout      seconds for each call. A thread cannot be stopped: a sync tool is then no longer waited for, and
                      the model is told; an async tool is cancelled
    parallel          the calls of one answer run at the same time, sync tools each in a thread. False: one after
                      another, in the calling thread where there is no tool_timeout
    strict_calls      a call that had to be repaired is not run; the model is told to write it again
    decoding, reasoning, stop, extra   as in `Request`
    observe           called with every request, event and error
    journal           where runs are written down, for instance `SQLiteJournal(path)`, so that they go on after a
                      crash and no tool runs twice: docs/journal.md. Without one, runs that are given a `run_id` are
                      kept in memory

    What goes wrong with a call (no such tool, wrong arguments, an exception, a time limit) is told to the model as the
    call's result, and the run goes on; a `ToolError` is told in its own words. Calls run only when the answer that
    made them is whole. One agent may run many tasks, also at the same time.
    """

    def run(self, task: str | Sequence[Message], *, run_id: str | None = None) -> AgentResult[T]:
        """Works on the task until the model answers without a call.

        `task` is a text or a conversation; calls that wait in it are run first. With a `run_id` (letters, digits, "_"
        and "-") every step is written to the journal; a run of this id and task that was begun before goes on as by
        `resume`. Without one, an agent that was given a journal makes one up: `result.run_id`.
        Raises `LimitReached` with the run so far in `.result`, `OutputInvalid`, `JournalError`s, and the backend's
        errors.
        """
        return _finished(self.stream(task, run_id=run_id))

    def resume(self, run_id: str, *, settle: Sequence[Settlement] = ()) -> AgentResult[T]:
        """Goes on with a run of the journal where it stopped, by whatever: what finished is not run again, answers
        that were whole are not asked for again; a run that had finished gives its result.

        Calls that were started and of whose end nothing is known are never repeated by themselves, but for tools that
        are `idempotent`: `CallsInDoubt` has them in `.calls`. Say of each what happened, and resume once more:

            agent.resume(run_id, settle=[call.happened("paid") for call in error.calls])

        Raises `RunNotFound`, `RunBusy`, and what `run` raises.
        """
        return _finished(self.resume_stream(run_id, settle=settle))

    def stream(self, task: str | Sequence[Message], *, run_id: str | None = None) -> AgentStream[T]:
        """As `run`, event by event, `AgentFinished` last.

        `cancel()` ends it before the next tool or step, and waits for no tool.
        """
        return self._stream(*self._new_run(task, run_id))

    def resume_stream(self, run_id: str, *, settle: Sequence[Settlement] = ()) -> AgentStream[T]:
        """As `resume`, event by event, from where the run stopped."""
        return self._stream(*self._resumed_run(run_id, settle))

    def _stream(self, run: AgentRun, record: RunRecord) -> AgentStream[T]:
        stop = StopSignal()
        watcher = RunWatcher(run, record, self._observe)
        return AgentStream(self._steps(run, record, stop), on_cancel=stop.request, watcher=watcher)

    def _steps(self, run: AgentRun, record: RunRecord, stop: StopSignal) -> Iterator[AgentEvent]:
        record.open(run)
        while run.stopped == "unfinished":
            if run.calls:
                step = record.step(run, self._is_idempotent)
                run.check_limits(time.monotonic())
                results = yield from self._runner.run(step, run.deadline, stop)
                run.returned([*step.known, *results])
            if stop.is_requested:
                run.stopped = "cancelled"
                break
            yield from self._step(run, record, stop)
        record.ended(run)
        yield AgentFinished(run.result())

    def _step(self, run: AgentRun, record: RunRecord, stop: StopSignal) -> Iterator[AgentEvent]:
        request = run.request(time.monotonic())
        request = run.bounded(request, self._prompt_tokens(request), self._backend.capabilities.context_length)
        yield StepStarted(len(run.steps) + 1)
        notify(self._observe, request)
        try:
            with self._opened(request) as stream:
                stop.tell(stream.cancel)
                stream.start()
                for event in stream:
                    if isinstance(event, Finished):
                        record.answered(run, event)
                    yield run.take(event, time.monotonic())
        except Exception as error:
            failure = run.failure(error, time.monotonic())
            raise failure from (error if failure is not error else error.__cause__)

    def _opened(self, request: Request) -> EventStream:
        return self._backend.stream(request) if request.output is None else open_answer(self._backend, request)

    def close(self) -> None:
        """Closes the backend if the agent connected it. May be called again."""
        owned, self._owns_backend = self._owns_backend, False
        if owned and (close := getattr(self._backend, "close", None)) is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _finished(stream: AgentStream[T]) -> AgentResult[T]:
    with stream:
        for _ in stream:
            pass
    return stream.result
