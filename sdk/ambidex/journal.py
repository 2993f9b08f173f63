"""What a run of an agent writes down, so that it goes on after a crash where it stopped and repeats nothing.

A run is a list of records that only grows: its task, each whole answer, and of each call that it was started and
what it returned. The order of writing is the promise (write-ahead logging):

    RunBegan      before the model is asked for the first time
    Answered      before a call of that answer is started, and before the next question
    CallStarted   before the tool's function is entered
    CallReturned  before the result joins the conversation
    CallNotRun    a person said that a call in doubt did not happen
    RunEnded      the last answer had no call

What is started and never returned is in doubt: nobody but the person knows whether it happened. A call is named by
its run, its step (the answer that made it, counted from 1; 0 is the task) and its ordinal among the calls of that
step. `Journal` is what keeps such lists: `MemoryJournal` here, `SQLiteJournal` in `sqlite_journal.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from .errors import InvalidRequest, JournalError, RunBusy
from .events import Finished
from .messages import Message, ToolCall, ToolResult
from .tools import result_parts

__all__ = [
    "Answered",
    "CallInDoubt",
    "CallNotRun",
    "CallReturned",
    "CallStarted",
    "Journal",
    "MemoryJournal",
    "Record",
    "RunBegan",
    "RunEnded",
    "RunLog",
    "Settlement",
    "checked_run_id",
    "digest",
]


@dataclass(frozen=True, slots=True)
class RunBegan:
    """The run's conversation before its first answer."""

    task: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer, the `step`-th, to a conversation of `asked` messages."""

    step: int
    asked: int
    answer: Finished


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The tool is about to be entered, for the `attempt`-th time (counted from 1)."""

    step: int
    ordinal: int
    digest: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CallReturned:
    """What came of the call; the first such record counts."""

    step: int
    ordinal: int
    digest: str
    result: ToolResult


@dataclass(frozen=True, slots=True)
class CallNotRun:
    """The attempt was settled as not having happened: the call may be started again."""

    step: int
    ordinal: int
    digest: str
    attempt: int


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run finished; what it came to is in the records before."""


Record: TypeAlias = RunBegan | Answered | CallStarted | CallReturned | CallNotRun | RunEnded


class RunLog(Protocol):
    """The records of one run, in one pair of hands from `Journal.open` to `close`."""

    def read(self) -> Sequence[Record]:
        """All records, oldest first; none for a run that is new. Raises `JournalError` where they cannot be read."""
        ...

    def append(self, record: Record) -> None:
        """Adds a record; it is durable when this returns. Called by one thread at a time, from any thread.

        Raises `JournalError`; `InvalidRequest` or `LimitExceeded` for a record that cannot be kept as it is.
        """
        ...

    def close(self) -> None:
        """Lets others open the run. May be called again."""
        ...


class Journal(Protocol):
    """Keeps the records of runs. `blocking`: an append waits for a disk or a network, so not on an event loop."""

    @property
    def blocking(self) -> bool: ...

    def open(self, run_id: str, /) -> RunLog:
        """Takes the run. Raises `RunBusy` while another holder lives, in this process or any other."""
        ...


class MemoryJournal:
    """Runs in this process's memory: for going on after an error, not after a crash. Kept until `forget`."""

    blocking = False

    def __init__(self) -> None:
        self._runs: dict[str, list[Record]] = {}
        self._held: set[str] = set()
        self._lock = threading.Lock()

    def open(self, run_id: str, /) -> RunLog:
        with self._lock:
            if run_id in self._held:
                raise busy(run_id)
            self._held.add(run_id)
        return _MemoryLog(self, run_id)

    def unfinished(self) -> list[str]:
        """The ids of the runs that began and did not finish, oldest first."""
        with self._lock:
            return [run_id for run_id, records in self._runs.items() if not isinstance(records[-1], RunEnded)]

    def forget(self, run_id: str) -> None:
        """Drops all that is known of a run. Raises `RunBusy` while it goes on."""
        with self._lock:
            if run_id in self._held:
                raise busy(run_id)
            self._runs.pop(run_id, None)

    def read(self, run_id: str) -> tuple[Record, ...]:
        """The records of a run so far."""
        with self._lock:
            return tuple(self._runs.get(run_id, ()))

    def add(self, run_id: str, record: Record) -> None:
        with self._lock:
            self._runs.setdefault(run_id, []).append(record)

    def release(self, run_id: str) -> None:
        with self._lock:
            self._held.discard(run_id)

    def __repr__(self) -> str:
        return f"MemoryJournal({len(self._runs)} runs)"


class _MemoryLog:
    def __init__(self, journal: MemoryJournal, run_id: str) -> None:
        self._journal: MemoryJournal | None = journal
        self._run_id = run_id

    def read(self) -> Sequence[Record]:
        return self._open().read(self._run_id)

    def append(self, record: Record) -> None:
        self._open().add(self._run_id, record)

    def close(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.release(self._run_id)

    def _open(self) -> MemoryJournal:
        if self._journal is None:
            raise JournalError(f"The run {self._run_id!r} was closed.")
        return self._journal


@dataclass(frozen=True, slots=True)
class CallInDoubt:
    """A call that was started and of whose end nothing is known; one of three answers settles it.

    For `Agent.resume(run_id, settle=[...])`. Look up what happened where you can: at the bank, in the outbox.
    """

    run_id: str
    step: int
    ordinal: int
    attempt: int
    call: ToolCall

    def happened(self, value: object = "done", *, is_error: bool = False) -> Settlement:
        """It happened and returned `value` (whatever the tool may return); it is not run again."""
        return Settlement(
            self, "happened", ToolResult(self.call.id, self.call.name, *result_parts(value), is_error=is_error)
        )

    def did_not_happen(self) -> Settlement:
        """It had no effect: it is run now."""
        return Settlement(self, "did not happen")

    def still_unknown(self) -> Settlement:
        """Nobody can say: it is not run again, and the model is told."""
        text = (
            "It is not known whether this call was carried out: the program stopped while it was running. "
            "It was not repeated. Find out before you call again."
        )
        return Settlement(self, "unknown", ToolResult(self.call.id, self.call.name, text, is_error=True))


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a person says of a call in doubt; made by the methods of `CallInDoubt`."""

    doubt: CallInDoubt
    what: Literal["happened", "did not happen", "unknown"]
    result: ToolResult | None = None


def digest(call: ToolCall) -> str:
    """SHA-256 of the call's name and arguments, whatever the order of their names: another call has another digest."""
    value = [call.name, dict(call.arguments)]
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=repr).encode()).hexdigest()


def checked_run_id(run_id: object) -> str:
    """A legal run id, or `InvalidRequest`."""
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise InvalidRequest(
            f"A run id is 1 to 128 letters, digits, '_' and '-' (ASCII), got {str(run_id)[:140]!r}.", param="run_id"
        )
    return run_id


_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def busy(run_id: str) -> RunBusy:
    """The error of who comes second."""
    return RunBusy(
        f"The run {run_id!r} is going on already, in this process or another one, or a tool of it still runs. "
        "Wait until it has ended, or use another run id.",
        run_id=run_id,
    )
