"""The agent's loop: what runs, and what the model is told. Each test holds for both twins."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.sdk.agent_twin import Counter, Twin, add, call, multiply, results, told

from ambidex import (
    Agent,
    AgentResult,
    Assistant,
    AsyncAgent,
    Finished,
    Greedy,
    InvalidToolCall,
    Message,
    Request,
    System,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    Usage,
    User,
)
from ambidex.agent_events import StepStarted, ToolReturned
from ambidex.errors import (
    IncompleteResponse,
    InvalidRequest,
    RateLimited,
    ToolError,
)
from ambidex.testing import ScriptedBackend, events_of

# -- the loop


def test_ask_run_tell_until_there_is_no_call(twin: Twin) -> None:
    calls = Assistant("I add.", call("add", a=1, b=2), call("multiply", "2", a=3, b=4))
    backend = ScriptedBackend([calls, Assistant(call("add", a=3, b=12)), "15"])
    result = twin.run(
        backend, "1 + 2 + 3 * 4", tools=[add, multiply], system="Use tools.", max_tokens=20, decoding=Greedy()
    )
    assert result.answer == "15"
    assert result.stopped == "finished"
    assert result.messages == (
        System("Use tools."),
        User("1 + 2 + 3 * 4"),
        calls,
        ToolResult("1", "add", "3"),
        ToolResult("2", "multiply", "12"),
        Assistant(call("add", a=3, b=12)),
        ToolResult("1", "add", "15"),
        Assistant("15"),
    )
    assert [request.messages for request in backend.requests] == [
        result.messages[:2],
        result.messages[:5],
        result.messages[:7],
    ]
    assert all([tool.name for tool in request.tool_list] == ["add", "multiply"] for request in backend.requests)
    assert {(request.max_tokens, request.decoding) for request in backend.requests} == {(20, Greedy())}
    assert [step.results for step in result.steps] == [result.messages[3:5], result.messages[6:7], ()]
    assert result.usage == sum((step.reply.usage for step in result.steps), Usage())
    assert result.usage.input_tokens == sum(backend.count(request) or 0 for request in backend.requests)


def test_the_stream_shows_every_step(twin: Twin) -> None:
    events = twin.events(ScriptedBackend([call("add", a=1, b=2), "3"]), tools=[add])
    kinds = [type(event).__name__ for event in events if not isinstance(event, (TextDelta, ToolCallDelta))]
    assert (
        kinds
        == (
            "StepStarted ToolCallStarted ToolCalled Finished ToolStarted ToolReturned "
            "StepStarted Finished AgentFinished"
        ).split()
    )
    assert [event.step for event in events if isinstance(event, StepStarted)] == [1, 2]
    (returned,) = [event for event in events if isinstance(event, ToolReturned)]
    assert (returned.call.name, returned.result) == ("add", ToolResult("1", "add", "3"))
    assert returned.seconds >= 0
    assert events[-1].result.answer == "3"


def test_the_stream_s_reply_is_that_of_the_step_and_result_that_of_the_run() -> None:
    stream = Agent(ScriptedBackend([Assistant("I add.", call("add", a=1, b=2)), "3"]), tools=[add]).stream("go")
    seen = []
    for event in stream:
        if isinstance(event, StepStarted):
            assert stream.reply.text == ""
        if isinstance(event, Finished):
            seen.append(stream.reply.text)
    assert seen == ["I add.", "3"]
    assert stream.result.answer == "3"
    assert "".join(Agent(ScriptedBackend(["a b c"]), tools=[]).stream("go").text) == "a b c"


def test_a_conversation_may_be_the_task(twin: Twin) -> None:
    backend = ScriptedBackend(["ok"])
    task: list[Message] = [System("Mine."), User("a"), Assistant("b"), User("c")]
    assert twin.run(backend, task, system="The agent's.").messages == (*task, Assistant("ok"))
    with pytest.raises(InvalidRequest, match="empty"):
        twin.run(backend, [])
    wrong: Any = [{"role": "user", "content": "a"}]
    with pytest.raises(InvalidRequest, match="from_openai"):
        twin.run(backend, wrong)


def test_calls_that_wait_in_the_task_are_run_first(twin: Twin) -> None:
    backend = ScriptedBackend(["3 and 7"])
    task: list[Message] = [
        User("go"),
        Assistant(call("add", "1", a=1, b=2), call("add", "2", a=3, b=4)),
        ToolResult("1", "add", "three"),
    ]
    result = twin.run(backend, task, tools=[add])
    assert results(result.messages) == [ToolResult("1", "add", "three"), ToolResult("2", "add", "7")]


def test_an_agent_is_not_changed_by_a_run(twin: Twin) -> None:
    def answer(request: Request) -> Assistant:
        if len(request.messages) == 1:
            return Assistant(call("add", a=int(request.messages[0].text), b=1))
        return Assistant(request.messages[-1].text)

    backend = ScriptedBackend(answer)
    if twin.is_async:

        async def together() -> list[AgentResult[None]]:
            agent = AsyncAgent(backend, tools=[add])
            return await asyncio.gather(*(agent.run(str(n)) for n in range(20)))

        outcomes = asyncio.run(together())
    else:
        agent = Agent(backend, tools=[add])
        outcomes = [agent.run(str(n)) for n in range(5)]
        streams = [agent.stream(str(n)) for n in range(5, 20)]
        for stream in streams:
            next(stream)
        for stream in streams:
            list(stream)
        outcomes += [stream.result for stream in streams]
    assert [outcome.answer for outcome in outcomes] == [str(n + 1) for n in range(20)]


# -- calls that go wrong


def fail(text: str) -> None:
    """Fails."""
    raise ToolError(text) if text else ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (call("subtract", a=1), "no tool named 'subtract'. The tools are: add, fail, ambiguous"),
        (call("add", a=1, b="two"), "arguments of add are invalid"),
        (call("add", a=1), "b is missing"),
        (call("fail", text="Ask the other one."), "Ask the other one."),
        (call("fail", text=""), "ZeroDivisionError: division by zero"),
        (call("ambiguous"), "no JSON form"),
        (
            InvalidToolCall("1", "add", '{"a": ', "cut off at char 6"),
            "could not be read and was not run: cut off at char 6",
        ),
        (InvalidToolCall("", "", "", "no name"), "no name"),
    ],
)
def test_the_model_is_told_what_was_wrong_and_goes_on(twin: Twin, wrong: Any, says: str) -> None:
    def ambiguous() -> object:
        """Gives what has no JSON form."""
        return object()

    right = call("add", "ok", a=1, b=2)
    backend = ScriptedBackend([Assistant(wrong, right), "sorry"])
    result = twin.run(backend, tools=[add, fail, ambiguous])
    assert result.answer == "sorry"
    bad, good = results(result.messages)
    assert (bad.is_error, good.is_error, good.text) == (True, False, "3")
    assert says in bad.text
    assert bad.call_id == (wrong.id or "call_1")


def test_a_tool_error_passes_in_its_own_words(twin: Twin) -> None:
    backend = ScriptedBackend([call("fail", text="Ask the other one."), "ok"])
    twin.run(backend, tools=[fail])
    assert told(backend) == "Ask the other one."


def test_calls_without_ids_or_with_one_id_twice_all_run(twin: Twin) -> None:
    calls = [call("add", id, a=n, b=0) for n, id in enumerate(["", "", "x", "x"])]
    result = twin.run(ScriptedBackend([Assistant(*calls), "ok"]), tools=[add])
    given = results(result.messages)
    assert [item.text for item in given] == ["0", "1", "2", "3"]
    assert len({item.call_id for item in given}) == 4
    answer = result.messages[1]
    assert isinstance(answer, Assistant)
    assert [item.call_id for item in given] == [made.id for made in answer.tool_calls]


def test_repaired_calls_run_unless_calls_are_strict(twin: Twin) -> None:
    repaired = ToolCall("1", "add", {"a": 1, "b": 2}, "{a: 1, b: 2}", repaired=True)
    backend = ScriptedBackend(lambda request: Assistant(repaired) if len(request.messages) == 1 else Assistant("ok"))
    assert results(twin.run(backend, tools=[add]).messages)[0].text == "3"
    strict = results(twin.run(backend, tools=[add], strict_calls=True).messages)[0]
    assert strict.is_error
    assert "valid JSON" in strict.text


# -- nothing runs before the answer is whole


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize("cut", [True, False])
def test_no_call_of_a_cut_answer_runs(twin: Twin, reason: Any, cut: bool) -> None:
    counter = Counter()
    last = InvalidToolCall("2", "bump", "{", "cut off") if cut else call("bump", "2")
    answer = events_of(Assistant(call("bump", "1"), last), finish_reason=reason)
    backend = ScriptedBackend([answer, "I see."])
    result = twin.run(backend, tools=[counter.bump])
    assert result.answer == "I see."
    assert counter.count == 0
    assert [item.is_error for item in results(result.messages)] == [True, True]
    assert f"{reason!r}" in told(backend)


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ([], IncompleteResponse),
        ([RateLimited("slow")], RateLimited),
        ([ToolCallStarted(1, "2", "bump")], IncompleteResponse),
    ],
)
def test_a_broken_stream_raises_and_nothing_runs(twin: Twin, end: list[Any], error: Any) -> None:
    counter = Counter()
    broken = [*events_of(Assistant("so", call("bump")))[:-1], *end]
    with pytest.raises(error) as caught:
        twin.run(ScriptedBackend([broken]), tools=[counter.bump])
    assert caught.value.partial.text == "so"
    assert counter.count == 0


def test_an_error_in_a_later_step_leaves_the_run_so_far() -> None:
    stream = Agent(ScriptedBackend([call("add", a=1, b=2), RateLimited("slow")]), tools=[add]).stream("go")
    with pytest.raises(RateLimited):
        list(stream)
    assert stream.result.stopped == "unfinished"
    assert results(stream.result.messages)[0].text == "3"
