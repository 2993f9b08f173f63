"""One run of an agent and its journal: what is told at which point, and what a recorded run is given back.

`RunRecord` keeps nothing, for runs without a journal; `JournaledRun` has the same few points and writes each down.
Both are called from the threads that run tools, too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from .agent_step import AgentRun
from .errors import CallsInDoubt, InvalidRequest, JournalError, LimitExceeded, RunMismatch, RunNotFound
from .events import Finished
from .journal import (
    Answered,
    CallInDoubt,
    CallNotRun,
    CallReturned,
    CallStarted,
    Journal,
    Record,
    RunBegan,
    RunEnded,
    RunLog,
    Settlement,
    digest,
)
from .messages import Message, System, ToolCall, ToolResult

T = TypeVar("T")


class StepRecord:
    """The calls of one step that are run now, and the results that the others have already."""

    blocking = False

    def __init__(self, calls: tuple[ToolCall, ...], known: Sequence[ToolResult] = ()) -> None:
        self.calls = calls
        self.known = known

    def started(self, call: ToolCall) -> None:
        """The tool is about to be entered; `left` follows, whatever happens."""

    def returned(self, call: ToolCall, result: ToolResult) -> ToolResult:
        """What the model is told of the call: `result`, or the one that was written down before it."""
        return result

    def left(self, call: ToolCall) -> None:
        """The tool is not running any more, whether or not it returned."""


class RunRecord:
    """A run that is not written down."""

    blocking = False

    def open(self, run: AgentRun) -> None:
        """Takes the run and brings `run` to where it stopped."""

    def answered(self, run: AgentRun, answer: Finished) -> None:
        """The answer is whole; `run` has not taken it yet."""

    def step(self, run: AgentRun, repeatable: Callable[[str], bool]) -> StepRecord:
        """What is to be done of `run.calls`. Raises `CallsInDoubt`, but for the tools that are `repeatable`."""
        return StepRecord(run.calls)

    def ended(self, run: AgentRun) -> None:
        """The run is over for now."""

    def close(self) -> None:
        """Nothing is started any more; others may open the run once no tool of it runs. May be called again."""


@dataclass(slots=True)
class _Call:
    """What is known of a call."""

    call: ToolCall
    ordinal: int
    digest: str
    attempt: int = 0
    in_doubt: bool = False
    result: ToolResult | None = None


class JournaledRun(RunRecord):
    """A run in a journal. `task`: what it is for, where that is known, without a system message of the agent's.
    `settle`: what is said of the calls that are in doubt."""

    def __init__(
        self, journal: Journal, run_id: str, *, task: Sequence[Message] = (), settle: Sequence[Settlement] = ()
    ) -> None:
        self.blocking = journal.blocking
        self._journal = journal
        self._run_id = run_id
        self._task = task
        self._settle = settle
        self._log: RunLog | None = None
        self._lock = threading.Lock()
        self._closing = False
        self._running: set[tuple[int, str]] = set()
        self._was_ended = False
        self._step = -1
        self._calls: dict[str, _Call] = {}

    def open(self, run: AgentRun) -> None:
        with self._lock:
            if self._closing:
                raise self._closed()
            self._log = self._journal.open(self._run_id)
        records = self._log.read()
        if records:
            self._replay(run, records)
            for settlement in self._settle:
                self._apply(settlement)
        elif not run.messages:
            raise RunNotFound(f"The journal has no run {self._run_id!r}.", run_id=self._run_id)
        else:
            self._append(RunBegan(tuple(run.messages)))

    def answered(self, run: AgentRun, answer: Finished) -> None:
        if run.is_whole(answer):  # what is not is asked for again
            self._append(Answered(len(run.steps) + 1, len(run.messages), answer))

    def step(self, run: AgentRun, repeatable: Callable[[str], bool]) -> StepRecord:
        self._plan(run)
        doubts = [
            CallInDoubt(self._run_id, self._step, known.ordinal, known.attempt, known.call)
            for known in self._calls.values()
            if known.in_doubt and not repeatable(known.call.name)
        ]
        if doubts:
            raise self._in_doubt(doubts)
        return _JournaledStep(self, self._step, self._calls)

    def ended(self, run: AgentRun) -> None:
        if run.stopped == "finished" and not self._was_ended:
            self._append(RunEnded())

    def close(self) -> None:
        with self._lock:
            self._closing = True
            self._release()

    # -- told by the steps, from the threads of their tools

    def started(self, step: int, known: _Call) -> None:
        with self._lock:
            if self._closing or known.result is not None:  # given up as late before its thread came to run
                raise self._closed()
            self._write(CallStarted(step, known.ordinal, known.digest, known.attempt + 1))
            known.attempt += 1
            self._running.add((step, known.call.id))

    def returned(self, step: int, known: _Call, result: ToolResult) -> ToolResult:
        """The first result counts; one that the journal cannot keep is replaced by saying so."""
        with self._lock:
            if known.result is None:
                try:
                    self._write(CallReturned(step, known.ordinal, known.digest, result))
                except (InvalidRequest, LimitExceeded) as problem:
                    text = f"The tool ran, but what it returned could not be kept: {problem.message}"
                    result = ToolResult(known.call.id, known.call.name or "unknown", text, is_error=True)
                    self._write(CallReturned(step, known.ordinal, known.digest, result))
                known.result = result
            return known.result

    def left(self, step: int, known: _Call) -> None:
        with self._lock:
            self._running.discard((step, known.call.id))
            self._release()

    # -- what the journal says

    def _replay(self, run: AgentRun, records: Sequence[Record]) -> None:
        """Gives `run` its task, answers and results once more; the calls of its last step are then planned."""
        first, *others = records
        if not isinstance(first, RunBegan):
            raise self._mismatch("its first record is not its beginning")
        if self._task and not _began_with(self._task, first.task):
            raise RunMismatch(
                f"The run {self._run_id!r} was begun with another task. A run id stands for one task: give another id, "
                "or go on with resume(run_id).",
                run_id=self._run_id,
            )
        run.begin(first.task)
        self._plan(run)
        for record in others:
            match record:
                case Answered(step, asked, answer):
                    if run.calls:
                        run.returned([self._result_of(known) for known in self._calls.values()])
                    if run.stopped != "unfinished" or (step, asked) != (len(run.steps) + 1, len(run.messages)):
                        raise self._mismatch(f"its answer {step} does not follow from what is before it")
                    run.take(answer, run.started)
                    self._plan(run)
                case CallStarted(step, ordinal, recorded, attempt):
                    known = self._known(step, ordinal, recorded)
                    known.attempt, known.in_doubt = attempt, known.result is None
                case CallReturned(step, ordinal, recorded, result):
                    known = self._known(step, ordinal, recorded)
                    known.result, known.in_doubt = known.result or result, False
                case CallNotRun(step, ordinal, recorded):
                    self._known(step, ordinal, recorded).in_doubt = False
                case RunEnded():
                    if run.stopped != "finished":
                        raise self._mismatch("it had finished, and by this agent's `output` it has not")
                    self._was_ended = True
                case RunBegan():
                    raise self._mismatch("it begins twice")

    def _plan(self, run: AgentRun) -> None:
        """Numbers the calls of the step under way, once."""
        if self._step != len(run.steps):
            self._step = len(run.steps)
            self._calls = {call.id: _Call(call, at, digest(call)) for at, call in enumerate(run.calls)}

    def _known(self, step: int, ordinal: int, recorded: str) -> _Call:
        known = next((known for known in self._calls.values() if known.ordinal == ordinal), None)
        if step != self._step or known is None or known.digest != recorded:
            raise self._mismatch(f"its call {ordinal} of step {step} is none that the answer made")
        return known

    def _result_of(self, known: _Call) -> ToolResult:
        if known.result is None:
            raise self._mismatch(f"its call {known.ordinal} of step {self._step} has no result")
        return known.result

    def _apply(self, settlement: Settlement) -> None:
        doubt = settlement.doubt
        known = self._calls.get(doubt.call.id)
        if (
            known is None
            or not known.in_doubt
            or (doubt.run_id, doubt.step, doubt.ordinal, doubt.attempt)
            != (self._run_id, self._step, known.ordinal, known.attempt)
        ):
            raise InvalidRequest(
                f"The call {doubt.call.name!r} of step {doubt.step} of {doubt.run_id!r} is not in doubt, or not any "
                "more: settle the calls that CallsInDoubt has now.",
                param="settle",
            )
        if settlement.result is None:
            self._append(CallNotRun(self._step, known.ordinal, known.digest, known.attempt))
        else:
            self.returned(self._step, known, settlement.result)
        known.in_doubt = False

    # -- what is written

    def _append(self, record: Record) -> None:
        with self._lock:
            if self._closing:
                raise self._closed()
            self._write(record)

    def _write(self, record: Record) -> None:
        if self._log is None:
            raise self._closed()
        self._log.append(record)

    def _release(self) -> None:
        """Under the lock: the run is given up when it is closed and no tool of it runs."""
        if self._closing and not self._running and self._log is not None:
            log, self._log = self._log, None
            log.close()

    def _closed(self) -> JournalError:
        return JournalError(f"The run {self._run_id!r} was closed.", run_id=self._run_id)

    def _mismatch(self, what: str) -> RunMismatch:
        return RunMismatch(
            f"What the journal has of the run {self._run_id!r} does not fit this agent: {what}. It was changed, or "
            "the agent has another `output` than before.",
            run_id=self._run_id,
        )

    def _in_doubt(self, doubts: Sequence[CallInDoubt]) -> CallsInDoubt:
        names = ", ".join(f"{doubt.call.name!r} (step {doubt.step})" for doubt in doubts)
        return CallsInDoubt(
            f"The program stopped while these calls of the run {self._run_id!r} were running, and it is not known "
            f"whether they happened: {names}. Nothing was repeated. Settle each of error.calls with .happened(result), "
            f".did_not_happen() or .still_unknown(), then agent.resume({self._run_id!r}, settle=[...]).",
            calls=tuple(doubts),
            run_id=self._run_id,
        )


class _JournaledStep(StepRecord):
    """A step knows its own calls: a tool that is late returns to the step that called it, whatever runs by then."""

    def __init__(self, run: JournaledRun, number: int, calls: dict[str, _Call]) -> None:
        super().__init__(
            tuple(known.call for known in calls.values() if known.result is None),
            [known.result for known in calls.values() if known.result is not None],
        )
        self.blocking = run.blocking
        self._run = run
        self._number = number
        self._calls = calls

    def started(self, call: ToolCall) -> None:
        self._run.started(self._number, self._calls[call.id])

    def returned(self, call: ToolCall, result: ToolResult) -> ToolResult:
        return self._run.returned(self._number, self._calls[call.id], result)

    def left(self, call: ToolCall) -> None:
        self._run.left(self._number, self._calls[call.id])


async def off_loop(record: RunRecord | StepRecord, write: Callable[[], T]) -> T:
    """Calls it where it holds up no event loop. A write that has begun is waited for, also by who is cancelled."""
    if not record.blocking:
        return write()
    written: Future[T] = Future()

    def work() -> None:
        try:
            written.set_result(write())
        except BaseException as error:
            written.set_exception(error)

    threading.Thread(target=work, name="ambidex-journal", daemon=True).start()
    waiting = asyncio.wrap_future(written)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await asyncio.wait([waiting])
        raise


def _began_with(task: Sequence[Message], recorded: Sequence[Message]) -> bool:
    """Whether a run of this task was recorded so; a task without a system message takes the recorded one."""
    if recorded and isinstance(recorded[0], System) and not isinstance(task[0], System):
        recorded = recorded[1:]
    if tuple(task) == tuple(recorded):
        return True
    from .messages import to_json

    return to_json(task) == to_json(recorded)  # a Path is recorded as its bytes
