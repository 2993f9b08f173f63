"""An agent's limits, cancelling, how its tools run, and its settings. Each test holds for both twins."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
import time
from typing import Any

import pytest
from tests.sdk.agent_twin import Counter, Twin, add, call, multiply, results

from ambidex import (
    Agent,
    AgentResult,
    Assistant,
    AsyncAgent,
    Request,
    TextDelta,
    Tool,
    ToolCallDelta,
)
from ambidex.agent_events import AgentFinished, ToolReturned, ToolStarted
from ambidex.errors import (
    ConfigError,
    InvalidRequest,
    LimitReached,
    RateLimited,
)
from ambidex.testing import ScriptedBackend
from ambidex.tool_runner import in_thread

# -- limits


def again(request: Request) -> Assistant:
    return Assistant(call("add", str(len(request.messages)), a=1, b=2))


def test_max_steps(twin: Twin) -> None:
    backend = ScriptedBackend(again)
    with pytest.raises(LimitReached, match="3 steps") as caught:
        twin.run(backend, tools=[add], max_steps=3)
    result = caught.value.result
    assert (len(backend.requests), len(result.steps), result.stopped) == (3, 3, "max_steps")
    assert len(results(result.messages)) == 2  # what would be read by nobody is not run


def test_a_run_that_was_stopped_goes_on(twin: Twin) -> None:
    backend = ScriptedBackend([call("add", a=1, b=2), "3"])
    with pytest.raises(LimitReached) as caught:
        twin.run(backend, tools=[add], max_steps=1)
    result = twin.run(backend, caught.value.result.messages, tools=[add], max_steps=1)
    assert result.answer == "3"
    assert len(results(result.messages)) == 1


def test_a_limit_reached_by_the_last_answer_is_no_error(twin: Twin) -> None:
    assert twin.run(ScriptedBackend(["one two three"]), max_total_tokens=4, max_steps=1).answer == "one two three"


def test_the_time_limit_ends_a_tool_that_hangs(twin: Twin) -> None:
    release = threading.Event()

    def hang() -> None:
        """Hangs."""
        release.wait(60)

    backend = ScriptedBackend([Assistant(call("hang", "1"), call("add", "2", a=1, b=2)), "never"])
    start = time.monotonic()
    with pytest.raises(LimitReached, match="timeout") as caught:
        twin.run(backend, tools=[hang, add], timeout=0.3)
    release.set()
    assert time.monotonic() - start < 20
    hung, added = results(caught.value.result.messages)
    assert (hung.is_error, added.text) == (True, "3")
    assert caught.value.result.stopped == "timeout"
    assert len(backend.requests) == 1


def test_the_time_limit_is_each_request_s(twin: Twin) -> None:
    backend = ScriptedBackend([call("add", a=1, b=2), "3"])
    twin.run(backend, tools=[add], timeout=60)
    first, second = (request.timeout for request in backend.requests)
    assert first is not None
    assert second is not None
    assert 0 < second <= first <= 60


def test_the_time_limit_ends_an_endless_answer(twin: Twin) -> None:
    def endless(request: Request) -> Any:
        while True:
            time.sleep(0.01)
            yield TextDelta("on and ")

    with pytest.raises(LimitReached) as caught:
        twin.run(ScriptedBackend(endless), timeout=0.2)
    assert caught.value.partial is not None
    assert caught.value.partial.text.startswith("on and ")


def test_the_tool_time_limit_is_told_to_the_model(twin: Twin) -> None:
    release = threading.Event()

    def hang() -> None:
        """Hangs."""
        release.wait(60)

    async def hang_async() -> None:
        """Hangs."""
        await asyncio.sleep(60)

    calls = Assistant(call("hang", "1"), call("hang_async", "2"), call("add", "3", a=1, b=2))
    result = twin.run(ScriptedBackend([calls, "ok"]), tools=[hang, hang_async, add], tool_timeout=0.2)
    release.set()
    first, second, third = results(result.messages)
    assert "within 0.2 seconds" in first.text
    assert "within 0.2 seconds" in second.text
    assert third.text == "3"


def test_a_slow_reader_makes_no_tool_late() -> None:
    def nap(n: float) -> float:
        """Sleeps."""
        time.sleep(n)
        return n

    calls = Assistant(call("nap", "1", n=0.0), call("nap", "2", n=0.1))
    stream = Agent(ScriptedBackend([calls, "ok"]), tools=[nap], tool_timeout=0.5).stream("go")
    for event in stream:
        if isinstance(event, ToolReturned):
            time.sleep(0.6)
    assert [item.text for item in results(stream.result.messages)] == ["0.0", "0.1"]


# -- cancel


def test_cancel_in_an_answer(twin: Twin) -> None:
    counter = Counter()
    backend = ScriptedBackend([Assistant("one two three", call("bump")), "never"])

    def cancel(stream: Any, event: Any) -> None:
        if isinstance(event, TextDelta):
            stream.cancel()

    events = twin.events(backend, on=cancel, tools=[counter.bump])
    assert isinstance(events[-1], AgentFinished)
    assert events[-1].result.stopped == "cancelled"
    assert counter.count == 0
    assert len(backend.requests) == 1


@pytest.mark.parametrize("at", [ToolStarted, ToolReturned])
def test_cancel_stops_before_the_next_tool_or_step(twin: Twin, at: type[Any]) -> None:
    counter = Counter()
    backend = ScriptedBackend([Assistant(call("bump", "1"), call("bump", "2")), "never"])

    def cancel(stream: Any, event: Any) -> None:
        if isinstance(event, at):
            stream.cancel()

    events = twin.events(backend, on=cancel, tools=[counter.bump], parallel=False)
    result = events[-1].result
    assert result.stopped == "cancelled"
    assert counter.count == (0 if at is ToolStarted else 1)
    assert len(results(result.messages)) == 2  # each call has a result: nothing runs twice later
    assert len(backend.requests) == 1


def test_cancel_waits_for_no_tool(twin: Twin) -> None:
    started, release = threading.Event(), threading.Event()

    def hang() -> None:
        """Hangs."""
        started.set()
        release.wait(60)

    def cancel(stream: Any, event: Any) -> None:
        if isinstance(event, ToolStarted):
            threading.Thread(target=lambda: started.wait(30) and stream.cancel()).start()

    start = time.monotonic()
    events = twin.events(ScriptedBackend([call("hang"), "never"]), on=cancel, tools=[hang])
    release.set()
    assert time.monotonic() - start < 20
    assert events[-1].result.stopped == "cancelled"
    assert "may have had effects" in results(events[-1].result.messages)[0].text


def test_cancelling_the_task_cancels_async_tools_and_the_request() -> None:
    ended: list[str] = []

    async def hang() -> None:
        """Hangs."""
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("tool")

    async def main() -> None:
        backend = ScriptedBackend([call("hang"), "never"])
        task = asyncio.create_task(AsyncAgent(backend, tools=[hang]).run("go"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["tool"]
        assert len(backend.requests) == 1

    asyncio.run(main())


def test_closing_the_stream_early_stops_the_run(twin: Twin) -> None:
    backend = ScriptedBackend([Assistant("one two"), "never"])
    if twin.is_async:

        async def read() -> None:
            async with AsyncAgent(backend, tools=[]).stream("go") as stream:
                async for event in stream:
                    if isinstance(event, TextDelta):
                        break
            assert await anext(stream, None) is None

        asyncio.run(read())
    else:
        with Agent(backend, tools=[]).stream("go") as stream:
            for event in stream:
                if isinstance(event, TextDelta):
                    break
        assert next(stream, None) is None
    assert len(backend.requests) == 1


# -- how tools run


def test_calls_of_one_answer_run_at_the_same_time(twin: Twin) -> None:
    together = threading.Barrier(4)

    def meet(n: int) -> int:
        """Returns once four are here."""
        together.wait(30)
        return n

    async def meet_async(n: int) -> int:
        """Returns once four are here."""
        await asyncio.get_running_loop().run_in_executor(None, together.wait, 30)
        return n

    calls = Assistant(*(call("meet" if n % 2 else "meet_async", str(n), n=n) for n in range(4)))
    result = twin.run(ScriptedBackend([calls, "ok"]), tools=[meet, meet_async])
    assert [item.text for item in results(result.messages)] == ["0", "1", "2", "3"]


def test_results_come_in_the_order_of_the_calls(twin: Twin) -> None:
    def nap(n: int) -> int:
        """The later calls are done first."""
        time.sleep(0.02 * (4 - n))
        return n

    calls = Assistant(*(call("nap", str(n), n=n) for n in range(4)))
    events = twin.events(ScriptedBackend([calls, "ok"]), tools=[nap])
    returned = [event.result.text for event in events if isinstance(event, ToolReturned)]
    assert returned != sorted(returned)
    assert [item.text for item in results(events[-1].result.messages)] == ["0", "1", "2", "3"]


def test_more_calls_than_may_run_at_once_all_run(twin: Twin) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def work(n: int) -> int:
        """Counts how many run at once."""
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1
        return n

    calls = Assistant(*(call("work", str(n), n=n) for n in range(40)))
    result = twin.run(ScriptedBackend([calls, "ok"]), tools=[work])
    assert [item.text for item in results(result.messages)] == [str(n) for n in range(40)]
    assert 1 < most <= 16
    most = 0
    twin.run(ScriptedBackend([calls, "ok"]), tools=[work], parallel=False)
    assert most == 1


def test_one_at_a_time_runs_in_the_calling_thread() -> None:
    """So that a tool may use what belongs to that thread, as sqlite's connections do."""
    connection = sqlite3.connect(":memory:")

    def query() -> int:
        """Asks the database."""
        value: int = connection.execute("select 1 + 1").fetchone()[0]
        return value

    result = Agent(ScriptedBackend([call("query"), "ok"]), tools=[query], parallel=False).run("go")
    connection.close()
    assert results(result.messages)[0].text == "2"


WHO = contextvars.ContextVar("WHO", default="nobody")


def test_tools_see_the_caller_s_context(twin: Twin) -> None:
    def who() -> str:
        """Who asks."""
        return WHO.get()

    async def who_async() -> str:
        """Who asks."""
        return WHO.get()

    token = WHO.set("me")
    try:
        backend = ScriptedBackend([Assistant(call("who", "1"), call("who_async", "2")), "ok"])
        result = twin.run(backend, tools=[who, who_async])
    finally:
        WHO.reset(token)
    assert [item.text for item in results(result.messages)] == ["me", "me"]


def test_async_tools_of_a_sync_agent_work_inside_a_running_loop() -> None:
    async def notebook() -> AgentResult[None]:
        return Agent(ScriptedBackend([call("multiply", a=2, b=3), "6"]), tools=[multiply]).run("go")

    assert results(asyncio.run(notebook()).messages)[0].text == "6"


@pytest.mark.parametrize("depth", [1, 3])
def test_an_agent_may_run_inside_a_tool_of_another(depth: int) -> None:
    def agent_with(tool: Any) -> Agent:
        return Agent(ScriptedBackend([call(tool.__name__), "ok"]), tools=[tool])

    async def answer() -> str:
        """Is awaited on a loop that nobody holds up."""
        await asyncio.sleep(0.001)
        return "ok"

    def around(agent: Agent) -> Agent:
        async def hold() -> str:
            """Holds up the loop that it is on."""
            return agent.run("go").answer

        def wait() -> str:
            """Waits in a thread for the one that does."""
            return agent_with(hold).run("go").answer

        return agent_with(wait)

    agent = agent_with(answer)
    for _ in range(depth):
        agent = around(agent)
    result = in_thread(lambda: agent.run("go")).result(20)
    assert [each.text for each in results(result.messages)] == ["ok"]


def test_a_function_that_gives_an_awaitable_is_awaited(twin: Twin) -> None:
    def later(n: int) -> Any:
        """Not marked async, but awaitable."""
        return multiply(n, 2)

    result = twin.run(ScriptedBackend([call("later", n=4), "8"]), tools=[later])
    assert results(result.messages)[0].text == "8"


def test_an_async_tool_that_cancels_itself_is_an_error_of_the_call(twin: Twin) -> None:
    async def give_up() -> None:
        """Gives up."""
        raise asyncio.CancelledError

    result = twin.run(ScriptedBackend([call("give_up"), "ok"]), tools=[give_up])
    assert result.answer == "ok"
    assert results(result.messages)[0].is_error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exit_in_a_tool_ends_the_run_and_no_other(error: type[BaseException]) -> None:
    def leave() -> None:
        """As control-C does."""
        raise error

    async def leave_async() -> None:
        """On the loop that other agents use, too."""
        raise error

    ready, leaving = threading.Event(), threading.Event()

    async def wait() -> str:
        """Is under way meanwhile."""
        ready.set()
        while not leaving.is_set():
            await asyncio.sleep(0.001)
        return "waited"

    other = in_thread(lambda: Agent(ScriptedBackend([call("wait"), "ok"]), tools=[wait]).run("go").answer)
    assert ready.wait(10)
    for tool in (leave, leave_async):
        for parallel in (True, False):
            agent = Agent(ScriptedBackend([call(tool.__name__), "never"]), tools=[tool], parallel=parallel)
            with pytest.raises(error):
                in_thread(lambda agent=agent: agent.run("go")).result(10)  # type: ignore[misc]  # agent: as it is now
    leaving.set()
    assert other.result(10) == "ok"


# -- settings


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_steps": 0}, "max_steps must be at least 1"),
        ({"max_steps": None}, "max_steps"),
        ({"max_total_tokens": 0}, "max_total_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"timeout": 0}, "timeout"),
        ({"tool_timeout": -1}, "tool_timeout"),
        ({"decoding": "greedy"}, "decoding"),
        ({"max_step": 1}, "Did you mean 'max_steps'"),
        ({"tools": [Tool("look", "Looks.", {"type": "object"})]}, "'look' has no function"),
        ({"tools": add}, "tools takes a sequence"),
        ({"tools": [add, add]}, "named 'add'"),
    ],
)
@pytest.mark.parametrize("kind", [Agent, AsyncAgent])
def test_wrong_settings_are_refused(kind: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        kind(ScriptedBackend(), **{"tools": [add], **options})


def test_the_model_is_a_string_or_a_backend() -> None:
    wrong: Any = 3
    with pytest.raises(ConfigError, match="local:pocket"):
        Agent(wrong, tools=[])
    missing: Any = Agent
    with pytest.raises(InvalidRequest, match="tools"):
        missing(ScriptedBackend())


def test_an_observer_sees_requests_events_and_errors(twin: Twin) -> None:
    seen: list[Any] = []
    backend = ScriptedBackend([call("add", a=1, b=2), RateLimited("slow")])
    with pytest.raises(RateLimited) as caught:
        twin.run(backend, tools=[add], observe=seen.append)
    kinds = [type(item).__name__ for item in seen if not isinstance(item, ToolCallDelta)]
    assert (
        kinds
        == (
            "StepStarted Request ToolCallStarted ToolCalled Finished ToolStarted ToolReturned "
            "StepStarted Request RateLimited"
        ).split()
    )
    assert seen[-1] is caught.value


def test_a_backend_that_was_given_stays_open(twin: Twin) -> None:
    backend = ScriptedBackend(["a"])
    if twin.is_async:

        async def use() -> None:
            async with AsyncAgent(backend, tools=[]) as agent:
                await agent.run("go")

        asyncio.run(use())
    else:
        with Agent(backend, tools=[]) as agent:
            agent.run("go")
    assert not backend.closed
    assert repr(Agent(backend, tools=[add])) == "Agent(ScriptedBackend, tools: add)"
