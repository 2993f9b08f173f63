"""One agent's run in a world where everything breaks, and what must be true of it afterwards. See test_exactly_once.py.

A `World` makes a program for an agent (steps of calls, each call with a number of its own), breaks it at random where
a run has a seam, starts it again until it ends, and counts what the tools did. A crash is simulated by a journal that
takes no more: from that moment no tool of that process has an effect, as if the process were dead.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ambidex import (
    Agent,
    AgentResult,
    Assistant,
    AsyncAgent,
    Finished,
    Request,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
    User,
)
from ambidex.agent_events import ToolReturned, ToolStarted
from ambidex.errors import (
    AmbidexError,
    CallsInDoubt,
    JournalError,
    RunNotFound,
    ServerError,
    StreamInterrupted,
)
from ambidex.journal import (
    CallInDoubt,
    CallNotRun,
    CallReturned,
    CallStarted,
    MemoryJournal,
    Record,
    RunLog,
    Settlement,
)
from ambidex.reply import Choice
from ambidex.testing import ScriptedBackend, events_of

RUN = "the-run"
TOOL_TIMEOUT = 0.015
FORBIDDEN = 1000
"""Added to the number of a call in an answer that is not whole."""

MODEL_FAULTS = ("raises", "breaks", "ends", "length", "content_filter", "no reason")
CALL_KINDS = ("works", "works async", "fails", "fails after", "late", "late async", "repeatable", "wrong arguments")
JOURNAL_FAULTS = ("crash before", "crash after", "disk full")


class Crash(BaseException):
    """The process is dead."""


class Process:
    """What ends in a crash: a journal in use, and the tools that run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = threading.RLock()
        self.alive = True

    def effect(self, number: int) -> None:
        with self.lock:
            if not self.alive:
                raise Crash
            self.world.effects[number] += 1


class BreakingJournal:
    """The world's journal, which fails or ends the process at a record that the world chooses."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.blocking = process.world.chance(0.3)

    def open(self, run_id: str) -> RunLog:
        return _BreakingLog(self.process, self.process.world.journal.open(run_id))


class _BreakingLog:
    def __init__(self, process: Process, log: RunLog) -> None:
        self.process, self.log = process, log
        self.read, self.close = log.read, log.close

    def append(self, record: Record) -> None:
        with self.process.lock:
            if not self.process.alive:
                raise Crash
            fault = self.process.world.fault("journal " + type(record).__name__, 0.06, JOURNAL_FAULTS)
            if fault == "disk full":
                raise JournalError("The disk is full.")
            if fault == "crash before":
                self._die()
            self.log.append(record)
            if fault == "crash after":
                self._die()

    def _die(self) -> None:
        self.process.alive = False
        raise Crash


class World:
    """A seed's program and its fate. `summary` counts what was seen over all worlds that share it."""

    def __init__(self, seed: int, summary: Counter[str]) -> None:
        self.random = random.Random(seed)
        self.summary = summary
        self.journal = MemoryJournal()
        self.effects: Counter[int] = Counter()
        self.faults = 0
        self.lock = threading.Lock()
        self.is_async = self.chance(0.5)
        self.parallel = self.chance(0.7)
        numbers = iter(range(1, 100))
        self.program = [
            [(next(numbers), self.random.choices(CALL_KINDS, (10, 6, 2, 2, 0.3, 0.3, 3, 1))[0]) for _ in range(width)]
            for width in self.random.choices((1, 2, 3), k=self.random.randint(1, 4))
        ]
        self.kinds = {number: kind for step in self.program for number, kind in step}
        self.backend = ScriptedBackend(self.answer)
        self.told_unknown: set[int] = set()

    # -- chance

    def chance(self, probability: float) -> bool:
        with self.lock if hasattr(self, "lock") else threading.Lock():
            return self.random.random() < probability

    def fault(self, where: str, probability: float, kinds: Sequence[str]) -> str | None:
        """What breaks here, if anything. Chance is against each seam anew, until a run has had enough."""
        with self.lock:
            if self.faults >= 8 or self.random.random() >= probability:
                return None
            self.faults += 1
            kind = self.random.choice(kinds)
            self.summary[f"fault: {where}: {kind}"] += 1
            return kind

    # -- the model

    def answer(self, request: Request) -> Any:
        made = {call.arguments["n"] for message in request.messages for call in getattr(message, "tool_calls", ())}
        step = next((step for step in self.program if step[0][0] not in made), None)
        fault = self.fault("model", 0.25, MODEL_FAULTS)
        if fault == "raises":
            raise ServerError("The server failed.")
        if step is None:
            return Assistant("All is done.") if fault is None else [StreamInterrupted("It broke.")]
        if fault is None:
            return self.message(step)
        events = events_of(self.message(step, FORBIDDEN))
        if fault in ("breaks", "ends"):
            place = self.random.randrange(len(events))
            return [*events[:place], *([StreamInterrupted("It broke.")] if fault == "breaks" else [])]
        last = events[-1]
        assert isinstance(last, Finished)
        reason: Any = None if fault == "no reason" else fault
        return [*events[:-1], Finished((Choice(last.choices[0].message, reason),), Usage(1, 1))]

    def message(self, step: Sequence[tuple[int, str]], plus: int = 0) -> Assistant:
        """Ids are used again in every answer, as some servers do."""
        calls = [
            ToolCall(
                f"call_{at}",
                kind.replace(" ", "_"),
                {"n": number + plus} if kind != "wrong arguments" else {"n": number + plus, "extra": 1},
            )
            for at, (number, kind) in enumerate(step)
        ]
        return Assistant("I do.", *calls)

    # -- the tools

    def tools(self, process: Process) -> list[Tool[..., Any]]:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}

        def works(n: int) -> str:
            process.effect(n)
            return f"did {n}"

        async def works_async(n: int) -> str:
            await asyncio.sleep(0)
            process.effect(n)
            await asyncio.sleep(0)
            return f"did {n}"

        def fails(n: int) -> str:
            raise ValueError(f"no effect of {n}")

        def fails_after(n: int) -> str:
            process.effect(n)
            raise ValueError(f"effect of {n}")

        def late(n: int) -> str:
            process.effect(n)
            time.sleep(TOOL_TIMEOUT * 2)
            return f"did {n}"

        async def late_async(n: int) -> str:
            process.effect(n)
            await asyncio.sleep(TOOL_TIMEOUT * 2)
            return f"did {n}"

        functions: dict[str, Callable[..., Any]] = {
            "works": works,
            "works_async": works_async,
            "fails": fails,
            "fails_after": fails_after,
            "late": late,
            "late_async": late_async,
            "repeatable": works,
            "wrong_arguments": works,
        }
        return [
            Tool(name, "Does it.", schema, function, idempotent=name == "repeatable")
            for name, function in functions.items()
        ]

    # -- the person who starts it again and again

    def live(self) -> AgentResult[Any]:
        """Runs until the run has finished, in as many processes as it takes."""
        settle: Sequence[Settlement] = ()
        for _ in range(60):
            process, doubts = Process(self), self.in_doubt()
            expected, reported = set[int]() if settle else doubts, set[int]()
            result = None
            try:
                result, settle = self.one_process(process, settle), ()
            except CallsInDoubt as error:
                reported = {self.number(call) for call in error.calls}
                settle = [self.settlement(call) for call in error.calls]
            except RunNotFound:
                settle = ()
            except (AmbidexError, Crash):
                settle = ()
            finally:
                self.end(process)
            assert reported == expected, "what is in doubt is what is reported"
            self.summary["calls reported in doubt"] += len(reported)
            if result is not None and result.stopped == "finished":
                return result
            self.summary["times gone on"] += 1
        raise AssertionError("the run does not end")

    def end(self, process: Process) -> None:
        """A dead process holds nothing; a living one holds the run until its tools have ended."""
        if not process.alive:
            dead, self.journal = self.journal, MemoryJournal()
            for record in dead.read(RUN):
                self.journal.add(RUN, record)
            return
        deadline = time.monotonic() + 20
        while RUN in self.journal._held:
            assert time.monotonic() < deadline, "the run is not given up"
            time.sleep(0.001)

    def one_process(self, process: Process, settle: Sequence[Settlement]) -> AgentResult[Any]:
        options: dict[str, Any] = {
            "tools": self.tools(process),
            "journal": BreakingJournal(process),
            "parallel": self.parallel,
            "tool_timeout": TOOL_TIMEOUT if any("late" in kind for kind in self.kinds.values()) else None,
            "max_steps": 100,
        }
        cancel_at = self.random.randrange(12) if self.fault("reader", 0.1, ("cancel",)) else None
        again = bool(settle) or (self.chance(0.5) and bool(self.journal.read(RUN)))
        if self.is_async:
            return asyncio.run(self._read_async(AsyncAgent(self.backend, **options), settle, cancel_at, again))
        agent = Agent(self.backend, **options)
        with agent.resume_stream(RUN, settle=settle) if again else agent.stream(self.task(), run_id=RUN) as stream:
            for at, event in enumerate(self._seams(stream)):
                if at == cancel_at:
                    stream.cancel()
                del event
        return stream.result

    async def _read_async(
        self, agent: AsyncAgent[Any], settle: Sequence[Settlement], cancel_at: int | None, again: bool
    ) -> AgentResult[Any]:
        stream = agent.resume_stream(RUN, settle=settle) if again else agent.stream(self.task(), run_id=RUN)
        at = 0
        async with stream:
            async for event in stream:
                if isinstance(event, (Finished, ToolStarted, ToolReturned)):
                    if at == cancel_at:
                        stream.cancel()
                    at += 1
        return stream.result

    def _seams(self, stream: Any) -> Iterator[Any]:
        return (event for event in stream if isinstance(event, (Finished, ToolStarted, ToolReturned)))

    def task(self) -> Sequence[Any]:
        return [User("Do it all.")]

    def in_doubt(self) -> set[int]:
        """By the journal alone: started, not returned, not settled, and of a tool that may not be repeated."""
        open_calls: dict[tuple[int, int], None] = {}
        answers: list[Sequence[tuple[int, str]]] = []
        for record in self.journal.read(RUN):
            match record:
                case CallStarted(step, ordinal):
                    open_calls[step, ordinal] = None
                case CallReturned(step, ordinal) | CallNotRun(step, ordinal):
                    open_calls.pop((step, ordinal), None)
                case _:
                    if (answer := getattr(record, "answer", None)) is not None:
                        made = answer.choices[0].message.tool_calls
                        answers.append([(call.arguments["n"], call.name) for call in made])
        found = [answers[step - 1][ordinal] for step, ordinal in open_calls]
        return {number for number, name in found if name != "repeatable"}

    def settlement(self, doubt: CallInDoubt) -> Settlement:
        """The person looks up what happened; sometimes that cannot be found out."""
        number = self.number(doubt)
        if self.chance(0.2):
            self.told_unknown.add(number)
            return doubt.still_unknown()
        return doubt.happened(f"did {number}") if self.effects[number] else doubt.did_not_happen()

    def number(self, doubt: CallInDoubt) -> int:
        number: int = doubt.call.arguments["n"]
        return number

    # -- what must be true

    def check(self, result: AgentResult[Any]) -> None:
        told = self.told(result)
        self.summary["runs"] += 1
        self.summary["calls"] += len(self.kinds)
        self.summary["executions"] += sum(self.effects.values())
        from_incomplete = sum(count for number, count in self.effects.items() if number > FORBIDDEN)
        self.summary["executions from incomplete answers"] += from_incomplete
        assert not from_incomplete
        for number, kind in self.kinds.items():
            count, text = self.effects[number], told.get(number)
            if kind == "repeatable":
                self.summary["repeated idempotent calls"] += max(0, count - 1)
            elif count > 1:
                self.summary["duplicate executions"] += 1
                raise AssertionError(f"call {number} ({kind}) was executed {count} times")
            lost = text is None or (count > 0 and not self.tells(number, text))
            if lost:
                self.summary["unreported lost executions"] += 1
                raise AssertionError(f"call {number} ({kind}, executed {count} times) was told as {text!r}")
            if text == f"did {number}":
                assert count, f"call {number} is told as done and was not executed"
        assert result.answer == "All is done."
        assert self.journal.unfinished() == []

    def told(self, result: AgentResult[Any]) -> dict[int, str]:
        """By the call's number what the model was told of it, once each."""
        told: dict[int, str] = {}
        pending: dict[str, int] = {}
        for message in result.messages:
            if isinstance(message, Assistant):
                assert not pending, "every call has a result before the next answer"
                pending = {call.id: call.arguments["n"] for call in message.tool_calls}
            elif isinstance(message, ToolResult):
                number = pending.pop(message.call_id)
                assert number not in told or number > FORBIDDEN  # what was cut off may be written again
                told[number] = message.text
        return told

    def tells(self, number: int, text: str) -> bool:
        """Whether the text owns up to the effect."""
        return (
            text == f"did {number}"
            or f"effect of {number}" in text
            or (number in self.told_unknown and "not known whether" in text)
            or "may still have had effects" in text  # late; a busy machine makes any tool late
        )
