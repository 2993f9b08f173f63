"""What the tests of journals stand on: runs of either twin in the same words, and a journal that dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.sdk.agent_twin import Twin

from ambidex import (
    Agent,
    AsyncAgent,
)
from ambidex.journal import (
    Journal,
    MemoryJournal,
    Record,
    RunLog,
)
from ambidex.sqlite_journal import SQLiteJournal

AnyJournal = MemoryJournal | SQLiteJournal


@dataclass
class Runner:
    """`run` and `resume` of either twin in the same words."""

    twin: Twin
    journal: Journal

    def run(self, model: Any, task: Any = "go", *, run_id: str | None = "r", **options: Any) -> Any:
        return self._ask(model, options, lambda agent: agent.run(task, run_id=run_id))

    def resume(self, model: Any, *, settle: Any = (), **options: Any) -> Any:
        return self._ask(model, options, lambda agent: agent.resume("r", settle=settle))

    def resumed_events(self, model: Any, **options: Any) -> list[Any]:
        options = {"tools": [], "journal": self.journal, **options}
        if not self.twin.is_async:
            return list(Agent(model, **options).resume_stream("r"))

        async def read() -> list[Any]:
            return [event async for event in AsyncAgent(model, **options).resume_stream("r")]

        return asyncio.run(read())

    def _ask(self, model: Any, options: dict[str, Any], ask: Callable[[Any], Any]) -> Any:
        options = {"tools": [], "journal": self.journal, **options}
        if self.twin.is_async:
            return asyncio.run(ask(AsyncAgent(model, **options)))
        return ask(Agent(model, **options))


class Dies(BaseException):
    """The process is dead: from here on nothing is written."""


class DyingJournal:
    """Takes records up to the first that `at` says yes to; that one is written or not."""

    def __init__(self, journal: Journal, at: Callable[[Record], bool], *, written: bool) -> None:
        self.blocking = journal.blocking
        self.journal, self.at, self.written = journal, at, written
        self.dead = False

    def open(self, run_id: str, /) -> RunLog:
        return DyingLog(self, self.journal.open(run_id))


class DyingLog:
    def __init__(self, journal: DyingJournal, log: RunLog) -> None:
        self.journal, self.log = journal, log
        self.read, self.close = log.read, log.close

    def append(self, record: Record) -> None:
        dies = self.journal.dead or self.journal.at(record)
        if not self.journal.dead and (not dies or self.journal.written):
            self.log.append(record)
        self.journal.dead = dies
        if dies:
            raise Dies


def records(journal: AnyJournal) -> list[str]:
    return [type(record).__name__ for record in journal.read("r")]
