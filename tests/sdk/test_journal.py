"""Runs in a journal: what they are given back, what is in doubt, and how it is settled. Each test holds for both
twins, in memory and in a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.agent_twin import Counter, Twin, add, call, results
from tests.sdk.journal_runner import AnyJournal, Dies, DyingJournal, DyingLog, Runner, records

from ambidex import (
    Agent,
    Assistant,
    AsyncAgent,
    Finished,
    Image,
    Request,
    System,
    Text,
    TextDelta,
    ToolCall,
    Usage,
    User,
    tool,
)
from ambidex.agent_events import AgentFinished, StepStarted, ToolReturned, ToolStarted
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
    CallReturned,
    CallStarted,
    MemoryJournal,
    Record,
    RunBegan,
    RunEnded,
    RunLog,
    digest,
)
from ambidex.reply import Choice
from ambidex.sqlite_journal import SQLiteJournal
from ambidex.testing import ScriptedBackend

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


def test_leaving_the_loop_gives_the_run_up(runner: Runner) -> None:
    model = ScriptedBackend(lambda _: "one two three")

    async def leave_and_resume() -> str:
        agent = AsyncAgent(model, tools=[], journal=runner.journal)
        async for event in agent.stream("go", run_id="r"):
            if isinstance(event, TextDelta):
                break
        return (await agent.resume("r")).answer

    if runner.twin.is_async:
        assert asyncio.run(leave_and_resume()) == "one two three"
    else:
        agent = Agent(model, tools=[], journal=runner.journal)
        for event in agent.stream("go", run_id="r"):
            if isinstance(event, TextDelta):
                break
        assert agent.resume("r").answer == "one two three"


def test_another_task_under_the_same_id_is_refused(runner: Runner) -> None:
    runner.run(ScriptedBackend(["ok"]), "this")
    with pytest.raises(RunMismatch, match="another task"):
        runner.run(ScriptedBackend(["ok"]), "that")


def test_a_finished_run_is_not_asked_for_another_output(runner: Runner, journal: AnyJournal) -> None:
    runner.run(ScriptedBackend(["three"]))
    finished = records(journal)
    backend = ScriptedBackend(["5"])
    for ask in (runner.resume, runner.run):
        with pytest.raises(RunMismatch, match="had finished, and by this agent's `output` it has not"):
            ask(backend, output=int)
    assert (backend.requests, records(journal)) == ([], finished)
    assert runner.resume(ScriptedBackend()).answer == "three"


@pytest.mark.parametrize(("before", "now"), [("Add.", "Subtract."), ("Add.", None), (None, "Add.")])
def test_the_system_message_is_the_recorded_one(runner: Runner, before: str | None, now: str | None) -> None:
    backend = ScriptedBackend([RateLimited("slow"), "ok"])
    with pytest.raises(RateLimited):
        runner.run(backend, system=before)
    assert runner.run(backend, system=now).answer == "ok"
    assert backend.requests[1].messages == backend.requests[0].messages


def test_a_system_message_of_the_task_is_part_of_it(runner: Runner) -> None:
    runner.run(ScriptedBackend(["ok"]), [System("Add."), User("go")])
    with pytest.raises(RunMismatch, match="another task"):
        runner.run(ScriptedBackend(), [System("Subtract."), User("go")])
    assert runner.run(ScriptedBackend(), [System("Add."), User("go")], system="Subtract.").answer == "ok"


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

    class FullLog(DyingLog):
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
