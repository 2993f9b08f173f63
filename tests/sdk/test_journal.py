"""Runs in a journal: what they are given back, what is in doubt, and how it is settled. Each test holds for both
twins, in memory and in a file."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.agent_twin import Counter, Twin, add, call, results

from ambidex import (
    Agent,
    Assistant,
    AsyncAgent,
    Finished,
    Image,
    Request,
    System,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    User,
    tool,
)
from ambidex.agent_events import AgentFinished, StepStarted, ToolReturned, ToolStarted
from ambidex.agent_limits import Limits
from ambidex.agent_step import AgentRun
from ambidex.errors import (
    CallsInDoubt,
    ConfigError,
    InvalidRequest,
    JournalError,
    LimitReached,
    OutputInvalid,
    RateLimited,
    RunBusy,
    RunMismatch,
    RunNotFound,
)
from ambidex.journal import (
    Answered,
    CallInDoubt,
    CallNotRun,
    CallReturned,
    CallStarted,
    Journal,
    MemoryJournal,
    Record,
    RunBegan,
    RunEnded,
    RunLog,
    digest,
)
from ambidex.reply import Choice
from ambidex.run_record import JournaledRun
from ambidex.sqlite_journal import SQLiteJournal
from ambidex.testing import ScriptedBackend

AnyJournal = MemoryJournal | SQLiteJournal


@pytest.fixture(params=["memory", "file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyJournal]:
    if request.param == "memory":
        yield MemoryJournal()
    else:
        with SQLiteJournal(tmp_path / "runs.sqlite") as opened:
            yield opened


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


@pytest.fixture
def runner(twin: Twin, journal: AnyJournal) -> Runner:
    return Runner(twin, journal)


class Dies(BaseException):
    """The process is dead: from here on nothing is written."""


class DyingJournal:
    """Takes records up to the first that `at` says yes to; that one is written or not."""

    def __init__(self, journal: Journal, at: Callable[[Record], bool], *, written: bool) -> None:
        self.blocking = journal.blocking
        self.journal, self.at, self.written = journal, at, written
        self.dead = False

    def open(self, run_id: str, /) -> RunLog:
        return _DyingLog(self, self.journal.open(run_id))


class _DyingLog:
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


# -- what is written, and when


def test_the_order_of_writing(runner: Runner, journal: AnyJournal) -> None:
    seen: list[list[str]] = []

    @tool
    def look() -> str:
        """Looks at the journal from inside."""
        seen.append(records(journal))
        return "seen"

    def answer(request: Request) -> Assistant:
        seen.append(records(journal))
        return Assistant("ok") if len(request.messages) > 1 else Assistant(call("look"))

    result = runner.run(ScriptedBackend(answer), tools=[look])
    begun, called, told = seen
    assert begun == ["RunBegan"]
    assert called == ["RunBegan", "Answered", "CallStarted"]
    assert told == ["RunBegan", "Answered", "CallStarted", "CallReturned"]
    assert records(journal) == [*told, "Answered", "RunEnded"]
    assert (result.run_id, result.answer) == ("r", "ok")
    assert journal.unfinished() == []


def test_the_records_say_what_happened(runner: Runner, journal: AnyJournal) -> None:
    wanted = call("add", a=1, b=2)
    runner.run(ScriptedBackend([wanted, "3"]), tools=[add], system="Add.")
    began, answered, started, returned, _, ended = journal.read("r")
    assert began == RunBegan((System("Add."), User("go")))
    assert isinstance(answered, Answered)
    assert (answered.step, answered.asked, answered.answer.choices[0].message) == (1, 2, Assistant(wanted))
    assert answered.answer.usage.input_tokens is not None
    assert started == CallStarted(1, 0, digest(wanted), 1)
    assert isinstance(returned, CallReturned)
    assert (returned.step, returned.ordinal, returned.result.text) == (1, 0, "3")
    assert ended == RunEnded()


def test_calls_that_cannot_start_are_never_started(runner: Runner, journal: AnyJournal) -> None:
    calls = Assistant(call("add", "1", a="x", b=2), call("nobody", "2"))
    runner.run(ScriptedBackend([calls, "ok"]), tools=[add])
    assert records(journal) == ["RunBegan", "Answered", "CallReturned", "CallReturned", "Answered", "RunEnded"]


def test_without_an_id_and_a_journal_nothing_is_kept(twin: Twin) -> None:
    agent: Any = (AsyncAgent if twin.is_async else Agent)(ScriptedBackend(["a", "b"]), tools=[])
    result = asyncio.run(agent.run("go")) if twin.is_async else agent.run("go")
    assert result.run_id is None
    result = asyncio.run(agent.run("go", run_id="r")) if twin.is_async else agent.run("go", run_id="r")
    assert records(agent.journal) == ["RunBegan", "Answered", "RunEnded"]


def test_a_journal_makes_up_ids(runner: Runner, journal: AnyJournal) -> None:
    first, second = (runner.run(ScriptedBackend(["ok"]), run_id=None) for _ in range(2))
    assert first.run_id != second.run_id
    assert len(journal.read(first.run_id)) == 3


# -- going on


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("place", range(9))
def test_wherever_it_dies_it_goes_on_and_repeats_nothing(runner: Runner, place: int, written: bool) -> None:
    done: list[int] = []

    @tool
    def act(n: int) -> str:
        """Acts."""
        done.append(n)
        return f"did {n}"

    def answer(request: Request) -> Assistant:
        step = sum(isinstance(message, Assistant) for message in request.messages)
        return [Assistant(call("act", n=1)), Assistant("more", call("act", n=2)), Assistant("ok")][step]

    count = -1

    def dies(record: Record) -> bool:
        nonlocal count
        count += 1
        return count == place

    backend = ScriptedBackend(answer)
    journal = runner.journal
    dying = DyingJournal(journal, dies, written=written)
    with pytest.raises(Dies):
        Runner(runner.twin, dying).run(backend, tools=[act])
    asked = len(backend.requests)
    doubts: tuple[CallInDoubt, ...] = ()
    try:
        result = runner.run(backend, tools=[act])  # the same line once more
    except CallsInDoubt as error:
        doubts = error.calls
        (doubt,) = doubts
        n = doubt.call.arguments["n"]
        settle = [doubt.happened(f"did {n}") if n in done else doubt.did_not_happen()]
        result = runner.resume(backend, tools=[act], settle=settle)
    assert done == [1, 2]
    assert [item.text for item in results(result.messages)] == ["did 1", "did 2"]
    assert (result.answer, len(result.steps), result.stopped) == ("ok", 3, "finished")
    #       RunBegan Answered Started Returned Answered Started Returned Answered RunEnded
    started_alone = (2, True), (3, False), (5, True), (6, False)
    assert len(doubts) == ((place, written) in started_alone)
    lost_answer = (place, written) in ((1, False), (4, False), (7, False))
    assert len(backend.requests) == 3 + lost_answer
    assert asked <= 3


def test_after_an_error_it_goes_on_where_it_stopped(runner: Runner) -> None:
    counter = Counter()
    backend = ScriptedBackend([call("bump"), RateLimited("slow"), "ok"])
    with pytest.raises(RateLimited):
        runner.run(backend, tools=[counter.bump])
    result = runner.resume(backend, tools=[counter.bump])
    assert (result.answer, counter.count, len(backend.requests)) == ("ok", 1, 3)
    assert result.usage == sum((step.reply.usage for step in result.steps), Usage())
    assert backend.requests[2].messages == backend.requests[1].messages


def test_a_finished_run_gives_its_result_and_asks_nothing(runner: Runner) -> None:
    first = runner.run(ScriptedBackend([call("add", a=1, b=2), "3"]), tools=[add])
    silent = ScriptedBackend()
    assert runner.resume(silent, tools=[add]) == first
    assert runner.run(silent, tools=[add]) == first
    assert silent.requests == []
    assert [type(event) for event in runner.resumed_events(silent, tools=[add])] == [AgentFinished]


def test_a_resumed_stream_begins_where_the_run_stopped(runner: Runner) -> None:
    with pytest.raises(RateLimited):
        runner.run(ScriptedBackend([call("add", a=1, b=2), RateLimited("slow")]), tools=[add])
    events = runner.resumed_events(ScriptedBackend(["3"]), tools=[add])
    assert events[0] == StepStarted(2)
    assert not any(isinstance(event, (ToolStarted, ToolReturned)) for event in events)
    assert events[-1].result.answer == "3"


def test_calls_that_wait_in_the_task_are_journalled_too(runner: Runner) -> None:
    counter = Counter()
    task = [User("go"), Assistant(call("bump", "1"), call("bump", "2"))]
    with pytest.raises(RateLimited):
        runner.run(ScriptedBackend([RateLimited("slow")]), task, tools=[counter.bump])
    assert runner.resume(ScriptedBackend(["ok"]), tools=[counter.bump]).answer == "ok"
    assert counter.count == 2


def test_limits_count_what_was_before(runner: Runner) -> None:
    backend = ScriptedBackend(lambda request: Assistant(call("add", a=len(request.messages), b=1)))
    with pytest.raises(LimitReached, match=r"agent\.resume\('r'\)"):
        runner.run(backend, tools=[add], max_steps=2)
    with pytest.raises(LimitReached) as caught:
        runner.resume(backend, tools=[add], max_steps=3)
    assert (len(caught.value.result.steps), len(backend.requests)) == (3, 3)


def test_an_answer_that_the_budget_cut_is_asked_for_again(runner: Runner) -> None:
    backend = ScriptedBackend(lambda request: "one two three four five six")
    with pytest.raises(LimitReached) as caught:
        runner.run(backend, max_total_tokens=4)
    assert caught.value.result.answer == "one two three "
    assert caught.value.result.messages == (User("go"),)
    assert runner.resume(backend, max_total_tokens=100).answer == "one two three four five six"


def test_answers_that_do_not_fit_the_type_are_replayed_with_their_repairs(runner: Runner) -> None:
    backend = ScriptedBackend(["no", RateLimited("slow"), "7"])
    with pytest.raises(RateLimited):
        runner.run(backend, output=int)
    result = runner.resume(backend, output=int)
    assert (result.value, len(backend.requests)) == (7, 3)
    assert runner.resume(ScriptedBackend(), output=int).value == 7
    with pytest.raises(RunMismatch, match="`output`"):
        runner.resume(ScriptedBackend())


def test_a_run_that_failed_for_good_fails_again_without_asking(runner: Runner) -> None:
    backend = ScriptedBackend(["a", "b", "c"])
    for _ in range(2):
        with pytest.raises(OutputInvalid):
            runner.run(backend, output=int)
    assert len(backend.requests) == 3


def test_pictures_and_bytes_survive(runner: Runner, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")

    @tool
    def draw() -> Any:
        """Draws."""
        return ["two:", Image(picture), Image(b"\x00\x01\xfe", media_type="image/gif", detail="low")]

    with pytest.raises(RateLimited):
        runner.run(ScriptedBackend([call("draw"), RateLimited("slow")]), [User("see", Image(picture))], tools=[draw])
    backend = ScriptedBackend(["ok"])
    runner.run(backend, [User("see", Image(picture))], tools=[draw])
    drawn = backend.requests[0].messages[-1]
    assert drawn.parts[0] == Text("two:")
    assert drawn.parts[2] == Image(b"\x00\x01\xfe", media_type="image/gif", detail="low")
    if isinstance(runner.journal, SQLiteJournal):
        assert drawn.parts[1] == Image(picture.read_bytes(), media_type="image/png")


# -- in doubt


def in_doubt(runner: Runner, model: Any, tools: Any) -> tuple[CallInDoubt, ...]:
    """Dies once the call is entered; what is reported then."""
    dying = DyingJournal(runner.journal, lambda record: isinstance(record, CallReturned), written=False)
    with pytest.raises(Dies):
        Runner(runner.twin, dying).run(model, tools=tools, parallel=False)
    with pytest.raises(CallsInDoubt, match=r"settle=\[") as caught:
        runner.resume(model, tools=tools)
    assert caught.value.run_id == "r"
    return caught.value.calls


def test_what_happened_is_told_and_not_run_again(runner: Runner) -> None:
    counter, backend = Counter(), ScriptedBackend([call("bump"), "ok"])
    (doubt,) = in_doubt(runner, backend, [counter.bump])
    assert (doubt.step, doubt.ordinal, doubt.attempt, doubt.call) == (1, 0, 1, call("bump"))
    result = runner.resume(backend, tools=[counter.bump], settle=[doubt.happened({"id": 7})])
    assert (counter.count, results(result.messages)[0].text) == (1, '{"id":7}')


def test_what_did_not_happen_is_run(runner: Runner, journal: AnyJournal) -> None:
    counter, backend = Counter(), ScriptedBackend([call("bump"), "ok"])
    (doubt,) = in_doubt(runner, backend, [counter.bump])
    result = runner.resume(backend, tools=[counter.bump], settle=[doubt.did_not_happen()])
    assert (counter.count, results(result.messages)[0].text) == (2, "done")
    assert CallNotRun(1, 0, digest(doubt.call), 1) in journal.read("r")


def test_what_stays_unknown_is_told_and_not_run_again(runner: Runner) -> None:
    counter, backend = Counter(), ScriptedBackend([call("bump"), "ok"])
    (doubt,) = in_doubt(runner, backend, [counter.bump])
    result = runner.resume(backend, tools=[counter.bump], settle=[doubt.still_unknown()])
    (told,) = results(result.messages)
    assert (counter.count, told.is_error) == (1, True)
    assert "not known whether" in told.text


def test_each_call_is_settled_by_itself(runner: Runner) -> None:
    counter, entered = Counter(), threading.Barrier(2)

    @tool
    def meet() -> str:
        """Both are entered before one returns."""
        entered.wait(20)
        return counter.bump()

    backend = ScriptedBackend([Assistant(call("meet", "1"), call("meet", "2")), "ok"])
    dying = DyingJournal(runner.journal, lambda record: isinstance(record, CallReturned), written=False)
    with pytest.raises(Dies):
        Runner(runner.twin, dying).run(backend, tools=[meet])
    wait_until(lambda: counter.count == 2)
    first, second = doubts_of(runner, backend, meet)
    with pytest.raises(CallsInDoubt) as caught:
        runner.resume(backend, tools=[meet], settle=[first.happened()])
    assert caught.value.calls == (second,)
    result = runner.resume(backend, tools=[meet], settle=[second.still_unknown()])
    assert [item.is_error for item in results(result.messages)] == [False, True]


def doubts_of(runner: Runner, backend: Any, *tools: Any) -> tuple[CallInDoubt, ...]:
    deadline = time.monotonic() + 20
    while True:
        try:
            runner.resume(backend, tools=list(tools))
        except CallsInDoubt as error:
            return error.calls
        except RunBusy:  # a thread of the process that died is on its way out
            assert time.monotonic() < deadline
            time.sleep(0.005)


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_what_was_settled_once_is_not_settled_again(runner: Runner) -> None:
    counter, backend = Counter(), ScriptedBackend([call("bump"), "ok"])
    (doubt,) = in_doubt(runner, backend, [counter.bump])
    dying = DyingJournal(runner.journal, lambda record: isinstance(record, CallReturned), written=False)
    with pytest.raises(Dies):
        Runner(runner.twin, dying).resume(backend, tools=[counter.bump], settle=[doubt.did_not_happen()])
    with pytest.raises(InvalidRequest, match="not in doubt"):  # that was the first attempt, not this one
        runner.resume(backend, tools=[counter.bump], settle=[doubt.did_not_happen()])
    (again,) = doubts_of(runner, backend, counter.bump)
    assert (again.attempt, counter.count) == (2, 2)
    wrong: Any = ["it happened"]
    with pytest.raises(InvalidRequest, match="settle"):
        runner.resume(backend, tools=[counter.bump], settle=wrong)


def test_an_idempotent_tool_is_run_again_without_asking(runner: Runner) -> None:
    count = 0

    @tool(idempotent=True)
    def put() -> str:
        """Puts."""
        nonlocal count
        count += 1
        return "put"

    backend = ScriptedBackend([call("put"), "ok"])
    dying = DyingJournal(runner.journal, lambda record: isinstance(record, CallReturned), written=False)
    with pytest.raises(Dies):
        Runner(runner.twin, dying).run(backend, tools=[put])
    assert runner.resume(backend, tools=[put]).answer == "ok"
    assert count == 2


def test_what_a_cancelled_run_left_running_is_kept_when_it_returns(runner: Runner, journal: AnyJournal) -> None:
    started, release, counter = threading.Event(), threading.Event(), Counter()

    @tool
    def hang() -> str:
        """Hangs."""
        counter.bump()
        started.set()
        release.wait(20)
        return "late"

    backend = ScriptedBackend([Assistant(call("hang", "1"), call("bump", "2")), "ok"])
    agent: Any = AsyncAgent if runner.twin.is_async else Agent
    options: dict[str, Any] = {"tools": [hang, counter.bump], "journal": runner.journal}

    def cancel(stream: Any, event: Any) -> None:
        if isinstance(event, ToolStarted):
            threading.Thread(target=lambda: started.wait(20) and stream.cancel()).start()

    if runner.twin.is_async:

        async def read() -> Any:
            stream = agent(backend, **options).stream("go", run_id="r")
            async for event in stream:
                cancel(stream, event)
            return stream.result

        result = asyncio.run(read())
    else:
        stream = agent(backend, **options).stream("go", run_id="r")
        for event in stream:
            cancel(stream, event)
        result = stream.result
    assert result.stopped == "cancelled"
    with pytest.raises(RunBusy, match="a tool of it still runs"):
        runner.resume(backend, tools=[hang, counter.bump])
    release.set()
    wait_until(lambda: "late" in [getattr(record, "result", User()).text for record in journal.read("r")])
    deadline = time.monotonic() + 20
    while True:
        try:
            result = runner.resume(backend, tools=[hang, counter.bump])
            break
        except RunBusy:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    assert [item.text for item in results(result.messages)] == ["late", "done"]
    assert counter.count == 2  # each once: what came late was kept


def test_a_late_tool_returns_to_the_step_that_called_it(runner: Runner) -> None:
    """Its id is used again by then."""
    release = threading.Event()

    @tool
    def slow(n: int) -> str:
        """Returns late."""
        if n == 1:
            release.wait(20)
        else:
            release.set()
            time.sleep(0.05)
        return f"did {n}"

    backend = ScriptedBackend([call("slow", n=1), call("slow", n=2), "ok"])
    result = runner.run(backend, tools=[slow], tool_timeout=0.3)
    late, second = results(result.messages)
    assert "within 0.3 seconds" in late.text
    assert second.text == "did 2"
    again = runner.resume(ScriptedBackend(), tools=[slow])
    assert [item.text for item in results(again.messages)] == [late.text, "did 2"]


def test_a_call_that_was_given_up_before_its_thread_began_is_not_begun(journal: AnyJournal) -> None:
    wanted = call("add", a=1, b=2)
    run = AgentRun([User("go"), Assistant(wanted)], Limits(1), Request((User("?"),)), started=0.0)
    record = JournaledRun(journal, "r")
    record.open(run)
    step = record.step(run, lambda name: False)
    late = ToolResult("1", "add", "It is late.", is_error=True)
    assert step.returned(wanted, late) == late
    with pytest.raises(JournalError):
        step.started(wanted)
    assert step.returned(wanted, ToolResult("1", "add", "3")) == late  # the first result counts
    record.close()
    assert records(journal) == ["RunBegan", "CallReturned"]


# -- one at a time, and what does not fit


def test_a_run_is_in_one_pair_of_hands(runner: Runner) -> None:
    @tool
    def again() -> str:
        """Opens its own run a second time."""
        with pytest.raises(RunBusy, match="'r' is going on"):
            Agent(ScriptedBackend(), tools=[], journal=runner.journal).resume("r")
        return "refused"

    result = runner.run(ScriptedBackend([call("again"), "ok"]), tools=[again])
    assert results(result.messages)[0].text == "refused"


def test_a_stream_that_is_closed_early_gives_the_run_up(runner: Runner) -> None:
    agent = Agent(ScriptedBackend(["one two three"]), tools=[], journal=runner.journal)
    with agent.stream("go", run_id="r") as stream:
        next(stream)
        with pytest.raises(RunBusy):
            agent.resume("r")
    unread = agent.stream("go", run_id="r")
    assert unread.run_id == "r"
    assert runner.resume(ScriptedBackend(["ok"])).answer == "ok"
    unread.close()


def test_another_task_under_the_same_id_is_refused(runner: Runner) -> None:
    runner.run(ScriptedBackend(["ok"]), "this")
    with pytest.raises(RunMismatch, match="another task"):
        runner.run(ScriptedBackend(["ok"]), "that")


def test_a_run_that_nobody_began_is_not_found(runner: Runner) -> None:
    with pytest.raises(RunNotFound, match="'r'"):
        runner.resume(ScriptedBackend())
    assert runner.run(ScriptedBackend(["ok"])).answer == "ok"


@pytest.mark.parametrize("wrong", ["", "a b", "../x", "a/b", "é", "x" * 129, "a\0", "a\n", 3])
def test_ids_are_plain(runner: Runner, wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match="run id"):
        runner.run(ScriptedBackend(["ok"]), run_id=wrong)
    with pytest.raises(InvalidRequest, match="run id"):
        Agent(ScriptedBackend(), tools=[], journal=runner.journal).resume(wrong)


def test_a_changed_history_is_noticed(twin: Twin) -> None:
    whole = MemoryJournal()
    Runner(twin, whole).run(ScriptedBackend([call("add", a=1, b=2), "3"]), tools=[add])
    kept = list(whole.read("r"))
    other_call, other_step = CallStarted(1, 0, digest(call("add", a=9, b=9)), 1), CallStarted(2, 0, "x", 1)
    changed: list[list[Record]] = [
        kept[1:],
        [kept[0], *kept[2:]],
        [*kept[:2], other_call],
        [*kept[:2], other_step],
        [*kept[:2], CallStarted(1, 7, digest(call("add", a=1, b=2)), 1)],
        [*kept[:3], kept[4]],
        [kept[0], kept[0]],
        [*kept, kept[4]],
    ]
    for items in changed:
        journal = MemoryJournal()
        for record in items:
            journal.add("r", record)
        with pytest.raises(RunMismatch, match="'r'"):
            Runner(twin, journal).resume(ScriptedBackend(), tools=[add])
        assert journal.read("r") == tuple(items)


def test_a_journal_that_fails_ends_the_run_before_the_tool(runner: Runner) -> None:
    class Full:
        blocking = runner.journal.blocking

        def open(self, run_id: str, /) -> RunLog:
            return FullLog(
                DyingJournal(runner.journal, lambda record: False, written=True), runner.journal.open(run_id)
            )

    class FullLog(_DyingLog):
        def append(self, record: Record) -> None:
            if isinstance(record, CallStarted):
                raise JournalError("The disk is full.")
            super().append(record)

    counter, full = Counter(), Full()
    backend = ScriptedBackend([call("bump"), "ok"])
    with pytest.raises(JournalError, match="disk is full"):
        Runner(runner.twin, full).run(backend, tools=[counter.bump])
    assert counter.count == 0
    assert runner.resume(backend, tools=[counter.bump]).answer == "ok"
    assert counter.count == 1


def test_runs_are_forgotten(runner: Runner, journal: AnyJournal) -> None:
    with pytest.raises(RateLimited):
        runner.run(ScriptedBackend([RateLimited("slow")]))
    assert journal.unfinished() == ["r"]
    journal.forget("r")
    journal.forget("r")
    assert journal.unfinished() == []
    with pytest.raises(RunNotFound):
        runner.resume(ScriptedBackend())


def test_a_journal_is_a_journal() -> None:
    wrong: Any = "runs.sqlite"
    with pytest.raises(ConfigError, match=r"SQLiteJournal\(path\)"):
        Agent(ScriptedBackend(), tools=[], journal=wrong)


def test_the_digest_is_of_the_call_and_not_of_its_spelling() -> None:
    assert digest(ToolCall("1", "f", {"a": 1, "b": [2]})) == digest(ToolCall("9", "f", {"b": [2], "a": 1}, "{ }"))
    others = ToolCall("1", "f", {}), ToolCall("1", "g", {}), ToolCall("1", "f", {"a": 1})
    assert len({digest(other) for other in others}) == 3


def test_cancelled_answers_are_no_answers(runner: Runner, journal: AnyJournal) -> None:
    cut = [Finished((Choice(Assistant("so f"), "cancelled"),))]
    assert runner.run(ScriptedBackend([cut])).stopped == "cancelled"
    assert records(journal) == ["RunBegan"]
    assert runner.resume(ScriptedBackend(["so far"])).answer == "so far"
