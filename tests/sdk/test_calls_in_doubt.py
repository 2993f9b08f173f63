"""Calls that were started and of whose end nothing is known: reported, settled, never repeated by themselves."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.sdk.agent_twin import Counter, call, results
from tests.sdk.journal_runner import AnyJournal, Dies, DyingJournal, Runner, records

from ambidex import (
    Agent,
    Assistant,
    AsyncAgent,
    Request,
    ToolResult,
    User,
    tool,
)
from ambidex.agent_events import ToolStarted
from ambidex.agent_limits import Limits
from ambidex.agent_step import AgentRun
from ambidex.errors import (
    CallsInDoubt,
    InvalidRequest,
    JournalError,
    RunBusy,
)
from ambidex.journal import (
    CallInDoubt,
    CallNotRun,
    CallReturned,
    digest,
)
from ambidex.run_record import JournaledRun
from ambidex.testing import ScriptedBackend


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
    for wrong in (["it happened"], "it happened", 5):
        with pytest.raises(InvalidRequest, match="settle"):
            runner.resume(backend, tools=[counter.bump], settle=wrong)
    assert runner.resume(backend, tools=[counter.bump], settle=iter([again.happened()])).answer == "ok"
    assert runner.resume(backend, settle=None).answer == "ok"


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
