"""Kills programs at every point of an agent's journal, again and again; a program of its own for test_journal_kill.py.

    python journal_kill.py <folder> <rounds> [<seed>]

Each round forks a process that runs an agent with an SQLite journal and sends itself SIGKILL at one point: before or
after a record is written, or inside a tool, before or after its effect; or is killed from outside at any moment. A
tool's effect is a line in a file, appended and synced. Further processes then resume the run, settle what is in doubt
by looking into that file, and finish. Prints one JSON object: what was seen, and every violation.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ambidex import Agent, AsyncAgent, Request, ToolCall, tool
from ambidex.errors import CallsInDoubt, RunNotFound
from ambidex.journal import Record, RunLog
from ambidex.messages import Assistant
from ambidex.sqlite_journal import SQLiteJournal
from ambidex.testing import ScriptedBackend

RUN = "run-1"
RECORDS = (
    *("RunBegan", "Answered 1", "CallStarted a", "CallReturned a", "CallStarted b", "CallReturned b"),
    *("Answered 2", "CallStarted c", "CallReturned c", "Answered 3", "RunEnded"),
)
POINTS = (
    *(f"{when} {record}" for record in RECORDS for when in ("before", "after")),
    *(f"in the tool, {when} the effect of {name}" for name in "abc" for when in ("before", "after")),
    "at any moment",
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KillingJournal(SQLiteJournal):
    """Dies at the record that the point names."""

    def __init__(self, path: Path, point: str) -> None:
        super().__init__(path)
        self.point = point

    def open(self, run_id: str, /) -> RunLog:
        return _KillingLog(super().open(run_id), self.point)


class _KillingLog:
    def __init__(self, log: RunLog, point: str) -> None:
        self.log, self.point, self.count = log, point, 0
        self.read, self.close = log.read, log.close

    def append(self, record: Record) -> None:
        if self.point == f"before {RECORDS[self.count]}":
            die()
        self.log.append(record)
        if self.point == f"after {RECORDS[self.count]}":
            die()
        self.count += 1


def append_line(file: Path, line: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, line.encode() + b"\n")
    os.fsync(descriptor)
    os.close(descriptor)


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def tools(folder: Path, point: str) -> list[Any]:
    def effect(name: str) -> str:
        if point == f"in the tool, before the effect of {name}":
            die()
        append_line(folder / "effects", name)
        if point == f"in the tool, after the effect of {name}":
            die()
        return f"did {name}"

    @tool
    def act(name: str) -> str:
        """Acts."""
        return effect(name)

    @tool
    async def act_async(name: str) -> str:
        """Acts."""
        await asyncio.sleep(0)
        return effect(name)

    return [act, act_async]


def backend(folder: Path) -> ScriptedBackend:
    def answer(request: Request) -> Any:
        step = sum(isinstance(message, Assistant) for message in request.messages) + 1
        append_line(folder / "questions", str(step))
        calls = {1: [ToolCall("1", "act", {"name": "a"}), ToolCall("2", "act_async", {"name": "b"})]}
        calls[2] = [ToolCall("1", "act", {"name": "c"})]
        return Assistant("Now.", *calls[step]) if step in calls else "done"

    return ScriptedBackend(answer)


def run(folder: Path, point: str, is_async: bool, again: Callable[[Any], Any]) -> Any:
    """An agent in this process; `again` says what it is asked."""
    with KillingJournal(folder / "runs.sqlite", point) as journal:
        options: dict[str, Any] = {"tools": tools(folder, point), "journal": journal, "parallel": False}
        if is_async:
            return asyncio.run(again(AsyncAgent(backend(folder), **options)))
        return again(Agent(backend(folder), **options))


def forked(work: Callable[[], None], kill_after: float | None = None) -> int:
    """Does it in a process of its own; how that ended, as `os.waitstatus_to_exitcode`."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def round_of(folder: Path, point: str, is_async: bool, kill_after: float | None, seen: Counter[str]) -> None:
    """One kill and what comes after. Raises AssertionError for a broken promise."""
    folder.mkdir()
    ended = forked(lambda: run(folder, point, is_async, lambda agent: agent.run("Do it.", run_id=RUN)), kill_after)
    assert ended == -signal.SIGKILL, f"ended with {ended}"
    before = lines(folder / "effects")
    expected = expected_doubt(point)

    def resume() -> None:
        """Resumes, settles by the file of effects, resumes until it is done."""
        doubted: list[str] = []

        def go_on(settle: Any) -> Any:
            return run(folder, "", is_async, lambda agent: agent.resume(RUN, settle=settle))

        try:
            result = go_on(())
        except RunNotFound:
            result = run(folder, "", is_async, lambda agent: agent.run("Do it.", run_id=RUN))
        except CallsInDoubt as error:
            assert lines(folder / "effects") == before, "resuming repeats nothing by itself"
            doubted = [call.call.arguments["name"] for call in error.calls]
            result = go_on(
                [
                    call.happened(f"did {call.call.arguments['name']}")
                    if call.call.arguments["name"] in before
                    else call.did_not_happen()
                    for call in error.calls
                ]
            )
        told = [message.text for message in result.messages if type(message).__name__ == "ToolResult"]
        outcome = {"answer": result.answer, "told": told, "doubted": doubted}
        (folder / "outcome").write_text(json.dumps(outcome))

    assert forked(resume) == 0, "resuming failed"
    outcome = json.loads((folder / "outcome").read_text())
    assert outcome["answer"] == "done"
    assert outcome["told"] == ["did a", "did b", "did c"]
    assert lines(folder / "effects") == ["a", "b", "c"], f"effects: {lines(folder / 'effects')}"
    asked = Counter(lines(folder / "questions"))
    again = {step for step, count in asked.items() if count > 1}
    if expected is not None:
        assert outcome["doubted"] == expected, f"in doubt: {outcome['doubted']}"
        lost_answer = {point.removeprefix("before Answered ")} if point.startswith("before Answered") else set[str]()
        assert again == lost_answer, f"asked again: {again}"
    assert len(again) <= 1
    seen["reported in doubt"] += len(outcome["doubted"])
    seen["answers asked for again, lost before they were written"] += len(again)


def expected_doubt(point: str) -> list[str] | None:
    """The calls that must be in doubt after a kill at this point; None: it depends on the moment."""
    if point == "at any moment":
        return None
    if point.startswith(("after CallStarted", "before CallReturned", "in the tool")):
        return [point[-1]]
    return []


def main(folder: Path, rounds: int, seed: int) -> None:
    for item in tools(folder, ""):  # what is slow to import is imported once, before any fork
        item.bind({"name": "a"})
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    violations: list[str] = []
    start = time.monotonic()
    forked(lambda: run_whole(folder / "timed"))
    whole = time.monotonic() - start
    for number in range(rounds):
        for point in POINTS:
            place = folder / f"{number}-{POINTS.index(point)}"
            kill_after = chance.uniform(0, whole) if point == "at any moment" else None
            try:
                round_of(place, point, is_async=number % 2 == 1, kill_after=kill_after, seen=seen)
            except AssertionError as problem:
                if kill_after is not None and "ended with 0" in str(problem):
                    seen["killed too late"] += 1
                    continue
                violations.append(f"{point}, round {number}: {problem}")
            seen["kills"] += 1
            for file in place.iterdir():
                file.unlink()
            place.rmdir()
    print(json.dumps({"points": len(POINTS), "seen": seen, "violations": violations}))


def run_whole(folder: Path) -> None:
    folder.mkdir()
    run(folder, "", False, lambda agent: agent.run("Do it.", run_id=RUN))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
